"""Things of one noun phrase, and what is remembered from clause to clause of a sentence."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from prompts.claims_.lexicon import lexicon
from prompts.claims_.marks import HAN, Mark, Place

_NOUN_GAP = re.compile(
    r"[\s,-]*(?:(?!(?:and|or|with|of|is|are|at|on|in|by|the|to|near|from|a|an|for|off|along|through|past|behind|opposite|beside|under|over|into)\b)[a-z]+[\s-]+){0,2}\"?$",
    re.I,
)
_SAME_GAP = re.compile(
    r"\s*(?:is|was|called|named|,?\s*a|,\s*an|\s)\s*(?:the|a|an)?\s*(?:(?!(?:off|near|by|on|at|in|past|behind|through|opposite|from|to)\b)\w+\s+){0,2}[\"“「『]?$|(?:[这那][家个座条间栋所])?[的“「『大小老高旧新]{0,3}$|(?:名?叫做?|名为|上?写着)[“「『]?$",
    re.I,
)
ROAD_FORMS = frozenset({"straight", "curved", "dead_end", "one_way", "wide", "narrow", "runs"})
_STREET_ZH = re.compile(r"(?:路|街|大道|巷|弄|胡同|里)$")


@dataclass(kw_only=True, eq=False)
class Group:
    """Things of one noun phrase: they are in one place."""

    members: list[Mark]
    place: Place = field(default_factory=Place)
    by_self: bool = False

    @property
    def start(self) -> int:
        return self.members[0].start

    @property
    def end(self) -> int:
        return self.members[-1].end

    @property
    def words(self) -> str:
        """What another claim calls it as an anchor: its kind, else its name."""
        best = next((m for m in self.members if m.kind in ("object", "road")), self.members[0])
        return best.value

    @property
    def lies(self) -> bool:
        """Whether it is a thing in a place, and not a junction or the form of a road."""
        return any(m.kind != "junction" and m.value not in ROAD_FORMS for m in self.members)

    @property
    def road(self) -> bool:
        return all(m.kind == "road" for m in self.members)

    @property
    def describes(self) -> bool:
        """Only a name given afterwards, or only what a building looks like."""
        return all(m.linked or m.kind in ("name", "building") for m in self.members)


def is_street(group: Group) -> bool:
    """Whether one walks on it: a kind of road, or a name that ends as streets' names do."""
    if group.road:
        return True
    last = group.members[-1]
    if last.kind != "name" or not last.value:
        return False
    said = [w.lower().rstrip(".") for w in re.split(r"[\s-]+", last.value) if not w.isdigit()]
    return bool(_STREET_ZH.search(last.value)) or (bool(said) and said[-1] in lexicon().cues["street_endings"])


def grouped(text: str, things: list[Mark]) -> list[Group]:
    """Neighbouring things of one clause that make one noun phrase."""
    groups: list[Group] = []
    for mark in things:
        gap = text[groups[-1].end : mark.start] if groups else ""
        road = mark.kind == "road" and mark.value == "runs"
        if groups and not road and len(gap) < 30 and _joined(gap, groups[-1].members[-1], mark):
            groups[-1].members.append(mark)
        else:
            groups.append(Group(members=[mark]))
    for group in groups:
        for mark in group.members:
            mark.place = group.place
    return groups


def _joined(gap: str, before: Mark, mark: Mark) -> bool:
    if before.kind == "junction" and re.fullmatch(r"\s+(?:of|between)\s+(?:the\s+)?", gap, re.I):
        return True
    if mark.linked and not HAN.search(gap):
        return "," not in gap
    if "," in gap or "，" in gap or "、" in gap:
        return False
    if before.kind == "building" or mark.kind in ("name", "building") or before.kind == "name":
        return bool(_NOUN_GAP.match(gap) or _SAME_GAP.match(gap))
    if HAN.search(gap) or HAN.match(mark.value):
        return bool(re.fullmatch(r"[的大小老高]{0,2}", gap)) and before.value != mark.value
    return bool(_NOUN_GAP.match(gap)) and bool(gap.strip() == "" and before.value != mark.value)


@dataclass(kw_only=True, eq=False)
class Sentence:
    """One sentence while its clauses are read in order."""

    text: str
    last: Group | None = None
    carry: Place | None = None
    """The place that a list goes on with: "on my left a bank, a bakery"."""
    pending: bool = False
    """The clause before was nothing but a direction: "On my left, ..."."""
    way_said: bool = False
    far: float | None = None
    """A distance in metres that was said before its thing."""
    doubted: bool = False
    """The clause before ended in a hedge: "I think | I'm near ..."."""
    told: list[Group] = field(default_factory=list)
    """The things of this sentence so far, in order."""
    before: list[Group] = field(default_factory=list)
    """Those of the sentence before."""
    side: Place | None = None
    """The side that was said last: left, right, a bearing."""
    at_place: bool = False
    """Something of this sentence is "here" by the witness's own place."""
    stood: bool = False
    """Something of this sentence is where the witness stands."""
    grounds: set[str] = field(default_factory=set)
    """Values of what the witness stands on or at, over all sentences: "the square" said again is still here."""
    denied: bool = False
    """The clause before ended in a denial: "I don't think | there was a crossing"."""
    joined: bool = False
    """The clause before was nothing but "beyond that"."""
    seen: dict[str, Place] = field(default_factory=dict)
    """Where things lie from the witness that were said before, by what they are called."""
    chain: list[Group] = field(default_factory=list)
    """Things that were only listed so far: "The bank, the bakery and ..."."""
    prior: Group | None = None
    """The last thing of the sentence before."""


def put(place: Place, to: Place) -> None:
    """Settles a place; the distance, which comes from elsewhere, stays."""
    place.type, place.bearing, place.offset, place.anchor = to.type, to.bearing, to.offset, to.anchor
    place.settled = True
