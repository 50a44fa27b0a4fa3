"""Limits of the search area in words: "within 300 m of the cathedral", "north of the tracks", 只在河以北找."""

from __future__ import annotations

import re
from dataclasses import dataclass

from prompts.claims_ import chinese, english, lexicon, naming
from prompts.claims_.marks import Mark, without_overlaps
from prompts.claims_.text import Stretch, sentences
from retriever.types import Record


@dataclass(frozen=True, kw_only=True)
class AreaLimit(Record):
    """Where to search, as said. What ``anchor`` is on the map is for the caller to find."""

    text: str
    radius_m: float | None = None
    anchor: str | None = None
    """A kind id, or a name as written; None where a candidate is meant or nothing was named."""
    anchor_is_name: bool = False
    rank: int | None = None
    """ "around the second one": the candidate at the centre."""
    bearing_deg: float | None = None
    """The side of the anchor to search on: 0 is north of it."""
    exclude: bool = False
    """True: everywhere but there."""


_RANK = re.compile(
    r"\b(?:the\s+)?(?P<w>first|second|third|fourth|fifth)\s+(?:one|candidate|place|result|tile)\b"
    r"|(?:#|\bnumber\s+)(?P<d>\d{1,2})\b|第(?P<z>[一二三四五])个", re.I
)  # fmt: skip
_ORDER = {w: i + 1 for i, w in enumerate(("first", "second", "third", "fourth", "fifth"))} | dict(
    zip("一二三四五", range(1, 6), strict=True)
)
_SIDE_EN = re.compile(rf"\b(?P<c>{english._WORDY})(?:ern)?(?:\s+side)?\s+of\b", re.I)
_SIDE_ZH = re.compile(rf"(?:以)?{chinese.C}(?:边|面|侧|部|岸)?(?:的|找|搜|$|。|区域|范围|那)")


def limit(text: str, folded: str, *, exclude: bool) -> AreaLimit | None:
    """The limit that the text states; None where it names neither a place nor a candidate."""
    whole = sentences(folded)
    if not whole:
        return None
    marks = _marks(text, folded, Stretch(start=whole[0].start, end=whole[-1].end))
    anchor = _anchor(marks)
    rank = _rank(folded)
    if anchor is None and rank is None:
        return None
    radius = next((m.number for m in marks if m.role == "dist"), None)
    side = _side(folded)
    return AreaLimit(
        text=text,
        radius_m=radius,
        anchor=None if rank is not None or anchor is None else anchor.value,
        anchor_is_name=rank is None and anchor is not None and anchor.kind == "name",
        rank=rank,
        bearing_deg=side,
        exclude=exclude,
    )


def _marks(text: str, folded: str, part: Stretch) -> list[Mark]:
    span = (part.start, part.end)
    cues = [*english.cues(folded, *span), *chinese.cues(folded, *span)]
    return without_overlaps(
        [
            *naming.announced(folded, text, *span),
            *(m for m in cues if m.role == "dist"),
            *naming.capitals(folded, text, *span),
            *naming.places_zh(folded, text, *span),
            *lexicon.find_kinds(folded, *span),
        ]
    )


def _anchor(marks: list[Mark]) -> Mark | None:
    things = [m for m in marks if m.role == "thing" and m.value]
    return next((m for m in things if m.kind == "name"), things[0] if things else None)


def _rank(folded: str) -> int | None:
    match = _RANK.search(folded)
    if match is None:
        return None
    return int(match["d"]) if match["d"] else _ORDER[(match["w"] or match["z"]).lower()]


def _side(folded: str) -> float | None:
    if match := _SIDE_EN.search(folded):
        return english.bearing(match["c"])
    match = _SIDE_ZH.search(folded)
    return chinese.bearing(match["c"]) if match else None
