"""What the benchmarks of search, evaluation and training are made from, at sizes of no weight."""

from __future__ import annotations

import sys
from pathlib import Path

import faiss
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.evaluation import Plain, haversine, ours, setting
from benchmarks.search_measure import Kind, exactly, measure, recall
from benchmarks.search_vectors import Bases, Recipe
from eval.metrics import metric_names
from retriever.geo import distance_m


def bases(seed: int, count: int = 60) -> Bases:
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((count, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Bases(vectors=vectors, lat=np.linspace(51.5, 51.6, count), lon=np.full(count, -0.1), said="[]")


RECIPE = Recipe(base=bases(0), asked=bases(1), sigma=0.3, queries=12)


def test_a_vector_does_not_depend_on_how_many_are_made() -> None:
    few, more = RECIPE.make(300), RECIPE.make(700)
    np.testing.assert_array_equal(few.vectors, more.vectors[:300])
    np.testing.assert_array_equal(few.queries, more.queries)
    np.testing.assert_allclose(np.linalg.norm(more.vectors, axis=1), 1.0, atol=1e-5)


def test_jitter_has_the_length_that_is_stated_and_a_limit_the_share() -> None:
    made = RECIPE.make(4000)
    nearest = (made.vectors @ RECIPE.base.vectors.T).max(axis=1)
    # Added noise of length s, then normalised, leaves a cosine of about 1 / sqrt(1 + s^2).
    assert np.median(nearest) == pytest.approx(1 / np.sqrt(1 + 0.3**2), abs=0.03)
    assert made.limits["10%"].mean() == pytest.approx(0.1, abs=0.02)
    assert made.limits["1%"].sum() < made.limits["10%"].sum()
    assert not (made.limits["1%"] & ~made.limits["10%"]).any()


def test_recall_counts_what_was_found_of_the_true_best() -> None:
    assert recall(np.array([[1, 2, 3]]), np.array([[3, 9, 1]])) == pytest.approx(2 / 3)
    assert recall(np.array([[5, -1, -1]]), np.array([[5, -1, -1]])) == 1.0


def test_a_kind_is_measured_against_exact_search_at_every_point() -> None:
    made = RECIPE.make(2500)
    exact = faiss.IndexFlatIP(16)
    exact.add(made.vectors)
    kind = Kind(factory="RR{d},IVF{n},RaBitQ", efforts=(1, 64), depths=(10, 400))
    found = measure(kind, made, exactly(exact, made), exact, [1])
    by_point = {(p["effort"], p["depth"]): p["recall"]["none"] for p in found["points"]}
    assert len(by_point) == 4
    assert by_point[64, 400] > max(0.9, by_point[1, 10])
    assert all(s > 0 for p in found["points"] for s in p["speed"]["1"].values())
    assert found["store_bytes_per_tile"] == 32
    assert 16 / 8 < found["bytes_per_tile"] < 16 * 4


def test_the_loop_over_pairs_and_the_metrics_agree_on_every_value() -> None:
    tiles, queries, scores = setting(25, 150, seed=4)
    both = ["full", "nearest100"]
    loop = Plain(tiles, both)
    slow = np.array([loop.values(q, s.tolist()) for q, s in zip(queries, scores, strict=True)])
    fast = ours(tiles, queries, scores, both)
    assert fast.shape == (2, 25, len(metric_names()))
    np.testing.assert_allclose(slow.transpose(1, 0, 2), fast, atol=1e-12)
    assert 0 < fast.mean() < 1


def test_one_pair_has_the_distance_that_many_have() -> None:
    assert haversine(51.5, -0.1, 51.6, 0.2) == pytest.approx(float(distance_m(51.5, -0.1, 51.6, 0.2)))
