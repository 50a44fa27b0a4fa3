"""What a system says of the pairs: one JSON object a line, in any order.

``pair_id`` (required), ``verdict`` (match, no_match or cannot_tell), ``score`` (higher means rather a match, on any
scale), ``evidence`` (list of ``claim_id`` and ``stance``, for the claims that the pair lists), ``explanation`` (``en``,
``zh``), ``error`` (why there is no verdict; it counts as wrong).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from eval.protocol import EvaluationError
from retriever.pairs import Pair
from retriever.types import Stance, Verdict

_SCORE_OF = {"match": 1.0, "cannot_tell": 0.5, "no_match": 0.0}


@dataclass(frozen=True, kw_only=True)
class Prediction:
    pair_id: str
    verdict: Verdict | None
    """None exactly when there is an error."""
    score: float | None
    """None: 1 for match, one half for cannot_tell, 0 for no_match stands for it."""
    stances: Mapping[str, Stance] = field(default_factory=dict)
    """By claim id; empty where the system names none."""
    explanation: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None

    @property
    def rank(self) -> float | None:
        """What pairs are ordered by; None for an error."""
        if self.score is not None or self.verdict is None:
            return self.score
        return _SCORE_OF[self.verdict]


def read_predictions(path: Path, pairs: Iterable[Pair]) -> list[Prediction]:
    """The predictions of a file. ``EvaluationError`` names the line of anything malformed or twice."""
    known = {p.id: {c.id for c in p.claims} for p in pairs}
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"cannot read predictions from {path}: {error}") from error
    found: dict[str, Prediction] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            item = _prediction(json.loads(line), known)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise EvaluationError(f"{path}:{number}: not a prediction ({error}); see docs/testset.md") from error
        if item.pair_id in found:
            raise EvaluationError(f"{path}:{number}: the pair {item.pair_id} comes twice; keep one prediction each")
        found[item.pair_id] = item
    if not found:
        raise EvaluationError(f"{path} holds no predictions")
    return list(found.values())


def _prediction(row: Mapping[str, Any], known: Mapping[str, set[str]]) -> Prediction:
    pair_id, verdict, score = str(row["pair_id"]), row.get("verdict"), row.get("score")
    error = row.get("error")
    if pair_id not in known:
        raise ValueError(f"the set has no pair {pair_id!r}")
    if (verdict is None) == (error is None):
        raise ValueError("give either a verdict or an error")
    if verdict is not None and verdict not in get_args(Verdict):
        raise ValueError(f"verdict {verdict!r} is none of {', '.join(get_args(Verdict))}")
    if score is not None and (isinstance(score, bool) or not math.isfinite(float(score))):
        raise ValueError(f"score {score!r} is no finite number")
    return Prediction(
        pair_id=pair_id,
        verdict=verdict,
        score=None if score is None or error is not None else float(score),
        stances=_stances(row.get("evidence") or (), known[pair_id]),
        explanation={k: str(v) for k, v in (row.get("explanation") or {}).items() if k in ("en", "zh")},
        error=None if error is None else str(error),
    )


def _stances(items: Sequence[Mapping[str, Any]], claims: set[str]) -> dict[str, Stance]:
    found: dict[str, Stance] = {}
    for item in items:
        claim, stance = str(item["claim_id"]), item["stance"]
        if claim not in claims or claim in found:
            raise ValueError(f"evidence for {claim!r}, which is no claim of the pair or comes twice")
        if stance not in get_args(Stance):
            raise ValueError(f"stance {stance!r} is none of {', '.join(get_args(Stance))}")
        found[claim] = stance
    return found
