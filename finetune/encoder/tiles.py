"""Training tiles: pictures at the models' size with the facts they were drawn from.

A folder of them holds ``tiles.npy`` (uint8 [N, 224, 224, 3], made for mapping) and ``tiles.parquet`` (area, tile_id,
split, lat, lon, x and y in metres of the area's frame, facts and shown flags as JSON).
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from retriever.encoder import shrink
from retriever.errors import SourceError
from retriever.gallery import fact_from_json, fact_to_json
from retriever.geo import Frame
from retriever.grid import Grid
from retriever.kinds import kinds
from retriever.sources.facts import Feature, facts_on, features_of, project
from retriever.sources.osm import read_osm
from retriever.spool import clip
from retriever.types import TILE_MARGIN, Box, Fact, canonical_json

SIZE_M, STRIDE_M, PX, SEEN_PX = 120.0, 60.0, 448, 224
HELD_OUT = ("london", "taipei", "singapore")
"""Areas of the tests, by a part of their file names."""
TEST_TOWNS = range(3000, 3100)
MIN_FACTS = 5

Spot = tuple[float, float]
"""A tile's centre in metres of its area's frame."""


@dataclass(frozen=True, kw_only=True)
class Area:
    """One extract, in metres of its own frame, ready to be cut anywhere."""

    name: str
    grid: Grid
    features: Sequence[Feature]
    tree: shapely.STRtree

    @classmethod
    def read(cls, path: Path) -> Area:
        """Every feature of an extract. Raises ``SourceError`` for an area that is kept for tests."""
        name = path.name.split(".")[0]
        if any(part in name for part in HELD_OUT) or name in {f"town-{seed}" for seed in TEST_TOWNS}:
            raise SourceError(f"{path.name} is kept for tests: never train or tune on it")
        degrees = [feature for obj in read_osm(path) for feature in features_of(obj)]
        ground = [f.geometry for f in degrees if kinds()[f.kind].group in ("road", "building")]
        if not ground:
            raise SourceError(f"{path.name} has no roads or buildings: there is nothing to train on")
        west, south, east, north = shapely.total_bounds(ground)
        grid = Grid.over((west, south, east, north), size_m=SIZE_M, stride_m=STRIDE_M)
        features = [_moved(feature, grid.frame) for feature in degrees]
        return cls(name=name, grid=grid, features=features, tree=shapely.STRtree([f.geometry for f in features]))

    def facts_at(self, spot: Spot) -> tuple[Fact, ...]:
        """Facts of the tile about a point."""
        box, wide = _box(spot, 0.5), _box(spot, 0.5 + TILE_MARGIN)
        near = [self.features[i] for i in sorted(self.tree.query(shapely.box(*wide)))]
        return facts_on(near, [clip(feature.geometry, wide) for feature in near], box)

    def cells(self) -> list[Spot]:
        """Centres of the cells that a road or building touches, in the grid's order."""
        found = set()
        for feature in self.features:
            if kinds()[feature.kind].group in ("road", "building"):
                for piece in shapely.get_parts(shapely.segmentize(feature.geometry, STRIDE_M / 4)):
                    found |= {self.grid.cell_at(x, y) for x, y in shapely.get_coordinates(piece)}
        rows, cols = range(self.grid.rows), range(self.grid.cols)
        return [self.grid.centre(cell) for cell in sorted(found) if cell[0] in rows and cell[1] in cols]

    def spots(self, count: int | None, seed: int) -> list[Spot]:
        """Every cell's centre, or ``count`` centres drawn at random about the cells."""
        cells = self.cells()
        if count is None:
            return cells
        rng = np.random.default_rng([seed, *self.name.encode()])
        rounds = -(-count // len(cells))
        order = np.concatenate([rng.permutation(len(cells)) for _ in range(rounds * 2)])
        shifts = rng.uniform(-STRIDE_M / 2, STRIDE_M / 2, (len(order), 2))
        return [(cells[i][0] + dx, cells[i][1] + dy) for i, (dx, dy) in zip(order, shifts.tolist(), strict=True)]


def _moved(feature: Feature, frame: Frame) -> Feature:
    return Feature(
        osm_id=feature.osm_id,
        kind=feature.kind,
        shape=feature.shape,
        names=feature.names,
        tags=feature.tags,
        geometry=project(feature.geometry, frame),
    )


def _box(spot: Spot, half: float) -> Box:
    reach = SIZE_M * half
    return spot[0] - reach, spot[1] - reach, spot[0] + reach, spot[1] + reach


@dataclass(frozen=True)
class Job:
    """What one process does: one area of one split."""

    path: str
    split: str
    count: int | None
    seed: int


def rows_of(job: Job) -> Iterator[dict[str, Any]]:
    """The table rows of a job's tiles, each with its picture under ``pixels``."""
    from retriever.draw import Fonts, draw_tile, visible

    area, kept = Area.read(Path(job.path)), 0
    for spot in area.spots(job.count, job.seed):
        facts = area.facts_at(spot)
        if job.count is not None and (kept == job.count or len(facts) < MIN_FACTS):
            continue
        lat, lon = area.grid.frame.latlon(*spot)
        picture = draw_tile(facts, size_m=SIZE_M, px=PX, fonts=Fonts.find())
        yield {
            "area": area.name,
            "tile_id": f"{area.name}-{kept:05d}",
            "split": job.split,
            "lat": lat,
            "lon": lon,
            "x": spot[0],
            "y": spot[1],
            "facts": canonical_json([fact_to_json(f) for f in facts]),
            "visible": json.dumps([bool(v) for v in visible(facts, size_m=SIZE_M, px=PX)]),
            "pixels": shrink(picture, SEEN_PX),
        }
        kept += 1


def _part(task: tuple[Job, str]) -> str:
    """Write one job's part beside the result; a part that is there already is kept, so a build can be resumed."""
    job, stem = task
    if not Path(f"{stem}.parquet").exists():
        rows = list(rows_of(job))
        np.save(f"{stem}.npy", np.stack([row.pop("pixels") for row in rows]))
        pd.DataFrame(rows).to_parquet(f"{stem}.parquet")
    return stem


def build_tiles(jobs: Iterable[Job], out: Path, *, processes: int = 2) -> pd.DataFrame:
    """Draw every job's tiles into ``out`` and return the table. Finished areas are not drawn again."""
    parts = out / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    tasks = [(job, str(parts / f"{job.split}-{Path(job.path).name}-{job.count}-{job.seed}")) for job in jobs]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        stems = pool.map(_part, tasks, chunksize=1)
    table = pd.concat([pd.read_parquet(f"{stem}.parquet") for stem in stems], ignore_index=True)
    _join([np.load(f"{stem}.npy", mmap_mode="r") for stem in stems], out / "tiles.npy")
    table.to_parquet(out / "tiles.parquet.part")
    (out / "tiles.parquet.part").replace(out / "tiles.parquet")
    return table


def _join(pixels: Sequence[NDArray[np.uint8]], path: Path) -> None:
    """One file of all; a training that has the old one mapped goes on reading the old one."""
    part = path.with_suffix(".part.npy")
    shape = (sum(len(p) for p in pixels), SEEN_PX, SEEN_PX, 3)
    whole: Any = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)  # type: ignore[no-untyped-call]
    start = 0
    for block in pixels:
        whole[start : start + len(block)] = block
        start += len(block)
    whole.flush()
    part.replace(path)


