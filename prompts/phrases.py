"""The phrase bank ``dialogue.yaml``, compiled."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml


@cache
def bank() -> Mapping[str, Any]:
    """By name; a list of patterns is one alternation, a mapping of lists a mapping of alternations."""
    raw = yaml.safe_load(Path(__file__).with_name("dialogue.yaml").read_text(encoding="utf-8"))
    return {
        name: {k: _any(v) for k, v in value.items()} if isinstance(value, dict) else _any(value)
        for name, value in raw.items()
    }


def _any(patterns: Sequence[str]) -> re.Pattern[str]:
    # A name that two patterns give to a group would not compile, so each pattern's own groups are numbered.
    named = [p.replace("(?P<title>", f"(?P<title{n}>") for n, p in enumerate(patterns)]
    return re.compile("|".join(f"(?:{p})" for p in named), re.IGNORECASE)


def says(name: str, folded: str) -> bool:
    """Whether a phrase of the named bank occurs."""
    return bool(bank()[name].search(folded))
