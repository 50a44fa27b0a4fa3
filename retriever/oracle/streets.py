"""Roads as a witness on foot knows them: which way they run, how they bend, how they meet."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import numpy as np
import shapely
from numpy.typing import NDArray

from retriever.oracle.index import FactIndex

VEHICLE = frozenset({"motorway", "main_road", "street", "pedestrian_street", "alley"})
"""Kinds whose meetings make a junction and whose run a witness calls "the street"."""

ANY_ROAD = VEHICLE | {"footway", "cycleway", "steps"}

NEAR_M = 55.0
"""The road a witness stands on passes within this distance of the centre: 42 m, and the width of a street or square."""

AXIS_DEG = 35.0
"""A stated axis fits a road whose direction is within 25 degrees, and 10 more for bends and rounding."""

AXIS_CLEAR_DEG = 50.0
"""Beyond this no careful witness would call it that way."""

_ARM_M = 12.0
_MERGE_DEG = 35.0
_WIDE_M, _NARROW_M = 10.0, 5.0


@dataclass(frozen=True)
class Junction:
    x: float
    y: float
    arms: int
    rows: tuple[int, ...]


def lines_of(index: FactIndex, row: int) -> list[NDArray[np.float64]]:
    """The polylines of a road fact in metres, each [n, 2]."""
    geometry = index.geometry[row]
    return [shapely.get_coordinates(part) for part in shapely.get_parts(geometry) if part.geom_type == "LineString"]


def axes(index: FactIndex, row: int, within: float = NEAR_M) -> list[tuple[float, float]]:
    """(axis in degrees 0..180, length in metres) of the segments that pass within ``within`` of the centre."""
    found = []
    for line in lines_of(index, row):
        for a, b in pairwise(line):
            length = float(np.hypot(*(b - a)))
            if length >= 3.0 and to_segment(a, b) <= within:
                found.append((float(np.degrees(np.arctan2(*(b - a)))) % 180.0, length))
    return found


def axis_error(a: float, b: float) -> float:
    """The smaller angle between two axes, 0..90."""
    off = abs(a - b) % 180.0
    return min(off, 180.0 - off)


def to_segment(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Metres from the origin to the segment from ``a`` to ``b``."""
    run = b - a
    t = float(np.clip(-(a @ run) / max(float(run @ run), 1e-9), 0.0, 1.0))
    return float(np.hypot(*(a + t * run)))


def turning(index: FactIndex, row: int) -> float | None:
    """Degrees by which the road bends in all on the tile, at its most bent piece; None if under 25 m are seen."""
    worst: float | None = None
    for line in lines_of(index, row):
        steps = np.diff(line, axis=0)
        lengths = np.hypot(steps[:, 0], steps[:, 1])
        if lengths.sum() < 25.0:
            continue
        heading = np.degrees(np.arctan2(steps[:, 0], steps[:, 1]))[lengths > 0.5]
        off = np.abs((heading[:, None] - heading[None, :] + 180.0) % 360.0 - 180.0)
        worst = max(worst or 0.0, float(off.max()) if off.size else 0.0)
    return worst


def width(index: FactIndex, row: int) -> str | None:
    """``wide``, ``narrow`` or None for what the tags and the kind leave open."""
    fact = index.facts[row]
    metres, lanes = _number(fact.tags.get("width")), _number(fact.tags.get("lanes"))
    if metres is not None:
        return "wide" if metres >= _WIDE_M else "narrow" if metres <= _NARROW_M else None
    if fact.kind in ("motorway", "main_road") or (lanes or 0) >= 3:
        return "wide"
    return "narrow" if fact.kind in ("alley", "footway", "steps") or lanes == 1 else None


def _number(text: str | None) -> float | None:
    try:
        return float((text or "").split()[0].rstrip("m"))
    except (ValueError, IndexError):
        return None


def dead_ends(index: FactIndex) -> list[tuple[float, float, int]]:
    """(x, y, row) of road ends inside the tile that touch no other road."""
    if "dead_ends" not in index.memo:
        index.memo["dead_ends"] = _find_dead_ends(index)
    return cast(list[tuple[float, float, int]], index.memo["dead_ends"])


