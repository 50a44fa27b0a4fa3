"""Judges that do not look are found out."""

from __future__ import annotations

import numpy as np
import pytest

from eval.controls import Trial, auroc, bootstrap_auroc, summarise
from eval.protocol import EvaluationError


def trials(p: dict[str, list[float | None]]) -> list[Trial]:
    return [
        Trial(query_id=f"q{i}", location=f"l{i // 2}", kind=kind, p=value)
        for kind, values in p.items()
        for i, value in enumerate(values)
    ]


def test_auroc_equals_counting_all_pairs_with_ties_half() -> None:
    rng = np.random.default_rng(0)
    positive, negative = np.round(rng.random(30), 1), np.round(rng.random(20) * 0.8, 1)
    pairs = [(a > b) + 0.5 * (a == b) for a in positive for b in negative]
    assert auroc(positive, negative) == pytest.approx(np.mean(pairs))


def test_a_judge_that_always_says_yes_is_right_on_true_tiles_only() -> None:
    true, wrong = summarise(trials({"true": [0.9] * 8, "random": [0.9] * 8}))
    assert (true.accuracy.value, wrong.accuracy.value) == (1.0, 0.0)
    assert wrong.auroc is not None
    assert wrong.auroc.value == 0.5
    assert wrong.flipped is not None
    assert wrong.flipped.value == 0.0
    assert true.auroc is None


def test_a_judge_that_looks_flips_on_the_blank_tile() -> None:
    rows = summarise(trials({"blank": [0.1, 0.2, 0.1, 0.6], "true": [0.9, 0.8, 0.4, 0.7]}))
    assert [r.kind for r in rows] == ["true", "blank"]
    assert rows[1].flipped is not None
    assert (rows[1].flipped.value, rows[1].flipped.n) == (pytest.approx(2 / 3), 3)


def test_a_failed_answer_counts_against_the_judge_on_every_kind() -> None:
    true, wrong = summarise(trials({"true": [None, 0.9], "neighbour": [None, 0.1]}))
    assert (true.failed, wrong.failed) == (1, 1)
    assert (true.accuracy.value, wrong.accuracy.value) == (0.5, 0.5)
    assert wrong.auroc is not None
    assert wrong.auroc.value == 0.5 * 0.5


def test_intervals_resample_locations() -> None:
    rng = np.random.default_rng(1)
    positive, negative = rng.normal(1, 1, 40), rng.normal(0, 1, 40)
    alone = bootstrap_auroc(positive, negative, [str(i) for i in range(40)])
    lumped = bootstrap_auroc(positive, negative, [str(i % 4) for i in range(40)])
    assert alone.value == lumped.value
    assert alone.low < alone.value < alone.high
    assert (alone.locations, lumped.locations) == (40, 4)


def test_queries_without_a_true_trial_are_refused() -> None:
    with pytest.raises(EvaluationError, match="exactly one trial"):
        summarise(trials({"random": [0.5]}))
    with pytest.raises(EvaluationError, match="exactly one trial"):
        summarise(trials({"true": [0.5]}) * 2)
