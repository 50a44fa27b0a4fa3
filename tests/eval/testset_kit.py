"""Verdicts about pairs of the frozen test set, as a test wants them, and the command that scores them."""

from __future__ import annotations

from typer import Typer
from typer.testing import CliRunner, Result

from eval.cli import register
from eval.testset.predictions import Prediction


def say(pair, verdict: str, points: float | None = None, **more) -> Prediction:
    return Prediction(pair_id=pair.id, verdict=verdict, score=points, **more)


def answers(pairs, answer) -> dict[str, Prediction]:
    return {p.id: answer(p) for p in pairs}


def command(*words: str) -> Result:
    """``sightline eval testset``."""
    app = Typer()
    register(app)
    return CliRunner().invoke(app, ["eval", "testset", *words])
