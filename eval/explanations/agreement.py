"""How far a judge's grades, or any score, go along with people: Krippendorff's alpha and Spearman, by location."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import krippendorff
import numpy as np
from scipy.stats import spearmanr

from eval.bootstrap import LEVEL, Interval
from eval.explanations.humans import ItemKey, Rating
from eval.explanations.schema import Key
from eval.protocol import Floats, Ints

RESAMPLES = 500
MIN_ITEMS = 3


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Of one set of grades with people's, on the items that both graded."""

    n: int
    alpha: Interval | None
    """Krippendorff's alpha, interval level; None where it is not defined (too few items, or all alike)."""
    spearman: Interval | None


def agreement(a: Floats, b: Floats, clusters: Sequence[str], *, seed: int = 0) -> Agreement:
    """Of two graders on the same items [N]."""
    return Agreement(
        n=len(a),
        alpha=_interval(lambda rows: _alpha(a[rows], b[rows]), clusters, seed),
        spearman=spearman(a, b, clusters, seed=seed),
    )


def spearman(a: Floats, b: Floats, clusters: Sequence[str], *, seed: int = 0) -> Interval | None:
    """Rank correlation with an interval by location; None where one of the two does not vary."""
    return _interval(lambda rows: _rho(a[rows], b[rows]), clusters, seed)


def _rho(a: Floats, b: Floats) -> float:
    return float("nan") if len(a) < MIN_ITEMS or np.ptp(a) == 0 or np.ptp(b) == 0 else float(spearmanr(a, b).statistic)


def _alpha(a: Floats, b: Floats) -> float:
    if len(a) < MIN_ITEMS or np.ptp(np.concatenate([a, b])) == 0:
        return float("nan")
    return float(krippendorff.alpha(reliability_data=np.stack([a, b]), level_of_measurement="interval"))


def people_alpha(ratings: Sequence[Rating], scale: str, places: Mapping[Key, str] | None = None) -> Interval | None:
    """Alpha (ordinal) among the raters themselves on one scale, over the items that two or more of them graded.

    ``places``: location by query and tile, else each pair is its own. None where no item has two raters, or all grades
    are alike.
    """
    items, table = _by_rater(ratings, scale)
    shared = np.flatnonzero(np.isfinite(table).sum(axis=0) >= 2)
    if not shared.size:
        return None
    keys = [(items[i][1], items[i][2]) for i in shared]
    clusters = [(places or {}).get(key, " on ".join(key)) for key in keys]
    grades = table[:, shared]
    return _interval(lambda columns: _ordinal(grades[:, columns]), clusters, seed=0)


def _ordinal(table: Floats) -> float:
    if len(np.unique(table[np.isfinite(table)])) < 2:
        return float("nan")
    return float(krippendorff.alpha(reliability_data=table, level_of_measurement="ordinal"))


def _by_rater(ratings: Sequence[Rating], scale: str) -> tuple[list[ItemKey], Floats]:
    """Grades [raters, items], NaN where a rater gave none."""
    items = sorted({r.item for r in ratings})
    raters = sorted({r.rater for r in ratings})
    table = np.full((len(raters), len(items)), np.nan)
    for r in ratings:
        if scale in r.scales:
            table[raters.index(r.rater), items.index(r.item)] = r.scales[scale]
    return items, table


def _interval(measure: Callable[[Ints], float], clusters: Sequence[str], seed: int) -> Interval | None:
    """Of a measure over chosen items, by resampling locations. ``clusters``: location of every item."""
    value = measure(np.arange(len(clusters)))
    if not np.isfinite(value):
        return None
    _, code = np.unique(np.asarray(clusters), return_inverse=True)
    members = [np.flatnonzero(code == i) for i in range(code.max() + 1)]
    rng, drawn = np.random.default_rng(seed), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for _ in range(RESAMPLES):
            rows = np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))])
            drawn.append(measure(rows))
    kept = [v for v in drawn if np.isfinite(v)]
    low, high = np.quantile(kept, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) if kept else (-1.0, 1.0)
    return Interval(value=value, low=float(low), high=float(high), n=len(clusters), locations=len(members))


def item_key(system: str, query_id: str, tile_id: str, lang: str) -> ItemKey:
    """The key under which people's ratings of an explanation are found."""
    return system, query_id, tile_id, lang
