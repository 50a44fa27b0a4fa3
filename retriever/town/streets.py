"""The street network: centre lines cut at their crossings and joined to streets with classes."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import shapely
from shapely.geometry import LineString, Point, box
from shapely.ops import unary_union

WIDTHS = {"main": 12.0, "street": 8.0, "alley": 4.5, "pedestrian": 7.5}
"""Carriageway in metres."""

XY = tuple[float, float]


@dataclass
class Street:
    """A named street: its lines between ends, with what holds for all of it."""

    kind: str
    """main, street, alley or pedestrian"""
    lines: list[LineString]
    name: tuple[str, str] | None = None
    oneway: bool = False
    bridges: list[LineString] = field(default_factory=list)

    @property
    def length(self) -> float:
        return float(sum(line.length for line in self.lines))


def node_edges(lines: list[LineString], side: float) -> list[LineString]:
    """Cut lines at their crossings and at the town's edge; slivers of blocks lose an edge."""
    region = box(-side / 2 - 90, -side / 2 - 90, side / 2 + 90, side / 2 + 90)
    cut = unary_union([shapely.set_precision(line.intersection(region), 0.01) for line in lines])
    edges = [e for e in shapely.get_parts(cut) if e.geom_type == "LineString" and e.length > 0.5]
    return _without_slivers(edges)


def _without_slivers(edges: list[LineString]) -> list[LineString]:
    for _ in range(3):
        faces = [f for f in shapely.get_parts(shapely.polygonize(edges)) if f.area < 2600]
        if not faces:
            break
        tree = shapely.STRtree(edges)
        gone: set[int] = set()
        for face in faces:
            near = [
                int(i)
                for i in tree.query(face.buffer(0.5))
                if face.exterior.distance(edges[i].interpolate(0.5, True)) < 0.1
            ]
            if near and not gone.intersection(near):
                gone.add(max(near, key=lambda i: (edges[i].length, i)))
        edges = [e for i, e in enumerate(edges) if i not in gone]
    return edges


def thin_out(edges: list[LineString], rng: random.Random, part: float) -> list[LineString]:
    """Take some edges away: T-junctions, dead ends, larger blocks."""
    return [edge for edge in edges if rng.random() >= part]


def streets_of(edges: list[LineString], rng: random.Random, blocks: int) -> list[Street]:
    """Join edges to streets that run straight on through junctions, and give each its class."""
    chains = _chains(edges)
    streets = [Street("street", lines) for lines in chains]
    streets.sort(key=lambda s: (-s.length, s.lines[0].coords[0]))
    mains = max(2, round(blocks * 0.45))
    for street in streets[:mains]:
        street.kind = "main"
    near = [s for s in streets[mains:] if 90 < s.length < 600]
    near.sort(key=lambda s: min(line.distance(Point(0, 0)) for line in s.lines))
    for street in near[: max(1, blocks // 5)]:
        street.kind = "pedestrian"
    for street in streets[mains:]:
        if street.kind == "street" and street.length < 75 and rng.random() < 0.5:
            street.kind = "alley"
        street.oneway = street.kind == "street" and rng.random() < 0.28
    return streets


def _key(at: Sequence[float]) -> XY:
    return round(at[0], 2), round(at[1], 2)


def _chains(edges: list[LineString]) -> list[list[LineString]]:
    ends: dict[XY, list[tuple[int, int, float]]] = {}
    for i, edge in enumerate(edges):
        points = list(edge.coords)
        for end, (a, b) in enumerate(((points[0], points[1]), (points[-1], points[-2]))):
            ends.setdefault(_key(a), []).append((i, end, math.atan2(b[1] - a[1], b[0] - a[0])))
    joined: dict[tuple[int, int], tuple[int, int]] = {}
    for arms in ends.values():
        pairs = sorted(
            (abs(math.pi - abs(_turn(p[2], q[2]))), p[:2], q[:2]) for k, p in enumerate(arms) for q in arms[:k]
        )
        for bend, p, q in pairs:
            if bend < math.radians(38) and p not in joined and q not in joined:
                joined[p], joined[q] = q, p
    return _walk(edges, joined)


def _turn(a: float, b: float) -> float:
    return math.atan2(math.sin(a - b), math.cos(a - b))


def _walk(edges: list[LineString], joined: dict[tuple[int, int], tuple[int, int]]) -> list[list[LineString]]:
    used: set[int] = set()
    chains = []
    starts = sorted((i, end) for i in range(len(edges)) for end in (0, 1) if (i, end) not in joined)
    for i, end in [*starts, *((i, 0) for i in range(len(edges)))]:
        if i in used:
            continue
        chain: list[LineString] = []
        at: tuple[int, int] | None = (i, end)
        while at is not None and at[0] not in used:
            used.add(at[0])
            edge = edges[at[0]]
            chain.append(edge if at[1] == 0 else edge.reverse())
            at = joined.get((at[0], 1 - at[1]))
        chains.append(chain)
    return chains


def roundabout(streets: list[Street], radius: float, centre: XY, sides: int = 24) -> LineString:
    """Cut a circle out of every street and return its ring, which runs with the traffic (counter-clockwise)."""
    disc = Point(centre).buffer(radius)
    cuts = []
    for street in streets:
        kept = []
        for line in street.lines:
            rest = line.difference(disc)
            for part in shapely.get_parts(rest):
                if part.geom_type == "LineString" and part.length > 1:
                    kept.append(part)
                    cuts += [p for p in (part.coords[0], part.coords[-1]) if abs(math.dist(p, centre) - radius) < 0.5]
        street.lines = kept
    angles = {round(math.atan2(p[1] - centre[1], p[0] - centre[0]), 6): p for p in cuts}
    for i in range(sides):
        a = -math.pi + (i + 0.5) * 2 * math.pi / sides
        if all(abs(a - b) > 0.08 for b in angles):
            angles[a] = (centre[0] + radius * math.cos(a), centre[1] + radius * math.sin(a))
    ring = [angles[a] for a in sorted(angles)]
    return LineString([*ring, ring[0]])
