"""Which direction of a clause places which of its things."""

from __future__ import annotations

import re

from prompts.claims_.carrying import ELIDED_ZH
from prompts.claims_.groups import Group, Sentence, grouped, is_street, put
from prompts.claims_.marks import HAN, Mark, Place
from prompts.claims_.pointing import Pointing
from prompts.claims_.text import Stretch

_BEYOND = re.compile(r"\b(?:beyond|past|behind|after)\b|(?:后面|背后|后边)$", re.I)
_BESIDE = re.compile(r"^(?:right\s+|just\s+|directly\s+)?(?:by|beside)$|旁", re.I)
_PRONOUN = re.compile(r"\s*(?:it|that|them|this|those|there)\b(?!\s+\w)", re.I)
_CAME = re.compile(r"^(?:turned|turning|pulled|stepped|arrived|just\s+reached|'ve)\b", re.I)
_I_AM = re.compile(r"(?:i|we)\b", re.I)
_LOOKING = re.compile(r"looking\s", re.I)
_NOW = re.compile(r"\b(?:now|currently)\b|现在|目前|这会儿?", re.I)
_LABEL = re.compile(r"[:：][^.;。；\n]*$")
_OVER = re.compile(r"^(?:over|above|below|up\s+over)$", re.I)
_NEAR_GAP_WORDS = 7
_SEES_ZH = re.compile(r"看|见|听|说")
_ABOUT = re.compile(
    r"^\s*(?:and\s+)?(?:about|roughly|approximately|around|maybe|some|perhaps|only)\b\s*|^\s*(?:and\s+)?(?:大约|大概|约)?\s*",
    re.I,
)
_AND_ZH = re.compile(r"\s*(?:和|与|跟|及|同|、)\s*[一两]?[个家座条]?\s*$")
_ELIDED_EN = re.compile(
    r"^[\s\w']{0,2}$|^\s*(?:in|on|at)\s+the\s+(?:\w+\s+)?(?:bit|part|section|stretch|middle|end|corner)\s*$|^\s*(?:just|right|directly|now|currently|somewhere|still|so|ok|hi|hello)?\s*$",
    re.I,
)


def read_clause(sentence: Sentence, clause: Stretch, marks: list[Mark]) -> list[Group]:
    """The things of the clause, placed; ``sentence`` remembers what the next clause may go on with."""
    groups = grouped(sentence.text, [m for m in marks if m.role == "thing"])
    reader = Clause(sentence=sentence, clause=clause, marks=marks, groups=groups)
    waiting = sentence.pending
    reader.read()
    plain = bool(groups) and not any(m.role in ("dir", "neg", "self", "heading") for m in marks)
    sentence.chain = [*sentence.chain, *groups] if plain else []
    sentence.way_said = sentence.way_said or any(m.role == "way" or m.kind == "road" for m in marks)
    sentence.joined = not groups and any(m.role == "join" and m.direct for m in marks)
    if groups and not (waiting and reader.only_leans()):
        sentence.pending = False
    if groups:
        sentence.last = groups[-1]
    return groups


