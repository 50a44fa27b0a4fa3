"""The plan of a town: water, rails, streets, and the lots between them with what each is used for."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

import shapely
from shapely.geometry import LineString, Point, Polygon, box
from shapely.geometry.base import BaseGeometry
from shapely.ops import linemerge, unary_union

from retriever.town import streets as net
from retriever.town.layouts import PITCH_M, raw_lines
from retriever.town.names import Names
from retriever.town.shapes import outline, strings
from retriever.town.streets import WIDTHS, Street

SIDEWALK_M = 2.6
BANK_M = 7.0
"""Ground along a river that is not built on."""


@dataclass
class Lot:
    shape: Polygon
    use: str = "homes"


@dataclass
class Plan:
    """Everything before buildings; coordinates are metres about the town's middle."""

    side: float
    family: str
    names: Names
    streets: list[Street] = field(default_factory=list)
    rings: list[LineString] = field(default_factory=list)
    """Roundabouts."""
    water: BaseGeometry = field(default_factory=Polygon)
    waterway: LineString | None = None
    canal: bool = False
    shore: LineString | None = None
    railway: LineString | None = None
    tram: Street | None = None
    lots: list[Lot] = field(default_factory=list)

    @property
    def box(self) -> Polygon:
        half = self.side / 2
        return box(-half, -half, half, half)

    def near_centre(self, at: Point) -> float:
        """1 in the middle of the town, 0 at its edge."""
        return max(0.0, 1.0 - math.hypot(at.x, at.y) / (self.side * 0.62))


def make_plan(rng: random.Random, family: str, blocks: int, names: Names) -> Plan:
    """Lay a town out. The order of steps is fixed: each draws from the same random numbers."""
    plan = Plan(side=blocks * PITCH_M, family=family, names=names)
    lines = raw_lines(family, plan.side, rng)
    if family == "waterfront":
        plan.shore = lines.pop(0)
    else:
        _add_river(plan, rng)
    edges = net.thin_out(net.node_edges(lines, plan.side), rng, 0.07)
    if plan.shore is not None:
        sea = Polygon([*plan.shore.coords, (plan.side, -2 * plan.side), (-plan.side, -2 * plan.side)])
        edges = [e for e in edges if e.distance(sea) > 8]
        plan.water = sea
    if rng.random() < 0.6:
        _add_railway(plan, rng)
    plan.streets = net.streets_of(edges, rng, blocks)
    if plan.waterway is not None:
        _bridge_streets(plan, rng)
    _add_roundabouts(plan, rng, blocks)
    _add_alleys(plan, rng)
    if rng.random() < 0.6:
        plan.tram = next(s for s in plan.streets if s.kind == "main")
    for street in plan.streets:
        if street.kind != "alley" or rng.random() < 0.4:
            street.name = names.of_group(street.kind)
    plan.lots = [Lot(shape) for shape in free_land(plan)]
    _assign_uses(plan, rng, blocks)
    return plan


def _add_river(plan: Plan, rng: random.Random) -> None:
    if rng.random() < 0.2:
        return
    plan.canal = rng.random() < 0.35
    reach, offset = plan.side * 0.7, rng.choice([-1, 1]) * rng.uniform(0.1, 0.33) * plan.side
    swing, phase = (8.0 if plan.canal else rng.uniform(0.03, 0.09) * plan.side), rng.uniform(0, 6)
    turned = rng.random() < 0.5
    points = [(t * reach / 24, offset + swing * math.sin(t / 5 + phase)) for t in range(-24, 25)]
    plan.waterway = LineString([(y, x) if turned else (x, y) for x, y in points])
    plan.water = plan.waterway.buffer(rng.uniform(7, 10) if plan.canal else rng.uniform(14, 24), join_style="mitre")


def _add_railway(plan: Plan, rng: random.Random) -> None:
    reach, offset = plan.side * 0.7, rng.choice([-1, 1]) * rng.uniform(0.3, 0.42) * plan.side
    if plan.shore is not None:
        offset = abs(offset)
    bow = rng.uniform(-0.06, 0.06) * plan.side
    points = [(t * reach / 12, offset + bow * math.cos(t / 7)) for t in range(-12, 13)]
    turned = plan.shore is None and rng.random() < 0.5
    plan.railway = LineString([(y, x) if turned else (x, y) for x, y in points])