def jobs(plan: Mapping[str, Any], osm: Path, out: Path, seed: int) -> Iterator[Job]:
    """One job per extract of a plan (``areas.yaml``) that is there, then one per town; town files go to ``out``."""
    splits = ("train", "validation")
    for split, (name, count) in ((s, item) for s in splits for item in plan.get(s, {}).items()):
        if (osm / name).exists():
            yield Job(str(osm / name), split, count, seed)
    for split, wanted in ((s, plan.get("towns", {}).get(s)) for s in splits):
        for number in range(*wanted["seeds"]) if wanted else ():
            yield Job(str(_town(out / "towns", number)), split, wanted["count"], seed)


def _town(folder: Path, seed: int) -> Path:
    from retriever.town import write_town

    path = folder / f"town-{seed}.osm"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_town(path, seed=seed)
    return path


@dataclass(frozen=True)
class TileSet:
    """The folder that :func:`build_tiles` wrote, read lazily."""

    table: pd.DataFrame
    pixels: NDArray[np.uint8]
    """uint8 [N, 224, 224, 3], memory-mapped."""

    @classmethod
    def open(cls, folder: Path) -> TileSet:
        return cls(pd.read_parquet(folder / "tiles.parquet"), np.load(folder / "tiles.npy", mmap_mode="r"))

    def facts(self, row: int) -> tuple[Fact, ...]:
        return tuple(fact_from_json(f) for f in json.loads(self.table["facts"].iloc[row]))

    def shown(self, row: int) -> list[bool]:
        """Per fact, whether its symbol can be seen in the picture."""
        flags: list[bool] = json.loads(self.table["visible"].iloc[row])
        return flags

    @property
    def sha256(self) -> str:
        """Of ids, places and facts (the pictures follow from them)."""
        digest = hashlib.sha256()
        for column in ("tile_id", "split", "facts"):
            digest.update("\n".join(self.table[column]).encode())
        return digest.hexdigest()
