"""Which direction of a clause places which of its things."""

from __future__ import annotations

import re

from prompts.claims_.carrying import ELIDED_ZH, Carrying
from prompts.claims_.groups import HAN, Group, Sentence, grouped, put
from prompts.claims_.marks import Mark, Place
from prompts.claims_.text import Stretch

_NEAR_GAP_WORDS = 7
_PRE_EN = re.compile(
    r"\s*(?:\(?is\b|are\b|was\b|were\b|there\b|there'?s|i\s|you\s|we\s|stands?\b|lies\b|runs?\b|stood\b|lay\b|it'?s\b|has\b|can\b|see\b|=|:)",
    re.I,
)
_STATIVE_ZH = re.compile(r"(?:在|位于|于|处)(?:我们?|我们的|我的)?的?$")
_IT_IS = re.compile(r"\s*(?:but\s+|and\s+)?(?:it'?s|it\s+(?:is|was)|they'?re)\b|\s*(?:而)?是?在$", re.I)
_SEES_ZH = re.compile(r"看|见|听|说")
_ABOUT = re.compile(
    r"^\s*(?:and\s+)?(?:about|roughly|approximately|around|maybe|some|perhaps|only|大约|大概|约)?\s*", re.I
)
_AND_ZH = re.compile(r"\s*(?:和|与|跟|及|同|、)\s*[一两]?[个家座条]?\s*$")
_ELIDED_EN = re.compile(
    r"^[\s\w']{0,2}$|^\s*(?:just|right|directly|now|currently|somewhere|still|so|ok|hi|hello)?\s*$", re.I
)


def read_clause(sentence: Sentence, clause: Stretch, marks: list[Mark]) -> list[Group]:
    """The things of the clause, placed; ``sentence`` remembers what the next clause may go on with."""
    groups = grouped(sentence.text, [m for m in marks if m.role == "thing"])
    reader = Clause(sentence=sentence, clause=clause, marks=marks, groups=groups)
    reader.read()
    sentence.way_said = sentence.way_said or any(m.role == "way" or m.kind == "road" for m in marks)
    if groups:
        sentence.last, sentence.pending = groups[-1], False
    return groups


