"""Directions that lean on nothing: which things of its clause, or of the one before, a direction places."""

from __future__ import annotations

import re

from prompts.claims_.groups import Group, put
from prompts.claims_.labels import BACK, SAME
from prompts.claims_.marks import HAN, Mark, Place
from prompts.claims_.standing import Standing

_PRE_EN = re.compile(
    r"\s*(?:\(?is\b|are\b|was\b|were\b|there\b|there'?s|i\s|you\s|we\s|stands?\b|lies\b|runs?\b|stood\b|lay\b|it'?s\b|has\b|can\b|see\b|=|:)",
    re.I,
)
_STATIVE_ZH = re.compile(r"(?:在|位于|于|处)(?:我们?|我们的|我的)?的?$")
_IT_IS = re.compile(r"\s*(?:but\s+|and\s+)?(?:it'?s|it\s+(?:is|was)|they'?re)\b|\s*(?:而)?是?在$", re.I)
_IS = re.compile(
    r"\s*(?:which\s+|that\s+)?(?:is|are|was|were|lies?|stands?|sits?)\b[\w\s]{0,24}$|\s*(?:从[^，。]{1,5}看(?:过去|去)?)?(?:就|是|也)?在?$",
    re.I,
)
_UP_THE = re.compile(r"\s*(?:just\s+)?(?:up|down|over|along|off)\s+(?:the|this|that)\s+(?:\w+\s+)?", re.I)
_BOTH = re.compile(
    r"^\s*(?:and\s+|but\s+)?(?:they'?re\s+|they\s+are\s+)?(?:both|all)\b(?:\s+of\s+(?:it|them))?|(?:都|全)在?$", re.I
)
_RATHER = re.compile(
    r"\b(?:or\s+rather|rather|i\s+mean|make\s+that|sorry|no\s+wait|correction)\b|不对|应该说|准确", re.I
)
_LIST = re.compile(
    r"\s*(?:,|，|、|和|与|跟|及|以及|还有|and|&)\s*(?:(?:a|an|the|some|一|两)\s*)?[个家座条间所]?\s*(?:\w+\s+){0,1}",
    re.I,
)


class Pointing(Standing):
    """The part of a clause that follows directions seen from the witness."""

    def _point(self, mark: Mark) -> None:
        place = self._said(mark)
        if place is None or (not self.groups and self._all_of_them(mark, place)):
            return
        before = [
            g
            for g in self.groups
            if g.members[0].end <= mark.start and not self.between("join", g.members[0].end, mark.start)
        ]
        after = [g for g in self.groups if g.start >= mark.end]
        passed = before[-1] if before else self.sentence.last
        if mark.value == BACK and passed is not None:
            put(passed.place, place)
            return
        if before and self._open_to(place, before[-1].place) and self._follows(mark, before[-1], after):
            subject = self._beyond_way(before)
            put(subject.place, place)
            self.sentence.carry = None
            self._listed(before, place)
            self._and_the_one_before(before[-1], place)
        elif after:
            self._precede(mark, place, after)
        elif not self.groups and self.sentence.last and self._says_more(mark, self.sentence.last):
            put(self.sentence.last.place, place)
        elif not self.groups and self.sentence.last and _IT_IS.match(self.text[self.clause.start : mark.start]):
            self._put_right(self.sentence.last, place)
        elif not (self.sentence.pending and self._exact(place)):
            self.sentence.carry, self.sentence.pending = place, True

    def _said(self, mark: Mark) -> Place | None:
        """The place a direction means; "on that side" is the side said last."""
        if mark.value != SAME:
            return Place(type=mark.type, bearing=mark.bearing, offset=mark.turn)
        side = self.sentence.side
        return None if side is None else Place(type=side.type, bearing=side.bearing, offset=side.offset)

    def _all_of_them(self, mark: Mark, place: Place) -> bool:
        """ "Two pubs, the Bell and the Crown, both ahead"; "All on the left, though"."""
        if not _BOTH.search(self.text[self.clause.start : mark.start]):
            return False
        things = self.sentence.told or self.sentence.before
        for group in things:
            if not group.place.settled and not group.by_self:
                put(group.place, place)
        return bool(things)

    def _beyond_way(self, before: list[Group]) -> Group:
        """ "A garage up the lane to the west": the garage is to the west."""
        if len(before) > 1 and _UP_THE.fullmatch(self.text[before[-2].end : before[-1].start]):
            return before[-2]
        return before[-1]

    def _open_to(self, new: Place, old: Place) -> bool:
        """Whether a place is still to be said, or is made more exact: "across the road to the north"."""
        return not old.settled or (new.type == "bearing" and old.type == "across" and old.bearing is None)

    def _exact(self, place: Place) -> bool:
        """ "Directly east, across the road, there's ...": the bearing said first holds."""
        said = self.sentence.carry
        return said is not None and said.type == "bearing" and place.type in ("across", "near", "along")

    def _listed(self, before: list[Group], place: Place) -> None:
        """银行、面包店和健身房都在左边: all of them."""
        later = before[-1]
        for group in reversed(before[:-1]):
            if group.place.settled or not _LIST.fullmatch(self.text[group.end : later.start]):
                return
            put(group.place, place)
            later = group

    def _says_more(self, mark: Mark, last: Group) -> bool:
        """A clause that is nothing but a direction and goes with the thing before it."""
        lead = self.text[self.clause.start : mark.start]
        if _RATHER.search(lead):
            return True
        if not last.place.settled:
            return not self._verbal() or bool(_IS.match(lead))
        ends = self.text[self.clause.end : self.clause.end + 1] in ("", ".", ";", "。", "；", "\n")
        return (
            (mark.bare or ends)
            and last.place.bearing is None
            and last.place.type in ("near", "across")
            and not self._verbal()
        )

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
            for listed in self.sentence.chain:
                if not listed.place.settled:
                    put(listed.place, place)

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
            if (group.start < stop or group is after[0]) and self._open_to(place, group.place):
                put(
                    group.place, self.sentence.carry or place if self.sentence.pending and self._exact(place) else place
                )
        if not (self.sentence.pending and self._exact(place)):
            self.sentence.carry = place
        self.sentence.pending = False
