"""Validation of a model in training: recall over the whole gallery of each validation area, ties against."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from finetune.encoder.bank import Bank, Rows
from finetune.encoder.sights import VIEWS, Sights
from finetune.encoder.tiles import SIZE_M
from retriever.encoder import BoxResize

KS = (1, 5, 10)


def ranks_of(scores: NDArray[np.float32], right: Rows) -> Rows:
    """Rank of the right tile in each row of ``scores`` [Q, N]: 1 + those above + the others that are equal."""
    own = scores[np.arange(len(scores)), right][:, None]
    return np.asarray((scores > own).sum(1) + (scores == own).sum(1), np.int64)


def ranked(scores: NDArray[np.float32], point: NDArray[np.float64], xy: NDArray[np.float64]) -> tuple[Rows, Rows]:
    """[Q] ranks of the tile with the nearest centre, and of the best tile that holds the point.

    ``scores`` [Q, N] of queries at ``point`` [Q, 2] and tiles centred at ``xy`` [N, 2]. Where no tile holds the point
    its second rank is N + 1.
    """
    distance = np.linalg.norm(point[:, None] - xy[None], axis=-1)
    holds = np.abs(point[:, None] - xy[None]).max(-1) <= SIZE_M / 2
    best = np.where(holds, scores, -np.inf).argmax(1)
    contained = np.where(holds.any(1), ranks_of(scores, best), len(xy) + 1)
    return ranks_of(scores, distance.argmin(1)), contained


def recall(scores: NDArray[np.float32], point: NDArray[np.float64], xy: NDArray[np.float64]) -> dict[str, float]:
    """recall@k of the tile with the nearest centre, and contains@k, for queries [Q, 2] and tile centres [N, 2].

    contains@k counts a query when one of its k best tiles holds the point.
    """
    ranks, contained = ranked(scores, point, xy)
    return {f"r@{k}": float((ranks <= k).mean()) for k in KS} | {
        f"contains@{k}": float((contained <= min(k, len(xy))).mean()) for k in KS
    }


def galleries(bank: Bank, *, queries: int, seed: int = 0) -> Iterator[tuple[str, Rows, Rows]]:
    """Each area's name, its tiles, and at most ``queries`` of its texts, the same ones every time."""
    names = bank.tiles.table["area"].iloc[bank.rows].to_numpy()
    for name in sorted(set(names)):
        tiles = np.flatnonzero(names == name)
        texts = np.flatnonzero(np.isin(bank.texts.tile, tiles))
        yield name, tiles, np.sort(np.random.default_rng(seed).permutation(texts)[:queries])


@torch.inference_mode()
def validate(
    model: Any, bank: Bank, embed: Callable[[Rows], NDArray[np.float32]], *, queries: int = 150, seed: int = 0
) -> dict[str, Any]:
    """Metrics by area and their unweighted mean, over at most ``queries`` texts per area, the same ones every time.

    ``embed`` gives the vectors [N, D] of tiles: from pixels, or from labels to see what the text side alone can do.
    """
    by_area: dict[str, dict[str, float]] = {}
    for name, tiles, texts in galleries(bank, queries=queries, seed=seed):
        scores = embed_texts(model, bank, texts) @ embed(tiles).T
        found = recall(scores, bank.texts.point[texts], bank.xy[tiles])
        by_area[name] = {**found, "tiles": len(tiles), "queries": len(texts)}
    mean = {key: float(np.mean([m[key] for m in by_area.values()])) for key in next(iter(by_area.values()))}
    return {"mean": mean, "areas": by_area}


@torch.inference_mode()
def validate_views(model: Any, sights: Sights, preprocess: BoxResize) -> dict[str, dict[str, float]]:
    """Recall@k of each view to the overhead picture of its place among those of the area, mean over areas."""
    pictures = sights.pixels[sights.rows]
    vectors = np.stack([_embed_pixels(model, pictures[:, i], preprocess) for i in range(pictures.shape[1])])
    found = {}
    for number, view in enumerate(VIEWS, 1):
        ranks = []
        for area in range(int(sights.area.max()) + 1):
            own = np.flatnonzero(sights.area == area)
            ranks.append(ranks_of(vectors[number, own] @ vectors[0, own].T, np.arange(len(own))))
        found[view] = {f"r@{k}": float(np.mean([(r <= k).mean() for r in ranks])) for k in KS}
    return found


def _embed_pixels(model: Any, pixels: NDArray[np.uint8], preprocess: BoxResize, batch: int = 64) -> NDArray[np.float32]:
    """uint8 [N, H, W, 3] to float32 [N, D], unit rows."""
    parts = []
    for i in range(0, len(pixels), batch):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            seen = preprocess.normalise(torch.from_numpy(pixels[i : i + batch]).permute(0, 3, 1, 2))
            parts.append(model.encode_image(seen).float())
    out: NDArray[np.float32] = F.normalize(torch.cat(parts), dim=-1).numpy()
    return out


def embed_texts(model: Any, bank: Bank, texts: Rows, batch: int = 64) -> NDArray[np.float32]:
    """float32 [T, D], unit rows."""
    out: NDArray[np.float32] = F.normalize(bank.texts.encode(model, texts, batch).float(), dim=-1).numpy()
    return out


def embed_tiles(model: Any, bank: Bank, tiles: Rows, preprocess: BoxResize, batch: int = 64) -> NDArray[np.float32]:
    """float32 [N, D], unit rows."""
    parts = []
    for i in range(0, len(tiles), batch):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            parts.append(model.encode_image(bank.pixels(tiles[i : i + batch], preprocess)).float())
    out: NDArray[np.float32] = F.normalize(torch.cat(parts), dim=-1).numpy()
    return out
