"""Verdicts about pairs of the frozen test set, as a test wants them."""

from __future__ import annotations

from eval.testset.predictions import Prediction


def say(pair, verdict: str, points: float | None = None, **more) -> Prediction:
    return Prediction(pair_id=pair.id, verdict=verdict, score=points, **more)


def answers(pairs, answer) -> dict[str, Prediction]:
    return {p.id: answer(p) for p in pairs}
