"""Fitting the gate of ``cascade``: rankings of validation areas in, ``gate.json`` out.

Conformal risk control (Angelopoulos et al., arXiv 2208.02814). The loss of a query is 1 where the retriever's first
tile is right and the gated order's first is not: harm, whatever the other queries gain. The margin is the smallest at
which, and beyond which, ``(harmed + 1) / (n + 1) <= alpha``: the expected share of harmed queries is then at most
``alpha`` for queries exchangeable with these. Other areas are not quite, which is why the arena measures it there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from finetune.calibrate import Case, read_cases
from retriever.errors import SightlineError
from retriever.gate import Gate, gated
from retriever.models import write_atomic
from retriever.posterior import Weights, utility

ALPHA = 0.02
"""Two points of recall@1, what reranking may cost at most."""
MARGINS = np.round(np.arange(0.0, 8.01, 0.05), 2)
LEAST_DUELS = 30
NEAR = 0.5


@dataclass(frozen=True, kw_only=True)
class Ordered:
    """One query: tiles by retrieval score, their utilities, and which is right (None: none of them)."""

    area: str
    order: tuple[str, ...]
    utility: Mapping[str, float]
    right: str | None

    def first(self, margin: float) -> str:
        """The first tile behind a gate of this margin."""
        return gated(self.order, self.utility, margin)[0]


@dataclass(frozen=True, kw_only=True)
class GateFit:
    """The gate with what it does to the queries that it was fitted on, and to areas that it was not fitted on."""

    gate: Gate
    harmed: int
    helped: int
    changed: int
    n: int
    held_out_harmed: int
    """Each area behind a margin fitted on the other areas."""
    held_out_helped: int


def ordered(case: Case, weights: Weights) -> Ordered:
    """A case of the confidence's fit as the gate sees it."""
    names = [f"{n:04d}" for n in range(len(case.features))]
    by_score = sorted(range(len(names)), key=lambda n: (-case.features[n].retrieval, n))
    return Ordered(
        area=case.area,
        order=tuple(names[n] for n in by_score),
        utility={name: utility(weights, f) for name, f in zip(names, case.features, strict=True)},
        right=names[case.truth] if case.truth < len(names) else None,
    )


def harmed(cases: Sequence[Ordered], margin: float) -> int:
    """Queries whose right first tile is lost."""
    return sum(c.right == c.order[0] and c.first(margin) != c.right for c in cases if c.order)


def helped(cases: Sequence[Ordered], margin: float) -> int:
    """Queries whose first tile becomes right."""
    return sum(c.right != c.order[0] and c.first(margin) == c.right for c in cases if c.order)


def margin_of(cases: Sequence[Ordered], alpha: float = ALPHA) -> float:
    """The conformal margin. Raises ``SightlineError`` on too few queries to promise ``alpha`` at all."""
    n = len(cases)
    if (n + 1) * alpha < 1:
        raise SightlineError(f"{n} queries are too few to bound the risk by {alpha}; rank at least {round(1 / alpha)}")
    best = float("inf")
    # From the safe end: a margin counts only where every larger one is safe too.
    for margin in MARGINS[::-1]:
        if (harmed(cases, float(margin)) + 1) / (n + 1) > alpha:
            break
        best = float(margin)
    if best == float("inf"):
        raise SightlineError(f"no margin up to {MARGINS[-1]} nats keeps the risk below {alpha}; the utilities are off")
    return best


def fit(cases: Sequence[Ordered], *, alpha: float = ALPHA, duel_weight: float = 0.0) -> GateFit:
    """The gate, and the same judged area by area with the area left out."""
    margin = margin_of(cases, alpha)
    held_harmed = held_helped = 0
    for area in sorted({c.area for c in cases}):
        inside, rest = [c for c in cases if c.area == area], [c for c in cases if c.area != area]
        if (len(rest) + 1) * alpha >= 1:
            other = margin_of(rest, alpha)
            held_harmed += harmed(inside, other)
            held_helped += helped(inside, other)
    return GateFit(
        gate=Gate(margin=margin, duel_weight=duel_weight, near=NEAR if duel_weight else 0.0),
        harmed=harmed(cases, margin),
        helped=helped(cases, margin),
        changed=sum(tuple(gated(c.order, c.utility, margin)) != c.order for c in cases),
        n=len(cases),
        held_out_harmed=held_harmed,
        held_out_helped=held_helped,
    )


