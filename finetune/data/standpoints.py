"""Places on walkable streets where a witness of a tile may stand."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from retriever.geo import Frame
from retriever.oracle import FactIndex
from retriever.types import Tile

WALKABLE = frozenset({"main_road", "street", "pedestrian_street", "alley", "footway", "cycleway", "steps"})

_SHARE = {"pedestrian_street": 1.3, "alley": 0.6, "footway": 0.25, "cycleway": 0.2, "steps": 0.2}
"""How much likelier people stand there than on any other street of the same length."""

_KERB_M = 4.0


@dataclass(frozen=True)
class Standpoint:
    lat: float
    lon: float
    x: float
    y: float
    """Metres east and north of the tile's centre."""


def standpoints(
    tile: Tile, *, size_m: float, rng: Random, n: int, index: FactIndex | None = None, cell_m: float | None = None
) -> list[Standpoint]:
    """Up to ``n`` points along walkable streets inside the tile's cell (``cell_m`` wide, half the tile by default).

    Fewer, or none, where the cell has no walkable street. A point lies up to 4 m beside the street's line.
    """
    index = index or FactIndex(tile.facts, size_m=size_m)
    half = (cell_m or size_m / 2) / 2
    cell = shapely.box(-half, -half, half, half)
    pieces, weights = [], []
    for row in index.of_kinds(WALKABLE):
        if index.facts[row].shape != "line":
            continue
        inside = index.geometry[row].intersection(cell)
        if inside.length > 1.0:
            pieces.append(inside)
            weights.append(inside.length * _SHARE.get(index.kinds[row], 1.0))
    if not pieces:
        return []
    frame = Frame(lat=tile.lat, lon=tile.lon)
    return [_point(rng, rng.choices(pieces, weights)[0], frame, half) for _ in range(n)]


def _point(rng: Random, piece: BaseGeometry, frame: Frame, half: float) -> Standpoint:
    parts = [part for part in shapely.get_parts(piece) if isinstance(part, shapely.LineString)]
    part = rng.choices(parts, [p.length for p in parts])[0]
    at = part.interpolate(rng.random() * part.length)
    x, y = (float(np.clip(v + rng.uniform(-_KERB_M, _KERB_M), -half, half)) for v in (at.x, at.y))
    lat, lon = frame.latlon(x, y)
    return Standpoint(float(lat), float(lon), x, y)
