"""Does the confidence mean something: calibration, discrimination, and what is gained by answering only when sure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from eval.arena.counterfactual import true_cell
from eval.arena.records import SetRun
from eval.bootstrap import Interval, bootstrap_mean
from eval.protocol import Bools, Floats

GRID = 201
RESAMPLES = 200


@dataclass(frozen=True, kw_only=True)
class Sureness:
    """One method's first answers: how sure, and whether right. A query whose place was taken out is never right."""

    key: str
    p: Floats
    right: Bools
    clusters: Sequence[str]
    removed: int
    calibrated: int
    """Answers that weights fitted to these models and to such tiles speak for."""


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """One row of the table."""

    key: str
    n: int
    removed: int
    calibrated: int
    """Of ``n``; see :class:`Sureness`."""
    error: Interval
    """Share of wrong first answers."""
    smooth_ece: Interval
    brier: Interval
    base_brier: float
    """Of always saying the share of right answers, known only afterwards: the base rate's own score."""
    auroc: Interval | None
    """None where all answers are right, or all wrong."""
    half_error: Interval
    """Share of wrong answers among the half answered most confidently."""


def sureness(runs: Sequence[SetRun], key: str) -> Sureness | None:
    """A method's answers over several sets; None where it gives none with a posterior."""
    p: list[float] = []
    right: list[bool] = []
    clusters: list[str] = []
    removed, calibrated = 0, 0
    for run in runs:
        method = run.methods.get(key)
        places = dict(zip((q.query.id for q in run.frozen.located), run.frozen.truth.clusters, strict=True))
        for asked in run.frozen.asked if method is not None else ():
            line = method.answered(asked.query.id) if method is not None else None
            if line is None or not line.get("sure") or not line["judgements"]:
                continue
            first = line["judgements"][0]["tile_id"]
            p.append(float(line["sure"]["cells"][first]))
            right.append(not asked.removed and true_cell(run.frozen, asked) == first)
            clusters.append(f"{run.frozen.name}/{places[asked.query.id.removesuffix('~gone')]}")
            removed += asked.removed
            calibrated += bool(line["sure"]["calibrated"])
    if not p:
        return None
    return Sureness(
        key=key, p=np.array(p), right=np.array(right), clusters=clusters, removed=removed, calibrated=calibrated
    )


def calibrated(s: Sureness, *, seed: int = 0) -> Calibrated:
    """All scores with intervals by location."""
    y = s.right.astype(np.float64)
    half = most_sure(s.p, s.clusters)
    return Calibrated(
        key=s.key,
        n=len(y),
        removed=s.removed,
        calibrated=s.calibrated,
        error=bootstrap_mean(1 - y, s.clusters, seed=seed),
        smooth_ece=_smooth_interval(s, seed),
        brier=bootstrap_mean((s.p - y) ** 2, s.clusters, seed=seed),
        base_brier=float(y.mean() * (1 - y.mean())),
        auroc=_resampled(s, auroc, seed) if 0 < y.mean() < 1 else None,
        half_error=bootstrap_mean(1 - y[half], [s.clusters[i] for i in half], seed=seed),
    )


