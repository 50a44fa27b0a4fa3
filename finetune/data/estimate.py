"""How much a plan makes, and how long that takes: counted from the maps, at rates measured on two cores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import shapely

from finetune.data.plan import AreaPlan, Plan
from finetune.data.steps import Workshop, source_of
from retriever.grid import Grid, overlap
from retriever.kinds import kinds
from retriever.sources.facts import features_of, project
from retriever.sources.osm import header_box, read_osm

TILES_S, TEXTS_S, PAIRS_S, SETS_S, COMPARED_S = 35.0, 95.0, 9.5, 0.48, 290.0
"""Per second of CPU on one core (see docs/data.md): tiles drawn and written, descriptions, pairs, view sets, pictures
looked at for leaks."""
TILE_MB, SET_MB, PAIR_MB = 0.06, 0.25, 0.05
"""On disk; a tile lies in its gallery and in the data set."""
STANDABLE = 0.7
"""Share of tiles on which somebody can stand."""


def estimate(plan: Plan, out: Path, osm: Path | None) -> Iterator[str]:
    """Lines about each area, then about the whole. Raises ``PlanError`` for an extract that is missing."""
    shop = Workshop(plan=plan, out=out, osm=osm)
    total = 0
    for area in plan.areas:
        cells = count_cells(shop, area)
        total += cells
        yield f"{area.split:10} {area.name:24} {cells:7,} tiles"
    texts = int(total * STANDABLE * plan.texts.per_tile)
    sets, places = plan.view_sets * len(plan.areas), plan.pair_places * len(plan.areas)
    # A match and a no-match in two languages, and for a third of the places one of each with a street map.
    pairs = int(places * (4 + 2 / 3))
    hours = (
        total / TILES_S + texts / TEXTS_S + pairs / PAIRS_S + sets / SETS_S + (total + 5 * sets) / COMPARED_S
    ) / 3600
    gigabytes = (total * TILE_MB + sets * SET_MB + pairs * PAIR_MB) / 1000
    yield f"about {total:,} tiles, about {texts:,} descriptions, {pairs:,} pairs, {sets:,} view sets"
    yield f"about {hours:.1f} hours on one core at the rates measured for docs/data.md, and {gigabytes:.1f} GB on disk"


def count_cells(shop: Workshop, area: AreaPlan) -> int:
    """Cells of the stride grid that a road or building touches: what ``cover="touched"`` draws."""
    path = source_of(shop, area)
    ground = [
        f.geometry for o in read_osm(path) for f in features_of(o) if kinds()[f.kind].group in ("road", "building")
    ]
    if not ground:
        return 0
    west, south, east, north = shapely.total_bounds(ground)
    box = header_box(path) or (west, south, east, north)
    limit = overlap(box, area.bbox) if area.bbox else box
    if limit is None:
        return 0
    size = shop.plan.size_m
    grid = Grid.over(limit, size_m=size, stride_m=size * shop.plan.stride)
    found = set()
    for geometry in ground:
        for piece in shapely.get_parts(shapely.segmentize(project(geometry, grid.frame), grid.stride_m / 4)):
            found |= {grid.cell_at(x, y) for x, y in shapely.get_coordinates(piece)}
    return sum(r in range(grid.rows) and c in range(grid.cols) for r, c in found)
