"""Retrieval metrics in which ties count against the method.

The rank of a tile is 1 + the number of tiles with a greater score + the number of *others* with an equal one, so a
constant scorer ranks every tile last. A score of ``-inf`` means "not returned" and is never a hit. NaN is refused.
Recall@k and MRR follow from that rank; a test holds them to what ir_measures says of the same order. Queries are taken
a few at a time, so that what is computed of them stays in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from eval.protocol import Bools, EvaluationError, Floats, Ints, Truth

KS = (1, 5, 10)
RADII_M = (50, 100, 150)
DEPTH = 1000
"""Ranks beyond this give a reciprocal rank of 0."""
BLOCK = 64
"""Queries that are measured at once."""


@dataclass(frozen=True, kw_only=True)
class PerQuery:
    """Every metric of every query.

    ``values``: name -> float64 [Q], in 0..1. ``metres`` float64 [Q]: from the true point to the centre of the top
    tile, the farthest of them where several share the top score; infinite where nothing was returned.
    """

    values: Mapping[str, Floats]
    metres: Floats
    rank: Floats
    """Float64 [Q]: rank of the true tile, infinite where it was not returned."""
    failed: Bools
    """Bool [Q]: the method gave no answer for this query; it counts as a miss in every metric."""


def metric_names() -> tuple[str, ...]:
    """The names of :attr:`PerQuery.values`, in the order of a table."""
    return (
        *(f"recall@{k}" for k in KS),
        *(f"contains@{k}" for k in KS),
        "MRR",
        *(f"L@{m}m" for m in RADII_M),
    )


def measure(scores: Floats, truth: Truth, failed: Bools | None = None) -> PerQuery:
    """All metrics of scores [Q, N] over the whole gallery (they are cut to the protocol's tiles here).

    ``failed`` bool [Q] marks queries without an answer; their scores are not looked at. Raises ``EvaluationError``
    for NaN elsewhere or for a shape that does not fit.
    """
    lost = np.zeros(len(truth.target), dtype=bool) if failed is None else failed
    _check(scores, truth, lost)
    rank, first, metres = (np.empty(len(lost)) for _ in range(3))
    unordered: list[int] = []

    def fill(start: int) -> None:
        block = slice(start, start + BLOCK)
        shown = _shown(scores[block], truth, block)
        shown[lost[block]] = -np.inf
        best = shown.max(axis=1)
        # A greatest score is NaN as soon as one of them is.
        unordered.extend((start + np.flatnonzero(np.isnan(best))).tolist())
        rank[block] = rank_of(shown, truth.target[block])
        first[block] = first_hit_rank(shown, truth.holds[block])
        metres[block] = _top_metres(shown, best, truth, start)

    # Comparing and counting leave the interpreter's lock, so blocks run on every core.
    with ThreadPoolExecutor() as pool:
        list(pool.map(fill, range(0, len(lost), BLOCK)))
    if unordered:
        raise EvaluationError(
            f"{len(unordered)} queries have NaN scores (first: row {min(unordered)}); mark them failed instead, NaN "
            "has no rank"
        )
    values = {f"recall@{k}": (rank <= k).astype(np.float64) for k in KS}
    values |= {f"contains@{k}": (first <= k).astype(np.float64) for k in KS}
    values["MRR"] = np.where(rank <= DEPTH, 1.0 / rank, 0.0)
    values |= {f"L@{m}m": (metres <= m).astype(np.float64) for m in RADII_M}
    return PerQuery(values=values, metres=metres, rank=rank, failed=lost)


def _check(scores: Floats, truth: Truth, failed: Bools) -> None:
    if scores.ndim != 2 or len(scores) != len(truth.target) or scores.shape[1] != len(truth.centres):
        raise EvaluationError(f"scores of shape {scores.shape} do not fit {len(truth.target)} queries and the gallery")
    if failed.shape != (len(scores),):
        raise EvaluationError(f"failed has shape {failed.shape}, not one flag for each of {len(scores)} queries")


def _shown(scores: Floats, truth: Truth, block: slice) -> Floats:
    """A block's scores of the tiles that its protocol shows, copied."""
    if truth.whole:
        return np.array(scores, dtype=np.float64)
    return np.take_along_axis(np.asarray(scores, dtype=np.float64), truth.pool[block], axis=1)


def rank_of(scores: Floats, target: Ints) -> Floats:
    """Rank [Q] of column ``target`` [Q] in scores [Q, M], ties against; infinite where it was not returned."""
    own = np.take_along_axis(scores, target[:, None], axis=1)
    # >= counts the greater ones, the equal others and the target itself: exactly 1 + #greater + #equal others.
    rank: Floats = np.count_nonzero(scores >= own, axis=1).astype(np.float64)
    rank[np.isneginf(own[:, 0])] = np.inf
    return rank


def first_hit_rank(scores: Floats, hits: Bools) -> Floats:
    """Rank [Q] of the first tile of ``hits`` bool [Q, M] when every non-hit goes first among equals."""
    rows, columns = np.nonzero(hits)
    own = scores[rows, columns]
    best = np.full(len(scores), -np.inf)
    np.maximum.at(best, rows, own)
    among = np.bincount(rows[own >= best[rows]], minlength=len(scores))
    rank: Floats = 1.0 + np.count_nonzero(scores >= best[:, None], axis=1) - among
    rank[np.isneginf(best)] = np.inf
    return rank


def _top_metres(scores: Floats, best: Floats, truth: Truth, start: int) -> Floats:
    """Metres [B] from queries ``start`` on to the top tile's centre, the farthest among equals; infinite for none.

    ``best`` [B] is the greatest score of each row.
    """
    rows, columns = np.nonzero(scores >= best[:, None])
    metres = np.zeros(len(scores))
    np.maximum.at(metres, rows, truth.metres(start + rows, columns))
    metres[np.isneginf(best)] = np.inf
    return metres
