"""Vectors for ``benchmarks.search``: real tile embeddings, jittered until there are as many as are asked for.

A vector is ``normalise(b + sigma * g / sqrt(D))``: ``b`` a tile embedding of the shipped encoder, drawn evenly from all
tiles of the given galleries, ``g`` standard normal in all D dimensions, so ``sigma`` is the expected length of what is
added. A query is made the same way from tiles of another gallery. Vector i does not depend on how many are made.
A limit allows the copies of those tiles that lie nearest to one tile on the ground.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retriever.encoder import Encoder
from retriever.errors import IndexMismatch
from retriever.gallery import Gallery
from retriever.geo import distance_m
from retriever.index import VectorIndex
from retriever.retrieve import build_index, index_folder

CHUNK = 10_000
Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Bases:
    """Embedded tiles of some galleries."""

    vectors: Floats
    lat: NDArray[np.float64]
    lon: NDArray[np.float64]
    said: str
    """Galleries with their number of tiles."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """The vectors [N, D], queries [Q, D] and, by name, the rows that a limit allows, bool [N]."""

    vectors: Floats
    queries: Floats
    limits: dict[str, NDArray[np.bool_]]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    base: Bases
    asked: Bases
    sigma: float
    queries: int

    def describe(self) -> dict[str, object]:
        """What the results carry."""
        digest = hashlib.sha256(self.base.vectors.tobytes() + self.asked.vectors.tobytes()).hexdigest()[:16]
        return {
            "tiles of": self.base.said, "queries from": self.asked.said, "sigma": self.sigma, "queries": self.queries,
            "dim": int(self.base.vectors.shape[1]), "embeddings": digest,
        }  # fmt: skip

    def make(self, count: int) -> Made:
        """float32 vectors [count, D] and everything that is asked of them."""
        vectors = np.empty((count, self.base.vectors.shape[1]), np.float32)
        drawn = np.empty(count, np.int64)
        for part, start in enumerate(range(0, count, CHUNK)):
            rng = np.random.default_rng([1, part])
            rows = rng.integers(len(self.base.vectors), size=CHUNK)
            made = _jittered(self.base.vectors[rows], self.sigma, rng)
            end = min(count, start + CHUNK)
            vectors[start:end], drawn[start:end] = made[: end - start], rows[: end - start]
        rng = np.random.default_rng(2)
        rows = rng.integers(len(self.asked.vectors), size=self.queries)
        near = np.argsort(distance_m(self.base.lat[0], self.base.lon[0], self.base.lat, self.base.lon))
        limits = {}
        for share in (0.01, 0.1):
            few = near[: max(1, round(share * len(near)))]
            limits[f"{share:.0%}"] = np.isin(drawn, few)
        return Made(vectors=vectors, queries=_jittered(self.asked.vectors[rows], self.sigma, rng), limits=limits)


def _jittered(vectors: Floats, sigma: float, rng: np.random.Generator) -> Floats:
    noise = rng.standard_normal(vectors.shape, np.float32)
    moved = vectors + np.float32(sigma / np.sqrt(vectors.shape[1])) * noise
    made: Floats = moved / np.linalg.norm(moved, axis=1, keepdims=True)
    return made


def embedded(galleries: Sequence[Path], kept: Path) -> Bases:
    """The tiles of galleries by the shipped encoder: from their own index, else embedded into ``kept``."""
    encoder = Encoder.load()
    vectors, lat, lon, said = [], [], [], []
    for path in galleries:
        gallery = Gallery.open(path)
        folder = index_folder(path, encoder.name)
        try:
            index = VectorIndex.load(folder, encoder=encoder.id, gallery=gallery.sha256)
        except IndexMismatch:
            folder = kept / f"{gallery.id}-{gallery.sha256[:12]}"
            if not (folder / "index.json").exists():
                build_index(gallery, encoder, folder)
            index = VectorIndex.load(folder, encoder=encoder.id, gallery=gallery.sha256)
        rows = index.vectors()
        known = rows.any(axis=1)
        vectors.append(rows[known])
        lat.append(gallery.lat[known])
        lon.append(gallery.lon[known])
        said.append(f"{gallery.id} ({int(known.sum())})")
    return Bases(
        vectors=np.concatenate(vectors), lat=np.concatenate(lat), lon=np.concatenate(lon), said=json.dumps(said)
    )
