"""Which tile stands beside a query: the true one, or a wrong one hard to tell from it; never an ambiguous one."""

from __future__ import annotations

from collections.abc import Mapping
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
    from retriever.encoder import Encoder
    from retriever.gallery import Gallery

NEAREST = 8
"""A neighbour is drawn from this many nearest tiles that miss the point."""
ALIKE = 5
"""A look-alike is one of this many most similar tiles."""
POOL = 96
"""Look-alikes are sought among this many tiles of an area, drawn once."""
LOOKALIKE_M, RANDOM_M = 150.0, 300.0
"""How far look-alikes and random tiles lie from the point at least, so that neighbours are a kind of their own."""
LOOK_PX = 224

Floats = NDArray[np.float64]


class Tiles:
    """A gallery's tiles as candidates. A tile where nobody can stand is none: it would give itself away."""

    def __init__(self, gallery: Gallery, alike: Mapping[str, list[str]] | None = None) -> None:
        self.gallery = gallery
        self.alike = dict(alike or {})
        """Look-alikes by true tile and point: those chosen before, which another encoder might not choose again, and
        those chosen now."""
        self._index: dict[str, FactIndex] = {}
        self._looks: dict[int, NDArray[np.float32]] = {}

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

    def look(self, row: int) -> NDArray[np.float32]:
        """Float32 [D] of a tile by the shipped encoder. Map tiles are drawn without system fonts, alike everywhere."""
        if row not in self._looks:
            from retriever.draw import draw_tile

            gallery, tile_id = self.gallery, self.gallery.ids[row]
            if gallery.view == "map":
                picture = draw_tile(gallery.facts(tile_id) or (), size_m=gallery.size_m, px=LOOK_PX)
            else:
                picture = gallery.image(tile_id)
            self._looks[row] = self._encoder.encode_images([picture])[0]
        return self._looks[row]

    @cached_property
    def _encoder(self) -> Encoder:
        from retriever.encoder import Encoder

        return Encoder.load(device="cpu")  # what it picks must not depend on the machine

    @cached_property
    def _pool(self) -> list[int]:
        """Rows among which look-alikes are sought."""
        rows = [int(i) for i in np.flatnonzero(self.walkable)]
        return sorted(Random(f"look-alikes {self.gallery.id}").sample(rows, min(POOL, len(rows))))

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
            key = f"{true} {lat:.7f} {lon:.7f}"
            if key not in self.alike:
                self.alike[key] = [self.gallery.ids[i] for i in self._most_like(true, off)]
            rows = [self.gallery.row(tile_id) for tile_id in self.alike[key]]
            found = rng.sample(rows, len(rows))
        elif kind == "random":
            rows = [int(i) for i in np.flatnonzero((off >= RANDOM_M) & self.walkable)]
            found = rng.sample(rows, min(ALIKE, len(rows)))
        else:
            raise ValueError(f"{kind} is made, not picked")
        return [self.gallery.ids[i] for i in found]

    def _most_like(self, true: str, off: Floats) -> list[int]:
        own = self.look(self.gallery.row(true))
        far = [i for i in self._pool if off[i] >= LOOKALIKE_M]
        return sorted(far, key=lambda i: (-float(self.look(i) @ own), i))[:ALIKE]
