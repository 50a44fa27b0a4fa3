"""Rules for claims about roads and junctions."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import shapely
from shapely.geometry.base import BaseGeometry

from retriever.oracle import streets
from retriever.oracle.generality import satisfying
from retriever.oracle.index import FactIndex, box_around
from retriever.oracle.placing import Place, found, unknown
from retriever.oracle.streets import AXIS_CLEAR_DEG, AXIS_DEG, NEAR_M, VEHICLE
from retriever.oracle.zones import disc
from retriever.types import Claim, Evidence

_POSITIONAL = ("left", "right", "front", "behind")
_STRAIGHT_DEG, _CURVED_DEG, _BENT_DEG = 20.0, 25.0, 60.0


def check_road(claim: Claim, index: FactIndex) -> Evidence:
    """A road's form, kind or axis. ``left/right/front/behind`` place a road; any other bearing is its axis."""
    if claim.value in _FORMS:
        return _FORMS[claim.value](claim, index)
    kinds = VEHICLE if claim.value == "runs" else satisfying(claim.value)
    if not kinds:
        return unknown(claim)
    if claim.relation.type in _POSITIONAL or claim.relation.bearing_deg is None:
        return _placed(claim, index, kinds)
    return _axis(claim, index, kinds)


def _placed(claim: Claim, index: FactIndex, kinds: frozenset[str]) -> Evidence:
    from retriever.oracle.rules import check_object

    if claim.value == "runs":
        return unknown(claim)
    rows = index.inside(Place.of(claim, index).zone, index.of_kinds(kinds))
    return found(claim, index, rows, 1) if rows else check_object(claim, index)


def _axis(claim: Claim, index: FactIndex, kinds: frozenset[str]) -> Evidence:
    wanted = claim.relation.bearing_deg or 0.0
    near = index.inside(disc_near(), index.of_kinds(kinds))
    errors = {row: _axis_error(index, row, wanted) for row in near}
    fitting = sorted((row for row in near if errors[row] <= AXIS_DEG), key=lambda row: errors[row] > 20.0)
    if fitting:
        return found(claim, index, fitting, 1)
    seen = [row for row in near if streets.axes(index, row)]
    if seen and all(
        streets.axis_error(wanted, axis) > AXIS_CLEAR_DEG for row in seen for axis, _ in streets.axes(index, row)
    ):
        return found(claim, index, seen, 1, stance="contradicts")
    return unknown(claim)


def _axis_error(index: FactIndex, row: int, wanted: float) -> float:
    return min((streets.axis_error(wanted, axis) for axis, m in streets.axes(index, row) if m >= 8.0), default=90.0)


@cache
def disc_near() -> BaseGeometry:
    """The prepared disc of ``NEAR_M`` about the centre; always the same object, so that indexes can remember it."""
    near = disc(NEAR_M)
    shapely.prepare(near)
    return near


def _near(index: FactIndex) -> list[int]:
    return index.inside(disc_near(), index.of_kinds(VEHICLE))


def _straight(claim: Claim, index: FactIndex) -> Evidence:
    bends = {row: bend for row in _near(index) if (bend := streets.turning(index, row)) is not None}
    fitting = [row for row, bend in bends.items() if bend <= _STRAIGHT_DEG]
    if fitting:
        return found(claim, index, fitting, 1)
    if bends and all(bend > _BENT_DEG for bend in bends.values()):
        return found(claim, index, list(bends), 1, stance="contradicts")
    return unknown(claim)


def _curved(claim: Claim, index: FactIndex) -> Evidence:
    bends = {row: bend for row in _near(index) if (bend := streets.turning(index, row)) is not None}
    fitting = [row for row, bend in bends.items() if bend >= _CURVED_DEG]
    if fitting:
        return found(claim, index, fitting, 1)
    if bends and all(bend < _STRAIGHT_DEG / 2 for bend in bends.values()):
        return found(claim, index, list(bends), 1, stance="contradicts")
    return unknown(claim)


def _dead_end(claim: Claim, index: FactIndex) -> Evidence:
    rows = [row for _, _, row in streets.dead_ends(index)]
    return found(claim, index, rows, 1) if rows else unknown(claim)


def _one_way(claim: Claim, index: FactIndex) -> Evidence:
    near = _near(index)
    ways = {row: index.facts[row].tags.get("oneway") for row in near}
    fitting = [row for row, tag in ways.items() if tag in ("yes", "-1", "true", "1")]
    if fitting:
        return found(claim, index, fitting, 1)
    if near and all(tag == "no" for tag in ways.values()):
        return found(claim, index, near, 1, stance="contradicts")
    return unknown(claim)


def _width(claim: Claim, index: FactIndex) -> Evidence:
    near = _near(index)
    widths = {row: streets.width(index, row) for row in near}
    fitting = [row for row in near if widths[row] == claim.value]
    if fitting:
        return found(claim, index, fitting, 1)
    if near and all(widths[row] is not None for row in near):
        return found(claim, index, near, 1, stance="contradicts")
    return unknown(claim)


_FORMS: dict[str, Callable[[Claim, FactIndex], Evidence]] = {
    "straight": _straight,
    "curved": _curved,
    "dead_end": _dead_end,
    "one_way": _one_way,
    "wide": _width,
    "narrow": _width,
}


def check_junction(claim: Claim, index: FactIndex) -> Evidence:
    """Crossroads, T-junction or roundabout: by the arms of the meetings on the tile, in that direction if any."""
    if claim.value == "roundabout":
        rows = index.inside(Place.of(claim, index).zone, streets.roundabouts(index))
        return found(claim, index, rows, 1) if rows else unknown(claim)
    zone = Place.of(claim, index).zone
    meetings = streets.junctions(index)
    least = 4 if claim.value == "crossroads" else 3
    fitting = [j for j in meetings if _fits(j, least) and (zone is None or zone.intersects(shapely.Point(j.x, j.y)))]
    if fitting:
        first = min(fitting, key=lambda j: j.x**2 + j.y**2)
        x, y = first.x / index.size_m + 0.5, 0.5 - first.y / index.size_m
        return Evidence(
            claim_id=claim.id,
            stance="supports",
            region=box_around([(x - 0.06, y - 0.06), (x + 0.06, y + 0.06)]),
            osm_ids=index.ids(first.rows),
            by="map",
        )
    if not meetings and _near(index):
        return found(claim, index, _near(index), 1, stance="contradicts")
    return unknown(claim)


def _fits(junction: streets.Junction, least: int) -> bool:
    """A crossroads has four arms or more; a T-junction three."""
    return junction.arms >= 4 if least == 4 else junction.arms == 3
