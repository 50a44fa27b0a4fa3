"""Limits of the search area in words: "within 300 m of the cathedral", "north of the tracks", 只在河以北找."""

from __future__ import annotations

import re
from dataclasses import dataclass

from prompts.claims_ import chinese, english, lexicon, naming, naming_zh
from prompts.claims_.compass import WORDY, bearing_en, bearing_zh
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
    second: str | None = None
    """ "Between the park and the station": the other thing, as ``anchor``."""
    second_is_name: bool = False
    words: str = ""
    """The anchor's own words: "cathedral" where ``anchor`` is the kind ``church``."""
    second_words: str = ""
    any_of: bool = False
    """ "A park", "any church": all things of the kind are meant, not one of them."""

    def said(self, part: str) -> str:
        """The words for the ``anchor`` or for the ``second`` thing."""
        return self.second_words if part == "second" else self.words


_RANK = re.compile(
    r"\b(?:the\s+)?(?P<w>first|second|third|fourth|fifth)\s+(?:one|candidate|place|result|tile)\b"
    r"|(?:#|\bnumber\s+)(?P<d>\d{1,2})\b|第(?P<z>[一二三四五])个", re.I
)  # fmt: skip
_ORDER = {w: i + 1 for i, w in enumerate(("first", "second", "third", "fourth", "fifth"))} | dict(
    zip("一二三四五", range(1, 6), strict=True)
)
_BETWEEN = re.compile(r"\bbetween\b|之间|中间", re.I)
_ANY = re.compile(r"(?:\b(?:an?|any|some)\s+|任何|任意|某个?|一(?:个|座|条|处|家))$", re.I)
_SIDE_EN = re.compile(rf"\b(?P<c>{WORDY})(?:ern)?(?:\s+side)?\s+of\b", re.I)
_SIDE_ZH = re.compile(rf"(?:以)?{chinese.C}(?:边|面|侧|部|岸)?(?:的|找|搜|$|。|区域|范围|那)")


def limit(text: str, folded: str, *, exclude: bool) -> AreaLimit | None:
    """The limit that the text states; None where it names neither a place nor a candidate."""
    whole = sentences(folded)
    if not whole:
        return None
    marks = _marks(text, folded, Stretch(start=whole[0].start, end=whole[-1].end))
    things = [m for m in marks if m.role == "thing" and m.value]
    anchor = _anchor(things)
    rank = _rank(folded)
    if anchor is None and rank is None:
        return None
    radius = next((m.number for m in marks if m.role == "dist"), None)
    side = _side(folded)
    second = _second(things, folded)
    if second is not None:
        anchor = things[0]
    return AreaLimit(
        text=text,
        radius_m=radius,
        anchor=None if rank is not None or anchor is None else anchor.value,
        anchor_is_name=rank is None and anchor is not None and anchor.kind == "name",
        rank=rank,
        bearing_deg=None if second is not None else side,
        exclude=exclude,
        second=second.value if second is not None else None,
        second_is_name=second is not None and second.kind == "name",
        words=folded[anchor.start : anchor.end] if anchor is not None else "",
        second_words=folded[second.start : second.end] if second is not None else "",
        any_of=anchor is not None and bool(_ANY.search(folded[: anchor.start])),
    )


def _marks(text: str, folded: str, part: Stretch) -> list[Mark]:
    span = (part.start, part.end)
    cues = [*english.cues(folded, *span), *chinese.cues(folded, *span)]
    return without_overlaps(
        [
            *naming.announced(folded, text, *span),
            *(m for m in cues if m.role == "dist"),
            *naming.capitals(folded, text, *span),
            *naming_zh.places_zh(folded, text, *span),
            *lexicon.find_kinds(folded, *span),
        ]
    )


def _second(things: list[Mark], folded: str) -> Mark | None:
    """The other end of "between A and B"."""
    return things[1] if len(things) > 1 and _BETWEEN.search(folded) else None


def _anchor(things: list[Mark]) -> Mark | None:
    return next((m for m in things if m.kind == "name"), things[0] if things else None)


def _rank(folded: str) -> int | None:
    match = _RANK.search(folded)
    if match is None:
        return None
    return int(match["d"]) if match["d"] else _ORDER[(match["w"] or match["z"]).lower()]


def _side(folded: str) -> float | None:
    if match := _SIDE_EN.search(folded):
        return bearing_en(match["c"])
    match = _SIDE_ZH.search(folded)
    return bearing_zh(match["c"]) if match else None
