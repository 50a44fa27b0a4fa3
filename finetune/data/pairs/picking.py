"""Which tile stands beside a query: the true one, or a wrong one hard to tell from it; never an ambiguous one."""

from __future__ import annotations

from functools import cached_property
from random import Random
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from finetune.data.standpoints import standpoints
from retriever.geo import distance_m
from retriever.oracle import FactIndex
from retriever.pairs import MATCH_M, OUTSIDE_M, Negative
from retriever.types import Tile

if TYPE_CHECKING:
    from retriever.gallery import Gallery

NEAREST = 8
"""A neighbour is drawn from this many nearest tiles that miss the point."""
ALIKE = 5
"""A look-alike is one of this many most similar tiles."""
LOOKALIKE_M, RANDOM_M = 150.0, 300.0
"""How far look-alikes and random tiles lie from the point at least, so that neighbours are a kind of their own."""
LOOK_PX = 224

Floats = NDArray[np.float64]


class Tiles:
    """A gallery's tiles as candidates. A tile where nobody can stand is none: it would give itself away."""

    def __init__(self, gallery: Gallery) -> None:
        self.gallery = gallery
        self._index: dict[str, FactIndex] = {}

    def index(self, tile_id: str) -> FactIndex:
        """The tile's facts as the oracle asks them."""
        if tile_id not in self._index:
            self._index[tile_id] = FactIndex(self.gallery.facts(tile_id), size_m=self.gallery.size_m)
        return self._index[tile_id]

    @cached_property
    def walkable(self) -> NDArray[np.bool_]:
        """Bool [N]: whether a witness can stand in the tile's cell."""
        size, cell = self.gallery.size_m, self.gallery.stride_m
        return np.array(
            [
                bool(standpoints(self._tile(i), size_m=size, rng=Random(0), n=1, index=self.index(i), cell_m=cell))
                for i in self.gallery.ids
            ]
        )

    def _tile(self, tile_id: str) -> Tile:
        return self.gallery.tile(tile_id)

    @cached_property
    def vectors(self) -> NDArray[np.float32]:
        """Float32 [N, D] of the shipped encoder. Map tiles are drawn without system fonts, the same everywhere."""
        from retriever.draw import draw_tile
        from retriever.encoder import Encoder

        gallery = self.gallery
        if gallery.view == "map":
            pictures = [draw_tile(gallery.facts(i) or (), size_m=gallery.size_m, px=LOOK_PX) for i in gallery.ids]
        else:
            pictures = [gallery.image(i) for i in gallery.ids]
        return Encoder.load().encode_images(pictures)

    def outside_m(self, lat: float, lon: float) -> Floats:
        """How far the point lies outside each tile [N], in metres; 0 inside."""
        west, south, east, north = self.gallery.bounds.T
        return np.asarray(distance_m(lat, lon, np.clip(lat, south, north), np.clip(lon, west, east)))

    def matching(self, lat: float, lon: float) -> list[str]:
        """Tiles that match the point, the nearest centre first."""
        far = np.asarray(distance_m(lat, lon, self.gallery.lat, self.gallery.lon))
        limit = min(MATCH_M, self.gallery.stride_m / 2**0.5)
        return [self.gallery.ids[i] for i in np.argsort(far, kind="stable") if far[i] <= limit]

    def wrong(self, kind: Negative, true: str, lat: float, lon: float, rng: Random) -> list[str]:
        """Tiles of one kind of negative in the order to try them; empty where the area has none."""
        off = self.outside_m(lat, lon)
        if kind == "neighbour":
            near = [int(i) for i in np.argsort(off, kind="stable") if off[i] >= OUTSIDE_M and self.walkable[i]]
            found = rng.sample(near[:NEAREST], min(NEAREST, len(near)))
        elif kind == "lookalike":
            likeness = self.vectors @ self.vectors[self.gallery.row(true)]
            rows = [int(i) for i in np.argsort(-likeness, kind="stable") if off[i] >= LOOKALIKE_M and self.walkable[i]]
            found = rng.sample(rows[:ALIKE], min(ALIKE, len(rows)))
        elif kind == "random":
            rows = [int(i) for i in np.flatnonzero((off >= RANDOM_M) & self.walkable)]
            found = rng.sample(rows, min(ALIKE, len(rows)))
        else:
            raise ValueError(f"{kind} is made, not picked")
        return [self.gallery.ids[i] for i in found]
