"""Validation in training: recall among the tiles of all held-out places of the same area, ties against."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from finetune.contrastive.sources import Pairs
from finetune.encoder.validate import ranks_of

Rows = NDArray[np.int64]
KS = (1, 5, 10)


def validate(pairs: Pairs, rows: Rows, tiles: Rows, asked: torch.Tensor, shown: torch.Tensor) -> dict[str, Any]:
    """recall@k of the right tile by source, area and view, and the mean over these groups.

    ``asked`` [Q, D] and ``shown`` [N, D] are unit vectors of the queries ``rows`` and of ``tiles`` [N],
    which is sorted. A query's gallery are its area's tiles; those that its data set calls ambiguous for it count
    neither way.
    """
    area = np.asarray([pairs.tiles[t].area for t in tiles])
    groups = [f"{pairs.source[r]}/{pairs.tiles[int(pairs.tile[r])].area}/{pairs.view[r]}" for r in rows]
    found: dict[str, dict[str, float]] = {}
    for group in sorted(set(groups)):
        own = np.flatnonzero(np.asarray(groups) == group)
        gallery = np.flatnonzero(area == pairs.tiles[int(pairs.tile[rows[own[0]]])].area)
        scores = (asked[own] @ shown[torch.from_numpy(gallery).to(shown.device)].T).float().cpu().numpy()
        for i, row in enumerate(rows[own]):
            unsure = list(pairs.unsure.get(int(row), ()))
            scores[i, np.isin(tiles[gallery], unsure)] = -np.inf
        right = np.searchsorted(tiles[gallery], pairs.tile[rows[own]])
        ranks = ranks_of(scores, right)
        found[group] = {f"r@{k}": float((ranks <= k).mean()) for k in KS}
        found[group] |= {"queries": len(own), "tiles": len(gallery)}
    mean = {f"r@{k}": float(np.mean([g[f"r@{k}"] for g in found.values()])) for k in KS}
    return {"mean": mean, "groups": found}