class Clause(Carrying):
    """One clause with its marks; :meth:`read` gives every group its place."""

    def read(self) -> None:
        dirs = [m for m in self.marks if m.role == "dir"]
        self._inherit(dirs)
        for mark in dirs:
            anchor = self._anchor(mark)
            if anchor is not None:
                self._lean(mark, anchor)
            elif self._points(mark):
                self._point(mark)
        self._at()
        if not self.groups and not dirs and not any(m.role in ("dist", "hedge") for m in self.marks):
            self.sentence.carry, self.sentence.pending = None, False

    def _points(self, mark: Mark) -> bool:
        """Whether a direction that leans on nothing says where the witness sees something."""
        word = self.text[mark.start : mark.end]
        if mark.type == "between" and HAN.search(word) and self.sentence.way_said:
            mark.type = "along"
        if mark.type in ("between", "near"):
            return not mark.anchored and mark.type == "near"
        return mark.type != "here" or (not mark.anchored and (not HAN.search(word) or word[0] in "我身"))

    # --- directions that lean on another thing ---------------------------------------------------------------------

    def _anchor(self, mark: Mark) -> Group | None:
        if mark.anchored:
            after = next((g for g in self.groups if g.start >= mark.end), None)
            return after if after and self._clear(mark.end, after.start) else None
        if not HAN.match(self.text[mark.start : mark.end].strip() or "x"):
            return None
        before = next((g for g in reversed(self.groups) if g.end <= mark.start), None)
        gap = self.text[before.end : mark.start] if before else "x"
        nested = next((m for m in self.marks if m.role == "dir" and m.end == mark.start), None)
        if nested is not None and before is not None and self._anchor(nested) is before:
            return before
        return before if before and re.fullmatch(r"[的以之那大正\s\"”」』]{0,3}|最?靠?近?的?", gap) else None

    def _clear(self, start: int, end: int) -> bool:
        gap = self.text[start:end]
        roles = ("dir", "self", "verb", "join", "neg")
        return (
            len(gap) <= 60
            and len(gap.split()) <= _NEAR_GAP_WORDS
            and not any(self.between(r, start, end) for r in roles)
        )

    def _lean(self, mark: Mark, anchor: Group) -> None:
        start = min(mark.start, anchor.start)
        end = max(mark.end, anchor.end)
        before = [g for g in self.groups if g.end <= start and not self.between("join", g.end, start)]
        after = [
            g for g in self.groups if g.start >= end and not self.between("join", end, g.start) and g is not anchor
        ]
        if mark.type == "between" and not mark.anchored:
            self._among(mark, anchor, before, after)
            return
        if self._by_witness(mark, before, after, start):
            self._witness(mark, anchor, after)
            return
        if mark.type == "between":
            after = after[1:]
        subject = before[-1] if before else after[0] if after else self.sentence.last
        if mark.direct and mark.type == "along" and (subject is None or subject is anchor):
            put(anchor.place, Place(type="along"))
        if subject is None or subject is anchor or not (subject.lies and anchor.lies):
            return
        if mark.type == "here" and subject.road:
            return
        if mark.direct and mark.type in ("front", "behind") and self._watched(mark):
            put(anchor.place, Place(type=mark.type))
        elif mark.direct and mark.type == "along" and subject in after:
            put(anchor.place, Place(type="along"))
        elif self._stands_there(mark, anchor):
            put(subject.place, Place(type="bearing", bearing=mark.bearing))
        elif not subject.place.settled:
            kind = mark.type if mark.type in ("across", "along") else "near"
            subject.place.type, subject.place.anchor = kind, anchor.words
            subject.place.settled = kind != "near"

    def _among(self, mark: Mark, anchor: Group, before: list[Group], after: list[Group]) -> None:
        """公园和学校之间: both things stand before the word."""
        pair = before[-1] if before and _AND_ZH.match(self.text[before[-1].end : anchor.start]) else None
        if pair is None:
            return
        if self._by_witness(mark, before[:-1], after, pair.start):
            pair.by_self = anchor.by_self = True
            put(pair.place, Place(type="between", anchor=anchor.words))
            put(anchor.place, Place(type="between", anchor=pair.words))
        else:
            anchor.by_self = pair.by_self = True

    def _watched(self, mark: Mark) -> bool:
        """The one who faces the church is the witness, not a house."""
        return HAN.search(self.text[mark.start : mark.end]) is not None or any(
            m.role == "self" and m.start <= mark.start for m in self.marks
        )

    def _stands_there(self, mark: Mark, anchor: Group) -> bool:
        """South *side* of the square in which the witness stands is south of the witness."""
        return mark.type == "bearing" and anchor.place.type == "here"

    def _by_witness(self, mark: Mark, before: list[Group], after: list[Group], start: int) -> bool:
        selves = [m for m in self.marks if m.role == "self" and m.end <= start]
        if selves and not _SEES_ZH.search(self.text[selves[-1].end : start]):
            free = [g for g in before if g.start >= selves[-1].end and not g.by_self]
            return not free
        if before or (len(after) > (mark.type == "between")):
            return False
        lead = self._without_distance(self.clause.start, start)
        elided = ELIDED_ZH.match(lead) if HAN.search(self.text[mark.start : mark.end]) else _ELIDED_EN.match(lead)
        if self.sentence.last is not None:
            return bool(elided) and self.sentence.last.by_self
        return bool(elided)

    def _without_distance(self, start: int, end: int) -> str:
        """ "about 100 yards north of the church" opens as "north of the church" does."""
        lead = self.text[start:end]
        for mark in self.marks:
            if mark.role == "dist" and start <= mark.start and mark.end <= end:
                lead = lead.replace(self.text[mark.start : mark.end], "")
        return _ABOUT.sub("", lead)

    def _witness(self, mark: Mark, anchor: Group, after: list[Group]) -> None:
        anchor.by_self = True
        if mark.type == "bearing" and mark.bearing is not None:
            put(anchor.place, Place(type="bearing", bearing=(mark.bearing + 180.0) % 360.0))
        elif mark.type == "between":
            self._between(anchor, after)
        elif self._close_by(mark):
            put(anchor.place, Place(type="here"))
        elif mark.type in ("here", "across", "along") or (mark.direct and mark.type in ("front", "behind")):
            put(anchor.place, Place(type=mark.type))
            if mark.type == "here":
                self._and_this(anchor)

    def _close_by(self, mark: Mark) -> bool:
        """我在药店旁边, 我在药店前面."""
        return bool(HAN.search(self.text[mark.start : mark.end])) and (
            (mark.type == "near" and mark.direct) or (mark.type == "front" and not mark.direct)
        )

    def _and_this(self, anchor: Group) -> None:
        """ "the corner of Hope Street and Mill Lane": both are here."""
        self.sentence.carry = anchor.place if anchor.members[-1].kind == "name" else None

    def _between(self, anchor: Group, after: list[Group]) -> None:
        other = after[0] if after else None
        later = [g for g in self.groups if g.start > anchor.end]
        other = other or (later[0] if later else None)
        if other is None:
            return
        other.by_self = True
        put(anchor.place, Place(type="between", anchor=other.words))
        put(other.place, Place(type="between", anchor=anchor.words))

    # --- directions from the witness -------------------------------------------------------------------------------

    def _point(self, mark: Mark) -> None:
        place = Place(type=mark.type, bearing=mark.bearing, offset=mark.turn)
        before = [
            g
            for g in self.groups
            if g.members[0].end <= mark.start and not self.between("join", g.members[0].end, mark.start)
        ]
        after = [g for g in self.groups if g.start >= mark.end]
        if before and not before[-1].place.settled and self._follows(mark, before[-1], after):
            put(before[-1].place, place)
            self.sentence.carry = None
            self._and_the_one_before(before[-1], place)
        elif after:
            self._precede(mark, place, after)
        elif not self.groups and self.sentence.last and not self.sentence.last.place.settled and not self._verbal():
            put(self.sentence.last.place, place)
        elif not self.groups and self.sentence.last and _IT_IS.match(self.text[self.clause.start : mark.start]):
            self._put_right(self.sentence.last, place)
        else:
            self.sentence.carry, self.sentence.pending = place, True

    def _put_right(self, group: Group, place: Place) -> None:
        """ "The bank isn't on the left, it's on the right"."""
        put(group.place, place)
        for mark in group.members:
            mark.polarity = True

    def _and_the_one_before(self, group: Group, place: Place) -> None:
        """ "a bank and a bakery on my left": the bank too."""
        last = self.sentence.last
        if last is None or group is not self.groups[0] or last.place.settled:
            return
        if re.fullmatch(
            r"\s*(?:and|or|&)\s+(?:(?:a|an|the|some|one|another)\s+)?(?:\w+\s+){0,2}",
            self.text[last.end : group.start],
            re.I,
        ):
            put(last.place, place)

    def _follows(self, mark: Mark, before: Group, after: list[Group]) -> bool:
        gap = self.text[before.end : mark.start]
        if HAN.search(self.text[mark.start : mark.end]):
            return bool(_STATIVE_ZH.search(gap)) or (not after and before is self.groups[-1])
        following = after[0] if after and not self.between("dir", mark.end, after[0].start) else None
        return following is None or not _PRE_EN.match(self.text, mark.end)

    def _precede(self, mark: Mark, place: Place, after: list[Group]) -> None:
        stop = min(
            (m.start for m in self.marks if m.role == "dir" and m.start >= mark.end and not m.direct),
            default=self.clause.end,
        )
        for group in after:
            if (group.start < stop or group is after[0]) and not group.place.settled:
                put(group.place, place)
        self.sentence.carry = place
        self.sentence.pending = False
