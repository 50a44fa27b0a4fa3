"""The judge's training tiles: pictures, true listings, what lies in each visual token, and witnesses' claims."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from finetune.judge.spec import GRID, VISUAL_TOKENS
from prompts.listing import Listing, area_points, list_facts, listing_order, parse_listing
from retriever.errors import SourceError
from retriever.types import Claim, Fact

SIZE_M = 120.0


class Pictures(Protocol):
    """Rows of ``[N, 224, 224, 3] uint8``."""

    def __getitem__(self, rows: Any) -> np.ndarray: ...


@dataclass(frozen=True, kw_only=True)
class Stacked:
    """One array after another, without copying either."""

    first: np.ndarray
    second: np.ndarray

    def __getitem__(self, rows: Any) -> np.ndarray:
        n = len(self.first)
        if isinstance(rows, int | np.integer):
            return np.asarray(self.first[rows] if rows < n else self.second[rows - n])
        return np.stack([self[int(r)] for r in rows])


@dataclass(frozen=True, kw_only=True)
class TileStore:
    """``pictures [N, 224, 224, 3] uint8`` (memory-mapped); the rest in the same order."""

    pictures: Pictures
    table: pd.DataFrame
    """Columns area, tile_id, split (train, validation, seen), lat, lon, listing and named_listing."""
    dense: np.ndarray
    """``[N, 49, K] bool``: whether a kind of ``listing_order()`` shows in a visual token's square."""

    def rows(self, split: str) -> np.ndarray:
        return np.flatnonzero((self.table["split"] == split).to_numpy())

    def listing(self, row: int, *, names: bool = False) -> Listing:
        return parse_listing(str(self.table["named_listing" if names else "listing"].iat[row]))


def open_store(folder: Path, *, seen: Path | None = None) -> TileStore:
    """Open ``tiles.npy`` and ``tiles.parquet``; derived columns are made once and kept beside them.

    ``seen`` is another such folder, whose rows follow with their training tiles marked ``seen``.
    Raises :class:`SourceError` where a folder does not hold both.
    """
    store = _open(folder)
    if seen is None:
        return store
    other = _open(seen)
    # Validation is the first folder's alone; a tile must not stand there twice.
    marks = other.table["split"].replace({"train": "seen", "validation": "left out"})
    return TileStore(
        pictures=Stacked(first=np.asarray(store.pictures), second=np.asarray(other.pictures)),
        table=pd.concat([store.table, other.table.assign(split=marks)], ignore_index=True),
        dense=np.concatenate([store.dense, other.dense]),
    )


def _open(folder: Path) -> TileStore:
    if not (folder / "tiles.npy").exists() or not (folder / "tiles.parquet").exists():
        raise SourceError(f"{folder} holds no tiles.npy and tiles.parquet; build the training data first.")
    pictures = np.load(folder / "tiles.npy", mmap_mode="r")
    derived = folder / "judge.npz"
    if not derived.exists():
        _derive(folder, derived)
    table = pd.read_parquet(folder / "tiles.parquet", columns=["area", "tile_id", "split", "lat", "lon"])
    made: Any = np.load(derived, allow_pickle=False)
    table["listing"], table["named_listing"] = made["listing"], made["named"]
    k = len(listing_order())
    dense = np.unpackbits(made["dense"], axis=-1, count=k).astype(bool)
    return TileStore(pictures=pictures, table=table, dense=dense)


def _derive(folder: Path, out: Path) -> None:
    table = pd.read_parquet(folder / "tiles.parquet", columns=["facts", "visible"])
    listing, named, dense = [], [], []
    for facts_json, visible_json in zip(table["facts"], table["visible"], strict=True):
        facts = [Fact.from_json(f) for f in json.loads(facts_json)]
        visible = [bool(v) for v in json.loads(visible_json)]
        listing.append(list_facts(facts, size_m=SIZE_M, visible=visible).text())
        named.append(list_facts(facts, size_m=SIZE_M, names=True).text())
        dense.append(np.packbits(dense_labels(facts, visible), axis=-1))
    np.savez(out, listing=np.array(listing), named=np.array(named), dense=np.stack(dense))


def dense_labels(facts: Sequence[Fact], visible: Sequence[bool]) -> np.ndarray:
    """``[49, K] bool`` from geometry in tile coordinates, row by row from the north-west."""
    index = {kind: i for i, kind in enumerate(listing_order())}
    grid = np.zeros((VISUAL_TOKENS, len(index)), dtype=bool)
    for fact, seen in zip(facts, visible, strict=True):
        if not seen or fact.kind not in index:
            continue
        for x, y in _samples(fact):
            if 0 <= x < 1 and 0 <= y < 1:
                grid[int(y * GRID) * GRID + int(x * GRID), index[fact.kind]] = True
    return grid


def _samples(fact: Fact) -> list[tuple[float, float]]:
    if fact.shape == "point":
        return [fact.parts[0][0]]
    if fact.shape == "area":
        return [(x / SIZE_M + 0.5, 0.5 - y / SIZE_M) for x, y in area_points(fact, SIZE_M)]
    points: list[tuple[float, float]] = []
    for ring in fact.parts:
        for (ax, ay), (bx, by) in itertools.pairwise(ring):
            n = max(1, int(max(abs(bx - ax), abs(by - ay)) * 20))
            points += [(ax + (bx - ax) * i / n, ay + (by - ay) * i / n) for i in range(n + 1)]
    return points


@dataclass(frozen=True, kw_only=True)
class Witness:
    """A description of a place, reduced to its claims; ``row`` is the tile it was given at."""

    row: int
    claims: tuple[Claim, ...]


def load_witnesses(path: Path, *, limit: int | None = None) -> list[Witness]:
    """One JSON object a line: ``row`` and ``claims``."""
    found = []
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            data = json.loads(line)
            claims = tuple(Claim.from_json(c) for c in data["claims"])
            if claims:
                found.append(Witness(row=data["row"], claims=claims))
            if limit is not None and len(found) >= limit:
                break
    return found


def perturbed(listing: Listing, rng: random.Random) -> Listing:
    """The listing with an entry or two left out and a direction lost, as a judge's own listing is."""
    entries = [e for e in listing.entries if rng.random() > 0.05]
    return Listing(entries=tuple(entries))
