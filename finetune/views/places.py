"""Where sets are taken: standpoints on walkable streets, spread over the cells of the drawn gallery's grid."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from finetune.data.standpoints import standpoints
from finetune.views.poses import TILE_M, nadir_pose
from finetune.views.scene import Scene
from finetune.views.seeds import number
from retriever.errors import SourceError
from retriever.grid import Grid
from retriever.types import Box, Tile

TRIES = 6


class Place(NamedTuple):
    row: int
    """Of the cell of the stride grid that holds it."""
    col: int
    lat: float
    lon: float


def grid_over(box: Box) -> Grid:
    """The grid of a gallery with the usual tiles."""
    return Grid.over(box, size_m=TILE_M, stride_m=TILE_M / 2)


def places(scene: Scene, grid: Grid, *, n: int, seed: int) -> list[Place]:
    """``n`` places in the open on walkable streets: as many in each cell as in any other, but for the last round.

    Raises:
        SourceError: no cell has a walkable street in the open.
    """
    cells = [(r, c) for r in range(grid.rows) for c in range(grid.cols)]
    Random(number("cells", seed)).shuffle(cells)
    found: list[Place] = []
    rounds = 0
    while len(found) < n:
        lived = []
        for cell in cells:
            place = next(_in_cell(scene, grid, cell, Random(number("place", seed, rounds, *cell))), None)
            if place is not None:
                lived.append(cell)
                found.append(place)
            if len(found) == n:
                return found
        if not lived:
            raise SourceError(f"{scene.name} has no walkable street in the open inside its box: give another extract")
        cells, rounds = lived, rounds + 1
    return found


def _in_cell(scene: Scene, grid: Grid, cell: tuple[int, int], rng: Random) -> Iterator[Place]:
    x, y = grid.centre(cell)
    lat, lon = (float(v) for v in grid.frame.latlon(x, y))
    if not scene.anything_near(lat, lon, grid.stride_m):
        return
    pose = nadir_pose("map", lat, lon, size_m=grid.size_m)
    assert pose.bounds is not None
    tile = Tile(
        id=grid.tile_id("cell", cell), view="map", lat=lat, lon=lon, bounds=pose.bounds, gsd_m=pose.gsd_m or 0.0,
        image="", image_sha256="", facts=scene.facts(pose),
    )  # fmt: skip
    for spot in standpoints(tile, size_m=grid.size_m, rng=rng, n=TRIES, cell_m=grid.stride_m):
        if not scene.inside_building(spot.lat, spot.lon):
            yield Place(*cell, spot.lat, spot.lon)
