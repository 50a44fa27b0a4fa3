"""What is found in a sentence before it is decided what belongs to what: things, directions, distances, doubts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from retriever.types import ClaimKind, RelationType

HAN = re.compile(r"[一-鿿]")
Role = Literal["thing", "way", "dir", "self", "neg", "hedge", "dist", "verb", "heading", "join"]


@dataclass(kw_only=True, eq=False)
class Place:
    """A relation under construction; shared by the members of one noun phrase."""

    type: RelationType = "near"
    bearing: float | None = None
    offset: float = 0.0
    """Degrees beyond its type's own, once a heading is known (front right: 45)."""
    distance: float | None = None
    anchor: str | None = None
    settled: bool = False


@dataclass(kw_only=True, eq=False)
class Mark:
    """One stretch of a sentence that means something."""

    start: int
    end: int
    role: Role
    kind: ClaimKind = "object"
    value: str = ""
    """thing: the claim's value. way: nothing but the fact that a road is meant."""
    type: RelationType = "near"
    bearing: float | None = None
    """dir: compass bearing. heading: where the witness looks."""
    turn: float = 0.0
    """dir: degrees to add to the heading beyond its type (front right: 45)."""
    anchored: bool = False
    """dir: it must take a thing (English: the next; Chinese: the one before) to lean on."""
    direct: bool = False
    """dir: the thing it takes lies that way from the witness ("facing the church").
    Else the witness lies so from it."""
    bare: bool = False
    """dir: a compass word without a preposition ("..., north-east"): it makes a place said before more exact."""
    anchor: str | None = None
    number: float | None = None
    """dist: metres. thing: how many."""
    linked: bool = False
    """thing: a name given to the thing before it ("a pub called ...")."""
    head: str = ""
    """thing: the kind that a name's own last word states ("St Mary's Church")."""
    polarity: bool = True
    hedge: bool = False
    place: Place = field(default_factory=Place)
    clause: int = -1


Builder = Callable[["re.Match[str]"], Mark | None]
"""What makes a mark of a pattern's match; None where the match means nothing after all."""


def without_overlaps(marks: Iterable[Mark]) -> list[Mark]:
    """In reading order; of two that overlap the one listed first is kept."""
    taken: list[Mark] = []
    for mark in marks:
        if mark.end > mark.start and all(mark.end <= m.start or m.end <= mark.start for m in taken):
            taken.append(mark)
    return sorted(taken, key=lambda m: (m.start, m.end))
