"""Which earlier claims a later turn corrects or takes back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rapidfuzz import fuzz

from prompts.claims_ import chinese, english
from prompts.claims_.marks import Mark
from retriever.kinds import kinds
from retriever.types import Claim, Relation, RelationType

_TURN: dict[RelationType, float] = {"front": 0.0, "right": 90.0, "behind": 180.0, "left": 270.0}
_OPPOSITE: dict[RelationType, RelationType] = {"left": "right", "right": "left", "front": "behind", "behind": "front"}
_ID = re.compile(r"\b(?:c|claim\s+c?|clue\s+c?|point\s+)(\d{1,4})\b|线索\s*c?(\d{1,4})|第(\d{1,3})条", re.I)
NAME_ALIKE = 80.0
"""rapidfuzz ratio from which two names are taken for one."""


@dataclass(frozen=True, kw_only=True)
class Amendment:
    old: tuple[str, ...]
    """Ids that are replaced."""
    new: tuple[Claim, ...]
    """Their replacements in that order, then whatever else was said."""


def next_id(claims: Sequence[Claim]) -> int:
    numbers = [int(m[1]) for c in claims if (m := re.fullmatch(r"c(\d+)", c.id))]
    return max(numbers, default=0) + 1


def same_thing(a: Claim, b: Claim) -> bool:
    """Whether two claims speak of the same kind of thing or the same name."""
    if a.kind == b.kind == "name":
        return fuzz.ratio(a.value.casefold(), b.value.casefold()) >= NAME_ALIKE
    if a.kind == b.kind == "building":
        return a.value.split(":")[0] == b.value.split(":")[0]
    return (a.kind, a.value) == (b.kind, b.value)


def retracted(
    folded: str, active: Sequence[Claim], named: Sequence[Claim], *, everything: bool, latest: bool
) -> tuple[str, ...]:
    """Ids of the claims that are taken back: by id, by what they are about, all, or those of the last turn."""
    numbers = {next(filter(None, m.groups())) for m in _ID.finditer(folded)}
    if by_id := tuple(c.id for c in active if c.id.removeprefix("c") in numbers):
        return by_id
    found = [c for c in active if any(same_thing(c, n) for n in named)]
    placed = [c for c in found if any(same_thing(c, n) and n.relation.type == c.relation.type for n in named)]
    chosen = placed if placed and any(n.relation.type != "near" for n in named) else found
    if chosen:
        return tuple(c.id for c in chosen)
    if everything:
        return tuple(c.id for c in active)
    if latest and active and not named:
        last = max(c.turn for c in active)
        return tuple(c.id for c in active if c.turn == last)[-1:]
    return ()


def corrected(said: str, folded: str, active: Sequence[Claim], new: Sequence[Claim], *, turn: int) -> Amendment | None:
    """What replaces what; None where nothing that was said before is touched."""
    if not new:
        return _moved(said.strip(), folded, active, turn)
    taken: set[str] = set()
    pairs: list[tuple[Claim, Claim]] = []
    extra: list[Claim] = []
    denied = [c for n in new if not n.polarity for c in active if c.polarity and same_thing(c, n)]
    for claim in new:
        old = _target(claim, active, denied, taken)
        if old is None:
            if claim.polarity or not any(same_thing(claim, d) for d in denied):
                extra.append(claim)
            continue
        taken.add(old.id)
        pairs.append((old, claim))
    if not pairs:
        return _denial(denied, new)
    pairs += [
        (c, replace(c, relation=n.relation)) for o, n in pairs for c in _companions(o, n, active) if c.id not in taken
    ]
    done = tuple(_kept(old, claim, turn) for old, claim in pairs)
    rest = [c for c in extra if not any(same_thing(c, d) for d in denied)]
    return Amendment(old=tuple(old.id for old, _ in pairs), new=_numbered((*done, *rest), active))


def _denial(denied: Sequence[Claim], new: Sequence[Claim]) -> Amendment | None:
    """ "There was no church after all": the denial itself replaces the claim."""
    pairs = [(old, n) for old in denied for n in new if not n.polarity and same_thing(old, n)]
    unique = {old.id: n for old, n in pairs}
    return Amendment(old=tuple(unique), new=tuple(unique.values())) if unique else None


def _target(claim: Claim, active: Sequence[Claim], denied: Sequence[Claim], taken: set[str]) -> Claim | None:
    if not claim.polarity:
        return None
    free = [c for c in active if c.id not in taken and c.polarity]
    same = [c for c in free if same_thing(c, claim)]
    if same:
        return same[-1]
    gone = [c for c in denied if c.id not in taken and c.kind == claim.kind]
    if gone:
        return gone[0]
    if claim.relation.type != "near":
        there = [c for c in free if c.kind == claim.kind and _where(c) == _where(claim)]
        return there[-1] if len(there) == 1 and _alike(there[-1], claim) else None
    return None


def _companions(old: Claim, claim: Claim, active: Sequence[Claim]) -> list[Claim]:
    """What was said of the same thing in the same words: its name moves with it, unless the thing was another."""
    if old.value != claim.value or claim.relation == Relation():
        return []
    return [c for c in active if c.id != old.id and _beside(c, old)]


def _beside(a: Claim, b: Claim) -> bool:
    return (a.span, a.turn, a.relation) == (b.span, b.turn, b.relation)


def _where(claim: Claim) -> tuple[str, float | None]:
    return claim.relation.type, claim.relation.bearing_deg if claim.relation.type == "bearing" else None


def _alike(a: Claim, b: Claim) -> bool:
    if a.kind != "object":
        return True
    return kinds()[a.value].group == kinds()[b.value].group


def _kept(old: Claim, claim: Claim, turn: int) -> Claim:
    """The new words, with the old place where they name none."""
    relation = claim.relation if claim.relation != Relation() else old.relation
    if relation.type in _TURN and relation.bearing_deg is None and old.relation.bearing_deg is not None:
        relation = replace(relation, bearing_deg=_turned(old.relation, relation.type))
    if relation.distance_m is None and claim.relation.type == old.relation.type:
        relation = replace(relation, distance_m=old.relation.distance_m)
    return replace(claim, relation=relation, count=claim.count if claim.count is not None else old.count, turn=turn)


def _turned(old: Relation, to: RelationType) -> float | None:
    """The bearing of another side for the heading that the old claim implies."""
    if old.type not in _TURN or old.bearing_deg is None:
        return None
    return (old.bearing_deg - _TURN[old.type] + _TURN[to]) % 360.0


def _moved(said: str, folded: str, active: Sequence[Claim], turn: int) -> Amendment | None:
    """ "No, on the right": the claim that stands on the other side; "I was facing south": every side turns."""
    cues = [*english.cues(folded, 0, len(folded)), *chinese.cues(folded, 0, len(folded))]
    sided = [c for c in active if c.relation.type in _TURN]
    heading = next((m.bearing for m in cues if m.role == "heading"), None)
    if heading is not None and sided:
        done = [
            replace(
                c,
                relation=replace(c.relation, bearing_deg=(heading + _TURN[c.relation.type]) % 360.0),
                turn=turn,
                span=said,
            )
            for c in sided
        ]
        return Amendment(old=tuple(c.id for c in sided), new=_numbered(done, active))
    mark = next((m for m in cues if m.role == "dir" and (m.type in _TURN or m.type == "bearing")), None)
    old = _shifted(mark, active) if mark else None
    if mark is None or old is None:
        return None
    bearing = mark.bearing if mark.type == "bearing" else _turned(old.relation, mark.type)
    there = replace(old.relation, type=mark.type, bearing_deg=bearing, anchor=None)
    moved = [c for c in active if _beside(c, old)]
    done = [replace(c, relation=there, turn=turn, span=said) for c in moved]
    return Amendment(old=tuple(c.id for c in moved), new=_numbered(done, active))


def _shifted(mark: Mark, active: Sequence[Claim]) -> Claim | None:
    if mark.type == "bearing":
        fitting = [c for c in active if c.relation.type == "bearing"]
    else:
        fitting = [c for c in active if c.relation.type == _OPPOSITE[mark.type]]
        fitting = fitting or [c for c in active if c.relation.type in _TURN]
    last = max((c.turn for c in fitting), default=0)
    recent = [c for c in fitting if c.turn == last]
    return recent[-1] if recent else None


def _numbered(claims: Sequence[Claim], before: Sequence[Claim]) -> tuple[Claim, ...]:
    first = next_id(before)
    return tuple(replace(c, id=f"c{first + i}") for i, c in enumerate(claims))
