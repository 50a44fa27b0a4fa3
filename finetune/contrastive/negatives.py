"""Which tiles are surely wrong for a query, and the hardest of those: by distance, then by similarity."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from finetune.contrastive.sources import Pairs
from retriever.geo import EARTH_M, distance_m

Rows = NDArray[np.int64]
Pool = NDArray[np.int32]
NONE = -1


def excluded(pairs: Pairs, rows: Rows) -> torch.Tensor:
    """bool [B, B]: query i and the tile of query j are neither a pair (the diagonal) nor a sure negative.

    Out are the same tile, or the same place, again; tiles that the data set calls ambiguous for the query; and tiles
    whose centre is nearer to the query than the source's reach.
    """
    tiles = pairs.tile[rows]
    place = np.asarray([f"{pairs.tiles[t].area}/{pairs.tiles[t].place}" for t in tiles])
    out = (tiles[:, None] == tiles[None]) | (place[:, None] == place[None])
    point, centre = pairs.point[rows], pairs.centre[tiles]
    away = distance_m(point[:, None, 0], point[:, None, 1], centre[None, :, 0], centre[None, :, 1])
    out |= away < pairs.reach[rows][:, None]
    for i, row in enumerate(rows):
        if row in pairs.unsure:
            out[i] |= np.isin(tiles, list(pairs.unsure[int(row)]))
    np.fill_diagonal(out, False)
    return torch.from_numpy(out)


def by_distance(pairs: Pairs, rows: Rows, size: int) -> Pool:
    """int32 [len(rows), size]: the nearest tiles of other training queries that are sure negatives, NONE after them.

    Queries of sources without coordinates have none.
    """
    from scipy.spatial import cKDTree

    out = np.full((len(rows), size), NONE, np.int32)
    tiles = np.unique(pairs.tile[rows])
    known = tiles[~np.isnan(pairs.centre[tiles]).any(1)]
    asked = np.flatnonzero(~np.isnan(pairs.point[rows]).any(1))
    if not len(known) or not len(asked):
        return out
    tree, wanted = cKDTree(_globe(pairs.centre[known])), min(len(known), 2 * size + 16)
    for start in range(0, len(asked), 4096):
        part = asked[start : start + 4096]
        _, near = tree.query(_globe(pairs.point[rows[part]]), k=wanted)
        for i, found in zip(part, known[near.reshape(len(part), -1)], strict=True):
            _keep(out[i], pairs, int(rows[i]), found)
    return out


def by_similarity(
    pairs: Pairs, rows: Rows, size: int, queries: torch.Tensor, tiles: torch.Tensor, tile_rows: Rows
) -> Pool:
    """The same, by the cosine of unit vectors: ``queries`` [len(rows), D] and ``tiles`` [N, D] of ``tile_rows`` [N]."""
    out = np.full((len(rows), size), NONE, np.int32)
    wanted = min(len(tile_rows), 2 * size + 16)
    for start in range(0, len(rows), 1024):
        scores = queries[start : start + 1024] @ tiles.T
        best = tile_rows[scores.topk(wanted, dim=1).indices.cpu().numpy()]
        for i, found in enumerate(best, start):
            _keep(out[i], pairs, int(rows[i]), found)
    return out


def _keep(out: NDArray[np.int32], pairs: Pairs, row: int, found: Rows) -> None:
    """Writes those of ``found`` that are surely wrong for a query into its row of the pool, in their order."""
    own = pairs.tiles[int(pairs.tile[row])]
    centre, point = pairs.centre[found], pairs.point[row]
    near = distance_m(point[0], point[1], centre[:, 0], centre[:, 1]) < pairs.reach[row]
    unsure = pairs.unsure.get(row, frozenset())
    sure = [
        int(t)
        for t, close in zip(found, near, strict=True)
        if not close and t not in unsure and (pairs.tiles[t].area, pairs.tiles[t].place) != (own.area, own.place)
    ]
    kept = sure[: len(out)]
    out[: len(kept)] = kept


def _globe(latlon: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points of the Earth's surface in space, so that straight distance orders as distance on the ground does."""
    lat, lon = np.radians(latlon[:, 0]), np.radians(latlon[:, 1])
    unit = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], 1)
    return np.asarray(unit * EARTH_M)
