"""Map features on disk, grouped by block of the grid: what keeps a build's memory independent of the area's size."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from retriever.grid import Cell, Grid
from retriever.sources.facts import Feature
from retriever.types import TILE_MARGIN, Box

BLOCK = 8
"""Cells along a side of a block: 64 tiles are one batch of work."""


class Spool:
    """Features by block, in an SQLite file. A feature lies in every block that one of its tiles touches, cut to it."""

    def __init__(self, path: Path, grid: Grid) -> None:
        self.grid = grid
        self.blocks_across = -(-grid.cols // BLOCK)
        self._db = sqlite3.connect(path)
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute("PRAGMA journal_mode=OFF")
        self._db.execute("PRAGMA cache_size=-8000")
        self._db.execute("CREATE TABLE IF NOT EXISTS feature (block INTEGER, head TEXT, shape BLOB)")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS touched (block INTEGER, cell INTEGER, PRIMARY KEY (block, cell)) WITHOUT ROWID"
        )

    def close(self) -> None:
        self._db.commit()
        self._db.close()

    def fill(self, features: Iterable[Feature]) -> int:
        """Files every feature (metres) under its blocks; returns how many lay inside the grid."""
        inside = 0
        for feature in features:
            rows = self._rows(feature)
            inside += bool(rows)
            self._db.executemany("INSERT INTO feature VALUES (?, ?, ?)", rows)
        self._db.execute("CREATE INDEX IF NOT EXISTS by_block ON feature (block)")
        self._db.execute(f"PRAGMA user_version = {inside}")
        self._db.commit()
        return inside

    @property
    def count(self) -> int:
        """How many features :meth:`fill` found inside the grid."""
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def _rows(self, feature: Feature) -> list[tuple[int, str, bytes]]:
        found = list(self._blocks(feature.geometry))
        if not found:
            return []
        head = json.dumps(
            [feature.osm_id, feature.kind, feature.shape, dict(feature.names), dict(feature.tags)], ensure_ascii=False
        )
        return [(block, head, shapely.to_wkb(shape)) for block, shape in found]

    def _blocks(self, geometry: BaseGeometry) -> Iterator[tuple[int, BaseGeometry]]:
        reach = self.grid.size_m * (0.5 + TILE_MARGIN) - self.grid.stride_m / 2
        rows, cols = self.grid.cells_within(geometry.bounds, max(0.0, reach))
        if not rows or not cols:
            return
        up, left = rows[0] // BLOCK, cols[0] // BLOCK
        down, right = rows[-1] // BLOCK, cols[-1] // BLOCK
        one = (up, left) == (down, right)
        for block_row in range(up, down + 1):
            for block_col in range(left, right + 1):
                piece = geometry if one else clip(geometry, self._block_box(block_row, block_col))
                if not piece.is_empty:
                    yield block_row * self.blocks_across + block_col, piece

    def _block_box(self, block_row: int, block_col: int) -> Box:
        first, last = (block_row * BLOCK, block_col * BLOCK), ((block_row + 1) * BLOCK - 1, (block_col + 1) * BLOCK - 1)
        west, _, _, north = self.grid.tile_box(first, TILE_MARGIN)
        _, south, east, _ = self.grid.tile_box(last, TILE_MARGIN)
        return west, south, east, north

    def features(self, block: int) -> list[Feature]:
        """The features of one block, in the order in which the source gave them."""
        rows = self._db.execute("SELECT head, shape FROM feature WHERE block = ? ORDER BY rowid", (block,)).fetchall()
        found = []
        for (head, _), geometry in zip(rows, shapely.from_wkb([shape for _, shape in rows]), strict=True):
            osm_id, kind, shape, names, tags = json.loads(head)
            found.append(Feature(osm_id=osm_id, kind=kind, shape=shape, names=names, tags=tags, geometry=geometry))
        return found

    def touch(self, geometry: BaseGeometry) -> None:
        """Notes the cells that a road or building touches."""
        rows, cols = self.grid.cells_within(geometry.bounds)
        cells = [(r, c) for r in rows for c in cols]
        if len(cells) > 1:
            half = self.grid.stride_m / 2
            xy = np.array([self.grid.centre(cell) for cell in cells])
            boxes = shapely.box(xy[:, 0] - half, xy[:, 1] - half, xy[:, 0] + half, xy[:, 1] + half)
            shapely.prepare(geometry)
            cells = [cell for cell, met in zip(cells, shapely.intersects(geometry, boxes), strict=True) if met]
        numbers = [(self.block_of((r, c)), r * self.grid.cols + c) for r, c in cells]
        self._db.executemany("INSERT OR IGNORE INTO touched VALUES (?, ?)", numbers)

    def touch_all(self) -> None:
        """Notes every cell of the grid."""
        for row in range(self.grid.rows):
            numbers = [(self.block_of((row, col)), row * self.grid.cols + col) for col in range(self.grid.cols)]
            self._db.executemany("INSERT OR IGNORE INTO touched VALUES (?, ?)", numbers)

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Blocks with noted cells, in order, and how many cells each has."""
        yield from self._db.execute("SELECT block, COUNT(*) FROM touched GROUP BY block ORDER BY block")

    def cells(self, block: int) -> list[Cell]:
        found = self._db.execute("SELECT cell FROM touched WHERE block = ? ORDER BY cell", (block,)).fetchall()
        return [divmod(number, self.grid.cols) for (number,) in found]

    def block_of(self, cell: Cell) -> int:
        return (cell[0] // BLOCK) * self.blocks_across + cell[1] // BLOCK


def clip(geometry: BaseGeometry, box: Box) -> BaseGeometry:
    """The part of a geometry inside a box; shapes that GEOS's quick clipping refuses are repaired first."""
    west, south, east, north = geometry.bounds
    if box[0] <= west and box[1] <= south and east <= box[2] and north <= box[3]:
        return geometry
    try:
        return shapely.clip_by_rect(geometry, *box)
    except shapely.GEOSException:
        return shapely.intersection(shapely.make_valid(geometry), shapely.box(*box))
