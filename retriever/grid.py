"""The stride grid of a gallery: cells that exclude each other, and the overlapping tile around each cell's centre."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from retriever.errors import SourceError
from retriever.geo import Frame
from retriever.types import Box

Cell = tuple[int, int]
"""Row (from the north) and column (from the west)."""

_TILE_ID = re.compile(r"-r(\d+)c(\d+)$")


@dataclass(frozen=True, kw_only=True)
class Grid:
    """``rows`` x ``cols`` square cells of ``stride_m`` metres in the plane of ``frame``; row 0 is the northernmost."""

    frame: Frame
    west_m: float
    north_m: float
    rows: int
    cols: int
    stride_m: float
    size_m: float

    @classmethod
    def over(cls, bounds: Box, *, size_m: float, stride_m: float) -> Grid:
        """The grid that covers a box in degrees, centred on it, in whole cells."""
        west, south, east, north = bounds
        frame = Frame(lat=(south + north) / 2, lon=(west + east) / 2)
        width, height = (east - west) * frame.m_per_deg_lon, frame.xy(north, frame.lon)[1] * 2
        # A cell less than half inside would show mostly ground that the source does not describe.
        cols, rows = max(1, round(width / stride_m)), max(1, round(height / stride_m))
        return cls(
            frame=frame,
            west_m=-cols * stride_m / 2,
            north_m=rows * stride_m / 2,
            rows=rows,
            cols=cols,
            stride_m=stride_m,
            size_m=size_m,
        )

    def centre(self, cell: Cell) -> tuple[float, float]:
        """Metres east and north of the frame's origin."""
        return self.west_m + (cell[1] + 0.5) * self.stride_m, self.north_m - (cell[0] + 0.5) * self.stride_m

    def tile_box(self, cell: Cell, margin: float = 0.0) -> Box:
        """The tile's box in metres of the frame, ``margin`` tile widths larger on every side."""
        x, y = self.centre(cell)
        half = self.size_m * (0.5 + margin)
        return x - half, y - half, x + half, y + half

    def bounds(self, cell: Cell) -> Box:
        """The tile's box in degrees."""
        west_m, south_m, east_m, north_m = self.tile_box(cell)
        south, west = self.frame.latlon(west_m, south_m)
        north, east = self.frame.latlon(east_m, north_m)
        return west, south, east, north

    def cell_at(self, x: float, y: float) -> Cell:
        """The cell that holds a point of the plane; it may lie outside the grid."""
        return math.floor((self.north_m - y) / self.stride_m), math.floor((x - self.west_m) / self.stride_m)

    def cells_within(self, box: Box, reach_m: float = 0.0) -> tuple[range, range]:
        """Rows and columns whose cells, grown by ``reach_m``, meet a box in metres."""
        west, south, east, north = box
        top, left = self.cell_at(west - reach_m, north + reach_m)
        bottom, right = self.cell_at(east + reach_m, south - reach_m)
        return range(max(0, top), min(self.rows, bottom + 1)), range(max(0, left), min(self.cols, right + 1))

    def tile_id(self, gallery_id: str, cell: Cell) -> str:
        """``london-r012c034``; zero-padded so that ids sort by row, then column."""
        digits = max(3, len(str(max(self.rows, self.cols) - 1)))
        return f"{gallery_id}-r{cell[0]:0{digits}d}c{cell[1]:0{digits}d}"

    def to_json(self) -> dict[str, Any]:
        return {
            "origin": {"lat": self.frame.lat, "lon": self.frame.lon},
            "west_m": self.west_m,
            "north_m": self.north_m,
            "rows": self.rows,
            "cols": self.cols,
            "stride_m": self.stride_m,
            "size_m": self.size_m,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Grid:
        plain = {key: data[key] for key in ("west_m", "north_m", "rows", "cols", "stride_m", "size_m")}
        return cls(frame=Frame(lat=data["origin"]["lat"], lon=data["origin"]["lon"]), **plain)


def cell_of(tile_id: str) -> Cell:
    """Row and column out of a tile's id. Raises ``ValueError`` for anything that is not one."""
    found = _TILE_ID.search(tile_id)
    if not found:
        raise ValueError(f"{tile_id!r} is not a tile id")
    return int(found[1]), int(found[2])


def check_box(box: Box) -> Box:
    """A box in degrees that can carry a local frame. Raises ``SourceError`` otherwise."""
    west, south, east, north = box
    if not all(math.isfinite(v) for v in box) or not (-180 <= west < east <= 180 and -85 <= south < north <= 85):
        raise SourceError(
            f"the box {west},{south},{east},{north} is not west,south,east,north in degrees "
            "(west < east, south < north, within 85 degrees of latitude): correct it"
        )
    return box


def overlap(a: Box, b: Box) -> Box | None:
    """The common part of two boxes, None where there is none."""
    west, south, east, north = max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])
    return (west, south, east, north) if west < east and south < north else None
