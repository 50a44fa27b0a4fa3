"""All of the training data in the form that steps read: labels packed, texts tokenised once, pictures mapped."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from finetune.encoder.labels import label_grid, pack, unpack
from finetune.encoder.tiles import TileSet
from retriever.encoder import BoxResize, text_features
from retriever.tokenizer import TextTokenizer

Rows = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Texts:
    """Descriptions of tiles, any number per tile."""

    tile: Rows
    """[T] row of the tile that a text describes."""
    point: NDArray[np.float64]
    """[T, 2] where its witness stands, metres of the area's frame."""
    ids: list[NDArray[np.int32]]
    table: pd.DataFrame

    def encode(self, model: Any, rows: Rows, piece: int = 32) -> torch.Tensor:
        """Vectors [B, D] of texts, run in pieces of like length: a batch padded to its longest is half padding."""
        order = np.argsort([len(self.ids[r]) for r in rows], kind="stable")
        parts = [text_features(model, self.batch(rows[order[i : i + piece]])) for i in range(0, len(rows), piece)]
        return torch.cat(parts)[torch.from_numpy(np.argsort(order))]

    def batch(self, rows: Rows, pad: int = 0) -> torch.Tensor:
        """int64 [B, L], trimmed to the longest."""
        out = np.full((len(rows), max(len(self.ids[r]) for r in rows)), pad, np.int64)
        for i, row in enumerate(rows):
            out[i, : len(self.ids[row])] = self.ids[row]
        return torch.from_numpy(out)


@dataclass(frozen=True, kw_only=True)
class Bank:
    """Tiles of one split with their labels and texts. Texts refer to tiles by their row here."""

    tiles: TileSet
    rows: Rows
    """[N] rows of the tile set."""
    xy: NDArray[np.float64]
    area: Rows
    """[N] number of the tile's area."""
    labels: NDArray[np.uint8]
    """[N, cells * cells, bytes], packed."""
    texts: Texts
    by_tile: list[Rows]
    """[N] text rows of each tile."""
    sha256: str

    def __len__(self) -> int:
        return len(self.rows)

    def pixels(self, rows: Rows, preprocess: BoxResize) -> torch.Tensor:
        """float32 [B, 3, H, W]"""
        # Sorted reads keep the disk's head still; the batch's own order is put back after.
        order = np.argsort(rows)
        raw = np.empty((len(rows), *self.tiles.pixels.shape[1:]), np.uint8)
        raw[order] = self.tiles.pixels[self.rows[rows[order]]]
        return preprocess.normalise(torch.from_numpy(raw).permute(0, 3, 1, 2))

    def dense(self, rows: Rows) -> torch.Tensor:
        """bool [B, cells * cells, channels]"""
        return torch.from_numpy(unpack(self.labels[rows]))


def load_bank(folder: Path, split: str, tokenizer: TextTokenizer, *, cells: int, shards: int | None = None) -> Bank:
    """The part of a data folder that belongs to one split. ``shards`` limits how many text shards are read."""
    tiles = TileSet.open(folder)
    rows = np.flatnonzero((tiles.table["split"] == split).to_numpy())
    table = tiles.table.iloc[rows]
    files = sorted((folder / "texts").glob(f"{split}-*.parquet"))[:shards]
    place = {tile_id: i for i, tile_id in enumerate(table["tile_id"])}
    none = pd.DataFrame({"tile_id": [], "text": [], "x": [], "y": []})
    texts = _texts(pd.concat([pd.read_parquet(f) for f in files] or [none], ignore_index=True), place, tokenizer)
    digest = hashlib.sha256(tiles.sha256.encode() + "\n".join(texts.table["text"]).encode())
    by_tile = pd.Series(np.arange(len(texts.tile))).groupby(texts.tile).apply(lambda s: s.to_numpy())
    empty = np.zeros(0, np.int64)
    return Bank(
        tiles=tiles,
        rows=rows,
        xy=table[["x", "y"]].to_numpy(float),
        area=pd.factorize(table["area"])[0].astype(np.int64),
        labels=_labels(tiles, folder / f"labels-{cells}.npy", cells)[rows],
        texts=texts,
        by_tile=[by_tile.get(i, empty) for i in range(len(rows))],
        sha256=digest.hexdigest(),
    )


def _texts(table: pd.DataFrame, place: Mapping[str, int], tokenizer: TextTokenizer) -> Texts:
    table = table[table["tile_id"].isin(place)].reset_index(drop=True)
    ids: list[NDArray[np.int32]] = []
    for start in range(0, len(table), 1024):
        batch = tokenizer(table["text"].iloc[start : start + 1024].tolist()).ids.numpy()
        lengths = (batch != 0).sum(1)
        ids += [row[:n].astype(np.int32) for row, n in zip(batch, lengths, strict=True)]
    tile = np.asarray([place[tile_id] for tile_id in table["tile_id"]], np.int64)
    return Texts(tile=tile, point=table[["x", "y"]].to_numpy(float), ids=ids, table=table)


def _labels(tiles: TileSet, cache: Path, cells: int) -> NDArray[np.uint8]:
    """Packed labels of the whole tile set, computed once; the cache is redone where the table has grown."""
    if cache.exists():
        known: NDArray[np.uint8] = np.load(cache)
        if len(known) == len(tiles.table):
            return known
    made = np.stack([pack(label_grid(tiles.facts(i), tiles.shown(i), cells=cells)) for i in range(len(tiles.table))])
    np.save(cache, made)
    return made


class Sampler:
    """Which tiles and texts make batch number ``step``: a function of the seed and the step alone, so runs resume."""

    def __init__(self, bank: Bank, *, batch: int, seed: int, same_area: float = 0.0, described: bool = True) -> None:
        self.bank, self.batch, self.seed, self.same_area = bank, batch, seed, same_area
        self._described = described
        self._tiles = np.flatnonzero([len(t) > 0 for t in bank.by_tile]) if described else np.arange(len(bank))
        self._areas = [self._tiles[bank.area[self._tiles] == a] for a in range(int(bank.area.max()) + 1)]
        sizes = np.asarray([len(a) for a in self._areas], float)
        # Tiles of one area are each other's hard negatives; a tiny area would only repeat itself.
        self._weights = np.where(sizes >= batch * same_area, sizes, 0.0)

    def rows(self, step: int) -> tuple[Rows, Rows]:
        """Tile rows [B], all different, and one text row for each (none where tiles need not be described)."""
        rng = np.random.default_rng([self.seed, step])
        local = int(self.batch * self.same_area) if self._weights.sum() else 0
        chosen = np.zeros(0, np.int64)
        if local:
            area = self._areas[rng.choice(len(self._areas), p=self._weights / self._weights.sum())]
            chosen = rng.choice(area, local, replace=False)
        rest = np.setdiff1d(self._tiles, chosen)
        tiles = np.concatenate([chosen, rng.choice(rest, min(self.batch - local, len(rest)), replace=False)])
        if not self._described:
            return tiles, np.zeros(0, np.int64)
        texts = np.asarray([rng.choice(self.bank.by_tile[t]) for t in tiles], np.int64)
        return tiles, texts


def places(bank: Bank, tiles: Rows, texts: Rows) -> dict[str, Any]:
    """Arguments of :func:`finetune.encoder.loss.excluded_pairs` for a batch."""
    return {
        "point": torch.from_numpy(bank.texts.point[texts]),
        "centre": torch.from_numpy(bank.xy[tiles]),
        "area": torch.from_numpy(bank.area[tiles]),
    }
