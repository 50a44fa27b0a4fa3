"""Parts of shapely results by type, and their coordinates as plain pairs."""

from __future__ import annotations

import shapely
from shapely.geometry import LineString, Polygon
from shapely.geometry.base import BaseGeometry

Point = tuple[float, float]


def polygons(shape: BaseGeometry) -> list[Polygon]:
    return [p for p in shapely.get_parts(shape) if isinstance(p, Polygon) and not p.is_empty]


def strings(shape: BaseGeometry, longer_than: float = 0.0) -> list[LineString]:
    """The line strings longer than so many metres."""
    return [p for p in shapely.get_parts(shape) if isinstance(p, LineString) and p.length > longer_than]


def points_of(line: BaseGeometry) -> list[Point]:
    """Of a line or a ring."""
    return [(p[0], p[1]) for p in line.coords]


def outline(shape: BaseGeometry) -> list[Point]:
    """Of the outer ring of a polygon; empty for anything else."""
    return points_of(shape.exterior) if isinstance(shape, Polygon) else []


def simplified(shape: Polygon, tolerance: float) -> Polygon:
    """With fewer points; the shape itself where nothing simple is left of it."""
    plain = shape.simplify(tolerance)
    return plain if isinstance(plain, Polygon) and not plain.is_empty else shape


def single_line(shape: BaseGeometry, longer_than: float = 0.0) -> LineString | None:
    """The shape where it is one line of some length, else None."""
    return shape if isinstance(shape, LineString) and shape.length > longer_than else None
