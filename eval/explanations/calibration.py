"""Whether explanations are better where the system is surer of its verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eval.bootstrap import Interval, bootstrap_mean
from eval.explanations.agreement import spearman
from eval.explanations.scoring import ScoredItem

EDGES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True, kw_only=True)
class Bin:
    """Judgements that are about equally sure of their own verdict."""

    low: float
    high: float
    certainty: float
    quality: Interval
    """Mean claim F1, both languages together."""
    right: float | None
    """Share of right verdicts, where labels are known."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    system: str
    n: int
    bins: tuple[Bin, ...]
    spearman: Interval | None
    """Of certainty with claim F1."""


def certainty(s: ScoredItem) -> float | None:
    """How sure the system is of the verdict that it gives: 0.5..1 for a verdict that follows its own confidence."""
    p = s.item.confidence
    if p is None or s.item.verdict not in ("match", "no_match"):
        return None
    return p if s.item.verdict == "match" else 1.0 - p


def quality(s: ScoredItem) -> float | None:
    """Mean claim F1 over the languages that have one."""
    values = [c.f1 for c in s.claims.values() if c.f1 is not None]
    return float(np.mean(values)) if values else None


def calibrate(scored: Sequence[ScoredItem], system: str) -> Calibration | None:
    """One system's explanations against its certainty; None where it gives none."""
    rows = [(certainty(s), quality(s), s) for s in scored if s.item.system == system]
    known = [(c, q, s) for c, q, s in rows if c is not None and q is not None]
    if not known:
        return None
    sure, good = np.array([c for c, _, _ in known]), np.array([q for _, q, _ in known])
    places = [s.case.location for _, _, s in known]
    found = []
    # Below one half the verdict goes against the system's own confidence; above, in tenths.
    for low, high in zip((0.0, *EDGES[:-1]), EDGES, strict=True):
        rows_in = np.flatnonzero((sure >= low) & ((sure < high) | (high == 1.0)))
        if rows_in.size:
            found.append(_bin(low, high, rows_in.tolist(), sure, good, [s for _, _, s in known]))
    return Calibration(system=system, n=len(known), bins=tuple(found), spearman=spearman(sure, good, places))


def _bin(
    low: float,
    high: float,
    rows: list[int],
    sure: np.ndarray[tuple[int], np.dtype[np.float64]],
    good: np.ndarray[tuple[int], np.dtype[np.float64]],
    items: Sequence[ScoredItem],
) -> Bin:
    labelled = [items[r] for r in rows if items[r].case.label is not None]
    right = [s.item.verdict == s.case.label for s in labelled]
    return Bin(
        low=low,
        high=high,
        certainty=float(sure[rows].mean()),
        quality=bootstrap_mean(good[rows], [items[r].case.location for r in rows]),
        right=float(np.mean(right)) if right else None,
    )
