"""Retrieval metrics in which ties count against the method.

The rank of a tile is 1 + the number of tiles with a greater score + the number of *others* with an equal one, so a
constant scorer ranks every tile last. A score of ``-inf`` means "not returned" and is never a hit. NaN is refused.
Recall@k and MRR are computed by ir_measures from the order that this rule gives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import ir_measures
import numpy as np

from eval.protocol import Bools, EvaluationError, Floats, Ints, Truth

KS = (1, 5, 10)
RADII_M = (50, 100, 150)
DEPTH = 1000
"""Ranks beyond this give a reciprocal rank of 0."""


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
    shown = _checked(scores, truth, lost)
    values = _ir_values(adversarial_order(shown, truth.target), shown, truth.target)
    first = first_hit_rank(shown, truth.holds)
    metres = top_distance(shown, truth.distance)
    values |= {f"contains@{k}": (first <= k).astype(np.float64) for k in KS}
    values |= {f"L@{m}m": (metres <= m).astype(np.float64) for m in RADII_M}
    ordered = {name: values[name] for name in metric_names()}
    return PerQuery(values=ordered, metres=metres, rank=rank_of(shown, truth.target), failed=lost)


def _checked(scores: Floats, truth: Truth, failed: Bools) -> Floats:
    if scores.ndim != 2 or len(scores) != len(truth.target) or scores.shape[1] <= truth.pool.max():
        raise EvaluationError(f"scores of shape {scores.shape} do not fit {len(truth.target)} queries and the gallery")
    if failed.shape != (len(scores),):
        raise EvaluationError(f"failed has shape {failed.shape}, not one flag for each of {len(scores)} queries")
    cut = truth.restrict(np.asarray(scores, dtype=np.float64))
    cut[failed] = -np.inf
    bad = np.flatnonzero(np.isnan(cut).any(axis=1))
    if bad.size:
        raise EvaluationError(
            f"{bad.size} queries have NaN scores (first: row {bad[0]}); mark them failed instead, NaN has no rank"
        )
    return cut


def rank_of(scores: Floats, target: Ints) -> Floats:
    """Rank [Q] of column ``target`` [Q] in scores [Q, M], ties against; infinite where it was not returned."""
    own = np.take_along_axis(scores, target[:, None], axis=1)
    # >= counts the greater ones, the equal others and the target itself: exactly 1 + #greater + #equal others.
    rank: Floats = (scores >= own).sum(axis=1).astype(np.float64)
    rank[np.isneginf(own[:, 0])] = np.inf
    return rank


def first_hit_rank(scores: Floats, hits: Bools) -> Floats:
    """Rank [Q] of the first tile of ``hits`` bool [Q, M] when every non-hit goes first among equals."""
    best = np.where(hits, scores, -np.inf).max(axis=1)
    rank: Floats = 1.0 + ((scores >= best[:, None]) & ~hits).sum(axis=1)
    rank[np.isneginf(best)] = np.inf
    return rank


def top_distance(scores: Floats, distance: Floats) -> Floats:
    """Metres [Q] to the top tile's centre, the farthest among equals; infinite where nothing was returned."""
    best = scores.max(axis=1)
    metres: Floats = np.where(scores >= best[:, None], distance, -np.inf).max(axis=1)
    metres[np.isneginf(best)] = np.inf
    return metres


def adversarial_order(scores: Floats, target: Ints, depth: int = DEPTH) -> Ints:
    """Columns [Q, min(M, depth)] best first, the target behind all that share its score, other ties by column."""
    is_target = np.arange(scores.shape[1])[None, :] == target[:, None]
    order: Ints = np.lexsort((is_target, -scores), axis=1)
    return order[:, :depth]


def _ir_values(order: Ints, scores: Floats, target: Ints) -> dict[str, Floats]:
    measures = {f"recall@{k}": ir_measures.R @ k for k in KS} | {"MRR": ir_measures.RR}
    names = {str(measure): name for name, measure in measures.items()}
    values = {name: np.zeros(len(order)) for name in measures}
    qrels = {str(q): {str(t): 1} for q, t in enumerate(target)}
    run = {str(q): _row(order[q], scores[q]) for q in range(len(order))}
    # ir_measures leaves out queries of an empty run, so these keep the zero that they start with.
    for found in ir_measures.iter_calc(list(measures.values()), qrels, {q: docs for q, docs in run.items() if docs}):
        values[names[str(found.measure)]][int(found.query_id)] = found.value
    return values


def _row(order: Ints, scores: Floats) -> dict[str, float]:
    # Places instead of scores: the measures must not break our ties by document id.
    returned: Sequence[int] = [int(c) for c in order if scores[c] > -np.inf]
    return {str(column): float(len(returned) - place) for place, column in enumerate(returned)}
