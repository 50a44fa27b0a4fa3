"""Where a claim puts its thing, and the evidence that follows from what is mapped there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import shapely
from shapely.geometry.base import BaseGeometry

from retriever.oracle import zones
from retriever.oracle.generality import satisfying
from retriever.oracle.index import FactIndex
from retriever.oracle.naming import best_rows
from retriever.types import Claim, Evidence, Reason, Stance

ACROSS_M = 60.0
"""Two things on both sides of a street lie no farther apart."""


@dataclass(frozen=True)
class Place:
    zone: BaseGeometry | None
    """Where the thing fits the claim; None is anywhere on the tile."""
    wide: BaseGeometry | None
    """Outside it even the farthest witness of a match cannot have meant the thing."""
    core: BaseGeometry
    """Inside it no witness could miss the thing."""
    beyond_edge: bool
    """The claimed distance points past the tile's edge."""
    surely_on_tile: bool
    """Nothing in the claim puts the thing farther than the tile reaches from wherever the witness stands."""

    @classmethod
    def of(cls, claim: Claim, index: FactIndex) -> Self:
        """The place of any claim but a road's axis."""
        relation = claim.relation
        bearing = None if relation.bearing_deg is None else round(relation.bearing_deg) % 360
        metres = None if relation.distance_m is None else max(0, round(relation.distance_m))
        here = relation.type == "here"
        half = index.size_m / 2
        return cls(
            zone=zones.zone(bearing, metres, zones.SLACK_M, here),
            wide=zones.zone(bearing, metres, zones.MATCH_RADIUS_M, here),
            core=zones.core(bearing, zones.SLACK_M),
            beyond_edge=metres is not None and metres > zones.edge_distance(bearing, half),
            surely_on_tile=metres is None or metres <= 0.75 * half,
        )


def unknown(claim: Claim, reason: Reason = "not_mapped") -> Evidence:
    return Evidence(claim_id=claim.id, stance="unknown", reason=reason, by="map")


def found(claim: Claim, index: FactIndex, rows: Sequence[int], show: int, stance: Stance = "supports") -> Evidence:
    """Evidence from mapped objects, nearest first; the region is that of the first ``show`` of them."""
    return Evidence(
        claim_id=claim.id,
        stance=stance,
        region=index.region(rows[:show]),
        osm_ids=index.ids(rows, most=max(5, show)),
        by="map",
    )


def none_fits(claim: Claim, index: FactIndex, rows: list[int], place: Place) -> Evidence:
    """Objects of the kind are mapped, none where it was said: against the claim if each is clearly out of place."""
    if index.inside(place.wide, rows) or place.wide is None:
        return unknown(claim)
    return found(claim, index, rows, 1, stance="contradicts")


def _anchors(claim: Claim, index: FactIndex) -> list[int]:
    anchor = claim.relation.anchor
    if anchor is None:
        return []
    return index.of_kinds(satisfying(anchor)) or [row for _, row in best_rows(anchor, index.names)]


def between(claim: Claim, index: FactIndex, rows: list[int]) -> Evidence:
    """Between a thing and the anchor: supported where the line from one to the other passes by the witness."""
    for a in rows:
        for b in _anchors(claim, index):
            if (
                a != b
                and shapely.shortest_line(index.geometry[a], index.geometry[b]).distance(shapely.Point(0.0, 0.0))
                <= zones.SLACK_M
            ):
                return found(claim, index, [a, b], 2)
    return unknown(claim)


def across(claim: Claim, index: FactIndex, rows: list[int]) -> Evidence:
    """Across the street: from the anchor if there is one (a road must lie between), from the witness otherwise."""
    anchors = _anchors(claim, index)
    streets = index.of_kinds(satisfying("street"))
    if claim.relation.anchor is None:
        return _beyond_street(claim, index, rows, streets)
    for a in rows:
        for b in anchors:
            if a == b:
                continue
            gap = shapely.shortest_line(index.geometry[a], index.geometry[b])
            if 0.0 < gap.length <= ACROSS_M and any(gap.intersects(index.geometry[s]) for s in streets):
                return found(claim, index, [a, b], 2)
    return unknown(claim)


def _beyond_street(claim: Claim, index: FactIndex, rows: list[int], streets: list[int]) -> Evidence:
    """Across the street from the witness: some witness near the centre has a street between himself and the thing.

    The lines from all of them to the thing's nearest point fill the convex hull of that point and their disc.
    """
    centre, witnesses = shapely.Point(0.0, 0.0), zones.disc(zones.SLACK_M)
    for row in rows:
        if index.distance[row] > ACROSS_M + zones.SLACK_M:
            break
        nearest = shapely.get_point(shapely.shortest_line(index.geometry[row], centre), 0)
        seen = shapely.union(nearest, witnesses).convex_hull
        if any(s != row and seen.intersects(index.geometry[s]) for s in streets):
            return found(claim, index, [row], 1)
    return unknown(claim)
