"""Descriptions of the training tiles, in shards of one per tile: ``texts/<split>-<number>.parquet``.

Columns: tile_id, text, lang, named, length, x and y (where the witness stands, metres of the area's frame).
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd

from finetune.encoder.tiles import PX, SIZE_M, TileSet
from retriever.types import Tile

LANGS = ("en", "zh")
ZH_SHARE, NAMED_SHARE = 0.42, 0.2
LENGTHS: dict[Any, float] = {"short": 0.3, "medium": 0.5, "long": 0.2}


def build_texts(folder: Path, split: str, shards: Iterable[int], *, processes: int = 2, seed: int = 0) -> list[Path]:
    """Write the shards that are missing; returns all of their paths."""
    (folder / "texts").mkdir(parents=True, exist_ok=True)
    tasks = [(folder, split, shard, seed) for shard in shards]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        return pool.map(_shard, tasks, chunksize=1)


def _shard(task: tuple[Path, str, int, int]) -> Path:
    folder, split, shard, seed = task
    path = folder / "texts" / f"{split}-{shard:03d}.parquet"
    if path.exists():
        return path
    tiles = TileSet.open(folder)
    rows = np.flatnonzero((tiles.table["split"] == split).to_numpy())
    made = [row for i in rows if (row := describe_tile(tiles, int(i), shard, seed)) is not None]
    part = path.with_suffix(".part")
    pd.DataFrame(made).to_parquet(part)
    part.replace(path)
    return path


def describe_tile(tiles: TileSet, row: int, shard: int, seed: int) -> dict[str, Any] | None:
    """One description of one tile; None where nobody can stand in its cell."""
    from finetune.data.descriptions import describe, standpoints

    tile = tile_of(tiles, row)
    rng = Random(f"{seed}/{shard}/{tile.id}")
    points = standpoints(tile, size_m=SIZE_M, rng=rng, n=1)
    if not points:
        return None
    lang: Any = LANGS[rng.random() < ZH_SHARE]
    named = rng.random() < NAMED_SHARE
    length = rng.choices(list(LENGTHS), list(LENGTHS.values()))[0]
    said = describe(
        tile,
        points[0],
        size_m=SIZE_M,
        seed=seed * 1000 + shard,
        lang=lang,
        named=named,
        length=length,
        visible=tiles.shown(row),
    )
    centre = tiles.table[["x", "y"]].iloc[row]
    return {
        "tile_id": tile.id,
        "text": said.text,
        "lang": lang,
        "named": named,
        "length": length,
        "x": float(centre["x"]) + points[0].x,
        "y": float(centre["y"]) + points[0].y,
    }


def tile_of(tiles: TileSet, row: int) -> Tile:
    """A row of the tile set as a tile; its picture has no file of its own."""
    record = tiles.table.iloc[row]
    return Tile(
        id=record["tile_id"],
        view="map",
        lat=float(record["lat"]),
        lon=float(record["lon"]),
        bounds=(0.0, 0.0, 0.0, 0.0),
        gsd_m=SIZE_M / PX,
        image="",
        image_sha256="",
        facts=tiles.facts(row),
    )
