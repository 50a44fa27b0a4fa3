"""Words of a case's papers in both languages, and what is done to other people's words before they are printed."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

Pair = tuple[str, str]
"""English and Chinese."""
_KEPT = {"\n", "\t"}
_STEERING = {*map(chr, (0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))), "\ufeff"}
"""Marks that turn the direction of the text around them: a name with one could show a line as another."""


@cache
def words() -> Mapping[str, Pair]:
    """By key, from ``words.yaml``."""
    raw = yaml.safe_load(Path(__file__).with_name("words.yaml").read_text(encoding="utf-8"))
    return {key: (pair[0], pair[1]) for key, pair in raw.items()}


def say(key: str, **parts: Any) -> Pair:
    """A phrase in both languages. A part that is a pair goes in by language."""
    return tuple(  # type: ignore[return-value]
        text.format(**{name: part[lang] if isinstance(part, tuple) else part for name, part in parts.items()})
        for lang, text in enumerate(words()[key])
    )


def plain(text: str) -> str:
    """Text without control characters, steering marks and lone surrogates, each shown as U+FFFD."""
    return "".join(c if c in _KEPT or _printable(c) else "\ufffd" for c in text)


def _printable(char: str) -> bool:
    return unicodedata.category(char) not in ("Cc", "Cs", "Cn") and char not in _STEERING


def plain_all(value: Any) -> Any:
    """:func:`plain` for every text in JSON."""
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, Mapping):
        return {key: plain_all(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(plain_all(v) for v in value)
    return value


def attribution(gallery: Mapping[str, Any]) -> str:
    """Whom the data shown has to name."""
    said, licence = gallery.get("attribution"), gallery.get("licence")
    if not said:
        return "The gallery names no source of its data"
    return plain(f"{said} ({licence})" if licence and licence not in said else str(said))
