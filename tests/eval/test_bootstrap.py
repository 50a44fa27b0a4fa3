"""Intervals resample locations, are seeded, and never pretend certainty."""

from __future__ import annotations

import numpy as np
import pytest

from eval.bootstrap import bootstrap_mean, bootstrap_median, paired_difference
from eval.protocol import EvaluationError


def slow_mean(values: np.ndarray, clusters: list[str], resamples: int, seed: int) -> tuple[float, float]:
    """Draw locations one by one and pool their queries."""
    rng = np.random.default_rng(seed)
    names = sorted(set(clusters))
    groups = {n: [v for v, c in zip(values, clusters, strict=True) if c == n] for n in names}
    means = [np.mean([v for n in rng.choice(names, len(names)) for v in groups[n]]) for _ in range(resamples)]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def test_the_interval_agrees_with_drawing_locations_one_by_one() -> None:
    rng = np.random.default_rng(5)
    clusters = [f"l{i}" for i in rng.integers(0, 40, 120)]
    values = (rng.random(120) < 0.3).astype(float)
    got = bootstrap_mean(values, clusters, resamples=6000)
    low, high = slow_mean(values, clusters, 6000, seed=9)
    assert (got.low, got.high) == (pytest.approx(low, abs=0.015), pytest.approx(high, abs=0.015))
    assert (got.n, got.locations) == (120, len(set(clusters)))


def test_repeating_a_query_at_its_location_buys_no_certainty() -> None:
    values = (np.random.default_rng(0).random(50) < 0.4).astype(float)
    once = bootstrap_mean(values, [str(i) for i in range(50)])
    often = bootstrap_mean(np.repeat(values, 20), [str(i) for i in range(50) for _ in range(20)])
    assert (often.low, often.high) == (pytest.approx(once.low), pytest.approx(once.high))
    assert (once.n, often.n) == (50, 1000)


def test_the_same_seed_gives_the_same_interval_and_another_does_not() -> None:
    values = np.random.default_rng(1).random(37)
    clusters = [str(i) for i in range(37)]
    assert bootstrap_mean(values, clusters, seed=4) == bootstrap_mean(values, clusters, seed=4)
    assert bootstrap_mean(values, clusters, seed=4) != bootstrap_mean(values, clusters, seed=5)


def test_no_hit_at_all_still_leaves_room_for_some() -> None:
    got = bootstrap_mean(np.zeros(24), [str(i) for i in range(24)])
    assert (got.value, got.low) == (0.0, 0.0)
    assert got.high == pytest.approx(1 - 0.025 ** (1 / 24))
    full = bootstrap_mean(np.ones(24), [str(i) for i in range(24)])
    assert (full.low, full.high) == (pytest.approx(0.025 ** (1 / 24)), 1.0)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    clusters = [str(i) for i in range(80)]
    hits = 0
    for trial in range(200):
        got = bootstrap_mean((rng.random(80) < 0.4).astype(float), clusters, seed=trial, resamples=500)
        hits += got.low <= 0.4 <= got.high
    assert 0.88 <= hits / 200 <= 0.99


def test_a_median_survives_queries_without_an_answer() -> None:
    values = np.array([10.0, 20.0, 30.0, np.inf, np.inf])
    got = bootstrap_median(values, list("abcde"))
    assert got.value == 30.0
    assert got.low == 10.0
    assert got.high == np.inf


def test_paired_differences_are_narrower_than_unpaired_ones_and_symmetric() -> None:
    rng = np.random.default_rng(3)
    base = (rng.random(100) < 0.5).astype(float)
    better = base.copy()
    better[:10] = 1.0
    clusters = [str(i) for i in range(100)]
    change = paired_difference(better, base, clusters)
    back = paired_difference(base, better, clusters)
    assert change.value == pytest.approx(-back.value) == pytest.approx((better - base).mean())
    alone = bootstrap_mean(better, clusters)
    assert change.high - change.low < alone.high - alone.low


def test_no_change_seen_is_not_proof_of_no_change() -> None:
    change = paired_difference(np.ones(10), np.ones(10), [str(i) for i in range(10)])
    assert change.low == pytest.approx(-change.high)
    assert change.high > 0.2


def test_values_that_cannot_be_averaged_are_refused() -> None:
    with pytest.raises(EvaluationError):
        bootstrap_mean(np.array([1.0, np.nan]), ["a", "b"])
    with pytest.raises(EvaluationError):
        bootstrap_mean(np.array([1.0]), ["a", "b"])
    with pytest.raises(EvaluationError):
        paired_difference(np.ones(2), np.ones(3), ["a", "b"])
