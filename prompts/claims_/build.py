"""Placed things to claims: headings applied, repetitions merged, spans quoted, ids given."""

from __future__ import annotations

from collections.abc import Sequence

from prompts.claims_.groups import ROAD_FORMS, Group
from prompts.claims_.marks import Mark, Place
from prompts.claims_.text import Stretch, trimmed
from retriever.types import Claim, Relation

_TURN = {"front": 0.0, "right": 90.0, "behind": 180.0, "left": 270.0}


def claims_of(
    raw: str, found: Sequence[tuple[Stretch, Group]], headings: Sequence[Mark], *, turn: int, first_id: int
) -> list[Claim]:
    claims: list[Claim] = []
    for clause, group in found:
        part = trimmed(raw, clause)
        span = raw[part.start : part.end]
        dressed = any(m.kind == "building" for m in group.members)
        named = any(m.kind == "name" for m in group.members)
        for mark in group.members:
            for kind, value in _values(mark):
                if kind == "object" and (
                    (value == "building" and (dressed or _idle(mark))) or (value == "shop" and named)
                ):
                    continue
                claims.append(_claim(mark, kind, value, span, _heading(mark, headings), turn))
    return [_numbered(c, first_id + i) for i, c in enumerate(_merged(claims))]


def _values(mark: Mark) -> list[tuple[str, str]]:
    head = [("object", mark.head)] if mark.head else []
    return [(mark.kind, mark.value), *head]


def _idle(mark: Mark) -> bool:
    """A mere "building" or "house" is everywhere: a claim only when placed, counted or denied."""
    return mark.place.type == "near" and mark.polarity and mark.number is None


def _heading(mark: Mark, headings: Sequence[Mark]) -> float | None:
    """The last heading said before the thing or in its sentence, else the first one said later."""
    earlier = [h for h in headings if h.start <= mark.start]
    chosen = earlier[-1] if earlier else headings[0] if headings else None
    return chosen.bearing if chosen else None


def _claim(mark: Mark, kind: str, value: str, span: str, heading: float | None, turn: int) -> Claim:
    relation = _relation(mark.place, heading)
    if kind == "road":
        kind, relation = _road(mark, value, relation)
    count = int(mark.number) if mark.number is not None and kind in ("object", "building") else None
    return Claim(
        id="",
        span=span,
        kind=kind,  # type: ignore[arg-type]
        value=value,
        relation=relation,
        count=count,
        polarity=mark.polarity,
        hedge=mark.hedge,
        turn=turn,
    )


def _relation(place: Place, heading: float | None) -> Relation:
    bearing = place.bearing
    if place.type in _TURN and heading is not None:
        bearing = (heading + _TURN[place.type] + place.offset) % 360.0
    return Relation(type=place.type, bearing_deg=bearing, distance_m=place.distance, anchor=place.anchor)


def _road(mark: Mark, value: str, relation: Relation) -> tuple[str, Relation]:
    """A road claim's bearing is its axis, so a road that merely lies in a compass direction is claimed as an object."""
    if value == "runs":
        return "road", Relation(type="here", bearing_deg=mark.bearing)
    if relation.type == "bearing":
        return ("road", Relation(type="near")) if value in ROAD_FORMS else ("object", relation)
    if value == "curved" and relation.type in ("left", "right"):
        return "road", Relation(type="here")
    if value in ROAD_FORMS and relation.type == "near" and relation.anchor is None:
        return "road", Relation(type="here")
    return "road", relation


def _merged(claims: list[Claim]) -> list[Claim]:
    """One claim for each thing said; "the church" said again without a place adds nothing."""
    kept: list[Claim] = []
    seen: set[tuple[str, str, Relation, bool]] = set()
    placed = {(c.kind, c.value, c.polarity) for c in claims if not _plain(c)}
    for claim in claims:
        key = (claim.kind, claim.value.casefold(), claim.relation, claim.polarity)
        if not claim.value or key in seen or (_plain(claim) and (claim.kind, claim.value, claim.polarity) in placed):
            continue
        seen.add(key)
        kept.append(claim)
    return kept


def _plain(claim: Claim) -> bool:
    return claim.relation == Relation() and claim.count is None


def _numbered(claim: Claim, number: int) -> Claim:
    return Claim(**{**{f: getattr(claim, f) for f in Claim.__dataclass_fields__}, "id": f"c{number}"})
