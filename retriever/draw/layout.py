"""What of a tile's facts is drawn, and where its icons go. The drawing follows this plan and nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from retriever.draw import geometry
from retriever.draw.style import icons, style
from retriever.kinds import kinds
from retriever.types import Fact

REFERENCE_PX = 448
"""The tile side that sizes in the style are given for."""

MAX_OVERLAP = 0.25
_SHIFTS = [(0.0, 0.0)] + [
    (r * math.cos(math.radians(a)), r * math.sin(math.radians(a))) for r in (9.0, 18.0) for a in range(0, 360, 45)
]
_MIN_LINE = 6.0
_MIN_AREA = 30.0
_MIN_ICON_AREA = 80.0
"""Pixels (or square pixels) of a reference tile that must lie inside it for a line, an area, an area's icon."""


class Placed(NamedTuple):
    fact: int
    """Its index."""
    kind: str
    x: float
    y: float
    size: int
    """Pixels of the reference tile."""

    @property
    def box(self) -> tuple[float, float, float, float]:
        half = self.size * 0.45
        return self.x - half, self.y - half, self.x + half, self.y + half


class Layout(NamedTuple):
    shown: list[bool]
    icons: list[Placed]


def visible(facts: Sequence[Fact], *, size_m: float, px: int = REFERENCE_PX) -> list[bool]:
    """Per fact, whether its symbol is really drawn. ``size_m`` and ``px`` change nothing today: icons scale along."""
    return plan(facts).shown


def plan(facts: Sequence[Fact]) -> Layout:
    """Decide for every fact; icons first, since dots and labels yield to them."""
    placed = _place_icons(facts)
    with_icon = {icon.fact for icon in placed}
    shown = [_is_shown(fact, i in with_icon, placed) for i, fact in enumerate(facts)]
    return Layout(shown, placed)


def _is_shown(fact: Fact, has_icon: bool, placed: Sequence[Placed]) -> bool:
    if has_icon:
        return True
    if fact.kind in style()["small"]:
        return bool(dots(fact, placed))
    if _needs_icon(fact) and fact.kind not in style()["area_icons"]:
        return False
    if fact.shape == "point":
        return False
    if fact.shape == "line" or kinds()[fact.kind].group in ("road", "rail", "barrier"):
        return sum(geometry.length_inside(part) for part in fact.parts) * REFERENCE_PX >= _MIN_LINE
    inside = sum(geometry.ring_area(geometry.clip_ring(part)) for part in fact.parts)
    return inside * REFERENCE_PX**2 >= _MIN_AREA


def _dot_shown(point: tuple[float, float], placed: Sequence[Placed]) -> bool:
    x, y = point[0] * REFERENCE_PX, point[1] * REFERENCE_PX
    if not (0 <= x < REFERENCE_PX and 0 <= y < REFERENCE_PX):
        return False
    return not any(b[0] <= x <= b[2] and b[1] <= y <= b[3] for b in (icon.box for icon in placed))


def dots(fact: Fact, placed: Sequence[Placed]) -> list[tuple[float, float]]:
    """Where a tree's, bench's or crossing's symbol is drawn, in tile coordinates; a row of trees gives several."""
    points = [p for part in fact.parts for p in (_spread(part) if len(part) > 1 else part)]
    return [p for p in points if _dot_shown(p, placed)]


def _spread(line: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return [point for point, _ in geometry.along(line, 0.06, 0.0)]


def _needs_icon(fact: Fact) -> bool:
    if fact.kind in style()["small"] or fact.kind not in icons():
        return False
    if fact.shape == "point" or fact.kind in style()["area_icons"]:
        return True
    return kinds()[fact.kind].group in ("place", "transport", "street")


def _place_icons(facts: Sequence[Fact]) -> list[Placed]:
    wanted = []
    for index, fact in enumerate(facts):
        if _needs_icon(fact):
            anchor = _anchor(fact)
            if anchor is not None:
                wanted.append((icons()[fact.kind].rank, fact.osm_id, anchor, index))
    placed: list[Placed] = []
    for _, _, (x, y), index in sorted(wanted):
        kind = facts[index].kind
        spot = _free_spot(Placed(index, kind, x * REFERENCE_PX, y * REFERENCE_PX, icons()[kind].size), placed)
        if spot is not None:
            placed.append(spot)
    return placed


def _anchor(fact: Fact) -> tuple[float, float] | None:
    if fact.shape == "area":
        found = geometry.area_anchor(fact.parts)
        return found[0] if found is not None and found[1] * REFERENCE_PX**2 >= _MIN_ICON_AREA else None
    if fact.shape == "line":
        inside = [run for part in fact.parts for run in geometry.runs_inside(part, 0.0, 1.0)]
        longest = max(inside, key=geometry.line_length, default=None)
        if longest is None:
            return None
        return next(geometry.along(longest, math.inf, geometry.line_length(longest) / 2 * 0.999))[0]
    x, y = fact.parts[0][0]
    return (x, y) if 0 <= x < 1 and 0 <= y < 1 else None


def _free_spot(icon: Placed, placed: Sequence[Placed]) -> Placed | None:
    margin = icon.size * 0.4
    for dx, dy in _SHIFTS:
        x = min(max(icon.x + dx, margin), REFERENCE_PX - margin)
        y = min(max(icon.y + dy, margin), REFERENCE_PX - margin)
        moved = icon._replace(x=x, y=y)
        if all(_overlap(moved.box, other.box) <= MAX_OVERLAP for other in placed):
            return moved
    return None


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    """The shared area as a part of the smaller box."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
