"""Whether explanations are better where the system is surer of its verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from eval.bootstrap import Interval, bootstrap_mean
from eval.explanations.agreement import spearman
from eval.explanations.claim_level import ClaimScore
from eval.explanations.scoring import ScoredItem

EDGES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
QUALITIES: dict[str, Callable[[ClaimScore], float | None]] = {
    "borne out": lambda claims: claims.borne_out,
    "claim F1": lambda claims: claims.f1,
}
"""How good an explanation is, by name: the first is what the summary goes by, the second counts silence too."""


@dataclass(frozen=True, kw_only=True)
class Bin:
    """Judgements that are about equally sure of their own verdict."""

    low: float
    high: float
    certainty: float
    quality: Mapping[str, Interval | None]
    """Mean of each of :data:`QUALITIES`, both languages together; None where no explanation here has one."""
    right: Interval | None
    """Share of right verdicts, where labels are known."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    system: str
    n: int
    bins: tuple[Bin, ...]
    spearman: Mapping[str, Interval | None]
    """Of certainty with each of :data:`QUALITIES`."""


def certainty(s: ScoredItem) -> float | None:
    """How sure the system is of the verdict that it gives: 0.5..1 for a verdict that follows its own confidence."""
    p = s.item.confidence
    if p is None or s.item.verdict not in ("match", "no_match"):
        return None
    return p if s.item.verdict == "match" else 1.0 - p


def quality(s: ScoredItem, name: str) -> float | None:
    """Mean of one of :data:`QUALITIES` over the languages that have it."""
    values = [v for v in (QUALITIES[name](c) for c in s.claims.values()) if v is not None]
    return float(np.mean(values)) if values else None


def calibrate(scored: Sequence[ScoredItem], system: str) -> Calibration | None:
    """One system's explanations against its certainty; None where it gives none, or nothing of it can be scored."""
    rows = [(c, s) for s in scored if s.item.system == system and (c := certainty(s)) is not None]
    rows = [(c, s) for c, s in rows if any(quality(s, name) is not None for name in QUALITIES)]
    if not rows:
        return None
    found = []
    # Below one half the verdict goes against the system's own confidence; above, in tenths.
    for low, high in zip((0.0, *EDGES[:-1]), EDGES, strict=True):
        inside = [(c, s) for c, s in rows if low <= c < high or c == high == EDGES[-1]]
        if inside:
            found.append(_bin(low, high, inside))
    ranks = {name: _spearman(rows, name) for name in QUALITIES}
    return Calibration(system=system, n=len(rows), bins=tuple(found), spearman=ranks)


def _spearman(rows: Sequence[tuple[float, ScoredItem]], name: str) -> Interval | None:
    known = [(c, q, s.case.location) for c, s in rows if (q := quality(s, name)) is not None]
    sure, good = np.array([c for c, _, _ in known]), np.array([q for _, q, _ in known])
    return spearman(sure, good, [place for *_, place in known])


def _bin(low: float, high: float, rows: Sequence[tuple[float, ScoredItem]]) -> Bin:
    items = [s for _, s in rows]
    return Bin(
        low=low,
        high=high,
        certainty=float(np.mean([c for c, _ in rows])),
        quality={name: _mean([(quality(s, name), s) for s in items]) for name in QUALITIES},
        right=_mean([(float(s.item.verdict == s.case.label), s) for s in items if s.case.label is not None]),
    )


def _mean(values: Sequence[tuple[float | None, ScoredItem]]) -> Interval | None:
    known = [(v, s.case.location) for v, s in values if v is not None]
    return bootstrap_mean(np.array([v for v, _ in known]), [place for _, place in known]) if known else None
