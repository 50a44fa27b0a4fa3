"""Buildings along the edges of lots, each with its front on a street."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from itertools import pairwise

import shapely
from shapely.geometry import Point, Polygon
from shapely.geometry.base import BaseGeometry
from shapely.geometry.polygon import orient
from shapely.ops import unary_union

from retriever.town.plan import Lot, Plan
from retriever.town.shapes import outline, polygons, simplified
from retriever.town.streets import Street

COLOURS = ("white", "#c0392b", "#e8d27a", "#8aa0b5", "brown", "#d98c5f", "grey", "#7fa37a", "pink", "#3f6fb5")
MATERIALS = ("brick", "plaster", "stone", "glass", "wood", "concrete")


@dataclass
class Building:
    shape: Polygon
    front: tuple[float, float]
    """Middle of the wall on the street."""
    inward: tuple[float, float]
    """Unit vector from the street into the building."""
    width: float
    levels: int
    use: str
    street: Street | None = None
    tags: dict[str, str] = field(default_factory=dict)


class StreetFinder:
    """The street nearest to a point."""

    def __init__(self, plan: Plan) -> None:
        self._owners = [(line, s) for s in plan.streets for line in s.lines]
        self._tree = shapely.STRtree([line for line, _ in self._owners])

    def nearest(self, at: tuple[float, float], within: float = 25.0) -> Street | None:
        point = Point(at)
        index = int(self._tree.nearest(point))
        line, street = self._owners[index]
        return street if line.distance(point) <= within else None


# Depth, width from-to, gap, share of plots that are built on.
_TYPES = {
    "core": ((13, 18), (11, 26), 0.0, 0.97),
    "mixed": ((11, 15), (9, 20), 0.0, 0.9),
    "homes": ((8, 12), (8, 15), 4.5, 0.85),
    "works": ((22, 34), (26, 55), 8.0, 0.7),
    "school": ((13, 18), (24, 48), 14.0, 0.45),
    "university": ((15, 20), (26, 52), 14.0, 0.6),
    "hospital": ((18, 24), (28, 55), 12.0, 0.6),
}


def buildings_of(lot: Lot, plan: Plan, finder: StreetFinder, rng: random.Random) -> list[Building]:
    """The buildings of one lot; none in parks and the like."""
    if lot.use not in _TYPES:
        return []
    depths, widths, gap, built = _TYPES[lot.use]
    setback = rng.uniform(2.5, 5.0) if lot.use in ("homes", "school", "university", "hospital") else 0.2
    inner = lot.shape.buffer(-setback, join_style="mitre")
    out: list[Building] = []
    for ground in polygons(inner):
        if ground.area > 90:
            _along_edges(ground, lot, plan, finder, rng, (depths, widths, gap, built), out)
            _second_row(ground, lot, plan, finder, rng, out)
    return out


def _second_row(
    ground: Polygon, lot: Lot, plan: Plan, finder: StreetFinder, rng: random.Random, out: list[Building]
) -> None:
    """Detached houses inside a deep block."""
    if lot.use not in ("core", "mixed", "homes") or ground.area < 5_000 or rng.random() < 0.25:
        return
    for inner in polygons(ground.buffer(-rng.uniform(24, 30))):
        if inner.area > 350:
            _along_edges(inner, lot, plan, finder, rng, ((9, 13), (12, 24), 7.0, 0.75), out)


_Type = tuple[tuple[float, float], tuple[float, float], float, float]


def _along_edges(
    ground: Polygon, lot: Lot, plan: Plan, finder: StreetFinder, rng: random.Random, type_: _Type, out: list[Building]
) -> None:
    depths, widths, gap, built = type_
    depth = min(rng.uniform(*depths), 0.55 * ground.area / max(ground.exterior.length / 4, 1))
    ring = outline(orient(simplified(ground, 1.2)))
    for a, b in pairwise(ring):
        length = math.dist(a, b)
        if length < 8:
            continue
        unit = ((b[0] - a[0]) / length, (b[1] - a[1]) / length)
        at = 0.0
        while at < length - 6:
            width = min(rng.uniform(*widths), length - at)
            if length - at - width < widths[0] * 0.6 and gap == 0:
                width = length - at
            if rng.random() < built:
                _build(ground, a, unit, at, width, depth, lot, plan, finder, rng, out)
            at += width + gap * rng.uniform(0.7, 1.5)


def _build(
    ground: Polygon, a: tuple[float, float], unit: tuple[float, float], at: float, width: float, depth: float,
    lot: Lot, plan: Plan, finder: StreetFinder, rng: random.Random, out: list[Building],
) -> None:  # fmt: skip
    # The ring runs counter-clockwise, so its left-hand side is inside.
    inward = (-unit[1], unit[0])
    depth *= rng.choice([0.85, 1.0, 1.0, 1.1])

    def corner(along: float, deep: float) -> tuple[float, float]:
        return a[0] + unit[0] * along + inward[0] * deep, a[1] + unit[1] * along + inward[1] * deep

    shape: BaseGeometry = Polygon([corner(at, 0), corner(at + width, 0), corner(at + width, depth), corner(at, depth)])
    if lot.use in ("core", "mixed") and width > 15 and rng.random() < 0.3:
        wing = rng.uniform(0.35, 0.55) * width
        shape = shape.union(
            Polygon([corner(at, 0), corner(at + wing, 0), corner(at + wing, depth * 1.6), corner(at, depth * 1.6)])
        )
    shape = shape.intersection(ground)
    close = [b.shape for b in out if b.shape.distance(shape) < 1.0]
    if close:
        room = 1.5 if _TYPES[lot.use][2] else 0.02
        shape = shape.difference(unary_union(close).buffer(room, join_style="mitre"))
    outer = _tidy(shape)
    if outer is None or outer.area < max(40.0, 0.4 * width * depth):
        return
    front = corner(at + width / 2, 0)
    street = finder.nearest(front)
    centre = plan.near_centre(Point(front))
    built = Building(outer, front, inward, width, _levels(lot.use, centre, rng), lot.use, street)
    built.tags = _tags(built, rng)
    out.append(built)


def _tidy(shape: BaseGeometry) -> Polygon | None:
    """The largest part without its thin ends, on whole centimetres; None where that is not one simple ring."""
    best = max(polygons(shape), key=lambda p: p.area, default=None)
    if best is None:
        return None
    opened = best.buffer(-0.8, join_style="mitre").buffer(0.8, join_style="mitre").intersection(best)
    clean = shapely.set_precision(opened, 0.01)
    if not isinstance(clean, Polygon) or clean.is_empty or len(clean.interiors):
        return None
    return orient(clean)


def _levels(use: str, centre: float, rng: random.Random) -> int:
    if use == "core" and rng.random() < 0.08:
        return rng.randint(14, 30)
    low, high = {"core": (3, 9), "mixed": (2, 6), "homes": (1, 3), "works": (1, 3)}.get(use, (2, 6))
    return max(1, rng.randint(low, high) + round(centre * 2 - 1))


def _tags(built: Building, rng: random.Random) -> dict[str, str]:
    kind = {"core": "yes", "mixed": "apartments", "homes": "house", "works": "industrial"}.get(built.use, built.use)
    tags = {"building": kind}
    if rng.random() < 0.7:
        tags["building:levels"] = str(built.levels)
    if rng.random() < 0.16:
        tags["building:colour"] = rng.choice(COLOURS)
    if rng.random() < 0.12:
        tags["building:material"] = rng.choice(MATERIALS)
    return tags
