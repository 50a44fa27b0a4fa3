"""A whole area as satellite-like imagery: georeferenced pictures that a gallery is built from.

The pictures lie edge to edge on the pixels of the drawn gallery's tiles, all taken at one moment, so that
``build_gallery(out, osm=..., imagery=..., bbox=...)`` cuts tiles with the ids of the drawn gallery out of them.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import from_bounds

from finetune.views.conditions import AGES, Conditions
from finetune.views.places import grid_over
from finetune.views.poses import SIZES, Pose
from finetune.views.scene import Scene
from retriever.build import build_gallery, file_sha256
from retriever.errors import SourceError
from retriever.gallery import Gallery
from retriever.grid import Cell, Grid
from retriever.types import Box
from retriever.workfolder import write_whole

Progress = Callable[[int, int], None]
ATTRIBUTION = "Synthetic imagery rendered by Sightline from a map"
LICENCE = "as the map's"


@dataclass(frozen=True, kw_only=True)
class Flight:
    """What one imagery folder shows."""

    osm: Path
    out: Path
    seed: int
    age_years: int | None = None
    """One of ``AGES``; None as drawn from the seed."""

    def conditions(self, lat: float) -> Conditions:
        """One moment for the whole area: no sensor noise, because neighbours share it only in a single picture."""
        if self.age_years is not None and self.age_years not in AGES:
            raise SourceError(f"imagery {self.age_years} years old is not rendered: give one of {AGES}")
        drawn = Conditions.drawn(self.seed, view="satellite", lat=lat)
        age = drawn.age_years if self.age_years is None else self.age_years
        return Conditions(**{**vars(drawn), "age_years": age, "blur_px": 0.0})


def render_imagery(flight: Flight, *, jobs: int = 1, progress: Progress | None = None) -> Box:
    """Writes the GeoTIFFs that are not there yet; returns the box to build the gallery for.

    Raises:
        SourceError: the extract cannot be read, or the folder holds imagery of something else.
    """
    scene = Scene.from_osm(flight.osm)
    grid = grid_over(scene.box)
    _claim(flight)
    todo = sorted(
        (cell for cell in _squares(scene, grid) if not _path(flight, cell).is_file()),
        key=lambda cell: (scene.stage_key(*scene.frame.xy(*_middle(grid, cell))), cell),
    )
    for made, _ in enumerate(_run(flight, scene, grid, todo, jobs), start=1):
        if progress is not None:
            progress(made, len(todo))
    return scene.box


def build_satellite_gallery(
    flight: Flight, gallery: Path, *, jobs: int = 1, progress: Progress | None = None
) -> Gallery:
    """Renders the imagery of an extract and cuts a gallery of view ``satellite`` out of it, with the map's facts."""
    box = render_imagery(flight, jobs=jobs, progress=progress)
    return build_gallery(
        gallery, osm=flight.osm, imagery=flight.out, bbox=box, attribution=ATTRIBUTION, licence=LICENCE, jobs=jobs,
        gallery_id=_gallery_id(flight.osm),
    )  # fmt: skip


def _gallery_id(osm: Path) -> str:
    return re.sub(r"[^a-z0-9_]+", "-", osm.name.lower().split(".")[0]).strip("-_")[:48]


def _claim(flight: Flight) -> None:
    path = flight.out / "flight.json"
    said = {"source": file_sha256(flight.osm), "seed": flight.seed, "age_years": flight.age_years, "synthetic": True}
    if path.is_file() and json.loads(path.read_text(encoding="utf-8")) != said:
        raise SourceError(f"{flight.out} holds imagery of another extract, seed or age: give another folder")
    flight.out.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(said) + "\n")


def _squares(scene: Scene, grid: Grid) -> Iterator[Cell]:
    """Squares of two by two cells, by their upper left cell, that tiles of the grid reach and the map knows."""
    for row in range(-1, grid.rows + 1, 2):
        for col in range(-1, grid.cols + 1, 2):
            lat, lon = _middle(grid, (row, col))
            if scene.anything_near(lat, lon, grid.size_m):
                yield row, col


def _middle(grid: Grid, cell: Cell) -> tuple[float, float]:
    x, y = grid.centre(cell)
    lat, lon = grid.frame.latlon(x + grid.stride_m / 2, y - grid.stride_m / 2)
    return float(lat), float(lon)


def _path(flight: Flight, cell: Cell) -> Path:
    return flight.out / f"square_r{cell[0] + 1:04d}c{cell[1] + 1:04d}.tif"


def _pose(grid: Grid, cell: Cell) -> Pose:
    px = SIZES["satellite"][0]
    x, y = grid.centre(cell)
    west_m, north_m = x - grid.stride_m / 2, y + grid.stride_m / 2
    north, west = grid.frame.latlon(west_m, north_m)
    south, east = grid.frame.latlon(west_m + grid.size_m, north_m - grid.size_m)
    lat, lon = _middle(grid, cell)
    bounds = (float(west), float(south), float(east), float(north))
    return Pose(
        view="satellite", lat=lat, lon=lon, width=px, height=px, pitch_deg=-90.0, bounds=bounds, gsd_m=grid.size_m / px
    )


def _run(flight: Flight, scene: Scene, grid: Grid, todo: list[Cell], jobs: int) -> Iterator[None]:
    if jobs <= 1 or len(todo) < 4:
        for cell in todo:
            _one(flight, scene, grid, cell)
            yield
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_start, initargs=(flight,)) as pool:
        yield from pool.map(_there, todo, chunksize=4)


_HERE: dict[str, tuple[Flight, Scene, Grid]] = {}


def _start(flight: Flight) -> None:
    scene = Scene.from_osm(flight.osm)
    _HERE["now"] = flight, scene, grid_over(scene.box)


def _there(cell: Cell) -> None:
    _one(*_HERE["now"], cell)


def _one(flight: Flight, scene: Scene, grid: Grid, cell: Cell) -> None:
    pose = _pose(grid, cell)
    pixels = np.asarray(scene.render(pose, flight.conditions(scene.frame.lat)))
    path = _path(flight, cell)
    unfinished = path.with_suffix(".unfinished")
    assert pose.bounds is not None
    with rasterio.open(
        unfinished, "w", driver="GTiff", width=pose.width, height=pose.height, count=3, dtype="uint8",
        crs="EPSG:4326", transform=from_bounds(*pose.bounds, pose.width, pose.height), compress="deflate",
        photometric="RGB",
    ) as raster:  # fmt: skip
        raster.write(pixels.transpose(2, 0, 1))
    os.replace(unfinished, path)
