"""The street network: lines of a layout family, cut at their crossings, joined to named streets with classes."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from itertools import pairwise

import shapely
from shapely import affinity
from shapely.geometry import LineString, MultiPoint, Point, box
from shapely.ops import linemerge, unary_union

FAMILIES = ("grid", "radial", "organic", "waterfront")
PITCH_M = 140.0
"""Side of an average block, streets included."""

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
            points = [(t, at + bow * math.cos(t / side * 2) + rng.uniform(-5, 5)) for t in (-reach, -reach / 2, 0, reach / 2, reach)]
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
            points = [(centre[0] + r * math.cos(a + bend * r / far) * stretch, centre[1] + r * math.sin(a + bend * r / far)) for r in (start * 0.96, start * 1.5 + 60, far)]
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
    merged = linemerge(unary_union(lines))
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
        lines.append(LineString([(at, foot), (at + lean * side * 0.5 + rng.uniform(-12, 12), foot + side * 0.5), (at + lean * side, foot + side * 1.3)]))
    lines.append(LineString([(-reach, side * 0.6), (0, rng.uniform(-0.1, 0.1) * side), (reach, side * rng.uniform(-0.2, 0.1))]))
    # The shore itself travels first, so that the plan can find it.
    shore = LineString([(x, coast_y(x, side, phase)) for x in (-side + i * side / 40 for i in range(81))])
    return [shore, *lines]


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
            near = [int(i) for i in tree.query(face.buffer(0.5)) if face.exterior.distance(edges[i].interpolate(0.5, True)) < 0.1]
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


def _key(at: XY) -> XY:
    return round(at[0], 2), round(at[1], 2)


def _chains(edges: list[LineString]) -> list[list[LineString]]:
    ends: dict[XY, list[tuple[int, int, float]]] = {}
    for i, edge in enumerate(edges):
        points = list(edge.coords)
        for end, (a, b) in enumerate(((points[0], points[1]), (points[-1], points[-2]))):
            ends.setdefault(_key(a), []).append((i, end, math.atan2(b[1] - a[1], b[0] - a[0])))
    joined: dict[tuple[int, int], tuple[int, int]] = {}
    for arms in ends.values():
        pairs = sorted((abs(math.pi - abs(_turn(p[2], q[2]))), p[:2], q[:2]) for k, p in enumerate(arms) for q in arms[:k])
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


def straight_enough(line: LineString) -> bool:
    """Whether a line has no sharp corner."""
    points = list(line.coords)
    heads = [math.atan2(b[1] - a[1], b[0] - a[0]) for a, b in pairwise(points)]
    return all(abs(_turn(a, b)) < 0.5 for a, b in pairwise(heads))
