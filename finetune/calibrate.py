"""Fitting the posterior's weights: rankings of queries with known places in, ``confidence.json`` out.

Reads what ``sightline locate --batch`` wrote and the queries it was given (with ``lat`` and ``lon``); no gallery and no
model is needed. A share of the queries, drawn by seed, has its true place taken off the shortlist and counts as
"outside". Fit on validation areas only: a place that was trained on makes every judge look surer than it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retriever.errors import SightlineError
from retriever.geo import Frame, distance_m
from retriever.models import write_atomic
from retriever.posterior import DEFAULTS, Features, Prior, Weights, log_totals, log_weights, logit
from retriever.types import sha256_text

NAMES = ("retrieval", "match", "ledger", "names", "elsewhere", "outside", "nest")
BOUNDS = ((0.0, 8.0), (0.0, 5.0), (0.0, 6.0), (0.0, 9.0), (-12.0, 6.0), (-12.0, 6.0), (0.0, 1.0))
RIDGE = 0.5
"""Pull towards the defaults, in nats per unit squared over the whole fit: decides only where the data do not."""
FOLDS = 5
MIN_CASES = 50
REMOVED_M = 120.0
"""Candidates whose centre lies nearer than this to a removed place are taken away with it: they show part of it."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One query: its shortlist and which of the ``K + 2`` outcomes is true."""

    query_id: str
    area: str
    features: tuple[Features, ...]
    prior: Prior
    truth: int
    """Index of the true candidate; K: elsewhere in the gallery; K + 1: outside."""


@dataclass(frozen=True, kw_only=True)
class Fit:
    weights: Weights
    nll: float
    """Mean negative log-likelihood in nats, over the cases of the fit."""
    held_out_nll: float
    """The same, each case by weights fitted without its fold."""
    default_nll: float
    ece: float
    """Expected calibration error of the first candidate's confidence, held out, in ten equal bins."""


def read_cases(
    rankings: Path, queries: Path, *, seed: int = 0, outside_share: float = 0.2, stride_m: float = 60.0
) -> tuple[list[Case], Mapping[str, str]]:
    """Cases of one file pair, and the models that made them (``judge``, ``encoder``).

    Raises ``SightlineError`` for files that do not belong together or mix models.
    """
    truth = {str(q["id"]): q for q in _lines(queries)}
    cases: list[Case] = []
    models: dict[str, str] = {}
    for row in _lines(rankings):
        if "candidates" not in row:
            continue
        query = truth.get(str(row["query_id"]))
        if query is None:
            raise SightlineError(f"{rankings} answers {row['query_id']!r}, which {queries} does not ask")
        found = {"judge": row["judge"]["model"], "encoder": row["encoder"]}
        if models and found != models:
            raise SightlineError(f"{rankings} mixes answers of several models; rank it again with one")
        models = found
        cases.append(_case(row, query, seed=seed, outside_share=outside_share, stride_m=stride_m))
    if not cases:
        raise SightlineError(f"{rankings} holds no answered query")
    return cases, models


