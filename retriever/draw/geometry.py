"""Small plane geometry on lists of points: clipping to the tile, walking along lines, anchors of areas."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

from shapely.geometry import Polygon

Point = tuple[float, float]


def clip_ring(ring: Sequence[Point], low: float = 0.0, high: float = 1.0) -> list[Point]:
    """The part of a ring inside the square ``low..high`` (Sutherland-Hodgman); empty when nothing is."""
    points = list(ring)
    for axis, bound, keep_greater in ((0, low, True), (0, high, False), (1, low, True), (1, high, False)):
        if not points:
            return []
        points = _clip_half(points, axis, bound, keep_greater)
    return points


def _clip_half(points: list[Point], axis: int, bound: float, keep_greater: bool) -> list[Point]:
    out: list[Point] = []
    before = points[-1]
    for point in points:
        inside = (point[axis] >= bound) == keep_greater or point[axis] == bound
        was = (before[axis] >= bound) == keep_greater or before[axis] == bound
        if inside != was:
            t = (bound - before[axis]) / (point[axis] - before[axis])
            out.append((before[0] + t * (point[0] - before[0]), before[1] + t * (point[1] - before[1])))
        if inside:
            out.append(point)
        before = point
    return out


def ring_area(ring: Sequence[Point]) -> float:
    """Absolute area (shoelace)."""
    if len(ring) < 3:
        return 0.0
    total = sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(ring, [*ring[1:], ring[0]], strict=True))
    return abs(total) / 2


def clip_segment(a: Point, b: Point, low: float = 0.0, high: float = 1.0) -> tuple[Point, Point] | None:
    """The part of a segment inside the square (Liang-Barsky)."""
    t0, t1 = 0.0, 1.0
    dx, dy = b[0] - a[0], b[1] - a[1]
    for p, q in ((-dx, a[0] - low), (dx, high - a[0]), (-dy, a[1] - low), (dy, high - a[1])):
        if p == 0:
            if q < 0:
                return None
            continue
        t = q / p
        t0, t1 = (max(t0, t), t1) if p < 0 else (t0, min(t1, t))
    if t0 >= t1:
        return None
    return (a[0] + t0 * dx, a[1] + t0 * dy), (a[0] + t1 * dx, a[1] + t1 * dy)


def length_inside(line: Sequence[Point], low: float = 0.0, high: float = 1.0) -> float:
    """Length of a polyline inside the square."""
    total = 0.0
    for a, b in itertools.pairwise(line):
        cut = clip_segment(a, b, low, high)
        if cut is not None:
            total += math.dist(*cut)
    return total


def runs_inside(line: Sequence[Point], low: float, high: float) -> list[list[Point]]:
    """The stretches of a polyline inside the square, in its direction."""
    runs: list[list[Point]] = []
    for a, b in itertools.pairwise(line):
        cut = clip_segment(a, b, low, high)
        if cut is None:
            continue
        if runs and math.dist(runs[-1][-1], cut[0]) < 1e-9:
            runs[-1].append(cut[1])
        else:
            runs.append([cut[0], cut[1]])
    return runs


def along(line: Sequence[Point], step: float, start: float) -> Iterator[tuple[Point, Point]]:
    """Points at ``start``, ``start + step`` ... along a polyline, each with the unit direction there."""
    wanted, walked = start, 0.0
    for a, b in itertools.pairwise(line):
        length = math.dist(a, b)
        if length == 0:
            continue
        ux, uy = (b[0] - a[0]) / length, (b[1] - a[1]) / length
        while wanted <= walked + length:
            t = wanted - walked
            yield (a[0] + ux * t, a[1] + uy * t), (ux, uy)
            wanted += step
        walked += length


def line_length(line: Sequence[Point]) -> float:
    return sum(math.dist(a, b) for a, b in itertools.pairwise(line))


def dashes(line: Sequence[Point], on: float, off: float) -> Iterator[list[Point]]:
    """The dashes of a polyline, each a short polyline that follows its corners."""
    left, drawing = on, True
    piece: list[Point] = [line[0]] if line else []
    for a, b in itertools.pairwise(line):
        length = math.dist(a, b)
        done = 0.0
        while length - done > left:
            done += left
            point = (a[0] + (b[0] - a[0]) * done / length, a[1] + (b[1] - a[1]) * done / length)
            if drawing:
                yield [*piece, point]
            piece, drawing = [point], not drawing
            left = on if drawing else off
        left -= length - done
        piece.append(b)
    if drawing and len(piece) > 1:
        yield piece


def shifted(line: Sequence[Point], by: float) -> list[Point]:
    """A parallel of a polyline, ``by`` to its right as the picture shows it (y grows downwards)."""
    normals = []
    for a, b in itertools.pairwise(line):
        length = math.dist(a, b) or 1.0
        normals.append((-(b[1] - a[1]) / length, (b[0] - a[0]) / length))
    if not normals:
        return list(line)
    out = []
    for i, (x, y) in enumerate(line):
        first, second = normals[max(i - 1, 0)], normals[min(i, len(normals) - 1)]
        nx, ny = first[0] + second[0], first[1] + second[1]
        size = math.hypot(nx, ny) or 1.0
        out.append((x + by * nx / size, y + by * ny / size))
    return out


def area_anchor(rings: Sequence[Sequence[Point]]) -> tuple[Point, float] | None:
    """A point inside the largest part of an area on the tile, and that part's area; None when none is on the tile."""
    clipped = max((clip_ring(ring) for ring in rings), key=ring_area, default=[])
    size = ring_area(clipped)
    if size <= 0:
        return None
    shape = Polygon(clipped)
    if not shape.is_valid:
        shape = shape.buffer(0)
    point = shape.centroid
    if not shape.contains(point):
        point = shape.representative_point()
    return (point.x, point.y), size


def nearest_direction(point: Point, line: Sequence[Point]) -> tuple[float, Point]:
    """Distance of a point from a polyline, and the unit direction of the nearest segment."""
    best, direction = math.inf, (1.0, 0.0)
    for a, b in itertools.pairwise(line):
        dx, dy = b[0] - a[0], b[1] - a[1]
        squared = dx * dx + dy * dy
        if squared == 0:
            continue
        t = max(0.0, min(1.0, ((point[0] - a[0]) * dx + (point[1] - a[1]) * dy) / squared))
        away = math.hypot(point[0] - a[0] - t * dx, point[1] - a[1] - t * dy)
        if away < best:
            length = math.sqrt(squared)
            best, direction = away, (dx / length, dy / length)
    return best, direction