def duel_weight(path: Path | None, *, seed: int = 0) -> tuple[float, int]:
    """Weight of duels from a JSONL of ``lead`` (nats), ``odds`` (of the duel) and ``right`` (the leader is).

    A logistic fit of ``right`` on both; 0 unless the duels' coefficient is above 0 in 97.5 % of resamples, for a duel
    that may be noise must move nothing. Returns the weight and how many duels there were.
    """
    if path is None:
        return 0.0, 0
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    if len(rows) < LEAST_DUELS:
        return 0.0, len(rows)
    x = np.array([[r["lead"], r["odds"]] for r in rows], dtype=np.float64)
    y = np.array([r["right"] for r in rows], dtype=np.float64)
    rng = np.random.default_rng(seed)
    drawn = [_logistic(x[i], y[i]) for i in rng.integers(0, len(y), (200, len(y)))]
    if float(np.quantile([d[1] / max(d[0], 0.2) for d in drawn], 0.025)) <= 0:
        return 0.0, len(rows)
    lead, odds = _logistic(x, y)
    return round(float(min(max(odds / max(lead, 0.2), 0.0), 2.0)), 3), len(rows)


def _logistic(x: Any, y: Any) -> tuple[float, float]:
    from scipy.optimize import minimize

    def loss(w: Any) -> float:
        z = x @ w
        return float(np.mean(np.logaddexp(0.0, z) - y * z) + 0.01 * (w**2).sum())

    found = minimize(loss, np.array([1.0, 0.0]), method="L-BFGS-B").x
    return float(found[0]), float(found[1])


def read_ordered(
    rankings: Sequence[Path], queries: Sequence[Path], parameters: Path
) -> tuple[list[Ordered], dict[str, str]]:
    """Queries of several rankings files, weighed by the confidence that was fitted for the models that made them.

    Raises ``SightlineError`` where files mix models or no confidence was fitted for them.
    """
    cases: list[Case] = []
    models: dict[str, str] = {}
    for ranking, asked in zip(rankings, queries, strict=True):
        # Nothing is taken out: harm is counted where the place is in the gallery.
        found, made_by = read_cases(ranking, asked, outside_share=0.0)
        if models and dict(made_by) != models:
            raise SightlineError(f"{ranking} was made by other models than {rankings[0]}; fit them apart")
        models = dict(made_by)
        cases += found
    fits = json.loads(parameters.read_text(encoding="utf-8"))["fits"]
    mine = [f for f in fits if {k: f[k] for k in ("judge", "encoder")} == models]
    if not mine:
        raise SightlineError(
            f"{parameters} holds no weights for {models['judge']}; run 'sightline calibrate fit' first"
        )
    weights = Weights.from_json(mine[0]["weights"])
    return [ordered(case, weights) for case in cases], models


def save(path: Path, found: GateFit, models: Mapping[str, str], provenance: Mapping[str, Any]) -> None:
    """Put the gate into the file, in place of an earlier one for the same models."""
    gates: list[Any] = json.loads(path.read_text(encoding="utf-8"))["gates"] if path.exists() else []
    gates = [g for g in gates if (g["judge"], g["encoder"]) != (models["judge"], models["encoder"])]
    names = ("harmed", "helped", "changed", "held_out_harmed", "held_out_helped")
    quality = {name: getattr(found, name) for name in names}
    gates.append({**models, "gate": found.gate.to_json(), "provenance": {**provenance, **quality}})
    text = json.dumps({"gates": gates}, ensure_ascii=False, indent=1, sort_keys=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, text.encode() + b"\n")
