"""Fusion of dense and name scores."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from retriever.fusion import best, fuse, rrf, standardise

NOTHING = np.full(3, -np.inf, np.float32)


def f(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_standardised_scores_have_mean_0_and_deviation_1_and_missing_ones_stay_missing() -> None:
    z = standardise(f(1, 2, 3, -np.inf))
    assert np.isneginf(z[3])
    np.testing.assert_allclose([z[:3].mean(), z[:3].std()], [0, 1], atol=1e-6)


def test_constant_scores_say_nothing() -> None:
    np.testing.assert_array_equal(standardise(f(5, 5, 5)), 0)
    np.testing.assert_array_equal(standardise(NOTHING), NOTHING)


def test_without_a_name_the_dense_order_stays() -> None:
    dense = f(0.3, 0.9, 0.1, 0.5)
    assert np.argsort(fuse(dense, np.zeros(4, np.float32))).tolist() == np.argsort(dense).tolist()


def test_a_named_tile_overtakes_and_the_scale_of_the_dense_scores_does_not_matter() -> None:
    dense, named = f(0.3, 0.9, 0.1, 0.5), f(0, 0, 1, 0)
    for scale in (1, 1000):
        assert fuse(dense * scale, named).argmax() == 2


def test_a_tile_without_a_vector_can_still_be_found_by_name() -> None:
    fused = fuse(f(0.3, -np.inf, 0.1), f(0, 1, 0))
    assert fused.argmax() == 1
    assert np.isfinite(fused).all()


def test_reciprocal_ranks_add_up_and_equal_scores_share_the_worst() -> None:
    fused = rrf([f(3, 2, 1), f(1, 1, 5)])
    np.testing.assert_allclose(fused, [1 / 61 + 1 / 63, 1 / 62 + 1 / 63, 1 / 63 + 1 / 61], rtol=1e-6)


def test_a_tile_missing_from_a_list_gets_nothing_from_it() -> None:
    np.testing.assert_allclose(rrf([f(3, -np.inf)]), [1 / 61, 0], rtol=1e-6)


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, -np.inf]), min_size=1, max_size=30), st.integers(1, 40), st.data())
def test_best_is_the_sorted_head_of_what_is_allowed(values: list[float], k: int, data: st.DataObject) -> None:
    allowed = np.array(data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values))))
    ids = [f"t{(i * 7) % len(values):03d}-{i}" for i in range(len(values))]
    slow = sorted((-v, ids[i], i) for i, v in enumerate(values) if allowed[i] and np.isfinite(v))
    assert best(f(*values), ids, k, allowed) == [i for _, _, i in slow][:k]