def _lines(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise SightlineError(f"{path} is not readable as JSON lines ({error})") from None


def _case(
    row: Mapping[str, Any], query: Mapping[str, Any], *, seed: int, outside_share: float, stride_m: float
) -> Case:
    lat, lon = float(query["lat"]), float(query["lon"])
    listed = list(row["candidates"])
    removed = int(sha256_text(f"{seed}/{row['query_id']}")[:8], 16) / 16**8 < outside_share
    if removed:
        listed = [c for c in listed if distance_m(lat, lon, c["lat"], c["lon"]) >= REMOVED_M]
    at = next((i for i, c in enumerate(listed) if _in_cell(lat, lon, c, stride_m)), len(listed))
    return Case(
        query_id=str(row["query_id"]),
        area=str(query.get("area") or row["gallery"]["id"]),
        features=tuple(Features.from_json(c["features"]) for c in listed),
        prior=Prior.from_json(row["prior"]),
        truth=len(listed) + 1 if removed else at,
    )


def _in_cell(lat: float, lon: float, candidate: Mapping[str, Any], stride_m: float) -> bool:
    """Whether the point lies in the candidate's cell, a square of the stride around its centre."""
    x, y = Frame(lat=candidate["lat"], lon=candidate["lon"]).xy(lat, lon)
    return bool(max(abs(x), abs(y)) <= stride_m / 2 + 0.5)


def nll(weights: Weights, cases: Sequence[Case]) -> float:
    """Mean negative log-likelihood of the true outcomes, in nats."""
    return -float(np.mean([_log_p(weights, case)[case.truth] for case in cases]))


def _log_p(weights: Weights, case: Case) -> NDArray[np.float64]:
    logs = log_weights(weights, case.features, case.prior)
    return np.asarray(logs - np.logaddexp.reduce(logs))


def fit(cases: Sequence[Case], *, seed: int = 0) -> Fit:
    """Weights by penalised maximum likelihood. Raises ``SightlineError`` on too few cases."""
    if len(cases) < MIN_CASES:
        raise SightlineError(f"{len(cases)} queries are too few to fit seven weights; rank at least {MIN_CASES}")
    folds = np.random.default_rng(seed).permutation(len(cases)) % FOLDS
    held: list[tuple[Case, Weights]] = []
    for k in range(FOLDS):
        weights = _maximise([c for c, f in zip(cases, folds, strict=True) if f != k])
        held += [(c, weights) for c, f in zip(cases, folds, strict=True) if f == k]
    best = _maximise(cases)
    return Fit(
        weights=best,
        nll=nll(best, cases),
        held_out_nll=float(np.mean([nll(w, [c]) for c, w in held])),
        default_nll=nll(DEFAULTS, cases),
        ece=_ece(held),
    )


def _maximise(cases: Sequence[Case]) -> Weights:
    from scipy.optimize import minimize

    table = Table.of(cases)
    start = np.array([getattr(DEFAULTS, name) for name in NAMES], dtype=np.float64)

    def loss(x: NDArray[np.float64]) -> float:
        pull = RIDGE * float(((x - start) ** 2).sum()) / len(cases)
        return table.nll(x) + pull

    found = minimize(loss, start, method="L-BFGS-B", bounds=BOUNDS)
    return Weights(**{name: round(float(v), 5) for name, v in zip(NAMES, found.x, strict=True)})


@dataclass(frozen=True)
class Table:
    """Cases as arrays, so that one evaluation of the likelihood is a handful of matrix operations."""

    z: NDArray[np.float64]
    """[N, K] retrieval scores, -inf where a case has fewer candidates."""
    found: NDArray[np.float64]
    """[N, K, 3]: log-odds of the judge, ledger, names."""
    log_total: Any
    """Retrieval weight -> [N], as :meth:`Prior.log_total` of every case."""
    whole: NDArray[np.bool_]
    """[N]: the shortlist is the whole gallery."""
    truth: NDArray[np.int64]
    """[N]: column of the true outcome in [K candidates, elsewhere, outside]."""

    @classmethod
    def of(cls, cases: Sequence[Case]) -> Table:
        width = max(len(c.features) for c in cases)
        z = np.full((len(cases), width), -np.inf)
        found = np.zeros((len(cases), width, 3))
        for i, case in enumerate(cases):
            for k, f in enumerate(case.features):
                z[i, k] = f.retrieval
                found[i, k] = (logit(f.p_match), f.ledger, f.names)
        return cls(
            z=z,
            found=found,
            log_total=log_totals(np.array([c.prior.log_sum for c in cases])),
            whole=np.array([c.prior.n <= len(c.features) for c in cases]),
            truth=np.array(
                [c.truth if c.truth < len(c.features) else width + c.truth - len(c.features) for c in cases]
            ),
        )

    def nll(self, x: NDArray[np.float64]) -> float:
        """The same number as :func:`nll` for weights in the order of :data:`NAMES`."""
        total = self.log_total(x[0])
        with np.errstate(invalid="ignore"):
            priors = np.where(np.isfinite(self.z), x[0] * self.z, -np.inf) - total[:, None]
        rest = np.where(self.whole, 0.0, 1.0 - np.minimum(np.exp(priors).sum(axis=1), 1.0))
        cells = priors + self.found @ x[1:4]
        with np.errstate(invalid="ignore"):
            news = np.logaddexp.reduce(cells, axis=1) - np.logaddexp.reduce(priors, axis=1)
        cells -= (1.0 - x[6]) * np.where(np.isfinite(news), news, 0.0)[:, None]
        other = np.log(np.maximum(rest, 1e-12)) + x[4]
        logs = np.column_stack([cells, other, np.full(len(other), x[5])])
        picked = np.take_along_axis(logs, self.truth[:, None], axis=1)[:, 0]
        return float(np.mean(np.logaddexp.reduce(logs, axis=1) - picked))


def _ece(held: Sequence[tuple[Case, Weights]]) -> float:
    """Of the likeliest shortlisted cell's confidence against how often it is the true one."""
    sure, right = [], []
    for case, weights in held:
        if case.features:
            p = np.exp(_log_p(weights, case)[:-2])
            sure.append(float(p.max()))
            right.append(float(int(p.argmax()) == case.truth))
    bins = np.minimum((np.array(sure) * 10).astype(int), 9)
    total = 0.0
    for b in range(10):
        inside = bins == b
        if inside.any():
            total += inside.mean() * abs(np.array(sure)[inside].mean() - np.array(right)[inside].mean())
    return float(total)


def save(path: Path, found: Fit, models: Mapping[str, str], provenance: Mapping[str, Any]) -> None:
    """Put the fit into the parameter file, in place of an earlier one for the same models."""
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    fits: list[Any] = kept.get("fits", [])
    fits = [f for f in fits if (f["judge"], f["encoder"]) != (models["judge"], models["encoder"])]
    quality = {k: round(getattr(found, k), 5) for k in ("nll", "held_out_nll", "default_nll", "ece")}
    fits.append({**models, "weights": found.weights.to_json(), "provenance": {**provenance, **quality}})
    text = json.dumps({**kept, "fits": fits}, ensure_ascii=False, indent=1, sort_keys=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, text.encode() + b"\n")
