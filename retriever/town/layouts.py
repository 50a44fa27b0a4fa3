"""Layout families of towns: the centre lines of their streets before these are cut at each other."""

from __future__ import annotations

import math
import random

import shapely
from shapely import affinity
from shapely.geometry import LineString, MultiPoint, box
from shapely.ops import linemerge, unary_union

from retriever.town.shapes import strings

FAMILIES = ("grid", "radial", "organic", "waterfront")
PITCH_M = 140.0
"""Side of an average block, streets included."""


def coast_y(x: float, side: float, phase: float) -> float:
    """The waterfront's shore: a bay-shaped curve in the south."""
    return -side / 2 + 105 + 45 * math.sin(x / 260 + phase) + 14 * math.sin(x / 90 + phase)


def raw_lines(family: str, side: float, rng: random.Random) -> list[LineString]:
    """Centre lines before they are cut at each other; they may reach beyond the town."""
    makers = {"grid": _grid, "radial": _radial, "organic": _organic, "waterfront": _waterfront}
    return makers[family](side, rng)


def _marks(reach: float, rng: random.Random) -> list[float]:
    """Irregular positions of parallel streets."""
    at, out = -reach + rng.uniform(0, 60), []
    while at < reach:
        out.append(at)
        at += PITCH_M * rng.choice([0.62, 0.8, 0.95, 1.05, 1.2, 1.35])
    return out


def _grid(side: float, rng: random.Random) -> list[LineString]:
    reach = side * 0.75
    lines = []
    for turned in (False, True):
        bow = rng.uniform(-0.05, 0.05) * side
        for at in _marks(reach, rng):
            points = [
                (t, at + bow * math.cos(t / side * 2) + rng.uniform(-5, 5))
                for t in (-reach, -reach / 2, 0, reach / 2, reach)
            ]
            lines.append(LineString([(y, x) if turned else (x, y) for x, y in points]))
    slope = rng.choice([-1, 1]) * rng.uniform(0.45, 0.8)
    lines.append(LineString([(-reach, -reach * slope), (0, rng.uniform(-60, 60)), (reach, reach * slope)]))
    angle = rng.uniform(-25, 25)
    return [affinity.rotate(line, angle, origin=(0, 0)) for line in lines]


def _radial(side: float, rng: random.Random) -> list[LineString]:
    centre = (rng.uniform(-0.12, 0.12) * side, rng.uniform(-0.12, 0.12) * side)
    stretch, turn, lines, radius = rng.uniform(0.8, 1.2), rng.uniform(0, 360), [], 75.0
    rings: list[float] = []
    while radius < side * 0.85:
        rings.append(radius)
        wobble, phase = rng.uniform(0.0, 0.05), rng.uniform(0, 6.28)
        points = []
        for i in range(61):
            a = i * 2 * math.pi / 60
            r = radius * (1 + wobble * math.sin(3 * a + phase))
            points.append((centre[0] + r * math.cos(a) * stretch, centre[1] + r * math.sin(a)))
        lines.append(LineString([*points[:-1], points[0]]))
        radius += PITCH_M * rng.uniform(0.75, 1.15)
    count = rng.choice([6, 7, 8])
    for level, start in enumerate(rings[::2]):
        for i in range(count * (2 ** max(level - 1, 0)) if level else count):
            step = 360 / (count * 2 ** max(level - 1, 0))
            a = math.radians(turn + step * (i + (0.5 if level else 0.0)) + rng.uniform(-4, 4))
            far = side * 1.2
            bend = math.radians(rng.uniform(-9, 9))
            points = [
                (centre[0] + r * math.cos(a + bend * r / far) * stretch, centre[1] + r * math.sin(a + bend * r / far))
                for r in (start * 0.96, start * 1.5 + 60, far)
            ]
            lines.append(LineString(points))
    return lines


def _organic(side: float, rng: random.Random) -> list[LineString]:
    count = int((side * 1.5 / PITCH_M) ** 2)
    half = side * 0.75
    points = MultiPoint([(rng.uniform(-half, half), rng.uniform(-half, half)) for _ in range(count)])
    for _ in range(2):
        cells = shapely.get_parts(shapely.voronoi_polygons(points, extend_to=box(-half, -half, half, half)))
        points = MultiPoint([cell.intersection(box(-half, -half, half, half)).centroid for cell in cells])
    edges = shapely.get_parts(shapely.voronoi_polygons(points, only_edges=True))
    lines = [LineString(edge.coords) for edge in edges if edge.geom_type == "LineString"]
    merged = linemerge(strings(unary_union(lines)))
    lines = [g for g in shapely.get_parts(merged) if g.geom_type == "LineString"]
    for turned in (False, True):
        a, b, c = rng.uniform(-0.2, 0.2) * side, rng.uniform(0.03, 0.09) * side, rng.uniform(0, 6)
        points_ = [(t * half / 10, a + b * math.sin(t / 3 + c)) for t in range(-10, 11)]
        lines.append(LineString([(y, x) if turned else (x, y) for x, y in points_]))
    return lines


def _waterfront(side: float, rng: random.Random) -> list[LineString]:
    phase, reach = rng.uniform(0, 6.28), side * 0.75
    lines, away = [], 26.0
    while away < side * 1.3:
        bend = math.exp(-away / side * 2.5)
        xs = [-reach + i * reach / 14 for i in range(29)]
        level = coast_y(0, side, phase)
        lines.append(LineString([(x, away + bend * coast_y(x, side, phase) + (1 - bend) * level) for x in xs]))
        away += PITCH_M * rng.choice([0.6, 0.8, 1.0, 1.2])
    for at in _marks(reach, rng):
        foot = coast_y(at, side, phase) + 26
        lean = rng.uniform(-0.12, 0.12)
        lines.append(
            LineString(
                [
                    (at, foot),
                    (at + lean * side * 0.5 + rng.uniform(-12, 12), foot + side * 0.5),
                    (at + lean * side, foot + side * 1.3),
                ]
            )
        )
    lines.append(
        LineString([(-reach, side * 0.6), (0, rng.uniform(-0.1, 0.1) * side), (reach, side * rng.uniform(-0.2, 0.1))])
    )
    # The shore itself travels first, so that the plan can find it.
    shore = LineString([(x, coast_y(x, side, phase)) for x in (-side + i * side / 40 for i in range(81))])
    return [shore, *lines]
