"""Several folders of training tiles and texts as one, so that a run can learn from all of them.

Tile ids gain the place of their folder in the list (``1/malta-00007``); validation rows are those of the first folder,
which hold every cell of the validation areas already.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from finetune.encoder.tiles import SEEN_PX, TileSet
from retriever.errors import SourceError

TEXTS = "texts"


def merge_data(folders: Sequence[Path], out: Path) -> pd.DataFrame:
    """Write ``tiles.npy``, ``tiles.parquet`` and ``texts`` of all folders to ``out``; returns the table of tiles.

    Raises ``SourceError`` where ``out`` is not empty, or a folder holds no tiles.
    """
    if out.exists() and any(out.iterdir()):
        raise SourceError(f"{out} is not empty: give another --out")
    if absent := [str(f) for f in folders if not (f / "tiles.parquet").exists()]:
        raise SourceError(f"{absent[0]} holds no tiles: make them with sightline train tiles")
    sets = [TileSet.open(folder) for folder in folders]
    kept = [np.flatnonzero(_kept(tiles.table["split"], number)) for number, tiles in enumerate(sets)]
    out.mkdir(parents=True, exist_ok=True)
    tables = [_named(t.table.iloc[rows], n) for n, (t, rows) in enumerate(zip(sets, kept, strict=True))]
    table = pd.concat(tables, ignore_index=True)
    _pixels(sets, kept, out / "tiles.npy")
    (out / TEXTS).mkdir()
    for number, folder in enumerate(folders):
        for file in sorted((folder / TEXTS).glob("*.parquet")):
            split, _, shard = file.stem.rpartition("-")
            if split == "train" or number == 0:
                # Shards that are made later on are numbered from zero in three digits: these never bear such a name.
                _named(pd.read_parquet(file), number).to_parquet(out / TEXTS / f"{split}-from{number}-{shard}.parquet")
    table.to_parquet(out / "tiles.parquet")
    return table


def _kept(split: pd.Series[Any], number: int) -> pd.Series[Any]:
    return (split == "train") | (number == 0)


def _named(table: pd.DataFrame, number: int) -> pd.DataFrame:
    return table.assign(tile_id=[f"{number}/{tile_id}" for tile_id in table["tile_id"]])


def _pixels(sets: Sequence[TileSet], kept: Sequence[Any], path: Path) -> None:
    shape = (sum(len(rows) for rows in kept), SEEN_PX, SEEN_PX, 3)
    whole: Any = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)  # type: ignore[no-untyped-call]
    start = 0
    for tiles, rows in zip(sets, kept, strict=True):
        for i in range(0, len(rows), 1024):
            part = rows[i : i + 1024]
            whole[start : start + len(part)] = tiles.pixels[part]
            start += len(part)
    whole.flush()