def most_sure(p: Floats, clusters: Sequence[str]) -> list[int]:
    """Rows of the more confident half, equal ones by location's name, which knows nothing of right and wrong."""
    order = sorted(range(len(p)), key=lambda i: (-p[i], clusters[i], i))
    return order[: max(1, len(order) // 2)]


def _resampled(s: Sureness, score: Callable[[Floats, Floats], float], seed: int) -> Interval:
    names, code = np.unique(np.asarray(s.clusters), return_inverse=True)
    rows = [np.flatnonzero(code == c) for c in range(len(names))]
    rng, y = np.random.default_rng(seed), s.right.astype(np.float64)
    drawn = []
    for _ in range(RESAMPLES):
        chosen = np.concatenate([rows[c] for c in rng.integers(0, len(names), len(names))])
        value = score(s.p[chosen], y[chosen])
        if np.isfinite(value):
            drawn.append(value)
    low, high = np.quantile(drawn, [0.025, 0.975]) if drawn else (np.nan, np.nan)
    value = score(s.p, y)
    return Interval(value=value, low=float(low), high=float(high), n=len(y), locations=len(names))


def smooth_ece(p: Floats, right: Floats) -> float:
    """Smooth expected calibration error (Błasiok & Nakkiran, arXiv 2309.12236): no bins, and its own bandwidth.

    The residuals [n] are smoothed by a Gaussian that is reflected at 0 and 1, with the one width at which the error is
    as large as the width.
    """
    return _smooth(p, right - p, len(p))


def _smooth(p: Floats, residual: Floats, n: int) -> float:
    low, high = 1e-3, 1.0
    for _ in range(14):
        width = (low + high) / 2
        if _smoothed(p, residual, n, width) < width:
            high = width
        else:
            low = width
    return float(_smoothed(p, residual, n, high))


def _smoothed(p: Floats, residual: Floats, n: int, width: float) -> float:
    """Integral over [0, 1] of the absolute smoothed residual of ``n`` points."""
    density = _kernel(p.tobytes(), width) @ residual
    return float(np.trapezoid(np.abs(density) / n, np.linspace(0.0, 1.0, GRID)))


@lru_cache(maxsize=64)
def _kernel(points: bytes, width: float) -> Floats:
    """[GRID, n]: each point's kernel, made to sum to one. Resampling asks for the same ones over and over."""
    p, t = np.frombuffer(points, dtype=np.float64), np.linspace(0.0, 1.0, GRID)
    kernel = sum(np.exp(-0.5 * ((t[:, None] - image) / width) ** 2) for image in (p, -p, 2.0 - p))
    made: Floats = kernel / np.maximum(np.trapezoid(kernel, t, axis=0), 1e-12)
    return made


def _smooth_interval(s: Sureness, seed: int) -> Interval:
    """As by :func:`_resampled`: a point that is drawn twice has its residual doubled, not its kernel."""
    names, code = np.unique(np.asarray(s.clusters), return_inverse=True)
    y = s.right.astype(np.float64)
    residual = y - s.p
    drawn = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=RESAMPLES)
    values = [_smooth(s.p, residual * row[code], int(row[code].sum())) for row in drawn]
    low, high = np.quantile(values, [0.025, 0.975])
    return Interval(value=smooth_ece(s.p, y), low=float(low), high=float(high), n=len(y), locations=len(names))


def auroc(p: Floats, right: Floats) -> float:
    """Chance that a right answer is surer than a wrong one, ties counting half; NaN where one kind is missing.

    >>> auroc(np.array([0.9, 0.2, 0.2]), np.array([1.0, 1.0, 0.0]))
    0.75
    """
    from scipy.stats import rankdata

    good, bad = int(right.sum()), int((1 - right).sum())
    if not good or not bad:
        return float("nan")
    ranks = rankdata(p)
    return float((ranks[right == 1].sum() - good * (good + 1) / 2) / (good * bad))


def risk_coverage(s: Sureness) -> tuple[Floats, Floats]:
    """Coverage [n] and the share of wrong answers [n] among those that are at least so sure."""
    order = sorted(range(len(s.p)), key=lambda i: (-s.p[i], s.clusters[i], i))
    wrong = np.cumsum(1.0 - s.right[order])
    count = np.arange(1, len(order) + 1)
    return count / len(order), wrong / count


@dataclass(frozen=True, kw_only=True)
class Moved:
    """How often a change moved the true cell's posterior down."""

    change: str
    share: Interval
    mean_before: float
    mean_after: float


CHANGES = {
    "claim_removed": "a claim that the map supports removed",
    "tile_swapped": "picture and facts of a far tile in its place",
    "tile_blank": "a blank picture without facts in its place",
}


def moved(runs: Sequence[SetRun], *, seed: int = 0) -> list[Moved]:
    """Over all queries of the runs with counterfactuals; each change must make the true cell less likely."""
    found = []
    for key, words in CHANGES.items():
        rows = [
            (row["as_it_is"], row[key], f"{run.frozen.name}/{row['query_id']}")
            for run in runs
            for row in run.counterfactuals
            if key in row and "error" not in row
        ]
        if rows:
            before, after = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
            down = bootstrap_mean((after < before).astype(np.float64), [r[2] for r in rows], seed=seed)
            found.append(
                Moved(change=words, share=down, mean_before=float(before.mean()), mean_after=float(after.mean()))
            )
    return found
