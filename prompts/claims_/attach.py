"""What belongs to what: which direction places which thing, within one sentence."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from prompts.claims_.marks import Mark, Place
from prompts.claims_.text import Stretch

_NOUN_GAP = re.compile(r"[\s,-]*(?:(?!(?:and|or|with|of|is|are|at|on|in|by|the|to|near|from|a|an|for)\b)[a-z]+[\s-]+){0,2}\"?$", re.I)
_SAME_GAP = re.compile(r"\s*(?:is|was|called|named|,?\s*a|,\s*an|\s)\s*(?:the|a|an)?\s*(?:\w+\s+){0,2}[\"“「『]?$|[的“「『大小老高旧新]{0,3}$|(?:名?叫做?|名为|上?写着)[“「『]?$", re.I)
_NEAR_GAP_WORDS = 7
_PRE_EN = re.compile(r"\s*(?:\(?is\b|are\b|was\b|were\b|there\b|there'?s|i\s|you\s|we\s|stands?\b|lies\b|runs?\b|stood\b|lay\b|it'?s\b|has\b|can\b|see\b|=|:)", re.I)
_STATIVE_ZH = re.compile(r"(?:在|位于|于|处)(?:我们?|我们的|我的)?的?$")
_ELIDED_ZH = re.compile(r"^\s*(?:就|正|现在|刚|目前|还|也)*(?:站|坐|停|等|位|处)?(?:在|于|位于)?\s*$")
_AT_ZH = re.compile(r"(?:在|位于|地址(?:好像|应该|可能)?是)(?:一[个条家座栋间所处片]|这[个条家座]|那[个条家座]|[个条家座])?(?:[一-鿿]{0,5}的)?[\s“「\"大小老窄很]*$")
_ELIDED_EN = re.compile(r"^[\s\w']{0,2}$|^\s*(?:just|right|directly|now|currently|somewhere|still|so|ok|hi|hello)?\s*$", re.I)
HAN = re.compile(r"[一-鿿]")


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
    def describes(self) -> bool:
        """Only a name given afterwards, or only what a building looks like."""
        return all(m.linked or m.kind in ("name", "building") for m in self.members)


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
    self_said: bool = False
    way_said: bool = False
    prior: Group | None = None
    """The last thing of the sentence before."""

    def read(self, clause: Stretch, marks: list[Mark]) -> list[Group]:
        groups = grouped(self.text, [m for m in marks if m.role == "thing"])
        reader = _Clause(sentence=self, clause=clause, marks=marks, groups=groups)
        reader.place()
        self.way_said = self.way_said or any(m.role == "way" or m.kind == "road" for m in marks)
        self.self_said = self.self_said or any(m.role == "self" for m in marks)
        if groups:
            self.last, self.pending = groups[-1], reader.open_end
        return groups


@dataclass(kw_only=True, eq=False)
class _Clause:
    sentence: Sentence
    clause: Stretch
    marks: list[Mark]
    groups: list[Group]
    open_end: bool = False

    @property
    def text(self) -> str:
        return self.sentence.text

    def between(self, role: str, start: int, end: int) -> bool:
        return any(m.role == role and start <= m.start and m.end <= end for m in self.marks)

    def place(self) -> None:
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

    def _at(self) -> None:
        """我在中央广场: no word says how the witness stands to it, so the witness is there. Alone in its sentence, a road
        is the one the witness is on."""
        if not self.groups or self.groups[0].place.settled or self.groups[0].by_self:
            return
        first = self.groups[0]
        lead = _AT_ZH.search(self.text[self.clause.start : first.start])
        later = [g for g in self.groups[1:] if not self.between("verb", first.end, g.start)]
        said = bool(lead) and (bool(_ELIDED_ZH.match(lead.string[: lead.start() + 1])) or self.between("self", self.clause.start, first.start))
        if said and len(later) == len(self.groups) - 1:
            for group in self.groups:
                if not group.place.settled:
                    _set(group.place, Place(type="here"))
                    group.by_self = True

    # --- a list that goes on, a name or a look given afterwards ----------------------------------------------------

    def _inherit(self, dirs: list[Mark]) -> None:
        first = self.groups[0] if self.groups else None
        if first is None or any(d.start < first.start and not d.direct for d in dirs):
            return
        lead = self.text[self.clause.start : first.start]
        verb = any(self.between(role, self.clause.start, first.start) for role in ("verb", "self", "neg"))
        last = self.sentence.last
        if first.describes and last and not dirs and self._about(first, lead, verb):
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
            if self.sentence.pending or group.members[0].kind in ("object", "name", "building"):
                _set(group.place, place)

    def _about(self, group: Group, lead: str, verb: bool) -> bool:
        if group.members[0].linked:
            return True
        if all(m.kind == "building" for m in group.members):
            return not verb or bool(re.search(r"外墙|墙|楼层|高", lead)) or bool(re.match(r"\s*(?:it'?s|it\s+is|it\s+has)\b", lead, re.I))
        return len(lead.split()) <= 1 and not verb and not re.match(r"\s*(?:and|then|but)\b|和|、", lead, re.I)

    def _share(self, group: Group, other: Group) -> None:
        group.place = other.place
        for mark in group.members:
            mark.place = other.place

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
        return before if before and re.fullmatch(r"[的以之那大正\"”」』]{0,3}|最?靠?近?的?", gap) else None

    def _clear(self, start: int, end: int) -> bool:
        gap = self.text[start:end]
        roles = ("dir", "self", "verb", "join", "neg")
        return len(gap) <= 60 and len(gap.split()) <= _NEAR_GAP_WORDS and not any(self.between(r, start, end) for r in roles)

    def _lean(self, mark: Mark, anchor: Group) -> None:
        start = min(mark.start, anchor.start)
        end = max(mark.end, anchor.end)
        before = [g for g in self.groups if g.end <= start and not self.between("join", g.end, start)]
        after = [g for g in self.groups if g.start >= end and not self.between("join", end, g.start) and g is not anchor]
        if self._by_witness(mark, before, after, start):
            self._witness(mark, anchor, after)
            return
        subject = before[-1] if before else after[0] if after else self.sentence.last
        if subject is None or subject is anchor:
            return
        if mark.direct and mark.type in ("front", "behind"):
            _set(anchor.place, Place(type=mark.type))
        elif mark.direct and mark.type == "along" and subject in after:
            _set(anchor.place, Place(type="along"))
        elif self._stands_there(mark, anchor):
            _set(subject.place, Place(type="bearing", bearing=mark.bearing))
        elif not subject.place.settled:
            kind = mark.type if mark.type in ("across", "along") else "near"
            subject.place.type, subject.place.anchor = kind, anchor.words
            subject.place.settled = kind != "near"

    def _stands_there(self, mark: Mark, anchor: Group) -> bool:
        """South *side* of the square in which the witness stands is south of the witness."""
        return mark.type == "bearing" and anchor.place.type == "here"

    def _by_witness(self, mark: Mark, before: list[Group], after: list[Group], start: int) -> bool:
        selves = [m for m in self.marks if m.role == "self" and m.end <= start]
        if selves:
            free = [g for g in before if g.start >= selves[-1].end and not g.by_self]
            return not free
        if before or after:
            return False
        lead = self.text[self.clause.start : start]
        elided = _ELIDED_ZH.match(lead) if HAN.search(self.text[mark.start : mark.end]) else _ELIDED_EN.match(lead)
        if self.sentence.last is not None:
            return bool(elided) and self.sentence.last.by_self
        return bool(elided)

    def _witness(self, mark: Mark, anchor: Group, after: list[Group]) -> None:
        anchor.by_self = True
        if mark.type == "bearing" and mark.bearing is not None:
            _set(anchor.place, Place(type="bearing", bearing=(mark.bearing + 180.0) % 360.0))
        elif mark.type == "between":
            self._between(anchor, after)
        elif self._close_by(mark):
            _set(anchor.place, Place(type="here"))
        elif mark.type in ("here", "across", "along") or (mark.direct and mark.type in ("front", "behind")):
            _set(anchor.place, Place(type=mark.type))
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
        _set(anchor.place, Place(type="between", anchor=other.words))
        _set(other.place, Place(type="between", anchor=anchor.words))

    # --- directions from the witness -------------------------------------------------------------------------------

    def _point(self, mark: Mark) -> None:
        place = Place(type=mark.type, bearing=mark.bearing, offset=mark.turn)
        before = [g for g in self.groups if g.end <= mark.start and not self.between("join", g.end, mark.start)]
        after = [g for g in self.groups if g.start >= mark.end]
        if before and not before[-1].place.settled and self._follows(mark, before[-1], after):
            _set(before[-1].place, place)
            self.sentence.carry = None
            self._and_the_one_before(before[-1], place)
        elif after:
            self._precede(mark, place, after)
        elif not self.groups and self.sentence.last and not self.sentence.last.place.settled and not self._verbal():
            _set(self.sentence.last.place, place)
        else:
            self.sentence.carry, self.sentence.pending = place, True

    def _and_the_one_before(self, group: Group, place: Place) -> None:
        """ "a bank and a bakery on my left": the bank too."""
        last = self.sentence.last
        if last is None or group is not self.groups[0] or last.place.settled:
            return
        if re.fullmatch(r"\s*(?:and|or|&)\s+(?:(?:a|an|the|some|one|another)\s+)?(?:\w+\s+){0,2}", self.text[last.end : group.start], re.I):
            _set(last.place, place)

    def _verbal(self) -> bool:
        return any(m.role == "verb" for m in self.marks)

    def _follows(self, mark: Mark, before: Group, after: list[Group]) -> bool:
        gap = self.text[before.end : mark.start]
        if HAN.search(self.text[mark.start : mark.end]):
            return bool(_STATIVE_ZH.search(gap)) or (not after and before is self.groups[-1])
        following = after[0] if after and not self.between("dir", mark.end, after[0].start) else None
        return following is None or not _PRE_EN.match(self.text, mark.end)

    def _precede(self, mark: Mark, place: Place, after: list[Group]) -> None:
        stop = min((m.start for m in self.marks if m.role == "dir" and m.start >= mark.end and not m.direct), default=self.clause.end)
        for group in after:
            if group.start < stop or group is after[0]:
                if not group.place.settled:
                    _set(group.place, place)
        self.sentence.carry = place
        self.sentence.pending = False


def _set(place: Place, to: Place) -> None:
    place.type, place.bearing, place.offset, place.anchor = to.type, to.bearing, to.offset, to.anchor
    place.settled = True
