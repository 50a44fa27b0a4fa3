"""The fast metrics against slow obvious ones, and ties against the method."""

from __future__ import annotations

import types

import ir_measures
import numpy as np
import pytest

from eval.metrics import DEPTH, KS, RADII_M, measure
from eval.protocol import EvaluationError, LocatedQuery, truth
from retriever.geo import Frame, distance_m
from retriever.types import Query

FRAME = Frame(lat=51.5, lon=-0.1)


def places(side: int = 12, size_m: float = 120.0, stride_m: float = 60.0) -> types.SimpleNamespace:
    """A square gallery of overlapping tiles, with nothing on them."""
    east, north = (a.ravel() * stride_m for a in np.meshgrid(np.arange(side), np.arange(side)))
    lat, lon = FRAME.latlon(east, north)
    south, west = FRAME.latlon(east - size_m / 2, north - size_m / 2)
    top, right = FRAME.latlon(east + size_m / 2, north + size_m / 2)
    ids = [f"t-{i:04d}" for i in range(side * side)]
    return types.SimpleNamespace(id="grid", ids=ids, lat=lat, lon=lon, bounds=np.stack([west, south, right, top], 1))


def at(number: int, east: float, north: float, location: str | None = None) -> LocatedQuery:
    lat, lon = FRAME.latlon(east, north)
    return LocatedQuery(
        query=Query(id=f"q{number}", text="a place"), lat=lat, lon=lon, named=False, source="test", location=location
    )


def some(count: int = 7, seed: int = 3) -> list[LocatedQuery]:
    rng = np.random.default_rng(seed)
    return [at(i, *rng.uniform(0, 600, 2)) for i in range(count)]


def brute(gallery: types.SimpleNamespace, query: LocatedQuery, scores: np.ndarray) -> dict[str, float]:
    """The definitions, spelled out: among equals the true tile, every holding tile and every near tile come last."""
    metres = [float(distance_m(query.lat, query.lon, a, b)) for a, b in zip(gallery.lat, gallery.lon, strict=True)]
    boxes = gallery.bounds
    holds = [w <= query.lon <= e and s <= query.lat <= n for w, s, e, n in boxes]
    target = metres.index(min(metres))
    by_target = sorted(range(len(scores)), key=lambda i: (-scores[i], i == target))
    by_holding = sorted(range(len(scores)), key=lambda i: (-scores[i], holds[i]))
    top = sorted(range(len(scores)), key=lambda i: (-scores[i], -metres[i]))[0]
    found = {f"recall@{k}": float(target in by_target[:k]) for k in KS}
    found |= {f"contains@{k}": float(any(holds[i] for i in by_holding[:k])) for k in KS}
    found["MRR"] = 1 / (by_target.index(target) + 1)
    return found | {f"L@{m}m": float(metres[top] <= m) for m in RADII_M}


@pytest.mark.parametrize("levels", [1, 2, 5, 50, 10**6])
def test_metrics_equal_the_brute_force_reference_at_every_density_of_ties(levels: int) -> None:
    gallery, queries = places(), some(20)
    rng = np.random.default_rng(levels)
    right = truth(gallery, queries)
    near = -np.stack([distance_m(q.lat, q.lon, gallery.lat, gallery.lon) for q in queries]) / 200
    scores = np.floor((near + rng.random(near.shape)) * levels)
    got = measure(scores, right)
    for row, query in enumerate(queries):
        expected = brute(gallery, query, scores[row])
        assert {name: pytest.approx(v[row]) for name, v in got.values.items()} == expected


def test_rank_is_one_plus_greater_plus_equal_others() -> None:
    gallery, queries = places(), some(1)
    right = truth(gallery, queries)
    scores = np.zeros((1, len(gallery.ids)))
    target = right.target[0]
    others = [i for i in range(len(gallery.ids)) if i != target]
    scores[0, others[:2]] = 5.0
    scores[0, [target, *others[2:5]]] = 3.0
    assert measure(scores, right).rank.tolist() == [1 + 2 + 3]


