"""The last step of a build: the parts of the tile table become one, and the manifest says what it is."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from retriever.batch import SCHEMA, row_sha256
from retriever.gallery import FORMAT
from retriever.grid import Grid
from retriever.types import Box, canonical_json, sha256_text

SOFTWARE = ("sightline", "osmium", "shapely", "rasterio", "pillow", "numpy", "pyarrow")


@dataclass(frozen=True, kw_only=True)
class Content:
    """What the joined table holds."""

    sha256: str
    """Over the canonical rows and the pixels; independent of time, machine and the packing of files."""
    tiles: int
    facts: int
    bounds: Box


def join(parts: Sequence[Path], table: Path, head: Mapping[str, Any]) -> Content:
    """One table of all parts, one row group for each; ``head`` goes into the hash before the tiles."""
    lines: list[str] = []
    facts, bounds = 0, (180.0, 90.0, -180.0, -90.0)
    unfinished = table.with_suffix(".unfinished")
    with pq.ParquetWriter(unfinished, SCHEMA, compression="zstd") as writer:
        for part in parts:
            piece = pq.read_table(part, schema=SCHEMA)
            if piece.num_rows:
                writer.write_table(piece)
            for row in piece.to_pylist():
                lines.append(f"{row['id']} {row_sha256(row)}\n")
                facts += row["fact_count"] or 0
                bounds = (
                    min(bounds[0], row["west"]),
                    min(bounds[1], row["south"]),
                    max(bounds[2], row["east"]),
                    max(bounds[3], row["north"]),
                )
    os.replace(unfinished, table)
    sha256 = sha256_text(canonical_json(head) + "".join(sorted(lines)))
    return Content(sha256=sha256, tiles=len(lines), facts=facts, bounds=bounds)


def manifest(
    *, head: Mapping[str, Any], grid: Grid, content: Content, counts: Mapping[str, int], record: Mapping[str, Any]
) -> dict[str, Any]:
    """The manifest of a gallery. ``head`` holds id, view and px; ``record`` sources, fonts, licence and settings."""
    return {
        "format": FORMAT,
        **head,
        "size_m": grid.size_m,
        "stride_m": grid.stride_m,
        "bounds": list(content.bounds),
        "grid": grid.to_json(),
        "counts": {"tiles": content.tiles, "facts": content.facts, **counts},
        **record,
        "software": {name: version(name) for name in SOFTWARE},
        "sha256": content.sha256,
    }