def _find_dead_ends(index: FactIndex) -> list[tuple[float, float, int]]:
    rows = index.of_kinds(ANY_ROAD)
    ends = []
    for row in (r for r in rows if index.kinds[r] in VEHICLE):
        for line in lines_of(index, row):
            for x, y in (line[0], line[-1]):
                if max(abs(x), abs(y)) < index.size_m / 2 - 2.0 and not _touches(index, rows, line, x, y):
                    ends.append((float(x), float(y), row))
    return ends


def _touches(index: FactIndex, rows: list[int], line: NDArray[np.float64], x: float, y: float) -> bool:
    here = shapely.Point(x, y)
    own = shapely.LineString(line)
    for row in rows:
        for other in shapely.get_parts(index.geometry[row]):
            if other.distance(here) < 1.0 and not other.equals(own):
                return True
    return bool(np.allclose(line[0], line[-1], atol=1.0))


def junctions(index: FactIndex) -> list[Junction]:
    """Meetings of roads on the tile with the number of directions in which one can leave, three at least."""
    if "junctions" not in index.memo:
        index.memo["junctions"] = _find_junctions(index)
    return cast(list[Junction], index.memo["junctions"])


def _find_junctions(index: FactIndex) -> list[Junction]:
    rows = index.of_kinds(VEHICLE)
    lines = [(row, line) for row in rows for line in lines_of(index, row)]
    found: list[Junction] = []
    for x, y in _meeting_points([line for _, line in lines]):
        if any(np.hypot(x - j.x, y - j.y) < _ARM_M for j in found):
            continue
        arms, touching = _arms(lines, np.array([x, y]))
        if arms >= 3:
            found.append(Junction(x, y, arms, touching))
    return found


def _meeting_points(lines: list[NDArray[np.float64]]) -> list[tuple[float, float]]:
    """Vertices that belong to two lines or more, or at which a line ends on another."""
    seen: dict[tuple[int, int], set[int]] = {}
    for number, line in enumerate(lines):
        for x, y in line:
            seen.setdefault((round(x / 0.6), round(y / 0.6)), set()).add(number)
    return [(kx * 0.6, ky * 0.6) for (kx, ky), users in sorted(seen.items()) if len(users) > 1]


def _arms(lines: list[tuple[int, NDArray[np.float64]]], at: NDArray[np.float64]) -> tuple[int, tuple[int, ...]]:
    """Directions in which roads leave a circle of ``_ARM_M`` round ``at``, those of parallel carriageways merged."""
    ring = shapely.Point(at).buffer(_ARM_M, quad_segs=8)
    bearings: list[float] = []
    rows = []
    for row, line in lines:
        path = shapely.LineString(line)
        if path.distance(shapely.Point(at)) > _ARM_M / 2:
            continue
        rows.append(row)
        for x, y in shapely.get_coordinates(path.intersection(ring.exterior)):
            bearings.append(float(np.degrees(np.arctan2(x - at[0], y - at[1]))) % 360.0)
    return _distinct(bearings), tuple(dict.fromkeys(rows))


def _distinct(bearings: list[float]) -> int:
    if not bearings:
        return 0
    ordered = sorted(bearings)
    gaps = np.diff([*ordered, ordered[0] + 360.0])
    return max(1, int((gaps > _MERGE_DEG).sum()))


def roundabouts(index: FactIndex) -> list[int]:
    """Rows of roads tagged as a roundabout or closed to a small ring."""
    found = []
    for row in index.of_kinds(VEHICLE):
        tagged = index.facts[row].tags.get("junction") in ("roundabout", "circular")
        if tagged or any(_is_ring(line) for line in lines_of(index, row)):
            found.append(row)
    return found


def _is_ring(line: NDArray[np.float64]) -> bool:
    if len(line) < 6 or not np.allclose(line[0], line[-1], atol=0.5):
        return False
    span = np.ptp(line, axis=0)
    return bool(6.0 < span.max() < 60.0 and span.min() > 0.6 * span.max())
