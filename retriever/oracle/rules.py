"""The rules: one claim against one tile's facts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from retriever.kinds import kinds
from retriever.oracle import buildings, roads
from retriever.oracle.generality import akin, satisfying
from retriever.oracle.index import FactIndex
from retriever.oracle.naming import best_rows
from retriever.oracle.placing import Place, across, between, found, none_fits, unknown
from retriever.types import Claim, Evidence

CLEAR_NAME = 90.0
"""A name must be read at least this well before the same name elsewhere on the tile speaks against the claim."""


def check(claim: Claim, index: FactIndex) -> Evidence:
    """What the map says about one claim on one tile.

    ``supports``: a fitting object is mapped where the witness may mean; ``contradicts``: what is mapped excludes it;
    ``unknown`` with its reason otherwise. ``osm_ids`` and ``region`` point at the objects that decided.
    """
    if not index.known:
        return unknown(claim)
    return _RULES[claim.kind](claim, index)


def check_all(claims: Sequence[Claim], index: FactIndex) -> tuple[Evidence, ...]:
    """:func:`check` for each claim, in order."""
    return tuple(check(claim, index) for claim in claims)


def check_object(claim: Claim, index: FactIndex) -> Evidence:
    """A thing of some kind: where, how far, how many, or not at all."""
    rows = index.of_kinds(satisfying(claim.value))
    if not claim.polarity:
        return _denied(claim, index, rows)
    if claim.relation.type in ("between", "across"):
        rule = between if claim.relation.type == "between" else across
        return rule(claim, index, rows)
    place = Place.of(claim, index)
    fitting = index.inside(place.zone, rows)
    wanted = claim.count or 1
    if len({index.facts[row].osm_id for row in fitting}) >= wanted:
        return found(claim, index, fitting, wanted)
    if place.beyond_edge:
        return unknown(claim, "out_of_tile")
    if rows and wanted == 1:
        return none_fits(claim, index, rows, place)
    if not rows and _absence_counts(claim, index) and place.surely_on_tile:
        return Evidence(claim_id=claim.id, stance="contradicts", by="map")
    return unknown(claim)


def _absence_counts(claim: Claim, index: FactIndex) -> bool:
    """Whether nothing like it being mapped says that it is not there."""
    kind = kinds().get(claim.value)
    return bool(kind and kind.complete and len(index) and not index.of_kinds(akin(claim.value)))


def _denied(claim: Claim, index: FactIndex, rows: list[int]) -> Evidence:
    """ "There is no river": false where one is plain to see, true where a complete map shows none."""
    plain = index.inside(Place.of(claim, index).core, rows)
    if plain:
        return found(claim, index, plain, 1, stance="contradicts")
    if not rows and _absence_counts(claim, index):
        return Evidence(claim_id=claim.id, stance="supports", by="map")
    return unknown(claim)


def check_name(claim: Claim, index: FactIndex) -> Evidence:
    """A name as read. A sign that the map does not know is unknown: most signs are not on the map."""
    scored = best_rows(claim.value, index.names)
    rows = [row for _, row in scored]
    place = Place.of(claim, index)
    fitting = index.inside(place.zone, rows)
    if not claim.polarity:
        plain = index.inside(place.core, rows)
        return found(claim, index, plain, 1, stance="contradicts") if plain else unknown(claim)
    if fitting:
        return found(claim, index, fitting, 1)
    if place.beyond_edge:
        return unknown(claim, "out_of_tile")
    clear = [row for score, row in scored if score >= CLEAR_NAME]
    return none_fits(claim, index, clear, place) if clear else unknown(claim)


def _either(rule: Callable[[Claim, FactIndex], Evidence]) -> Callable[[Claim, FactIndex], Evidence]:
    """A rule for what is said to be so, made fit for denials: what supports the one contradicts the other."""

    def checked(claim: Claim, index: FactIndex) -> Evidence:
        evidence = rule(claim, index)
        if claim.polarity or evidence.stance == "unknown":
            return evidence
        other: Any = "contradicts" if evidence.stance == "supports" else "supports"
        return Evidence(claim_id=claim.id, stance=other, region=evidence.region, osm_ids=evidence.osm_ids, by="map")

    return checked


_RULES: dict[str, Callable[[Claim, FactIndex], Evidence]] = {
    "object": check_object,
    "name": check_name,
    "road": _either(roads.check_road),
    "junction": _either(roads.check_junction),
    "building": _either(buildings.check_building),
}
