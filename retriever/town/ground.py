"""Pieces of ground: paths and streams across them, things scattered on them."""

from __future__ import annotations

import math
import random

from shapely.geometry import LineString, Point, Polygon
from shapely.geometry.base import BaseGeometry
from shapely.ops import substring

from retriever.town.osm_xml import OsmXml
from retriever.town.shapes import outline, points_of, polygons, single_line, strings


def courtyard_line(shape: Polygon) -> LineString | None:
    """A line through the middle of a shape, along its long side."""
    p = outline(shape.minimum_rotated_rectangle)
    if not p:
        return None
    if math.dist(p[0], p[1]) < math.dist(p[1], p[2]):
        p = p[1:]
    line = LineString(
        [((p[0][0] + p[3][0]) / 2, (p[0][1] + p[3][1]) / 2), ((p[1][0] + p[2][0]) / 2, (p[1][1] + p[2][1]) / 2)]
    )
    return single_line(line.intersection(shape), 20)


def yard_path(out: OsmXml, yard: Polygon, rng: random.Random) -> None:
    """A short path or drive across a yard, along its long side."""
    axis = courtyard_line(yard)
    if axis is not None:
        out.way(points_of(axis), {"highway": rng.choice(["footway", "footway", "service", "path"])})


def stream(out: OsmXml, ground: Polygon, rng: random.Random) -> None:
    """A winding stream along the ground's long side."""
    axis = courtyard_line(ground)
    if axis is None:
        return
    (ax, ay), (bx, by) = axis.coords[0], axis.coords[-1]
    length, swing, phase = axis.length, rng.uniform(3, 9), rng.uniform(0, 6)
    nx, ny = -(by - ay) / length, (bx - ax) / length
    points = []
    for i in range(17):
        t, bend = i / 16, swing * math.sin(i / 2.2 + phase)
        points.append((ax + (bx - ax) * t + nx * bend, ay + (by - ay) * t + ny * bend))
    for part in strings(LineString(points).intersection(ground), 20):
        out.way(points_of(part), {"waterway": rng.choice(["stream", "ditch"])})


def inner_part(shape: Polygon, by: float) -> Polygon | None:
    """The largest part of a shape that lies so far inside it; None where little is left."""
    best = max(polygons(shape.buffer(-by)), key=lambda p: p.area, default=None)
    return best if best is not None and best.area > 60 else None


def scatter(out: OsmXml, ground: BaseGeometry, count: int, tags: dict[str, str], rng: random.Random) -> None:
    """Nodes at random places of a ground."""
    west, south, east, north = ground.bounds
    found = 0
    for _ in range(count * 6):
        if found == count:
            break
        at = Point(round(rng.uniform(west, east), 2), round(rng.uniform(south, north), 2))
        if ground.contains(at) and not out.has_tags((at.x, at.y)):
            out.node((at.x, at.y), tags)
            found += 1


def cross_paths(out: OsmXml, ground: Polygon, rng: random.Random, kind: str = "footway") -> None:
    """Two or three paths through the middle to the edge."""
    centre = ground.representative_point()
    turn, arms = rng.uniform(0, 180), rng.choice([2, 3, 3])
    for i in range(arms):
        a = math.radians(turn + 180 / arms * i)
        far = (math.cos(a) * 600, math.sin(a) * 600)
        line = LineString(
            [(centre.x - far[0], centre.y - far[1]), (centre.x, centre.y), (centre.x + far[0], centre.y + far[1])]
        )
        for part in strings(line.intersection(ground), 15):
            if part.length > 50 and rng.random() < 0.3:
                _stepped(out, part, kind)
            else:
                out.way(points_of(part), {"highway": kind})


def _stepped(out: OsmXml, line: LineString, kind: str) -> None:
    """A path with a flight of steps in it."""
    for low, high, way in ((0.0, 0.2, kind), (0.2, 0.32, "steps"), (0.32, 1.0, kind)):
        piece = substring(line, low, high, normalized=True)
        out.way(points_of(piece), {"highway": way})
