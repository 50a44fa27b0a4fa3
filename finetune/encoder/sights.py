"""Rendered views in the form that steps read: overhead pictures with map labels, and pictures of the same places.

``sightline data views`` renders them; :func:`build_sights` shrinks the pictures to what the encoder sees and looks up
what the map has in each overhead one. Everything here is synthetic.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image

from finetune.encoder.labels import label_grid, pack, unpack
from finetune.encoder.tiles import SEEN_PX, Area
from finetune.views.dataset import read_sets
from retriever.build import file_sha256
from retriever.encoder import BoxResize, shrink
from retriever.errors import SourceError

Rows = NDArray[np.int64]
VIEWS = ("ground", "panorama", "uav", "map")
"""Of the queries, in the order of their pictures."""
PIXELS, TABLE, LABELS = "sights.npy", "sights.parquet", "labels.npy"


def build_sights(folders: Sequence[tuple[Path, Path, str]], out: Path, *, cells: int) -> pd.DataFrame:
    """Write the sets of ``folders`` (rendered sets, the extract they were made from, their split) to ``out``.

    ``sights.npy`` is uint8 [N, 5, 224, 224, 3]: the overhead picture, then :data:`VIEWS`. Raises ``SourceError`` where
    sets are unfinished, or of an area that is kept for tests.
    """
    rows: list[dict[str, Any]] = []
    pictures: list[NDArray[np.uint8]] = []
    labels: list[NDArray[np.uint8]] = []
    for folder, osm, split in folders:
        area = Area.read(osm)
        for said in read_sets(folder):
            row, grid = _row(area, said, cells)
            rows.append({**row, "split": split})
            labels.append(grid)
            pictures.append(np.stack([_seen(folder, said, view) for view in ("satellite", *VIEWS)]))
    if not rows:
        raise SourceError("there are no rendered sets to learn from: make them with sightline data views")
    out.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(rows)
    np.save(out / PIXELS, np.stack(pictures))
    np.save(out / LABELS, np.stack(labels))
    table.to_parquet(out / TABLE)
    return table


def source_of(folder: Path, osm: Path) -> Path:
    """The extract that sets were rendered from, found by name in ``osm`` or below it; its content must be the same.

    Raises ``SourceError`` where it is not there, or is another one.
    """
    try:
        source = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["source"]
    except (OSError, ValueError, KeyError) as error:
        raise SourceError(f"{folder} is no folder of rendered sets ({error!r})") from error
    for path in sorted(osm.rglob(source["name"])):
        if file_sha256(path) == source["sha256"]:
            return path
    raise SourceError(f"{osm} does not hold the extract {source['name']} that {folder} was rendered from")


def _row(area: Area, said: dict[str, Any], cells: int) -> tuple[dict[str, Any], NDArray[np.uint8]]:
    pose = said["views"]["satellite"]["pose"]
    centre = tuple(float(v) for v in area.grid.frame.xy(pose["lat"], pose["lon"]))
    x, y = (float(v) for v in area.grid.frame.xy(said["lat"], said["lon"]))
    facts = area.facts_at((centre[0], centre[1]))
    row = {"id": said["id"], "area": area.name, "x": centre[0], "y": centre[1], "point_x": x, "point_y": y}
    return row, pack(label_grid(facts, cells=cells))


def _seen(folder: Path, said: dict[str, Any], view: str) -> NDArray[np.uint8]:
    with Image.open(folder / said["views"][view]["file"]) as image:
        return shrink(image, SEEN_PX)


@dataclass(frozen=True, kw_only=True)
class Sights:
    """The sets of one split."""

    pixels: NDArray[np.uint8]
    """uint8 [all, 5, 224, 224, 3], memory-mapped."""
    rows: Rows
    """[N] of this split."""
    labels: NDArray[np.uint8]
    """[N, cells * cells, bytes], packed."""
    centre: NDArray[np.float64]
    """[N, 2] of the overhead picture, metres of the area's frame."""
    point: NDArray[np.float64]
    """[N, 2] where the photographer stands."""
    area: Rows
    sha256: str

    @classmethod
    def open(cls, folder: Path, split: str) -> Sights:
        """Raises ``SourceError`` where the folder holds none."""
        if not (folder / TABLE).exists():
            raise SourceError(f"{folder} holds no views to learn from: make them with sightline train sights")
        table = pd.read_parquet(folder / TABLE)
        rows = np.flatnonzero((table["split"] == split).to_numpy())
        own = table.iloc[rows]
        return cls(
            pixels=np.load(folder / PIXELS, mmap_mode="r"),
            rows=rows,
            labels=np.load(folder / LABELS)[rows],
            centre=own[["x", "y"]].to_numpy(float),
            point=own[["point_x", "point_y"]].to_numpy(float),
            area=pd.factorize(own["area"])[0].astype(np.int64),
            sha256=hashlib.sha256(table.to_csv(index=False).encode()).hexdigest(),
        )

    def __len__(self) -> int:
        return len(self.rows)

    def overhead(self, rows: Rows, preprocess: BoxResize) -> torch.Tensor:
        """float32 [B, 3, H, W]"""
        return preprocess.normalise(torch.from_numpy(self.pixels[self.rows[rows], 0]).permute(0, 3, 1, 2))

    def dense(self, rows: Rows) -> torch.Tensor:
        """bool [B, cells * cells, channels]"""
        return torch.from_numpy(unpack(self.labels[rows]))

    def matched(self, rows: Rows, views: Rows, preprocess: BoxResize, rng: np.random.Generator) -> torch.Tensor:
        """float32 [2B, 3, H, W]: a picture of each set (``views``: its place in :data:`VIEWS`), then the overhead one.

        Both are mirrored together by chance, overhead ones turned by quarters (a photograph does not tell north; a map
        is turned along), and panoramas begin at any column.
        """
        asked, above = [], []
        for row, view in zip(rows, views, strict=True):
            query, tile = self.pixels[self.rows[row], 1 + view], self.pixels[self.rows[row], 0]
            turn = int(rng.integers(4))
            tile = np.rot90(tile, turn)
            if VIEWS[view] == "map":
                query = np.rot90(query, turn)
            if VIEWS[view] == "panorama":
                query = np.roll(query, int(rng.integers(query.shape[1])), axis=1)
            if rng.random() < 0.5:
                query, tile = query[:, ::-1], tile[:, ::-1]
            asked.append(query)
            above.append(tile)
        return preprocess.normalise(torch.from_numpy(np.stack([*asked, *above])).permute(0, 3, 1, 2))

    def draw(self, count: int, seed: int, step: int) -> tuple[Rows, Rows, np.random.Generator]:
        """Sets of a step, all different, half of them of one area; a view of each; what chance goes on with."""
        rng = np.random.default_rng([seed, step])
        sizes = np.bincount(self.area).astype(float)
        weights = np.where(sizes >= count / 2, sizes, 0.0)
        near = np.zeros(0, np.int64)
        if weights.sum():
            own = np.flatnonzero(self.area == rng.choice(len(sizes), p=weights / weights.sum()))
            near = rng.choice(own, count // 2, replace=False)
        rest = np.setdiff1d(np.arange(len(self)), near)
        rows = np.concatenate([near, rng.choice(rest, min(count - len(near), len(rest)), replace=False)])
        return rows, rng.integers(len(VIEWS), size=len(rows)), rng
