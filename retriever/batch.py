"""One batch of tiles: the features of a block become facts, pictures and a part of the tile table."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from PIL import Image

from retriever.gallery import fact_to_json
from retriever.grid import Cell, Grid
from retriever.painters import Painter
from retriever.sources.facts import Feature, facts_on
from retriever.spool import Spool, clip
from retriever.types import TILE_MARGIN, Box, Fact

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
"""The tile table. ``facts`` is canonical JSON, null where no map speaks; ``image_sha256`` is of the file,
``pixels_sha256`` of the decoded RGB bytes, which do not depend on how a machine packs a PNG."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What every batch of a build needs to know; picklable, so that batches can run in other processes."""

    work: Path
    grid: Grid
    gallery_id: str
    px: int
    imagery: Path | None
    """Folder of overhead pictures; None draws the map."""
    mapped: Box | None
    """Where a map speaks, in degrees; None: nowhere."""


def run_batch(plan: Plan, spool: Spool, painter: Painter, block: int, part: Path) -> int:
    """Makes one block's tiles and its part of the table; returns the number of tiles. A finished part is kept."""
    if part.is_file():
        return int(pq.read_metadata(part).num_rows)
    rows = [row for row in _rows(plan, spool, painter, block) if row is not None]
    unfinished = part.with_suffix(".unfinished")
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), unfinished, compression="zstd")
    os.replace(unfinished, part)
    return len(rows)


def _rows(plan: Plan, spool: Spool, painter: Painter, block: int) -> Iterator[dict[str, Any] | None]:
    features = spool.features(block)
    tree = shapely.STRtree([feature.geometry for feature in features])
    for cell in spool.cells(block):
        facts = tile_facts(plan.grid, cell, features, tree) if _mapped(plan, cell) else None
        picture = painter.paint(cell, facts)
        yield None if picture is None else _row(plan, cell, facts, picture)


def _mapped(plan: Plan, cell: Cell) -> bool:
    if plan.mapped is None:
        return False
    lat, lon = plan.grid.frame.latlon(*plan.grid.centre(cell))
    west, south, east, north = plan.mapped
    return bool(west <= lon <= east and south <= lat <= north)


def tile_facts(grid: Grid, cell: Cell, features: Sequence[Feature], tree: shapely.STRtree) -> tuple[Fact, ...]:
    """The facts of one tile: what touches the tile itself, cut a little beyond its edge."""
    box, wide = grid.tile_box(cell), grid.tile_box(cell, TILE_MARGIN)
    on_tile = [features[i] for i in sorted(tree.query(shapely.box(*box), predicate="intersects"))]
    return facts_on(on_tile, [clip(feature.geometry, wide) for feature in on_tile], box)


def _row(plan: Plan, cell: Cell, facts: tuple[Fact, ...] | None, picture: Image.Image) -> dict[str, Any]:
    id_ = plan.grid.tile_id(plan.gallery_id, cell)
    image = f"images/{cell[0] // 10:04d}/{id_}.png"
    data = _png(picture, drawn=plan.imagery is None)
    path = plan.work / image
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    lat, lon = plan.grid.frame.latlon(*plan.grid.centre(cell))
    west, south, east, north = plan.grid.bounds(cell)
    degrees = {"lat": lat, "lon": lon, "west": west, "south": south, "east": east, "north": north}
    return {
        "id": id_,
        # A tenth of a millimetre: the last bits, in which machines differ, are cut off.
        **{name: round(float(value), 9) for name, value in degrees.items()},
        "image": image,
        "image_sha256": hashlib.sha256(data).hexdigest(),
        "pixels_sha256": hashlib.sha256(picture.tobytes()).hexdigest(),
        "facts": None if facts is None else _canonical([fact_to_json(fact) for fact in facts]),
        "fact_count": None if facts is None else len(facts),
    }


def _canonical(value: Any) -> str:
    """What :func:`retriever.types.canonical_json` writes, for values that are plain already."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _png(picture: Image.Image, *, drawn: bool) -> bytes:
    """The picture, packed without loss to be small and quick to read.

    A drawing has plain areas, which row filters only disturb: without them it takes three tenths less room and is read
    twice as fast. Photographs need them, and Pillow, which chooses one for each row, packs those.
    """
    if drawn:
        options = [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE, cv2.IMWRITE_PNG_COMPRESSION, 4]
        done, packed = cv2.imencode(".png", cv2.cvtColor(np.asarray(picture), cv2.COLOR_RGB2BGR), options)
        if not done:
            raise ValueError(f"a picture of {picture.size} pixels cannot be written as PNG")
        return packed.tobytes()
    buffer = io.BytesIO()
    # Level 2 packs as fast as 1, and 6 would save a tenth of the size for half as much time again.
    picture.save(buffer, "PNG", compress_level=2)
    return buffer.getvalue()


def row_sha256(row: dict[str, Any]) -> str:
    """Hash of what a tile says and shows, without the packing of its picture."""
    return hashlib.sha256(_canonical({k: v for k, v in row.items() if k != "image_sha256"}).encode()).hexdigest()
