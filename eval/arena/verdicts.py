"""How good "match" and "no match" are, over the candidates that have a label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eval.arena.records import SetRun
from eval.bootstrap import Interval, bootstrap_mean
from eval.protocol import Bools, Floats, Truth
from retriever.geo import distance_m

MATCH_M = 42.4
"""Of the tile's centre: nearer, the tile shows the place."""
APART_M = 30.0
"""Beyond the tile's edge: farther, it does not. Between the two there is no label."""


@dataclass(frozen=True, kw_only=True)
class VerdictScore:
    """One method's."""

    key: str
    precision: Interval | None
    recall: Interval | None
    f1: float | None
    f1_low: float | None
    f1_high: float | None
    pairs: int
    positives: int
    undecided: int


def verdict_scores(runs: Sequence[SetRun], *, seed: int = 0, resamples: int = 500) -> list[VerdictScore]:
    """Per method that gives verdicts; "cannot tell" counts as not found. Intervals by location."""
    keys = list(dict.fromkeys(key for run in runs for key in run.methods))
    found = []
    for key in keys:
        rows = [row for run in runs if key in run.methods for row in _labelled(run, key)]
        if any(word is not None for _, _, word in rows):
            found.append(_verdict_score(key, rows, seed, resamples))
    return found


def _labelled(run: SetRun, key: str) -> list[tuple[str, bool, str | None]]:
    """(location, label, verdict) of every candidate that has a label."""
    row_of = {tile: n for n, tile in enumerate(run.frozen.places.ids)}
    right = run.frozen.truth
    found = []
    for q, item in enumerate(run.frozen.located):
        line = run.methods[key].answered(item.query.id)
        for judgement in line["judgements"] if line is not None else ():
            label = _label(run, right, q, row_of[judgement["tile_id"]])
            if label is not None:
                words = ((line or {}).get("sure") or {}).get("verdicts", {})
                found.append((right.clusters[q], label, words.get(judgement["tile_id"])))
    return found


def _label(run: SetRun, right: Truth, q: int, row: int) -> bool | None:
    """True for a match, False for none, None where the place is too near to the edge to say."""
    if right.distance[q, row] <= MATCH_M:
        return True
    west, south, east, north = run.frozen.places.bounds[row]
    item = run.frozen.located[q]
    near_lat, near_lon = min(max(item.lat, south), north), min(max(item.lon, west), east)
    outside = float(distance_m(item.lat, item.lon, near_lat, near_lon))
    return False if outside >= APART_M else None


def _verdict_score(key: str, rows: Sequence[tuple[str, bool, str | None]], seed: int, resamples: int) -> VerdictScore:
    names, code = np.unique([r[0] for r in rows], return_inverse=True)
    label = np.array([r[1] for r in rows])
    said = np.array([r[2] == "match" for r in rows])
    sums = np.stack([np.bincount(code, w, minlength=len(names)) for w in (said & label, said, label)])
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    hit, claimed, true = sums @ weights.T
    f1 = _f1(hit, claimed, true)
    one = _f1(*(s[None] for s in sums.sum(axis=1)))[0]
    places = [r[0] for r in rows]
    return VerdictScore(
        key=key,
        precision=_share(label, said, places, seed),
        recall=_share(said, label, places, seed),
        f1=None if np.isnan(one) else float(one),
        f1_low=None if np.isnan(f1).all() else float(np.nanquantile(f1, 0.025)),
        f1_high=None if np.isnan(f1).all() else float(np.nanquantile(f1, 0.975)),
        pairs=len(rows),
        positives=int(label.sum()),
        undecided=sum(r[2] not in ("match", "no_match") for r in rows),
    )


def _f1(hit: Floats, claimed: Floats, true: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = np.where(claimed + true > 0, 2 * hit / (claimed + true), np.nan)
    return found


def _share(of: Bools, among: Bools, places: Sequence[str], seed: int) -> Interval | None:
    if not among.any():
        return None
    return bootstrap_mean(of[among].astype(np.float64), [p for p, k in zip(places, among, strict=True) if k], seed=seed)
