"""How fast 10,000 queries are evaluated against 10,000 tiles, beside a plain loop over pairs.

    python -m benchmarks.evaluation [--queries 10000] [--tiles 10000] [--rows 0] [--seed 0]

The plain loop is our own text of what the released CVG-Text evaluation does: for every query the haversine distance to
every tile, one pair at a time in Python; for ``nearest100`` the tiles in order of distance; the rank of the true tile
among the tiles shown; the distance of the best one. It is given the rule for ties of ``eval.metrics``, and must come to
the same values of every metric for every query and protocol, or this fails. Both begin with the same scores.

The whole loop is run; ``--rows`` times it on so many queries only and multiplies (said in what is printed). Scores are
random with many ties, and made before the clock starts. Places are random in a square of about 30 km.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eval.metrics import DEPTH, KS, RADII_M, measure, metric_names
from eval.protocol import PRIOR_TILES, PROTOCOLS, LocatedQuery, truth
from retriever.geo import EARTH_M, Frame
from retriever.types import Query

HALF_M = 60.0


@dataclass(frozen=True)
class Tiles:
    """Places of a gallery that is not on a disk."""

    id: str
    ids: Sequence[str]
    lat: Any
    lon: Any
    bounds: Any


def setting(queries: int, tiles: int, seed: int) -> tuple[Tiles, list[LocatedQuery], Any]:
    """Tiles of 120 m, queries that each stand on one of them, and scores float64 [Q, N] in steps of 1/1000."""
    rng = np.random.default_rng(seed)
    frame = Frame(lat=51.5, lon=-0.1)
    x, y = rng.uniform(-15_000, 15_000, (2, tiles))
    lat, lon = frame.latlon(x, y)
    south, west = frame.latlon(x - HALF_M, y - HALF_M)
    north, east = frame.latlon(x + HALF_M, y + HALF_M)
    gallery = Tiles("square", [f"t{i}" for i in range(tiles)], lat, lon, np.column_stack([west, south, east, north]))
    stands = rng.integers(tiles, size=queries)
    at = frame.latlon(x[stands] + rng.uniform(-40, 40, queries), y[stands] + rng.uniform(-40, 40, queries))
    asked = [
        LocatedQuery(query=Query(id=f"q{q}", text="a place"), lat=float(a), lon=float(b), named=False, source="random")
        for q, (a, b) in enumerate(zip(*at, strict=True))
    ]
    scores = rng.integers(0, 1000, (queries, tiles)).astype(np.float64) / 1000
    scores[np.arange(queries), stands] += rng.integers(0, 2, queries) * 0.998
    return gallery, asked, scores


class Plain:
    """The loop over pairs; lists are made beforehand, as the released code reads them from file names."""

    def __init__(self, tiles: Tiles, protocols: Sequence[str]) -> None:
        self.places = list(zip(tiles.lat.tolist(), tiles.lon.tolist(), strict=True))
        self.bounds, self.protocols = tiles.bounds.tolist(), protocols

    def values(self, query: LocatedQuery, scores: Sequence[float]) -> list[list[float]]:
        """Every metric of one query, by protocol: distances pair by pair, then sorting and counting."""
        lat, lon = query.lat, query.lon
        distances = [haversine(lat, lon, a, b) for a, b in self.places]
        target = distances.index(min(distances))
        found = []
        for protocol in self.protocols:
            shown: Sequence[int] = range(len(distances))
            if protocol != "full":
                shown = sorted(shown, key=distances.__getitem__)[:PRIOR_TILES]
            found.append(self._ranked(query, scores, distances, shown, target))
        return found

    def _ranked(
        self,
        query: LocatedQuery,
        scores: Sequence[float],
        distances: Sequence[float],
        shown: Sequence[int],
        target: int,
    ) -> list[float]:
        own = scores[target]
        rank = sum(scores[i] >= own for i in shown)
        holding = [i for i in shown if distances[i] < 2 * HALF_M and _holds(self.bounds[i], query)]
        best = max(scores[i] for i in holding)
        first = 1 + sum(scores[i] >= best for i in shown) - sum(scores[i] >= best for i in holding)
        top = max(scores[i] for i in shown)
        metres = max(distances[i] for i in shown if scores[i] >= top)
        values = [float(rank <= k) for k in KS] + [float(first <= k) for k in KS]
        return [*values, 1 / rank if rank <= DEPTH else 0.0, *(float(metres <= m) for m in RADII_M)]


def _holds(bounds: Sequence[float], query: LocatedQuery) -> bool:
    west, south, east, north = bounds
    return west <= query.lon <= east and south <= query.lat <= north


def haversine(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Metres between two points, in plain Python."""
    a, b = math.radians(lat1), math.radians(lat2)
    half = math.sin((b - a) / 2) ** 2 + math.cos(a) * math.cos(b) * math.sin(math.radians(lon2 - lon1) / 2) ** 2
    return 2 * EARTH_M * math.asin(math.sqrt(half))


def ours(tiles: Tiles, queries: Sequence[LocatedQuery], scores: Any, protocols: Sequence[str]) -> Any:
    """float64 [P, Q, metrics]"""
    found = []
    for protocol in protocols:
        values = measure(scores, truth(tiles, queries, protocol)).values
        found.append(np.stack([values[name] for name in metric_names()], axis=1))
    return np.stack(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--tiles", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=0, help="time the plain loop on so many queries only; 0: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--protocols", nargs="+", choices=PROTOCOLS, default=["full"])
    asked = parser.parse_args()
    tiles, queries, scores = setting(asked.queries, asked.tiles, asked.seed)
    began = time.perf_counter()
    fast = ours(tiles, queries, scores, asked.protocols)
    fast_s = time.perf_counter() - began
    rows = min(asked.rows or asked.queries, asked.queries)
    loop = Plain(tiles, asked.protocols)
    began = time.perf_counter()
    slow = np.array([loop.values(q, s.tolist()) for q, s in zip(queries[:rows], scores, strict=False)])
    slow_s = (time.perf_counter() - began) * asked.queries / rows
    differing = int((np.abs(slow.transpose(1, 0, 2) - fast[:, :rows]) > 1e-12).sum())
    said = {
        "queries": asked.queries, "tiles": asked.tiles, "protocols": asked.protocols, "ours_s": round(fast_s, 2),
        "plain_s": round(slow_s, 1), "plain_rows": rows, "extrapolated": rows < asked.queries,
        "times": round(slow_s / fast_s, 1), "values_compared": slow.size, "values_that_differ": differing,
        "load": os.getloadavg()[0],
    }  # fmt: skip
    print(json.dumps(said, indent=1))
    if differing:
        sys.exit("the two do not come to the same values")


if __name__ == "__main__":
    main()
