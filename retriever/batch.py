"""One batch of tiles: the features of a block become facts, pictures and a part of the tile table."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from PIL import Image

from retriever.gallery import fact_to_json
from retriever.grid import Cell, Grid
from retriever.sources.facts import Feature, facts_on
from retriever.spool import Spool, clip
from retriever.types import TILE_MARGIN, Fact, canonical_json

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        *[(name, pa.float64()) for name in ("lat", "lon", "west", "south", "east", "north")],
        ("image", pa.string()),
        ("image_sha256", pa.string()),
        ("pixels_sha256", pa.string()),
        ("facts", pa.string()),
        ("fact_count", pa.int32()),
    ]
)
"""The tile table. ``facts`` is JSON, null where no map was given; ``image_sha256`` is of the file, ``pixels_sha256`` of
the decoded RGB bytes, which do not depend on how a machine packs a PNG."""

Painter = Callable[[Cell, tuple[Fact, ...] | None], Image.Image | None]
"""Draws one tile; None where there is nothing to show, which leaves the tile out."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What every batch of a build needs to know; picklable, so that batches can run in other processes."""

    work: Path
    grid: Grid
    gallery_id: str
    px: int
    with_facts: bool


def run_batch(plan: Plan, spool: Spool, painter: Painter, block: int) -> int:
    """Makes one block's tiles and its part of the table; returns the number of tiles. A finished part is kept."""
    part = part_path(plan.work, block)
    if part.is_file():
        return int(pq.read_metadata(part).num_rows)
    cells = spool.cells(block)
    rows = [row for row in _rows(plan, spool, painter, block, cells) if row is not None]
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    unfinished = part.with_suffix(".unfinished")
    pq.write_table(table, unfinished, compression="zstd")
    os.replace(unfinished, part)
    return len(rows)


def part_path(work: Path, block: int) -> Path:
    return work / "parts" / f"{block:09d}.parquet"


def _rows(
    plan: Plan, spool: Spool, painter: Painter, block: int, cells: Sequence[Cell]
) -> Iterator[dict[str, Any] | None]:
    if not plan.with_facts:
        for cell in cells:
            yield _row(plan, cell, None, painter)
        return
    features = spool.features(block)
    tree = shapely.STRtree([feature.geometry for feature in features])
    for cell in cells:
        yield _row(plan, cell, tile_facts(plan.grid, cell, features, tree), painter)


def tile_facts(grid: Grid, cell: Cell, features: Sequence[Feature], tree: shapely.STRtree) -> tuple[Fact, ...]:
    """The facts of one tile: what touches the tile itself, cut a little beyond its edge."""
    box = grid.tile_box(cell)
    square, wide = shapely.box(*box), grid.tile_box(cell, TILE_MARGIN)
    on_tile = [features[i] for i in sorted(tree.query(square, predicate="intersects"))]
    return facts_on(on_tile, [clip(feature.geometry, wide) for feature in on_tile], box)


def _row(plan: Plan, cell: Cell, facts: tuple[Fact, ...] | None, painter: Painter) -> dict[str, Any] | None:
    picture = painter(cell, facts)
    if picture is None:
        return None
    id_ = plan.grid.tile_id(plan.gallery_id, cell)
    image = f"images/r{cell[0] // 10 * 10:04d}/{id_}.png"
    data = _png(picture)
    path = plan.work / image
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    lat, lon = plan.grid.frame.latlon(*plan.grid.centre(cell))
    west, south, east, north = plan.grid.bounds(cell)
    degrees = {"lat": lat, "lon": lon, "west": west, "south": south, "east": east, "north": north}
    return {
        "id": id_,
        # A tenth of a millimetre: what is left of the last bits, which differ between machines, is cut off.
        **{name: round(float(value), 9) for name, value in degrees.items()},
        "image": image,
        "image_sha256": hashlib.sha256(data).hexdigest(),
        "pixels_sha256": hashlib.sha256(picture.tobytes()).hexdigest(),
        "facts": None if facts is None else json.dumps([fact_to_json(f) for f in facts], ensure_ascii=False),
        "fact_count": None if facts is None else len(facts),
    }


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def row_sha256(row: dict[str, Any]) -> str:
    """Hash of what a tile says and shows, without the packing of its picture."""
    said = {name: row[name] for name in row if name not in ("image_sha256", "facts")}
    said["facts"] = None if row["facts"] is None else json.loads(row["facts"])
    return hashlib.sha256(canonical_json(said).encode()).hexdigest()
