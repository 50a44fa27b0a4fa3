"""Fitting where the judge's verdict turns: answers to pairs in, ``verdicts`` of ``confidence.json`` out.

Logistic regression of the label on the log-odds of the judge's own probability, matches and no-matches weighing the
same: ``slope`` and ``offset`` such that one half is where both are equally likely. The slope stays above 0, so no order
is turned round. Only validation areas are taken: a threshold fitted on test areas would be measured on what it was
made of.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetune.calibrate_carry import carry_fits, carry_gates, fitted_name
from finetune.data.plan import KEPT, TOWN_SEEDS
from retriever.errors import SightlineError
from retriever.models import write_atomic
from retriever.pairs import read_pairs
from retriever.posterior import logit

MIN_PAIRS = 100
FOLDS = 5
RIDGE = 0.01
"""Pull towards slope 1 and offset 0, in nats per unit squared over the whole fit."""
STEEPEST = 12.0
"""Beyond it the posterior's bound on log-odds would make different tiles equal."""
UNDECIDED = 0.02
"""A probability this near one half is no verdict (``agent/verdict.py``)."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One pair: what the judge's model gave, and what is so."""

    p: float
    match: bool
    place: str
    area: str


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Rates are of held-out folds (whole places), pairs that it cannot tell counted as wrong."""

    slope: float
    offset: float
    accuracy: float
    accuracy_before: float
    undecided: float
    undecided_before: float
    nll: float
    nll_before: float

    @property
    def threshold(self) -> float:
        """The model's own probability that becomes one half."""
        return 1.0 / (1.0 + math.exp(self.offset / self.slope))

    def to_json(self) -> dict[str, float]:
        return {**asdict(self), "threshold": round(self.threshold, 6)}


def read_cases(pairs: Sequence[Path], answers: Sequence[Path]) -> tuple[list[Case], str]:
    """The answered pairs and the judge that answered. Failures to answer are left out.

    Raises ``SightlineError`` for an area that is not of the validation split, for a pair answered twice, a ``p`` that
    is no probability, and for answers of several judges.
    """
    known = {pair.id: pair for path in pairs for pair in read_pairs(path)}
    wrong = sorted({p.area for p in known.values() if not is_validation(p.area)})
    if wrong:
        raise SightlineError(f"{wrong[0]} is no validation area: fit the verdict on {', '.join(KEPT['validation'])}")
    cases: list[Case] = []
    judges: set[str] = set()
    seen: set[str] = set()
    for path in answers:
        for row in _rows(path):
            if row.get("error") is not None:
                continue
            if "p" not in row or "judge" not in row or row.get("pair_id") not in known:
                raise SightlineError(f"{path} holds a line that answers none of these pairs with a probability")
            if row["pair_id"] in seen:
                raise SightlineError(f"{path} answers the pair {row['pair_id']} a second time; keep one answer each")
            if not _is_probability(row["p"]):
                raise SightlineError(f"{path}: the p of the pair {row['pair_id']} is no number from 0 to 1")
            seen.add(row["pair_id"])
            judges.add(str(row["judge"]).partition(":")[2] or str(row["judge"]))
            pair = known[row["pair_id"]]
            cases.append(Case(p=float(row["p"]), match=pair.label == "match", place=pair.place, area=pair.area))
    if len(judges) > 1:
        raise SightlineError(f"the answers are of several judges ({', '.join(sorted(judges))}); fit them apart")
    if len(cases) < MIN_PAIRS or len({c.match for c in cases}) < 2:
        raise SightlineError(f"{len(cases)} answered pairs are too few to fit a verdict; ask at least {MIN_PAIRS}")
    return cases, judges.pop()


def _is_probability(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def is_validation(area: str) -> bool:
    """Whether an area (``moscow``, ``town-2000``) is of the validation split; galleries may shorten its name."""
    if area.startswith("town-"):
        return area[5:].isdigit() and int(area[5:]) in TOWN_SEEDS["validation"]
    return any(area == name or area in SHORT.get(name, ()) for name in KEPT["validation"])


SHORT = {"boston_beacon_hill": ("boston",), "nyc_small": ("newyork",)}


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise SightlineError(f"{path} is not readable as JSON lines ({error})") from None


def fit(cases: Sequence[Case], *, seed: int = 0) -> Fit:
    """Slope and offset from all cases; the rates from folds of whole places."""
    z = np.array([logit(c.p) for c in cases])
    y = np.array([c.match for c in cases], dtype=np.float64)
    places = sorted({c.place for c in cases})
    fold_of = dict(zip(places, np.random.default_rng(seed).permutation(len(places)) % FOLDS, strict=True))
    folds = np.array([fold_of[c.place] for c in cases])
    held = np.zeros_like(z)
    for k in range(FOLDS):
        slope, offset = _maximise(z[folds != k], y[folds != k])
        held[folds == k] = slope * z[folds == k] + offset
    slope, offset = _maximise(z, y)
    after, before = _rates(held, y), _rates(z, y)
    return Fit(
        slope=slope,
        offset=offset,
        accuracy=after[0],
        accuracy_before=before[0],
        undecided=after[1],
        undecided_before=before[1],
        nll=after[2],
        nll_before=before[2],
    )


def _maximise(z: Floats, y: Floats) -> tuple[float, float]:
    from scipy.optimize import minimize

    weight = np.where(y > 0, 0.5 / max(y.mean(), 1e-9), 0.5 / max(1 - y.mean(), 1e-9))

    def loss(x: Floats) -> float:
        moved = x[0] * z + x[1]
        nll = weight * (np.logaddexp(0.0, moved) - y * moved)
        return float(nll.sum() + RIDGE * ((x[0] - 1.0) ** 2 + x[1] ** 2))

    found = minimize(loss, np.array([1.0, 0.0]), method="L-BFGS-B", bounds=((0.01, STEEPEST), (-STEEPEST, STEEPEST)))
    return round(float(found.x[0]), 5), round(float(found.x[1]), 5)


def _rates(z: Floats, y: Floats) -> tuple[float, float, float]:
    """Share right, share undecided, nats per pair."""
    p = 1.0 / (1.0 + np.exp(-z))
    told = np.abs(p - 0.5) >= UNDECIDED
    right = told & ((p >= 0.5) == (y > 0))
    nll = np.logaddexp(0.0, z) - y * z
    return float(right.mean()), float(1 - told.mean()), float(nll.mean())


def save(path: Path, gates: Path, found: Fit, judge: str, provenance: Mapping[str, Any]) -> int:
    """Put the fit into the parameter file, in place of an earlier one for the same judge.

    The posterior and the gate that were fitted to this judge's own probabilities are written again for the fitted
    ones (:mod:`finetune.calibrate_carry`); returns how many.
    """
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    verdicts = [v for v in kept.get("verdicts", []) if v["judge"] != judge]
    quality = {k: round(v, 5) for k, v in found.to_json().items() if k not in ("slope", "offset")}
    row = {"judge": judge, "slope": found.slope, "offset": found.offset, "provenance": {**provenance, **quality}}
    name = fitted_name(judge, found.slope, found.offset)
    fits, carried = carry_fits(kept.get("fits", []), judge, name, found.slope, found.offset)
    text = json.dumps(
        {**kept, "fits": fits, "verdicts": [*verdicts, row]}, ensure_ascii=False, indent=1, sort_keys=True
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, text.encode() + b"\n")
    return carried + carry_gates(gates, judge, name)
