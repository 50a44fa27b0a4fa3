"""A tile's facts as geometry in metres, ready to be asked."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from retriever.oracle.naming import normalise
from retriever.types import Box, Fact

MIN_REGION = 0.06
"""Smallest side of a region, in tile widths: a point has no extent, but a pointer at it needs one."""

_NAME_TAGS = ("brand", "operator", "ref")


class FactIndex:
    """Facts of one tile. ``facts=None``: nothing is known of it, which is different from an empty map.

    Geometry is in metres from the tile's centre, x east, y north; ``size_m`` is the tile's side.
    """

    def __init__(self, facts: Sequence[Fact] | None, *, size_m: float) -> None:
        self.known = facts is not None
        self.facts = tuple(facts or ())
        self.size_m = size_m
        self.geometry: NDArray[np.object_] = np.array([_shape(f, size_m) for f in self.facts], dtype=object)
        self.kinds = [f.kind for f in self.facts]
        self.tree = shapely.STRtree(self.geometry)
        origin = shapely.Point(0.0, 0.0)
        self.distance: NDArray[np.float64] = shapely.distance(self.geometry, origin) if len(self.facts) else np.zeros(0)
        """Metres from the centre to the nearest part of each fact [F]."""
        self._rows: dict[str, list[int]] = {}
        for row, kind in enumerate(self.kinds):
            self._rows.setdefault(kind, []).append(row)
        self.memo: dict[str, Any] = {}
        """What other modules worked out about this tile once and for all."""
        self._inside: dict[int, tuple[BaseGeometry, frozenset[int]]] = {}

    def __len__(self) -> int:
        return len(self.facts)

    def of_kinds(self, wanted: frozenset[str]) -> list[int]:
        """Rows of the facts of these kinds, nearest to the centre first."""
        rows = [row for kind in wanted for row in self._rows.get(kind, ())]
        return sorted(rows, key=lambda row: (self.distance[row], row))

    def inside(self, zone: BaseGeometry | None, rows: list[int]) -> list[int]:
        """Those of ``rows`` that reach into the zone, order kept; all of them when the zone is None."""
        if zone is None or not rows:
            return rows
        key = id(zone)
        if key not in self._inside:
            hits = self.tree.query(zone, predicate="intersects")
            # The zone is kept with its answer so that its id cannot pass to another polygon.
            self._inside[key] = (zone, frozenset(int(h) for h in hits))
        found = self._inside[key][1]
        return [row for row in rows if row in found]

    @cached_property
    def names(self) -> tuple[tuple[str, int], ...]:
        """Every normalised name on the tile with the row it belongs to."""
        found = []
        for row, fact in enumerate(self.facts):
            texts = [*fact.names.values(), *(fact.tags[t] for t in _NAME_TAGS if t in fact.tags)]
            found += [(name, row) for name in dict.fromkeys(normalise(text) for text in texts) if name]
        return tuple(found)

    def region(self, rows: Sequence[int]) -> Box | None:
        """The box around these facts in tile coordinates (0..1, y to the south), clipped, at least ``MIN_REGION``."""
        points = [p for row in rows for part in self.facts[row].parts for p in part]
        return box_around(points) if points else None

    def ids(self, rows: Sequence[int], most: int = 5) -> tuple[str, ...]:
        """Distinct OSM ids of these rows, at most ``most``."""
        return tuple(dict.fromkeys(self.facts[row].osm_id for row in rows))[:most]


def box_around(points: Sequence[tuple[float, float]]) -> Box:
    """The box of points in tile coordinates, clipped to the tile and widened to ``MIN_REGION``."""
    x0, x1 = _span([p[0] for p in points])
    y0, y1 = _span([p[1] for p in points])
    return (x0, y0, x1, y1)


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = (min(1.0, max(0.0, v)) for v in (min(values), max(values)))
    if high - low < MIN_REGION:
        middle = min(1.0 - MIN_REGION / 2, max(MIN_REGION / 2, (low + high) / 2))
        low, high = middle - MIN_REGION / 2, middle + MIN_REGION / 2
    return round(low, 4), round(high, 4)


def _shape(fact: Fact, size_m: float) -> BaseGeometry:
    parts = [_metres(part, size_m) for part in fact.parts]
    if fact.shape == "point":
        return shapely.Point(parts[0][0])
    if fact.shape == "line":
        lines = [shapely.LineString(p) for p in parts if len(p) > 1]
        return lines[0] if len(lines) == 1 else shapely.MultiLineString(lines)
    return _area(parts)


def _area(rings: list[NDArray[np.float64]]) -> BaseGeometry:
    """Even-odd: a ring inside another is a hole, a ring beside it is a second piece."""
    area: BaseGeometry = shapely.Polygon()
    for ring in rings:
        if len(ring) < 3:
            continue
        piece: BaseGeometry = shapely.Polygon(ring)
        if not piece.is_valid:
            piece = shapely.make_valid(piece)
        area = piece if area.is_empty else area.symmetric_difference(piece)
    return area


def _metres(part: Sequence[tuple[float, float]], size_m: float) -> NDArray[np.float64]:
    xy = np.asarray(part, dtype=np.float64)
    return np.stack([(xy[:, 0] - 0.5) * size_m, (0.5 - xy[:, 1]) * size_m], axis=1)
