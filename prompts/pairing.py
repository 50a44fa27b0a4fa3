"""What a cross-encoder reads: a description's clues, and a listing, in one small vocabulary.

``clues`` gives the clues of a description as text. The model itself reads one clue at a time, in words that a listing
uses too: ``cafe.n`` (a cafe in the north), ``street.c`` (the witness stands on it), ``no park``, ``road.e-w``. To it a
listing is ``road.e-w street.c street.n cafe.c``: the same word on both sides is the same thing in the same part.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from prompts.claims_.groups import ROAD_FORMS
from prompts.listing import AXES, PARTS, Listing
from prompts.render import claim_words
from retriever.geo import POINTS_SHORT, octant
from retriever.kinds import kinds
from retriever.types import Claim

JUNCTIONS = ("crossroads", "roundabout", "t_junction")
NOTHING = "nothing"
"""A listing without entries."""
_UNLISTED = ("name", "building")


def clues(claims: Iterable[Claim]) -> str:
    """``road e-w; cafe n; no park`` of the standing claims; names and buildings, which no listing holds, are left out.

    Empty where nothing is left.
    """
    said = (claim_words(c) for c in claims if c.status == "active" and c.kind not in _UNLISTED)
    return "; ".join(dict.fromkeys(said))


def each_clue(claims: Iterable[Claim]) -> dict[str, Claim]:
    """The standing claims by their words for the model, each once; names and buildings are left out."""
    found: dict[str, Claim] = {}
    for claim in claims:
        if claim.status == "active" and claim.kind not in _UNLISTED:
            found.setdefault(clue_words(claim), claim)
    return found


def clue_words(claim: Claim) -> str:
    """One claim: its kind, the part of the tile where it is said to be, and ``no`` before what is denied."""
    bearing = claim.relation.bearing_deg
    if claim.kind == "road" and claim.value == "runs":
        return "road" if bearing is None else f"road.{AXES[round((bearing % 180.0) / 45.0) % 4]}"
    where = POINTS_SHORT[octant(bearing)] if bearing is not None else "c" if claim.relation.type == "here" else ""
    return ("" if claim.polarity else "no ") + (f"{claim.value}.{where}" if where else claim.value)


def listing_words(listing: Listing) -> str:
    """The axes of the roads, then each kind with each part where it lies; names are left out."""
    words = [f"road.{axis}" for axis in listing.axes]
    words += [f"{e.kind}.{part}" for e in listing.entries if e.name is None for part in e.parts]
    return " ".join(words) or NOTHING


@cache
def vocabulary() -> tuple[str, ...]:
    """Every word that a clue or a listing can have."""
    things = sorted({*kinds(), *JUNCTIONS, *ROAD_FORMS} - {"runs"})
    placed = [f"{thing}.{part}" for thing in things for part in PARTS]
    return ("no", NOTHING, "road", *(f"road.{axis}" for axis in AXES), *things, *placed)


def unnamed(said: Iterable[str], shown: str) -> int:
    """How many kinds of a listing, in its words, none of the clues (in theirs) speaks of."""
    things = {clue.removeprefix("no ").partition(".")[0] for clue in said}
    return len({word.partition(".")[0] for word in shown.split()} - things - {NOTHING, "road"})