class Clause(Pointing):
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
        lead = self.text[max(0, self.clause.start - 60) : self.clause.start]
        listed = self.sentence.pending and not self._verbal() and bool(_LABEL.search(lead))
        if not (self.groups or dirs or listed or any(m.role in ("dist", "hedge") for m in self.marks)):
            self.sentence.carry, self.sentence.pending = None, False

    def only_leans(self) -> bool:
        """ "Straight ahead, *across the promenade*, is a hotel": nothing but what a direction leans on."""
        anchors = [self._anchor(m) for m in self.marks if m.role == "dir"]
        return not self._verbal() and all(any(g is a for a in anchors) for g in self.groups)

    def _points(self, mark: Mark) -> bool:
        """Whether a direction that leans on nothing says where the witness sees something."""
        word = self.text[mark.start : mark.end]
        if mark.type == "between" and HAN.search(word) and self.sentence.way_said:
            mark.type = "along"
        if mark.anchored and mark.type == "bearing" and _PRONOUN.match(self.text, mark.end):
            return False
        if mark.type in ("between", "near"):
            return not mark.anchored and mark.type == "near"
        return mark.type != "here" or (not mark.anchored and (not HAN.search(word) or word[0] in "我身脚头公宿"))

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
        if self._only_seen(mark):
            return
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
            put(anchor.place, self._along(anchor))
        if subject is None or subject is anchor or not subject.lies or not (anchor.lies or self._known_ground(anchor)):
            return
        if mark.type == "here" and subject.road:
            return
        beyond = self.sentence.seen.get(anchor.words) if _BEYOND.search(self.text[mark.start : mark.end]) else None
        if beyond is not None and not subject.place.settled and not anchor.place.settled:
            put(subject.place, beyond)
            return
        if mark.direct and mark.type in ("front", "behind") and self._watched(mark):
            put(anchor.place, Place(type=mark.type))
        elif mark.direct and mark.type == "along" and subject in after:
            put(anchor.place, self._along(anchor))
        elif mark.type == "bearing" and mark.bearing is not None and self._reversed(mark, subject, anchor):
            put(anchor.place, Place(type="bearing", bearing=(mark.bearing + 180.0) % 360.0))
        elif self._stands_there(mark, anchor):
            put(subject.place, Place(type="bearing", bearing=mark.bearing))
        elif not subject.place.settled:
            kind = mark.type if mark.type in ("across", "along") else "near"
            subject.place.type, subject.place.anchor = kind, anchor.words
            subject.place.settled = kind != "near"

    def _only_seen(self, mark: Mark) -> bool:
        """ "I'm looking at a museum right behind me": seen, and placed by what follows."""
        if not _LOOKING.search(self.text[mark.start : mark.end]):
            return False
        return any(m.role == "dir" and m.start >= mark.end and not m.direct and not m.anchored for m in self.marks)

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
        said = self.text[mark.start : mark.end]
        return bool(HAN.search(said) or _I_AM.match(said)) or any(
            m.role == "self" and m.start <= mark.start for m in self.marks
        )

    def _stands_there(self, mark: Mark, anchor: Group) -> bool:
        """South *side* of the square in which the witness stands is south of the witness."""
        return mark.type == "bearing" and (anchor.place.type == "here" or self._known_ground(anchor))

    def _reversed(self, mark: Mark, subject: Group, anchor: Group) -> bool:
        """The hotel in which the witness is lies west of the embassy: so the embassy is to the east."""
        stands = subject.place.type == "here" or self._known_ground(subject)
        return not mark.direct and stands and not anchor.place.settled and not self._known_ground(anchor)

    def _known_ground(self, anchor: Group) -> bool:
        return not anchor.place.settled and any(m.value in self.sentence.grounds for m in anchor.members)

    def _along(self, anchor: Group) -> Place:
        """Who goes along a street is in it; who goes along a river is beside it."""
        return Place(type="here" if is_street(anchor) else "along")

    def _by_witness(self, mark: Mark, before: list[Group], after: list[Group], start: int) -> bool:
        if _CAME.match(self.text[mark.start : mark.end]):
            return True
        selves = [m for m in self.marks if m.role in ("self", "heading") and m.end <= start]
        if selves and not _SEES_ZH.search(self.text[selves[-1].end : start]):
            free = [g for g in before if g.start >= selves[-1].end and not g.by_self]
            return not free
        leant = [self._anchor(m) for m in self.marks if m.role == "dir" and m.anchored and m is not mark]
        free = [g for g in after if g.lies and not any(g is a for a in leant)]
        if before or len(free) > (mark.type == "between"):
            return False
        lead = self._without_distance(self.clause.start, start)
        elided = ELIDED_ZH.match(lead) if HAN.search(self.text[mark.start : mark.end]) else _ELIDED_EN.match(lead)
        if elided and _NOW.search(lead):
            return True
        if self.sentence.last is not None:
            denied = not any(m.polarity for m in self.sentence.last.members)
            return bool(elided) and (self.sentence.last.by_self or (denied and self.sentence.stood))
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
        elif mark.type == "along":
            put(anchor.place, self._along(anchor))
        elif mark.type == "here" and _BESIDE.search(self.text[mark.start : mark.end]) and self._stands(anchor):
            return
        elif mark.type in ("here", "across") or (mark.direct and mark.type in ("front", "behind")):
            put(anchor.place, Place(type=mark.type))
            if mark.type == "here":
                self._and_this(mark, anchor)
                self._of(anchor)

    def _close_by(self, mark: Mark) -> bool:
        """我在药店旁边, 我在药店前面, "I live over the shop"."""
        said = self.text[mark.start : mark.end]
        if _OVER.search(said):
            return True
        if "隔壁" in said or (_BESIDE.search(said) and self._stands(None)):
            return False
        return bool(HAN.search(self.text[mark.start : mark.end])) and (
            (mark.type == "near" and mark.direct) or (mark.type == "front" and not mark.direct)
        )

    def _stands(self, anchor: Group | None) -> bool:
        """Whether another thing of the sentence is where the witness is: "in the park, by the pond"."""
        here = any(g is not anchor and g.by_self and not g.road and g.place.type == "here" for g in self.groups)
        return here or self.sentence.at_place

    def _and_this(self, mark: Mark, anchor: Group) -> None:
        """ "the corner of Hope Street and Mill Lane": both are here."""
        corner = "corner" in self.text[mark.start : mark.end].lower()
        self.sentence.carry = anchor.place if anchor.members[-1].kind == "name" or (anchor.road and corner) else None

    def _of(self, anchor: Group) -> None:
        """ "On the footway of the bridge": the bridge is here too."""
        after = next((g for g in self.groups if g.start >= anchor.end), None)
        gap = self.text[anchor.end : after.start] if after else ""
        if (
            after is not None
            and re.fullmatch(r"\s+of\s+(?:(?:the|a|an|this|our)\s+)?", gap, re.I)
            and not after.place.settled
        ):
            put(after.place, Place(type="here"))
            after.by_self = True

    def _between(self, anchor: Group, after: list[Group]) -> None:
        other = after[0] if after else None
        later = [g for g in self.groups if g.start > anchor.end]
        other = other or (later[0] if later else None)
        if other is None:
            return
        other.by_self = True
        put(anchor.place, Place(type="between", anchor=other.words))
        put(other.place, Place(type="between", anchor=anchor.words))