def test_a_constant_scorer_gets_nothing() -> None:
    gallery = places()
    right = truth(gallery, some(9))
    got = measure(np.ones((9, len(gallery.ids))), right)
    assert got.rank.tolist() == [len(gallery.ids)] * 9
    assert all(got.values[name].sum() == 0 for name in got.values if name != "MRR")
    assert got.values["MRR"] == pytest.approx(np.full(9, 1 / len(gallery.ids)))


def test_random_scores_get_what_chance_gives() -> None:
    gallery = places()
    n = len(gallery.ids)
    right = truth(gallery, some(5000))
    got = measure(np.random.default_rng(0).random((5000, n)), right)
    for k in KS:
        assert got.values[f"recall@{k}"].mean() == pytest.approx(k / n, abs=4 * np.sqrt(k / n / 5000))
    within = (right.distance <= 100).mean()
    assert got.values["L@100m"].mean() == pytest.approx(within, abs=4 * np.sqrt(within / 5000))


def test_the_truth_itself_scores_full_marks() -> None:
    gallery = places()
    right = truth(gallery, some(9))
    got = measure(-right.distance, right)
    assert all(v.min() == 1 for v in got.values.values())
    assert got.metres.max() <= 60 / np.sqrt(2) + 1e-6


def test_nan_scores_are_refused_unless_the_query_is_marked_failed() -> None:
    gallery = places()
    right = truth(gallery, some(2))
    scores = -right.distance.copy()
    scores[1, 5] = np.nan
    with pytest.raises(EvaluationError, match="1 queries have NaN"):
        measure(scores, right)
    got = measure(scores, right, np.array([False, True]))
    assert got.values["recall@1"].tolist() == [1.0, 0.0]
    assert got.metres[1] == np.inf
    assert all(v[1] == 0 for v in got.values.values())


def test_a_tile_that_was_not_returned_is_no_hit_however_deep_one_looks() -> None:
    gallery = places(side=3)
    right = truth(gallery, [at(0, 60, 60)])
    scores = np.full((1, 9), -np.inf)
    scores[0, 0] = 1.0
    got = measure(scores, right)
    assert got.rank[0] == np.inf
    assert got.values["recall@10"][0] == got.values["MRR"][0] == 0.0
    assert got.metres[0] == pytest.approx(60 * np.sqrt(2), rel=1e-3)


def test_scores_of_another_gallery_are_refused() -> None:
    gallery = places()
    right = truth(gallery, some(2))
    with pytest.raises(EvaluationError, match="do not fit"):
        measure(np.ones((2, 5)), right)


def test_recall_and_reciprocal_rank_are_those_of_ir_measures() -> None:
    gallery, queries = places(side=40), some(20)
    right = truth(gallery, queries)
    scores = np.random.default_rng(5).integers(0, 400, (20, 1600)).astype(float)
    scores[3] = -np.inf
    scores[4, right.target[4]] = -1.0
    # Best first, the target behind all that share its score.
    is_target = np.arange(1600)[None, :] == right.target[:, None]
    order = np.lexsort((is_target, -scores), axis=1)[:, :DEPTH]
    run = {
        str(q): {str(c): float(DEPTH - place) for place, c in enumerate(order[q]) if scores[q, c] > -np.inf}
        for q in range(20)
        if q != 3
    }
    qrels = {str(q): {str(t): 1} for q, t in enumerate(right.target)}
    names = {str(ir_measures.R @ k): f"recall@{k}" for k in KS} | {str(ir_measures.RR): "MRR"}
    got = measure(scores, right).values
    asked = [ir_measures.R @ k for k in KS] + [ir_measures.RR]
    found = list(ir_measures.iter_calc(asked, qrels, run))
    assert len(found) >= 19 * 4
    for one in found:
        assert got[names[str(one.measure)]][int(one.query_id)] == pytest.approx(one.value)
    assert got["MRR"][[3, 4]].tolist() == [0.0, 0.0]
