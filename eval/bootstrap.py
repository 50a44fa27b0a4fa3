"""Intervals by resampling locations, not queries: descriptions of one spot succeed and fail together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from eval.protocol import EvaluationError, Floats, Ints

RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate with its percentile interval, and how much it rests on."""

    value: float
    low: float
    high: float
    n: int
    """Queries."""
    locations: int
    level: float = LEVEL


def bootstrap_mean(
    values: Floats, clusters: Sequence[str], *, seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL
) -> Interval:
    """Mean of values [Q] with an interval from resampling whole clusters.

    Where every value is 0 or every value is 1 a resample cannot vary, and the interval would pretend certainty: there
    it is the exact binomial (Clopper-Pearson) one over the locations.
    """
    values = _finite(values, clusters)
    code, count = _codes(clusters)
    mean = float(values.mean())
    if mean in (0.0, 1.0) and (values == mean).all():
        return _all_alike(mean, len(values), count, level)
    weights = _weights(count, seed, resamples)
    sums = np.bincount(code, weights=values, minlength=count)
    sizes = np.bincount(code, minlength=count).astype(np.float64)
    low, high = np.quantile((weights @ sums) / (weights @ sizes), [(1 - level) / 2, (1 + level) / 2])
    return Interval(value=mean, low=float(low), high=float(high), n=len(values), locations=count, level=level)


def bootstrap_median(
    values: Floats, clusters: Sequence[str], *, seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL
) -> Interval:
    """Median of values [Q], which may be infinite, with an interval from resampling whole clusters."""
    if np.isnan(values).any():
        raise EvaluationError("cannot take the median of values with NaN among them")
    code, count = _codes(clusters)
    order = np.argsort(values, kind="stable")
    weights = _weights(count, seed, resamples)[:, code[order]]
    total = np.cumsum(weights, axis=1)
    # The lower median: it never averages with an infinite value.
    place = (total >= total[:, -1:] / 2).argmax(axis=1)
    low, high = np.quantile(values[order][place], [(1 - level) / 2, (1 + level) / 2], method="nearest")
    middle = float(values[order][(len(values) - 1) // 2])
    return Interval(value=middle, low=float(low), high=float(high), n=len(values), locations=count, level=level)


def paired_difference(
    a: Floats, b: Floats, clusters: Sequence[str], *, seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL
) -> Interval:
    """Mean of ``a - b`` over the same queries [Q], with its interval by location."""
    if a.shape != b.shape:
        raise EvaluationError(f"paired values differ in length: {len(a)} and {len(b)}")
    change = bootstrap_mean(a - b, clusters, seed=seed, resamples=resamples, level=level)
    if (a == b).all():
        # No change seen: the exact bound holds in both directions.
        return replace(change, low=-change.high)
    return change


def _finite(values: Floats, clusters: Sequence[str]) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or len(array) != len(clusters) or len(array) == 0:
        raise EvaluationError(f"{array.shape} values do not fit {len(clusters)} locations; one value per query")
    if not np.isfinite(array).all():
        raise EvaluationError("cannot average values that are NaN or infinite")
    return array


def _codes(clusters: Sequence[str]) -> tuple[Ints, int]:
    names, code = np.unique(np.asarray(clusters), return_inverse=True)
    return code, len(names)


def _weights(count: int, seed: int, resamples: int) -> Floats:
    """How often each cluster is drawn: [resamples, count]."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(count, np.full(count, 1 / count), size=resamples).astype(np.float64)


def _all_alike(mean: float, n: int, locations: int, level: float) -> Interval:
    edge = ((1 - level) / 2) ** (1 / locations)
    low, high = (0.0, 1 - edge) if mean == 0 else (edge, 1.0)
    return Interval(value=mean, low=low, high=high, n=n, locations=locations, level=level)
