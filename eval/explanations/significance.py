"""Paired randomisation tests between systems, corrected for how many there are (Holm 1979)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from eval.bootstrap import Interval, paired_difference
from eval.explanations.schema import Key
from eval.protocol import Floats

DRAWS = 10_000
EXACT = 13
"""With this many locations or fewer every assignment of signs is tried."""


@dataclass(frozen=True, kw_only=True)
class Paired:
    """One score of system ``a`` less that of ``b``, over the judgements that both have."""

    score: str
    a: str
    b: str
    difference: Interval
    p: float
    """Two-sided, of the sign-flip test over locations."""
    p_holm: float
    """Corrected over all tests of the report."""


def sign_flip(differences: Floats, clusters: Sequence[str], *, seed: int = 0, draws: int = DRAWS) -> float:
    """Two-sided p of "no difference": the signs of whole locations are exchanged. Differences [Q]."""
    _, code = np.unique(np.asarray(clusters), return_inverse=True)
    sums = np.bincount(code, weights=differences)
    if not sums.any():
        return 1.0
    seen = abs(sums.sum())
    if len(sums) <= EXACT:
        signs = 1 - 2 * ((np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums))) & 1)
        return float((np.abs(signs @ sums) >= seen - 1e-12).mean())
    hits, rng = 0, np.random.default_rng(seed)
    for _ in range(10):
        signs = 1 - 2 * rng.integers(0, 2, (draws // 10, len(sums)))
        hits += int((np.abs(signs @ sums) >= seen - 1e-12).sum())
    return (hits + 1) / (draws // 10 * 10 + 1)


def holm(p: Sequence[float]) -> list[float]:
    """Step-down corrected p values, in the given order.

    >>> [round(v, 3) for v in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p, kind="stable")
    found, worst = [0.0] * len(p), 0.0
    for rank, row in enumerate(order):
        worst = max(worst, min(1.0, (len(p) - rank) * p[row]))
        found[row] = worst
    return found


def compare(
    values: Mapping[str, Mapping[str, Mapping[Key, float]]], places: Mapping[Key, str], *, seed: int = 0
) -> list[Paired]:
    """All pairs of systems on every score. ``values``: score -> system -> judgement -> value.

    Only judgements that both systems have a value for count; a pair with fewer than two locations is left out.
    """
    found: list[Paired] = []
    for score, systems in values.items():
        names = list(systems)
        for i, a in enumerate(names):
            for b in names[i + 1 :]:
                keys = sorted(systems[a].keys() & systems[b].keys())
                where = [places[k] for k in keys]
                if len(set(where)) < 2:
                    continue
                x, y = (np.array([systems[s][k] for k in keys], dtype=np.float64) for s in (a, b))
                p = sign_flip(x - y, where, seed=seed)
                change = paired_difference(x, y, where, seed=seed)
                found.append(Paired(score=score, a=a, b=b, difference=change, p=p, p_holm=p))
    return [replace(t, p_holm=p) for t, p in zip(found, holm([t.p for t in found]), strict=True)]
