"""What a clause takes over from the one before it, and where its things are when no direction word says so."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass

from prompts.claims_.groups import Group, Sentence, is_street, put
from prompts.claims_.marks import Mark, Place
from prompts.claims_.text import Stretch

_THEN = re.compile(
    r"\s*(?:and\s+)?(?:so\s+(?:is|are)|as\s+(?:is|are)|then|followed\s+by)\b|\s*(?:接着|然后)[是有]?", re.I
)
_FURTHER = re.compile(r"\b(?:further|farther|later|ahead|on)\b", re.I)
_WHICH = re.compile(r"\s*(?:which|that|it)(?:\s+is|'s)\b|\s*(?:就)?是(?:一|那|这)?[栋座幢个]", re.I)
_PART_ZH = re.compile(r"\s*(?:底商|底层|底楼|首层|一[层楼]|楼上)(?:就|都|全)?(?:是|有|开着)")
_WITH = re.compile(r"\s*with\b", re.I)
_SIDED = ("left", "right", "front", "behind", "bearing")
ELIDED_ZH = re.compile(
    r"^\s*(?:就|正|现在|刚刚|刚|才|终于|已经|目前|还|也|好像|可能|应该|大概|是|人)*(?:站|坐|停|等|位|处|卡|困|堵|躺|蹲|躲|走|来|拐|进|摔|倒)?(?:在|于|位于|到|进|上|站)?(?:[那这一][个家座条栋间所]?)?\s*$"
)


@dataclass(kw_only=True, eq=False)
class Carrying(ABC):
    """The part of a clause that takes places over; a clause itself knows its anchors."""

    sentence: Sentence
    clause: Stretch
    marks: list[Mark]
    groups: list[Group]

    @property
    def text(self) -> str:
        return self.sentence.text

    def between(self, role: str, start: int, end: int) -> bool:
        return any(m.role == role and start <= m.start and m.end <= end for m in self.marks)

    def _beside(self, first: Group) -> bool:
        """ "A bank on my left, a bakery next to it": the bakery lies that way too."""
        other = self.sentence.last or self.sentence.prior
        if other is None or other.place.type not in _SIDED:
            return False
        lead = self.text[self.clause.start : first.start]
        goes_on = self.sentence.last is not None and bool(_THEN.match(lead))
        further = _FURTHER.search(self.text, first.end, self.clause.end)
        joined = self.sentence.joined or any(m.role == "join" and m.direct for m in self.marks)
        joined = joined or (goes_on and not further)
        if joined and not first.place.settled:
            put(first.place, other.place)
        return joined

    def _inherit(self, dirs: list[Mark]) -> None:
        first = self.groups[0] if self.groups else None
        dirs = [d for d in dirs if not d.anchored or self._anchor(d)]
        if first is None or any(d.start < first.start and not d.direct for d in dirs):
            return
        lead = self.text[self.clause.start : first.start]
        verb = any(self.between(role, self.clause.start, first.start) for role in ("verb", "self", "neg"))
        last = self.sentence.last
        if last and not dirs and self._is_what(first, lead):
            self._share(first, last)
        own = is_street(first) and last is not None and not last.road
        if first.describes and last and not dirs and not own and self._about(first, lead, verb):
            self._share(first, last)
        elif not dirs and not first.place.settled and self._beside(first):
            pass
        elif last and last.place.settled and not dirs and self._of_junction(first, last):
            put(first.place, last.place)
        elif last and not last.place.settled and not dirs and self._apposed(first, last, lead):
            self._share(first, last)
        elif last and last.place.type in (*_SIDED, "across") and not dirs and _PART_ZH.match(lead):
            self._go_on(last.place)
        elif first.members[0].linked and not last and self.sentence.prior and self._about(first, lead, verb):
            self._share(first, self.sentence.prior)
        elif last and last.place.type in _SIDED and not last.by_self and not dirs and _WITH.match(lead):
            self._go_on(last.place)
        elif self.sentence.carry and (self.sentence.pending or not self._verbal()) and not dirs:
            self._go_on(self.sentence.carry)
        if not dirs and verb:
            self.sentence.carry = None

    def _go_on(self, place: Place) -> None:
        for group in self.groups:
            if (
                self.sentence.pending
                or group.members[0].kind in ("object", "name", "building")
                or (place.type == "here" and len(self.groups) == 1 and group.members[0].kind == "junction")
            ):
                put(group.place, place)
                group.by_self = place.type == "here"

    def _about(self, group: Group, lead: str, verb: bool) -> bool:
        if group.members[0].linked:
            return True
        if all(m.kind == "building" for m in group.members):
            return (
                not verb
                or bool(re.search(r"外墙|墙|楼层|高", lead))
                or bool(re.match(r"\s*(?:it'?s|it\s+is|it\s+has|which\s+is|which\s+has|that'?s)\b", lead, re.I))
            )
        return len(lead.split()) <= 1 and not verb and not re.match(r"\s*(?:and|then|but)\b|和|、", lead, re.I)

    def _is_what(self, first: Group, lead: str) -> bool:
        """ "The library, which is a red building"."""
        looks = [m for m in first.members if m.kind == "building"]
        rest = [m for m in first.members if m.kind != "building"]
        return bool(looks) and all(m.value == "building" for m in rest) and bool(_WHICH.match(lead))

    def _of_junction(self, first: Group, last: Group) -> bool:
        """ "A crossroads behind me, there are traffic lights"."""
        lights = all(m.value in ("traffic_signals", "crossing") and m.polarity for m in first.members)
        denied = any(m.role == "neg" for m in self.marks)
        return lights and not denied and any(m.kind == "junction" for m in last.members)

    def _apposed(self, first: Group, last: Group, lead: str) -> bool:
        """ "Club Quarters, our hotel, is ..."."""
        return (
            all(m.kind == "name" for m in last.members)
            and len(self.groups) == 1
            and bool(re.fullmatch(r"\s*(?:our|my|the|a|an)\s+(?:\w+\s+){0,2}", lead, re.I))
            and bool(
                re.match(r"\s*,?\s*(?:is|are|was|stands|lies|sits)\b", self.text[first.end : first.end + 12], re.I)
            )
        )

    def _share(self, group: Group, other: Group) -> None:
        group.place = other.place
        for mark in group.members:
            mark.place = other.place

    def _verbal(self) -> bool:
        return any(m.role in ("verb", "neg") for m in self.marks)

    @abstractmethod
    def _anchor(self, mark: Mark) -> Group | None:
        """The thing that a mark is placed against, if the clause names one."""
