"""The posterior over cells: a nested logit over the shortlisted cells, every other cell, and "outside".

The retrieval scores of the whole gallery give a prior over its cells, ``softmax(retrieval * z)`` with ``z`` the scores
standardised over the gallery; it sums to one, so a larger gallery does not by itself look more certain. What was found
out about a shortlisted cell is ``f = match * logit(p) + ledger * L + names * M``.

* Between shortlisted cells it counts in full: cell ``k`` has the share ``pi_k exp(f_k) / sum_j pi_j exp(f_j)`` of the
  shortlist, ``pi`` the prior.
* Against the rest it counts less. The shortlist as a whole weighs ``P * (sum_k pi_k exp(f_k) / P) ** nest``, with ``P``
  its part of the prior. Where the map knows anything, the shortlist was cut by what it says, so some cell on it always
  has much support, whether or not the true one is there; ``nest`` (the dissimilarity parameter of a nested logit) says
  how much of all evidence is news, the judge's included, which cuts no shortlist but is the smaller part.
* All the cells that nobody looked at keep their part of the prior times ``exp(elsewhere)``; "outside" has the weight
  ``exp(outside)`` on its own. With ``nest`` 1 this is a plain multinomial logit.

Numbers only: it stands here because the agent applies it and ``finetune`` fits it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retriever.types import Record

GRID = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
"""Weights of the retrieval score at which a gallery's log-sum-exp is kept, so that a fit needs no gallery."""
MAX_LOGIT = 6.0
"""A judge that says 0.9999 is believed no more than 0.9975."""


@dataclass(frozen=True, kw_only=True)
class Weights(Record):
    """Parameters of the posterior, in nats; ``nest`` is an exponent. What to take unfitted is :data:`DEFAULTS`."""

    retrieval: float = 0.8
    match: float = 0.7
    ledger: float = 0.4
    names: float = 2.5
    elsewhere: float = 0.5
    outside: float = -0.5
    nest: float = 1.0
    """One unless given, so that weights written down before there was such an exponent mean what they meant."""


DEFAULTS = Weights(retrieval=1.0, match=0.5, ledger=2.0, names=3.5, elsewhere=-0.2, outside=-1.0, nest=0.16)
"""For models that nothing was fitted for: near what validation areas gave with map facts."""


@dataclass(frozen=True, kw_only=True)
class Features(Record):
    """What is known about one shortlisted cell."""

    retrieval: float
    """Retrieval score, standardised over the gallery."""
    p_match: float | None = None
    """The judge's probability; None where it did not judge."""
    ledger: float = 0.0
    names: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Prior(Record):
    """The retrieval scores of a whole gallery, as far as the posterior needs them."""

    n: int
    mean: float
    std: float
    log_sum: tuple[float, ...]
    """``log sum exp(w * z)`` over the gallery for every ``w`` of :data:`GRID`."""

    @classmethod
    def of(cls, scores: NDArray[np.floating[Any]]) -> Prior:
        """From scores [N] over the gallery (or over the part of it that an area limit leaves)."""
        values = np.asarray(scores, dtype=np.float64)
        std = float(values.std()) or 1.0
        z = (values - values.mean()) / std
        sums = (np.logaddexp.reduce(w * z) for w in GRID)
        return cls(n=len(values), mean=float(values.mean()), std=std, log_sum=tuple(round(float(s), 6) for s in sums))

    def z(self, score: float) -> float:
        return (score - self.mean) / self.std

    def log_total(self, weight: float) -> float:
        """``log sum exp(weight * z)``; a ``weight`` outside the grid is taken at its end."""
        return float(log_totals(np.array([self.log_sum]))(min(max(weight, GRID[0]), GRID[-1]))[0])


def log_totals(log_sums: NDArray[np.float64]) -> Any:
    """A function of the weight, giving [N], through ``log_sums`` [N, G] at :data:`GRID`.

    A spline, because the sum is smooth in the weight: corners at the grid's weights would hold a fit fast.
    """
    from scipy.interpolate import CubicSpline

    return CubicSpline(GRID, log_sums, axis=1)


def found_out(weights: Weights, features: Features) -> float:
    """What was found out about a cell, in nats, apart from its retrieval score."""
    return weights.match * logit(features.p_match) + weights.ledger * features.ledger + weights.names * features.names


def utility(weights: Weights, features: Features) -> float:
    """What a shortlist is ordered by: retrieval prior and everything found out, in nats."""
    return weights.retrieval * features.retrieval + found_out(weights, features)


def logit(p: float | None) -> float:
    """Log-odds, bounded by :data:`MAX_LOGIT`; 0 where there is no probability."""
    if p is None:
        return 0.0
    bounded = min(max(p, 1e-9), 1.0 - 1e-9)
    return min(max(math.log(bounded / (1.0 - bounded)), -MAX_LOGIT), MAX_LOGIT)


def log_weights(weights: Weights, features: Sequence[Features], prior: Prior) -> NDArray[np.float64]:
    """Unnormalised log-probabilities [K + 2]: the K cells in order, then elsewhere, then outside."""
    total = prior.log_total(weights.retrieval)
    priors = np.array([weights.retrieval * f.retrieval - total for f in features], dtype=np.float64)
    listed = min(float(np.exp(priors).sum()), 1.0)
    rest = 1.0 - listed if prior.n > len(features) else 0.0
    rest = math.log(max(rest, 1e-12)) + weights.elsewhere
    if not len(priors):
        return np.array([rest, weights.outside])
    cells = priors + np.array([found_out(weights, f) for f in features], dtype=np.float64)
    before, after = np.logaddexp.reduce(priors), np.logaddexp.reduce(cells)
    return np.concatenate([cells - (1.0 - weights.nest) * (after - before), [rest, weights.outside]])
