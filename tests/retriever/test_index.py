"""The vector index against a plain matrix product."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from retriever.errors import IndexMismatch
from retriever.index import SIDECAR, VECTORS, VectorIndex

ENCODER, GALLERY = "encoder-id", "gallery-sha"


def unit(n: int, dim: int = 8, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def index() -> VectorIndex:
    return VectorIndex.build(unit(50), encoder=ENCODER, gallery=GALLERY)


def slow(queries: np.ndarray, vectors: np.ndarray, k: int, rows: np.ndarray) -> list[list[int]]:
    scores = queries @ vectors.T
    return [sorted(np.flatnonzero(rows), key=lambda r: (-s[r], r))[:k] for s in scores]


def test_search_finds_what_a_matrix_product_ranks_first(index: VectorIndex) -> None:
    queries = unit(7, seed=1)
    rows, scores = index.search(queries, 5)
    assert rows.tolist() == slow(queries, unit(50), 5, np.ones(50, bool))
    np.testing.assert_allclose(scores, np.take_along_axis(queries @ unit(50).T, rows, 1), atol=1e-6)


def test_a_limit_applies_before_ranking(index: VectorIndex) -> None:
    queries, rows = unit(3, seed=1), np.arange(50) % 7 == 0
    found, scores = index.search(queries, 10, rows=rows)
    assert [[r for r in row if r >= 0] for row in found.tolist()] == slow(queries, unit(50), 10, rows)
    assert (found[:, 8:] == -1).all()
    assert np.isneginf(scores[:, 8:]).all()


def test_equal_vectors_are_found_in_row_order() -> None:
    same = np.repeat(unit(1), 6, axis=0)
    rows, _ = VectorIndex.build(same, encoder=ENCODER, gallery=GALLERY).search(unit(1), 6)
    assert rows.tolist() == [[0, 1, 2, 3, 4, 5]]


def test_saved_and_loaded_it_answers_the_same(index: VectorIndex, tmp_path: Path) -> None:
    index.save(tmp_path / "i")
    again = VectorIndex.load(tmp_path / "i", encoder=ENCODER, gallery=GALLERY)
    for one, other in zip(index.search(unit(3), 4), again.search(unit(3), 4), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(again.scores(unit(3)), unit(3) @ unit(50).T, atol=1e-6)
    assert sorted(p.name for p in (tmp_path / "i").iterdir()) == sorted([SIDECAR, VECTORS])


@pytest.mark.parametrize(("encoder", "gallery", "what"), [("x", GALLERY, "encoder"), (ENCODER, "x", "gallery")])
def test_another_encoder_or_gallery_is_refused(
    index: VectorIndex, tmp_path: Path, encoder: str, gallery: str, what: str
) -> None:
    index.save(tmp_path)
    with pytest.raises(IndexMismatch, match=f"another {what}"):
        VectorIndex.load(tmp_path, encoder=encoder, gallery=gallery)


def test_queries_of_another_width_are_refused(index: VectorIndex) -> None:
    with pytest.raises(IndexMismatch, match="same encoder"):
        index.search(unit(1, dim=9), 3)


@pytest.mark.parametrize(
    "damage", ["no sidecar", "broken sidecar", "empty sidecar", "cut vectors", "no vectors", "other vectors"]
)
def test_a_damaged_index_asks_to_be_made_again(index: VectorIndex, tmp_path: Path, damage: str) -> None:
    index.save(tmp_path)
    if damage == "no sidecar":
        (tmp_path / SIDECAR).unlink()
    elif damage == "broken sidecar":
        (tmp_path / SIDECAR).write_text("{")
    elif damage == "empty sidecar":
        (tmp_path / SIDECAR).write_text("{}")
    elif damage == "cut vectors":
        (tmp_path / VECTORS).write_bytes((tmp_path / VECTORS).read_bytes()[:60])
    elif damage == "no vectors":
        (tmp_path / VECTORS).unlink()
    else:
        VectorIndex.build(unit(9), encoder=ENCODER, gallery=GALLERY).save(tmp_path / "other")
        (tmp_path / VECTORS).write_bytes((tmp_path / "other" / VECTORS).read_bytes())
    with pytest.raises(IndexMismatch, match="sightline index"):
        VectorIndex.load(tmp_path, encoder=ENCODER, gallery=GALLERY)


def test_a_skipped_tile_has_no_score() -> None:
    vectors = unit(4)
    vectors[2] = 0
    index = VectorIndex.build(vectors, encoder=ENCODER, gallery=GALLERY, skipped={"t2": "damaged"})
    scores = index.scores(unit(1, seed=3))
    assert np.isneginf(scores[0]).tolist() == [False, False, True, False]
    assert index.sidecar["skipped"] == {"t2": "damaged"}
