"""Everything that a page says, in English and Chinese, from one YAML file that must have both for every entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import yaml

from retriever.errors import SightlineError

PageLang = Literal["en", "zh"]
PAGE_LANGS: tuple[PageLang, ...] = ("en", "zh")


@dataclass(frozen=True)
class Words:
    """The texts of one page; ``words("next", "zh")``, with ``{name}`` filled in from keywords."""

    texts: Mapping[str, Mapping[str, str]]

    def __call__(self, key: str, lang: PageLang, **values: object) -> str:
        text = self.texts[key][lang]
        return text.format(**values) if values else text


@cache
def load_words(*paths: Path) -> Words:
    """Later files add to earlier ones. Raises ``SightlineError`` where an entry lacks a language."""
    texts: dict[str, Mapping[str, str]] = {}
    for path in paths:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        for key, entry in data.items():
            lacking = [lang for lang in PAGE_LANGS if not isinstance(entry, dict) or not str(entry.get(lang) or "")]
            if lacking:
                raise SightlineError(f"the entry {key} of {path.name} lacks {', '.join(lacking)}; restore the file")
            texts[key] = entry
    return Words(texts)


COMMON = Path(__file__).with_name("words.yaml")
