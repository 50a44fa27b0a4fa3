"""Does a verdict come from the pixels and the text? The judge on true, wrong and blank tiles, and with another's text.

A failed answer counts against the judge: as "no" on the true tile and as "yes" everywhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from eval.bootstrap import LEVEL, RESAMPLES, Interval, bootstrap_mean
from eval.protocol import EvaluationError, Floats

TRUE = "true"
KINDS = {
    "true": "the tile with the nearest centre",
    "neighbour": "the nearest tiles that miss the point by at least 30 m",
    "random": "any tile that misses the point by at least 300 m",
    "blank": "an empty map of the same size",
    "other text": "the true tile, with the claims of another query",
}


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One question put to the judge."""

    query_id: str
    location: str
    kind: str
    """One of :data:`KINDS`."""
    p: float | None
    """Match probability; None: the judge failed to answer."""


@dataclass(frozen=True, kw_only=True)
class Control:
    """The judge on tiles of one kind, against the same queries' true tiles."""

    kind: str
    mean_p: Interval
    accuracy: Interval
    """Share of right verdicts at 0.5: "match" on the true tile, "no match" on every other kind."""
    auroc: Interval | None
    """Of the true tiles over this kind; None for the true tiles themselves."""
    flipped: Interval | None
    """Of the queries whose true tile was called a match, the share that this kind turns to "no match"."""
    failed: int


def summarise(trials: Sequence[Trial], *, seed: int = 0) -> list[Control]:
    """One row per kind that occurs, ``true`` first. Raises ``EvaluationError`` without exactly one true trial each."""
    true = [t for t in trials if t.kind == TRUE]
    base = {t.query_id: _counted(t) for t in true}
    if not base or len(base) != len(true):
        raise EvaluationError("every query needs exactly one trial on its true tile")
    kinds = [k for k in KINDS if any(t.kind == k for t in trials)]
    return [_control(kind, [t for t in trials if t.kind == kind], base, seed) for kind in kinds]


def _counted(trial: Trial) -> float:
    return trial.p if trial.p is not None else float(trial.kind != TRUE)


def _control(kind: str, trials: Sequence[Trial], base: Mapping[str, float], seed: int) -> Control:
    p = np.array([_counted(t) for t in trials])
    places = [t.location for t in trials]
    right = p >= 0.5 if kind == TRUE else p < 0.5
    auroc_, flipped = None, None
    if kind != TRUE:
        paired = np.array([base[t.query_id] for t in trials])
        auroc_ = bootstrap_auroc(paired, p, places, seed=seed)
        yes = paired >= 0.5
        if yes.any():
            flipped = bootstrap_mean(
                (p[yes] < 0.5).astype(np.float64), [c for c, y in zip(places, yes, strict=True) if y], seed=seed
            )
    return Control(
        kind=kind,
        mean_p=bootstrap_mean(p, places, seed=seed),
        accuracy=bootstrap_mean(right.astype(np.float64), places, seed=seed),
        auroc=auroc_,
        flipped=flipped,
        failed=sum(t.p is None for t in trials),
    )


def auroc(positive: Floats, negative: Floats) -> float:
    """Probability that a positive scores above a negative, ties half. Both one-dimensional and not empty."""
    ranks = rankdata(np.concatenate([positive, negative]))
    n, m = len(positive), len(negative)
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m))


def bootstrap_auroc(
    positive: Floats, negative: Floats, clusters: Sequence[str], *, seed: int = 0, resamples: int = RESAMPLES
) -> Interval:
    """AUROC of values paired by query [Q], with an interval from resampling whole locations."""
    names, code = np.unique(np.asarray(clusters), return_inverse=True)
    members = [np.flatnonzero(code == i) for i in range(len(names))]
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(resamples):
        rows = np.concatenate([members[i] for i in rng.integers(0, len(names), len(names))])
        drawn.append(auroc(positive[rows], negative[rows]))
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(
        value=auroc(positive, negative), low=float(low), high=float(high), n=len(positive), locations=len(names)
    )
