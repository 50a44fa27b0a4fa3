"""The word lists: which words mean which kind, what chains are called, which words describe."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from prompts.claims_.marks import Mark
from prompts.claims_.text import WORD, normalise
from retriever.kinds import kinds

LONGEST_EN = 5
LONGEST_ZH = 8
_HAN = re.compile(r"[一-鿿]")
# One-character nouns are parts of a thousand other words; they count only where nothing else is made with them.
_AFTER_ONE = "往向朝走跑骑以就头了边旁畔岸上下里中外前后口对南北东西左右，。、 的和与有是及在"
_BEFORE_ONE = "边侧站坐堵间家所了条座棵个片颗处道面过沿着是有大小一的到近在看见和与离没无，。、 靠临于旁跨对为着株块口"


@dataclass(frozen=True, kw_only=True)
class Lexicon:
    """Lower-case word tuples (English) and strings (Chinese) to kind ids; ``none`` blocks."""

    en: Mapping[tuple[str, ...], str]
    zh: Mapping[str, str]
    brands_en: Mapping[tuple[str, ...], bool]
    """True: only with its capital and not first in a sentence."""
    brands_zh: frozenset[str]
    colours: Mapping[str, str]
    not_names: frozenset[str]
    within_names: frozenset[str]
    """Of these, words that may open a longer name in mid-sentence: Old Street, Park Lane."""
    proper: frozenset[str]
    """Of these, words that always have their capital: London Wall, North Road."""
    nations: frozenset[str]
    """Of these, words that describe before a kind: an Italian restaurant."""
    cues: Mapping[str, Any]


def _read(name: str) -> Any:
    return yaml.load(
        Path(__file__).with_name(name).read_text(encoding="utf-8"), Loader=yaml.BaseLoader
    )  # "No" is a word here


def words(text: str) -> tuple[str, ...]:
    return tuple(w.lower() for w in WORD.findall(text))


def _forms(phrase: str) -> set[tuple[str, ...]]:
    base = words(phrase.replace("’", "'"))
    if not base:
        return set()
    last = base[-1]
    plural = last[:-1] + "ies" if last.endswith("y") and last[-2:-1] not in "aeiou" else last + "s"
    ends = {last, plural, last + "es" if last.endswith(("s", "h", "x")) else plural}
    return {(*base[:-1], end) for end in ends} | {tuple(w.replace("'", "") for w in base)}


def _lower(cues: Mapping[str, Any], *lists: str) -> frozenset[str]:
    return frozenset(str(w).lower() for name in lists for w in cues[name])


@cache
def lexicon() -> Lexicon:
    """Reads the lists once; later entries never take a word from an earlier, more particular one."""
    more, cues = _read("kinds.yaml"), _read("cues.yaml")
    en: dict[tuple[str, ...], str] = {}
    zh: dict[str, str] = {}
    for phrase in more["en"]["none"]:
        en.update(dict.fromkeys(_forms(phrase), "none"))
    zh.update(dict.fromkeys(map(normalise, more["zh"]["none"]), "none"))
    for source in ("table", "more"):
        for kind in kinds().values():
            for phrase in kind.en if source == "table" else more["en"].get(kind.id, ()):
                for form in _forms(str(phrase)):
                    en.setdefault(form, kind.id)
            for phrase in kind.zh if source == "table" else more["zh"].get(kind.id, ()):
                zh.setdefault(normalise(str(phrase)), kind.id)
    brands = [(str(b), False) for b in more["brands"]] + [(b, True) for b in more["brands_cased"]]
    return Lexicon(
        en=en,
        zh=zh,
        brands_en={words(b): cased for b, cased in brands if not _HAN.search(b)},
        brands_zh=frozenset(normalise(b) for b, _ in brands if _HAN.search(b)),
        colours={normalise(str(w)).lower(): c for c, ws in cues["colours"].items() for w in ws},
        not_names=_lower(cues, "not_names", "within_names", "proper", "nations"),
        within_names=_lower(cues, "within_names", "proper", "nations"),
        proper=_lower(cues, "proper", "nations"),
        nations=_lower(cues, "nations"),
        cues=cues,
    )


def find_kinds(text: str, start: int, end: int) -> list[Mark]:
    """The longest known nouns of ``text[start:end]``, left to right, without overlap."""
    tokens = [(m.start(), m.end(), m.group().lower()) for m in WORD.finditer(text, start, end)]
    marks, i = [], 0
    while i < len(tokens):
        value, used = _longest(text, tokens, i)
        if used and value != "none":
            first, last = tokens[i][0], tokens[i + used - 1][1]
            marks.append(_thing(first, last, value, text[first:last].lower()))
        i += max(used, 1)
    return marks


def _longest(text: str, tokens: list[tuple[int, int, str]], i: int) -> tuple[str, int]:
    table = lexicon()
    if _HAN.match(tokens[i][2]):
        return _longest_zh(text, tokens, i)
    for n in range(min(LONGEST_EN, len(tokens) - i), 0, -1):
        run = tokens[i : i + n]
        if all(_close(text, a[1], b[0]) for a, b in pairwise(run)):
            value = table.en.get(tuple(t[2] for t in run)) or table.en.get(
                (*(t[2] for t in run[:-1]), run[-1][2].removesuffix("'s"))
            )
            if value is not None:
                return value, n
    return _longest_zh(text, tokens, i)


def _longest_zh(text: str, tokens: list[tuple[int, int, str]], i: int) -> tuple[str, int]:
    """Chinese nouns may begin with figures or letters (4S店), so the string is what counts."""
    at = tokens[i][0]
    for n in range(min(LONGEST_ZH, len(tokens) - i), 0, -1):
        run = tokens[i : i + n]
        if run[-1][1] - at != sum(e - s for s, e, _ in run) or not _HAN.search(text[at : run[-1][1]]):
            continue
        value = lexicon().zh.get(text[at : run[-1][1]].lower())
        if value is not None and (n > 1 or _stands_alone(text, at)):
            return value, n
    return "", 0


def _stands_alone(text: str, at: int) -> bool:
    before, after = text[at - 1 : at], text[at + 1 : at + 2]
    left = not before or before in _BEFORE_ONE or not _HAN.match(before)
    right = not after or after in _AFTER_ONE or not _HAN.match(after)
    return left and right


def _close(text: str, end: int, start: int) -> bool:
    gap = text[end:start]
    return gap in (" ", "-", "&", " & ") or (gap.isspace() and len(gap) < 4 and "\n" not in gap)


WAY_WORDS = {"street", "streets", "road", "roads", "街道", "马路", "街", "路"}


def _thing(start: int, end: int, value: str, word: str) -> Mark:
    if word in WAY_WORDS:
        return Mark(start=start, end=end, role="way")
    group = kinds()[value].group
    return Mark(start=start, end=end, role="thing", kind="road" if group == "road" else "object", value=value)
