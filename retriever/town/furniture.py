"""What stands in and along streets: signals, crossings, stops, trees, benches, boxes."""

from __future__ import annotations

import random
from collections.abc import Iterator

from shapely.geometry import LineString
from shapely.geometry import Point as Spot

from retriever.town.osm_xml import OsmXml, Point
from retriever.town.plan import Plan
from retriever.town.streets import WIDTHS, Street


def junctions(plan: Plan) -> dict[Point, list[Street]]:
    """Where at least three street ends meet, with the street of each end."""
    ends: dict[Point, list[Street]] = {}
    for street in plan.streets:
        for line in street.lines:
            for end in (line.coords[0], line.coords[-1]):
                ends.setdefault((round(end[0], 2), round(end[1], 2)), []).append(street)
    return {at: streets for at, streets in ends.items() if len(streets) >= 3}


def set_signals(out: OsmXml, plan: Plan, meets: dict[Point, list[Street]], rng: random.Random) -> set[Point]:
    """Traffic lights on the larger junctions; returns where they are."""
    found = set()
    for at, streets in meets.items():
        mains = sum(s.kind == "main" for s in streets)
        on_ring = any(ring.distance(Spot(at)) < 1 for ring in plan.rings)
        if not on_ring and rng.random() < (0.9 if mains >= 3 else 0.5 if mains == 2 else 0.03):
            out.node(at, {"highway": "traffic_signals"})
            found.add(at)
    return found


def crossing_spots(
    line: LineString, street: Street, meets: dict[Point, list[Street]], rng: random.Random
) -> list[float]:
    """Distances along a line at which people cross it."""
    chance = {"main": 0.7, "street": 0.33, "pedestrian": 0.0, "alley": 0.0}[street.kind]
    spots = []
    for end, at in ((line.coords[0], 10.5), (line.coords[-1], line.length - 10.5)):
        if line.length > 45 and (round(end[0], 2), round(end[1], 2)) in meets and rng.random() < chance:
            spots.append(at)
    if line.length > 130 and rng.random() < chance * 0.6:
        spots.append(line.length * rng.uniform(0.4, 0.6))
    return sorted(spots)


def with_crossings(out: OsmXml, line: LineString, spots: list[float], rng: random.Random) -> list[Point]:
    """The line's points with the crossings among them, each a tagged node of the way."""
    points = [(line.project(Spot(p)), (p[0], p[1])) for p in line.coords]
    points[0], points[-1] = (0.0, points[0][1]), (line.length, points[-1][1])
    for at in spots:
        p = line.interpolate(at)
        here = (round(p.x, 2), round(p.y, 2))
        lit = rng.random() < 0.15
        out.node(here, {"highway": "crossing", "crossing": "traffic_signals" if lit else "zebra"})
        points.append((at, here))
    return [p for _, p in sorted(points, key=lambda row: row[0])]


def beside(line: LineString, away: float, step: float, rng: random.Random, keep: float = 14.0) -> Iterator[Point]:
    """Points beside a line, ``away`` metres off (negative: on its right), clear of its ends."""
    at = keep + rng.uniform(0, step)
    while at < line.length - keep:
        a, b = line.interpolate(at - 0.5), line.interpolate(at + 0.5)
        size = a.distance(b) or 1.0
        yield (a.x + b.x) / 2 - (b.y - a.y) / size * away, (a.y + b.y) / 2 + (b.x - a.x) / size * away
        at += step * rng.uniform(0.85, 1.15)


def furnish(out: OsmXml, plan: Plan, rng: random.Random) -> None:
    """Trees, stops and small things on the pavements."""
    for street in plan.streets:
        half = WIDTHS[street.kind] / 2
        trees = {"main": 0.45, "pedestrian": 0.5, "street": 0.14, "alley": 0.0}[street.kind]
        for line in street.lines:
            for side in (1, -1):
                if rng.random() < trees:
                    _trees(out, line, side * (half + 1.0), rng)
            if street.kind == "main":
                _stops(out, plan, line, half, rng)
            _small_things(out, line, half, street.kind, rng)


def _trees(out: OsmXml, line: LineString, away: float, rng: random.Random) -> None:
    if rng.random() < 0.15 and line.length > 60:
        row = line.parallel_offset(abs(away), "left" if away > 0 else "right")
        if row.geom_type == "LineString" and row.length > 40:
            out.way(
                [(p.x, p.y) for p in (row.interpolate(t, True) for t in (0.2, 0.4, 0.6, 0.8))], {"natural": "tree_row"}
            )
            return
    for at in beside(line, away, rng.uniform(9, 14), rng, keep=16):
        out.node(at, {"natural": "tree"})


def _stops(out: OsmXml, plan: Plan, line: LineString, half: float, rng: random.Random) -> None:
    for side in (1, -1):
        for at in beside(line, side * (half + 1.6), 170, rng, keep=22):
            if rng.random() < 0.8:
                out.node(at, {"highway": "bus_stop", **plan.names.tags(plan.names.unique())})


_THINGS: tuple[tuple[dict[str, str], float], ...] = (
    ({"amenity": "bench"}, 0.28), ({"amenity": "post_box"}, 0.13), ({"amenity": "bicycle_parking"}, 0.2),
    ({"amenity": "taxi"}, 0.06), ({"amenity": "atm"}, 0.05), ({"amenity": "bicycle_rental"}, 0.04),
    ({"amenity": "toilets"}, 0.025), ({"historic": "memorial"}, 0.04), ({"tourism": "artwork"}, 0.04),
    ({"man_made": "tower"}, 0.02), ({"amenity": "fountain"}, 0.02), ({"amenity": "motorcycle_parking"}, 0.04),
)  # fmt: skip


def _small_things(out: OsmXml, line: LineString, half: float, kind: str, rng: random.Random) -> None:
    busy = {"main": 1.3, "pedestrian": 2.2, "street": 0.8, "alley": 0.2}[kind] * line.length / 120
    for tags, chance in _THINGS:
        if rng.random() < chance * busy:
            side = rng.choice((1, -1))
            at = next(beside(line, side * (half + 1.4), line.length, rng, keep=15), None)
            if at is not None and not out.has_tags(at):
                out.node(at, tags)
