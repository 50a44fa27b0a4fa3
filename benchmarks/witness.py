"""A witness who does not exist: stands at a point, tells a little, and answers from the map, not always rightly.

What the witness sees is what the map has within ``SEEN_M`` of the point. Asked about a kind of thing, the witness says
yes where one is that near and no where none is; with the given rates the answer is the wrong one, or "don't know".
The errors are drawn once for each question and point, so that two desks which ask the same thing are told the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import shapely

from finetune.data.descriptions import describe, fact_index
from finetune.data.standpoints import Standpoint, standpoints
from retriever.gallery import Gallery
from retriever.geo import distance_m
from retriever.oracle.generality import satisfying
from retriever.oracle.index import FactIndex
from retriever.oracle.zones import disc
from retriever.types import Claim, Tile

SEEN_M = 60.0
"""How far the witness sees."""
MATCH_M = 42.4
"""A tile is right where its centre lies within this of the witness: the stride of 60 m over the root of two."""


@dataclass(frozen=True, kw_only=True)
class Witness:
    """One simulated person. ``wrong`` and ``unknown`` are the shares of answers that are wrong or "don't know"."""

    id: str
    tile: Tile
    point: Standpoint
    index: FactIndex
    text: str
    wrong: float
    unknown: float
    seed: int

    def answer(self, claim: Claim) -> str:
        """yes, no or unknown."""
        draw = Random(f"{self.seed}/{self.id}/{claim.kind}/{claim.value}").random()
        if draw < self.unknown:
            return "unknown"
        there = self.sees(claim) != (draw < self.unknown + self.wrong)
        return "yes" if there else "no"

    def sees(self, claim: Claim) -> bool:
        """Whether the map has it near the witness; a junction is asked of the map's own rule at the tile."""
        if claim.kind == "junction":
            from retriever.oracle import check

            return check(claim, self.index).stance == "supports"
        around = shapely.transform(disc(SEEN_M), lambda xy: xy + np.array([self.point.x, self.point.y]))
        return bool(self.index.inside(around, self.index.of_kinds(satisfying(claim.value))))

    def right(self, lat: float, lon: float) -> bool:
        """Whether a tile with this centre matches where the witness stands."""
        return bool(distance_m(self.point.lat, self.point.lon, lat, lon) <= MATCH_M)


def witnesses(
    galleries: Sequence[Gallery],
    count: int,
    *,
    seed: int,
    wrong: float,
    unknown: float,
    lang: str = "en",
    length: str = "medium",
) -> Iterator[Witness]:
    """``count`` witnesses over the galleries, tiles drawn in proportion to the galleries' sizes, each tile once."""
    rng = Random(seed)
    tiles = [(gallery, tile_id) for gallery in galleries for tile_id in gallery.ids]
    rng.shuffle(tiles)
    made = 0
    for gallery, tile_id in tiles:
        if made == count:
            return
        tile = gallery.tile(tile_id)
        index = fact_index(tile, gallery.size_m)
        points = standpoints(tile, size_m=gallery.size_m, rng=rng, n=1, index=index)
        if not points:
            continue
        told = describe(
            tile, points[0], size_m=gallery.size_m, seed=rng.randrange(2**31), lang=lang, named=False, length=length  # type: ignore[arg-type]
        )  # fmt: skip
        if told.text.strip() and told.claims:
            made += 1
            yield Witness(
                id=tile_id, tile=tile, point=points[0], index=index, text=told.text,
                wrong=wrong, unknown=unknown, seed=seed,
            )  # fmt: skip
