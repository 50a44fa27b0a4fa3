"""Search of large galleries: codes with rescoring against the plain matrix product, at sizes where both are quick."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retriever import index_approximate
from retriever.errors import IndexMismatch
from retriever.fusion import fuse, fuse_found
from retriever.index import VECTORS, VectorIndex
from retriever.index_approximate import CODES, _sample
from retriever.index_plan import EXACT_BELOW, Plan, choose, lists
from retriever.index_store import MOMENTS, STORE, Store

IDS: dict[str, Any] = {"encoder": "encoder-id", "gallery": "gallery-sha"}
N, D = 1500, 32
PLAN = Plan(factory=f"RR{D},IVF8,RaBitQ", effort=8, depth=N)
"""Every list and every row: what is left to differ are the store's 16 bits."""


def unit(n: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(n, D)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def index() -> VectorIndex:
    return VectorIndex.build(unit(N), plan=PLAN, **IDS)


def right(k: int, allowed: np.ndarray) -> list[set[int]]:
    scores = np.where(allowed, unit(6, seed=1) @ unit(N).T, -np.inf)
    return [set(np.argsort(-s, kind="stable")[:k].tolist()) for s in scores]


def overlap(found: np.ndarray, wanted: list[set[int]]) -> float:
    return float(np.mean([len(set(f.tolist()) & w) / len(w) for f, w in zip(found, wanted, strict=True)]))


def test_small_galleries_are_exact_and_large_ones_are_not() -> None:
    assert choose(EXACT_BELOW - 1, 256) == Plan()
    large = choose(EXACT_BELOW, 256)
    assert not large.exact
    assert large.depth >= 10
    assert "exact" not in VectorIndex.build(unit(5), **IDS).sidecar
    assert VectorIndex.build(unit(5), **IDS).approximate is None
    assert all(39 * lists(n) <= n for n in (100, 10_000, 123_456, 10**6, 10**8))


@pytest.mark.parametrize("factory", [f"RR{D},IVF8,RaBitQ", f"RR{D},IVF8,RaBitQfs", "IVF8,PQ8x4fs", "IVF8,PQ8", "HNSW8"])
def test_with_all_effort_codes_and_rescoring_find_the_true_best(factory: str) -> None:
    plan = Plan(factory=factory, effort=N if factory.startswith("HNSW") else 8, depth=N)
    found, scores = VectorIndex.build(unit(N), plan=plan, **IDS).search(unit(6, seed=1), 10)
    assert overlap(found, right(10, np.ones(N, bool))) >= 0.98
    exact = np.take_along_axis(unit(6, seed=1) @ unit(N).T, found, 1)
    np.testing.assert_allclose(scores, exact, atol=2e-3)
    assert (np.diff(scores, axis=1) <= 0).all()


def test_rescoring_repairs_what_codes_confuse() -> None:
    coarse = Plan(factory="IVF8,PQ2x4", effort=8, depth=0)
    wanted = right(10, np.ones(N, bool))
    plain = VectorIndex.build(unit(N), plan=coarse, **IDS).search(unit(6, seed=1), 10)[0]
    deeper = Plan(factory=coarse.factory, effort=8, depth=N)
    rescored = VectorIndex.build(unit(N), plan=deeper, **IDS).search(unit(6, seed=1), 10)[0]
    assert overlap(plain, wanted) < 0.7
    assert overlap(rescored, wanted) >= 0.98


@pytest.mark.parametrize("exactly", [0, N], ids=["by codes", "one by one"])
@pytest.mark.parametrize("share", [0.003, 0.05, 0.6])
def test_a_limit_applies_before_ranking_whatever_its_size(
    index: VectorIndex, monkeypatch: pytest.MonkeyPatch, exactly: int, share: float
) -> None:
    monkeypatch.setattr(index_approximate, "ALLOWED_EXACTLY", exactly)
    rows = np.random.default_rng(3).random(N) < share
    found, scores = index.search(unit(6, seed=1), 10, rows=rows)
    fewer = min(10, int(rows.sum()))
    assert rows[found[:, :fewer]].all()
    assert (found[:, fewer:] == -1).all()
    assert np.isneginf(scores[:, fewer:]).all()
    assert overlap(found[:, :fewer], right(fewer, rows)) >= 0.95


def test_it_is_read_back_and_answers_the_same_from_the_disk(index: VectorIndex, tmp_path: Path) -> None:
    index.save(tmp_path)
    assert not (tmp_path / VECTORS).exists()
    again = VectorIndex.load(tmp_path, **IDS)
    assert again.approximate is not None
    assert again.approximate.plan == PLAN
    for one, other in zip(index.search(unit(3, seed=1), 5), again.search(unit(3, seed=1), 5), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(again.scores(unit(3, seed=1)), unit(3, seed=1) @ unit(N).T, atol=2e-3)


def test_a_gallery_that_has_shrunk_leaves_no_codes_behind(index: VectorIndex, tmp_path: Path) -> None:
    index.save(tmp_path)
    VectorIndex.build(unit(9), **IDS).save(tmp_path)
    assert not any((tmp_path / name).exists() for name in (CODES, STORE, MOMENTS))
    assert len(VectorIndex.load(tmp_path, **IDS)) == 9


@pytest.mark.parametrize("name", [CODES, STORE, MOMENTS])
@pytest.mark.parametrize("damage", ["gone", "cut", "of another"])
def test_damaged_parts_ask_to_be_made_again(index: VectorIndex, tmp_path: Path, name: str, damage: str) -> None:
    index.save(tmp_path)
    path = tmp_path / name
    if damage == "gone":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        smaller = Plan(factory="IVF4,RaBitQ", effort=4, depth=10)
        other = np.ascontiguousarray(unit(400)[:, : D // 2])
        VectorIndex.build(other, plan=smaller, **IDS).save(tmp_path / "other")
        path.write_bytes((tmp_path / "other" / name).read_bytes())
    with pytest.raises(IndexMismatch, match="sightline index"):
        VectorIndex.load(tmp_path, **IDS)


@pytest.mark.parametrize("plan", [Plan(), PLAN], ids=["exact", "codes"])
def test_a_skipped_tile_is_never_found(plan: Plan) -> None:
    vectors = unit(N)
    vectors[7] = 0
    index = VectorIndex.build(vectors, plan=plan, skipped={"t7": "damaged"}, **IDS)
    # All other rows are worse than nothing for this query of one allowed row.
    found, _ = index.search(unit(2, seed=1), N)
    assert 7 not in found
    only = np.zeros(N, bool)
    only[7] = True
    assert (index.search(unit(2, seed=1), 3, rows=only)[0] == -1).all()
    assert np.isneginf(index.scores(unit(2, seed=1))[:, 7]).all()


def test_training_leaves_skipped_tiles_out() -> None:
    import faiss

    vectors = unit(300)
    vectors[::2] = 0
    assert _sample(vectors, faiss.index_factory(D, "IVF4,RaBitQ", faiss.METRIC_INNER_PRODUCT)).any(axis=1).all()


def test_the_store_knows_mean_and_spread_of_scores_it_has_not_computed() -> None:
    vectors = unit(N)
    vectors[5] = 0
    store, query = Store.of(vectors), unit(1, seed=4)[0]
    scores = np.delete(vectors, 5, axis=0).astype(np.float64) @ query
    mean, spread = store.spread(query)
    assert mean == pytest.approx(scores.mean(), abs=1e-6)
    assert spread == pytest.approx(scores.std(), rel=1e-5)
    np.testing.assert_allclose(store.some(query, np.array([3, 5, 8])), [scores[3], -np.inf, scores[7]], atol=2e-3)


def test_fusing_some_tiles_gives_them_the_scores_of_fusing_all() -> None:
    rng = np.random.default_rng(0)
    dense = rng.normal(size=200).astype(np.float32)
    named = np.where(rng.random(200) < 0.05, 1.0, 0.0).astype(np.float32)
    kept = (dense >= np.sort(dense)[-20]) | (named > 0)
    some = fuse_found(np.where(kept, dense, -np.inf).astype(np.float32), named, dense.mean(), dense.std())
    np.testing.assert_allclose(some[kept], fuse(dense, named)[kept], atol=1e-4)
    assert np.isneginf(some[~kept]).all()
