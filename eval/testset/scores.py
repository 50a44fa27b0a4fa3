"""Scores of one system on some of the pairs, each with its interval by location.

``cannot_tell`` and errors count as wrong. In the AUROC an error ranks a match last and a no-match first.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from eval.bootstrap import LEVEL, RESAMPLES, Interval, bootstrap_mean
from eval.protocol import EvaluationError, Floats, Ints
from eval.testset.predictions import Prediction
from retriever.pairs import Pair
from retriever.types import Stance

_CHUNK = 250


@dataclass(frozen=True, kw_only=True)
class Scores:
    n: int
    locations: int
    failed: int
    """Errors and ``cannot_tell``."""
    accuracy: Interval
    balanced: Interval | None
    """Mean of the rates on matches and on no-matches; None where only one of them is there."""
    auroc: Interval | None
    said_match: float
    """Share called a match, whatever they are."""


def score(pairs: Sequence[Pair], found: Mapping[str, Prediction], *, seed: int = 0) -> Scores:
    """Scores over ``pairs``, all of which must be predicted. Raises ``EvaluationError`` otherwise."""
    missing = [p.id for p in pairs if p.id not in found]
    if missing or not pairs:
        raise EvaluationError(f"{len(missing)} of {len(pairs)} pairs are not predicted (first: {missing[:1]})")
    said = [found[p.id] for p in pairs]
    match = np.array([p.label == "match" for p in pairs])
    right = np.array([s.verdict == p.label for s, p in zip(said, pairs, strict=True)], dtype=np.float64)
    places = [p.place for p in pairs]
    both = bool(match.any() and not match.all())
    return Scores(
        n=len(pairs),
        locations=len(set(places)),
        failed=sum(s.verdict in (None, "cannot_tell") for s in said),
        accuracy=bootstrap_mean(right, places, seed=seed),
        balanced=balanced_accuracy(right, match, places, seed=seed) if both else None,
        auroc=auroc(_ranks(said, match), match, places, seed=seed) if both else None,
        said_match=float(np.mean([s.verdict == "match" for s in said])),
    )


def _ranks(said: Sequence[Prediction], match: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Floats:
    values = [s.rank for s in said]
    given = [v for v in values if v is not None] or [0.0]
    low, high = min(given) - 1.0, max(given) + 1.0
    return np.array([(low if m else high) if v is None else v for v, m in zip(values, match, strict=True)])


def resampled(clusters: Sequence[str], seed: int, resamples: int = RESAMPLES) -> tuple[Ints, Floats]:
    """Cluster number of each item [Q], and how often each cluster is drawn [resamples, C]."""
    names, code = np.unique(np.asarray(clusters), return_inverse=True)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    return code, drawn.astype(np.float64)


def interval(value: float, draws: Floats, n: int, locations: int) -> Interval:
    """A value with the percentile interval of its resamples; those in which it is not defined (NaN) are left out."""
    known = draws[np.isfinite(draws)]
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) if known.size else (value, value)
    return Interval(value=value, low=float(low), high=float(high), n=n, locations=locations)


def balanced_accuracy(right: Floats, match: np.ndarray, clusters: Sequence[str], *, seed: int = 0) -> Interval:
    """Mean of the share right among matches and among no-matches, with its interval by location."""
    code, drawn = resampled(clusters, seed)
    sums = np.zeros((4, drawn.shape[1]))
    for row, (values, kept) in enumerate([(right, match), (match, match), (right, ~match), (~match, ~match)]):
        np.add.at(sums[row], code[kept], values[kept].astype(np.float64))
    totals = sums.sum(axis=1)
    with np.errstate(invalid="ignore"):
        boot = drawn @ sums.T
        draws = (boot[:, 0] / boot[:, 1] + boot[:, 2] / boot[:, 3]) / 2
    value = float((totals[0] / totals[1] + totals[2] / totals[3]) / 2)
    return interval(value, draws, len(right), drawn.shape[1])


def auroc(scores: Floats, match: np.ndarray, clusters: Sequence[str], *, seed: int = 0) -> Interval:
    """Probability that a match scores above a no-match, ties half, with its interval by location."""
    code, drawn = resampled(clusters, seed)
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(scores[order]) != 0])
    draws = [
        _weighted_auroc(w[:, code[order]], match[order], starts) for w in np.array_split(drawn, len(drawn) // _CHUNK)
    ]
    value = _weighted_auroc(np.ones((1, len(scores))), match[order], starts)[0]
    return interval(float(value), np.concatenate(draws), len(scores), drawn.shape[1])


def _weighted_auroc(weights: Floats, match: np.ndarray, starts: Ints) -> Floats:
    """AUROC of each row of weights [B, Q] over items in rising order, equal scores starting at ``starts``."""
    positive = np.add.reduceat(weights * match, starts, axis=1)
    negative = np.add.reduceat(weights * ~match, starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative
    with np.errstate(invalid="ignore"):
        wins = (positive * (below + negative / 2)).sum(axis=1)
        found: Floats = wins / (positive.sum(axis=1) * negative.sum(axis=1))
    return found


@dataclass(frozen=True, kw_only=True)
class StanceScores:
    stance: str
    """One of the stances, or ``macro``: the mean of their F1."""
    claims: int
    precision: float
    recall: float
    f1: Interval


def stance_scores(
    pairs: Sequence[Pair], found: Mapping[str, Prediction], *, kinds: Collection[str] | None = None, seed: int = 0
) -> list[StanceScores]:
    """Precision, recall and F1 of every stance over the pairs that the system gave evidence for; empty without any.

    A claim that such a pair lists and the evidence leaves out is missed: it is nobody's precision and lowers recall.
    ``kinds``: only claims of these kinds.
    """
    told = [p for p in pairs if p.id in found and found[p.id].stances]
    if not told:
        return []
    stances: tuple[Stance, ...] = get_args(Stance)
    code, drawn = resampled([p.place for p in told], seed)
    counts = np.zeros((3, 3, drawn.shape[1]))
    for pair, place in zip(told, code, strict=True):
        said = found[pair.id].stances
        counted = {c.id for c in pair.claims if kinds is None or c.kind in kinds}
        for item in (e for e in pair.evidence if e.claim_id in counted):
            for row, stance in enumerate(stances):
                hit, true = said.get(item.claim_id) == stance, item.stance == stance
                counts[row, :, place] += (hit and true, hit and not true, true and not hit)
    rows, boots = list[StanceScores](), []
    for row, stance in enumerate(stances):
        boot = _f1(*np.moveaxis(counts[row] @ drawn.T, 0, 0))
        tp, fp, fn = (float(v) for v in counts[row].sum(axis=1))
        value = float(_f1(np.array([tp]), np.array([fp]), np.array([fn]))[0])
        boots.append(boot)
        rows.append(
            StanceScores(
                stance=stance,
                claims=int(tp + fn),
                precision=tp / (tp + fp) if tp + fp else 0.0,
                recall=tp / (tp + fn) if tp + fn else 0.0,
                f1=interval(value, boot, int(tp + fn), drawn.shape[1]),
            )
        )
    return [*rows, _macro(rows, np.mean(boots, axis=0))]


def _f1(tp: Floats, fp: Floats, fn: Floats) -> Floats:
    total = 2 * tp + fp + fn
    out: Floats = np.divide(2 * tp, total, out=np.zeros_like(total), where=total > 0)
    return out


def _macro(rows: Sequence[StanceScores], draws: Floats) -> StanceScores:
    claims = sum(r.claims for r in rows)
    value = float(np.mean([r.f1.value for r in rows]))
    return StanceScores(
        stance="macro",
        claims=claims,
        precision=float(np.mean([r.precision for r in rows])),
        recall=float(np.mean([r.recall for r in rows])),
        f1=interval(value, draws, claims, rows[0].f1.locations),
    )


def twins(pairs: Sequence[Pair]) -> list[tuple[Pair, Pair]]:
    """Pairs of one place and one tile, told once in English and once in Chinese, with nothing changed in either."""
    groups: dict[tuple[str, str, str], dict[str, Pair]] = {}
    for pair in pairs:
        if pair.query.view == "text" and pair.changed is None and pair.query.source == "generated" and pair.query.lang:
            groups.setdefault((pair.place, pair.tile.id, pair.label), {})[pair.query.lang] = pair
    return [(g["en"], g["zh"]) for g in groups.values() if "en" in g and "zh" in g]


def agreement(pairs: Sequence[Pair], found: Mapping[str, Prediction], *, seed: int = 0) -> Interval | None:
    """Share of twins with the same verdict in both languages; an error agrees with nothing. None without twins."""
    both = [
        (found[a.id].verdict, found[b.id].verdict, a.place) for a, b in twins(pairs) if a.id in found and b.id in found
    ]
    if not both:
        return None
    same = np.array([a == b and a is not None for a, b, _ in both], dtype=np.float64)
    return bootstrap_mean(same, [place for _, _, place in both], seed=seed)
