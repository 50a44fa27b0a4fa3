"""What a clause takes over from the one before it, and where its things are when no direction word says so."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass

from prompts.claims_.groups import Group, Sentence, is_street, put
from prompts.claims_.lexicon import lexicon
from prompts.claims_.marks import Mark, Place
from prompts.claims_.text import Stretch

_THIS = re.compile(r"这[条个]$|\bthis\s+(?:\w+\s+)?$", re.I)
_THIS_IS = re.compile(
    r"^\s*(?:it'?s|it\s+is|this\s+is|it\s+was|this\s+was)\s+(?:a|an|the)\s+(?:\w+\s+){0,3}$|^\s*(?:这里?|那里?)?(?:好像|应该)?是(?:一)?[条个]\s*[大小老窄]?$",
    re.I,
)
_GROUNDS = {
    "park",
    "square",
    "parking",
    "market",
    "cemetery",
    "playground",
    "pedestrian_street",
    "alley",
    "main_road",
    "street",
    "construction",
}
_OPENING = re.compile(
    r"\s*(?:(?:corner|bottom|top|end|foot|mouth|middle|start|side|edge)\s+of\s+)?"
    r"(?:(?:a|an|the|this|my|our)\s+)?(?:[\w-]+\s+){0,2}"
    r"|\s*(?:这是|这里是|是)?(?:一)?[条个]?[\s“「\"大小老窄很]*",
    re.I,
)
_THROUGH = re.compile(r"\b(?:through|in|inside|within|under)\s+(?:a|an|the|some)?\s*(?:\w+\s+)?$", re.I)
_MEETS = re.compile(
    r"\s*\bwhere\s+it\s+(?:meets|joins|crosses|hits|ends\s+at|opens\s+(?:on\s?to|into)|runs\s+into|comes\s+out\s+on)\b",
    re.I,
)
_THEN = re.compile(
    r"\s*(?:and\s+)?(?:so\s+(?:is|are)|as\s+(?:is|are)|then|followed\s+by)\b|\s*(?:接着|然后)[是有]?", re.I
)
_FURTHER = re.compile(r"\b(?:further|farther|later|ahead|on)\b", re.I)
_WHICH = re.compile(r"\s*(?:which|that|it)(?:\s+is|'s)\b|\s*是(?:一)?[栋座幢个]", re.I)
_SIDED = ("left", "right", "front", "behind", "bearing")
_AT_ZH = re.compile(
    r"(?:在|位于|地址(?:好像|应该|可能)?是)(?:一[个条家座栋间所处片]|这[个条家座]|那[个条家座]|[个条家座])?(?:[一-鿿]{0,5}的)?[\s“「\"大小老窄很]*$"
)
ELIDED_ZH = re.compile(
    r"^\s*(?:就|正|现在|刚|目前|还|也|好像|可能|应该|大概|是)*(?:站|坐|停|等|位|处)?(?:在|于|位于)?(?:[那这一][个家座条栋间所]?)?\s*$"
)


def _undescribed(lead: str) -> str:
    """在一家意大利(餐厅) without the words that only describe the thing that follows."""
    words = lexicon().cues["zh_describe"]
    return next((lead.removesuffix(w) for w in words if len(w) > 1 and lead.endswith(w)), lead)


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

    def _at(self) -> None:
        """我在中央广场: no word says how the witness stands to it, so the witness is there.

        Alone in its sentence, a road is the one the witness is on.
        """
        if not self.groups or self.groups[0].place.settled or self.groups[0].by_self:
            return
        first = self.groups[0]
        if any(m.role == "dir" and self._anchor(m) is first for m in self.marks):
            return
        if self._opens(first):
            return
        if self._on_it(first):
            put(first.place, Place(type="here"))
            return
        lead = _AT_ZH.search(_undescribed(self.text[self.clause.start : first.start]))
        later = [g for g in self.groups[1:] if not self.between("verb", first.end, g.start)]
        if lead is None:
            return
        opens = ELIDED_ZH.match(lead.string[: lead.start() + 1])
        said = bool(opens) or self.between("self", self.clause.start, first.start)
        if said and len(later) == len(self.groups) - 1:
            for group in self.groups:
                if not group.place.settled:
                    put(group.place, Place(type="here"))
                    group.by_self = True

    def _opens(self, first: Group) -> bool:
        """ "Footpath through a wood"; 中山路, 单行: a road that opens the text is the one the witness is on."""
        lead = self.text[self.clause.start : first.start]
        if self.sentence.last is not None:
            return self._meets(first, lead)
        if (
            self.sentence.prior is not None
            or not _OPENING.fullmatch(lead)
            or self.between("verb", self.clause.start, first.end)
        ):
            return False
        met = _MEETS.match(self.text, first.end)
        if not met and self._verbal():
            return False
        if all(m.kind == "junction" for m in first.members):
            first.by_self = True
        if not is_street(first) or any(m.role in ("dir", "dist") and m.end <= first.start for m in self.marks):
            return False
        put(first.place, Place(type="here"))
        first.by_self = True
        for group in self.groups[1:]:
            gap = self.text[first.end : group.start]
            if not group.place.settled and (_THROUGH.search(gap) or (met and is_street(group))):
                put(group.place, Place(type="here"))
        return True

    def _meets(self, first: Group, lead: str) -> bool:
        """ "Mill Lane, where it meets Hope Street": both are here."""
        last = self.sentence.last
        if last is None or last.place.type != "here" or not _MEETS.search(lead) or not is_street(first):
            return False
        put(first.place, Place(type="here"))
        first.by_self = True
        return True

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

    def _on_it(self, first: Group) -> bool:
        """ "It's a hospital car park."; 步行街。"""
        lead, mark = self.text[self.clause.start : first.start], first.members[-1]
        if mark.kind == "road" and _THIS.search(lead):
            return True
        if len(self.groups) > 1 or mark.value not in _GROUNDS or any(m.role in ("dir", "neg") for m in self.marks):
            return False
        alone = self.text[self.clause.start : self.clause.end].strip() == self.text[first.start : first.end]
        return bool(_THIS_IS.match(lead)) or (alone and mark.kind == "road" and self.sentence.last is None)

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
        elif first.members[0].linked and not last and self.sentence.prior and self._about(first, lead, verb):
            self._share(first, self.sentence.prior)
        elif last and last.place.settled and not last.by_self and not dirs and re.match(r"\s*with\b", lead, re.I):
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