def _bridge_streets(plan: Plan, rng: random.Random) -> None:
    """Streets end at the bank, except those that get a bridge."""
    wet = plan.water.buffer(3)
    for street in plan.streets:
        keeps = street.kind in ("main", "pedestrian") or rng.random() < 0.3
        kept: list[LineString] = []
        for line in street.lines:
            inside, dry = line.intersection(wet), strings(line.difference(wet))
            if inside.is_empty:
                kept.append(line)
            elif keeps and isinstance(inside, LineString) and inside.length < 95 and len(dry) > 1:
                street.bridges.append(inside)
                kept += [p for p in dry if p.length > 1]
            else:
                kept += strings(line.difference(plan.water.buffer(9)), 12)
        street.lines = kept
    plan.streets = [s for s in plan.streets if s.lines]


def _add_roundabouts(plan: Plan, rng: random.Random, blocks: int) -> None:
    meets: dict[tuple[float, float], int] = {}
    for street in plan.streets:
        for line in street.lines:
            for end in (line.coords[0], line.coords[-1]):
                key = (round(end[0], 2), round(end[1], 2))
                meets[key] = meets.get(key, 0) + (2 if street.kind == "main" else 1)
    half = plan.side / 2 - 60
    spots = sorted(at for at, n in meets.items() if n >= 6 and max(abs(at[0]), abs(at[1])) < half)
    rng.shuffle(spots)
    for at in spots[: max(1, blocks // 4)]:
        radius = rng.uniform(13, 20)
        clear = Point(at).distance(plan.water) > 45 and all(ring.distance(Point(at)) > 120 for ring in plan.rings)
        if clear and all(bridge.distance(Point(at)) > 30 for s in plan.streets for bridge in s.bridges):
            plan.rings.append(net.roundabout(plan.streets, radius, at))
    plan.streets = [s for s in plan.streets if s.lines]


def road_land(plan: Plan, extra: float) -> BaseGeometry:
    """The ground that streets take, ``extra`` metres wider on each side."""
    strips = [
        line.buffer(WIDTHS[street.kind] / 2 + (extra if street.kind != "alley" else min(extra, 1.2)), cap_style="round")
        for street in plan.streets
        for line in (*street.lines, *street.bridges)
    ]
    strips += [Polygon(ring).buffer(WIDTHS["main"] / 2 + extra) for ring in plan.rings]
    return unary_union(strips)


def free_land(plan: Plan) -> list[Polygon]:
    """The lots: what streets, water and rails leave."""
    banks = 18.0 if plan.shore is not None else BANK_M
    taken = [road_land(plan, SIDEWALK_M), plan.water.buffer(banks)]
    if plan.railway is not None:
        taken.append(plan.railway.buffer(9))
    land = plan.box.buffer(40).difference(unary_union(taken)).buffer(-1.5).buffer(1.5)
    lots = [p.simplify(0.7) for p in shapely.get_parts(land) if p.area > 260]
    return sorted((p for p in lots if p.is_valid), key=lambda p: (round(p.centroid.x, 3), round(p.centroid.y, 3)))


def _add_alleys(plan: Plan, rng: random.Random) -> None:
    """Cut large blocks by an alley, or let one end inside them; what is still large is cut again."""
    for least in (9_000, 14_000):
        for lot in free_land(plan):
            if lot.area >= least and rng.random() < 0.82 and lot.within(plan.box.buffer(30)):
                _cut(plan, lot, rng)


def _cut(plan: Plan, lot: Polygon, rng: random.Random) -> None:
    """Across the short way of the lot's rectangle, near its middle."""
    corners = outline(lot.minimum_rotated_rectangle)[:4]
    if not corners:
        return
    if math.dist(corners[0], corners[1]) > math.dist(corners[1], corners[2]):
        corners = corners[1:] + corners[:1]
    t = rng.uniform(0.4, 0.6)
    a, b, c, d = corners
    start = (b[0] + (c[0] - b[0]) * t, b[1] + (c[1] - b[1]) * t)
    end = (a[0] + (d[0] - a[0]) * t, a[1] + (d[1] - a[1]) * t)
    line = _to_streets(plan, LineString([start, end]), lot)
    if line is None:
        return
    dead_end = rng.random() < 0.3
    if dead_end:
        line = LineString([line.coords[0], line.interpolate(rng.uniform(0.5, 0.75), True).coords[0]])
    kind = "street" if rng.random() < 0.35 else "alley"
    plan.streets.append(Street(kind, [line], oneway=not dead_end and rng.random() < 0.3))


def _to_streets(plan: Plan, line: LineString, lot: Polygon) -> LineString | None:
    """The line through a lot, lengthened to the middle of the streets on both sides."""
    inside = line.intersection(lot)
    if inside.geom_type != "LineString" or inside.length < 40:
        return None
    (ax, ay), (bx, by) = inside.coords[0], inside.coords[-1]
    ends = []
    for at in ((ax, ay), (bx, by)):
        owners = [(s, i) for s, street in enumerate(plan.streets) for i in range(len(street.lines))]
        away = shapely.distance([line for street in plan.streets for line in street.lines], Point(at))
        best = int(away.argmin())
        if away[best] > 14:
            return None
        s, i = owners[best]
        host = plan.streets[s].lines[i]
        along = host.project(Point(at))
        if along < 12 or along > host.length - 12:
            return None
        foot = host.interpolate(along)
        plan.streets[s].lines[i : i + 1] = list(_split(host, along))
        ends.append((foot.x, foot.y))
    return LineString(ends)


def _split(line: LineString, at: float) -> tuple[LineString, LineString]:
    point = line.interpolate(at).coords[0]
    first = [p for p in line.coords if line.project(Point(p)) < at - 0.02]
    last = [p for p in line.coords if line.project(Point(p)) > at + 0.02]
    return LineString([*first, point]), LineString([point, *last])


# Use, how many in 64 blocks, least and greatest area.
_WANTED = (
    ("square", 2.4, 900, 9_000), ("park", 3.4, 3_500, 40_000), ("school", 2.0, 5_000, 30_000),
    ("hospital", 1.2, 5_000, 40_000), ("university", 1.0, 6_000, 50_000), ("cemetery", 1.4, 3_000, 30_000),
    ("pitch", 1.8, 3_500, 30_000), ("parking", 2.2, 700, 7_000), ("construction", 1.8, 1_500, 20_000),
    ("playground", 1.6, 500, 6_000), ("forest", 1.5, 2_500, 60_000), ("grass", 1.6, 300, 9_000),
    ("farmland", 1.2, 4_000, 90_000), ("pond_park", 1.0, 5_000, 50_000), ("works", 1.0, 4_000, 50_000),
)  # fmt: skip


def _assign_uses(plan: Plan, rng: random.Random, blocks: int) -> None:
    """Parks, squares, schools ... take whole lots; the rest are homes, offices or shops by how central they are."""
    scale = blocks * blocks / 64
    inside = [lot for lot in plan.lots if lot.shape.centroid.within(plan.box)]
    for lot in plan.lots:
        centre = plan.near_centre(lot.shape.centroid)
        lot.use = "core" if centre > 0.62 else "mixed" if centre > 0.36 else "homes"
    for use, count, least, most in _WANTED:
        number = int(count * scale) + (rng.random() < (count * scale) % 1)
        central = use in ("square", "hospital", "university")
        fits = [lot for lot in inside if lot.use in ("core", "mixed", "homes") and least <= lot.shape.area <= most]
        rng.shuffle(fits)
        if use in ("farmland", "forest", "works", "construction"):
            fits.sort(key=lambda lot: plan.near_centre(lot.shape.centroid) > 0.45)
        elif central:
            fits.sort(key=lambda lot: plan.near_centre(lot.shape.centroid) < 0.4)
        for lot in fits[:number]:
            lot.use = use


def joined(lines: list[LineString]) -> list[LineString]:
    """Lines that meet end to end, as one line each."""
    if len(lines) < 2:
        return list(lines)
    merged = linemerge(lines)
    return [line for line in shapely.get_parts(merged) if line.geom_type == "LineString"]
