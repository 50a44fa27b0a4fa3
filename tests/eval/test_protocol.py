"""The full gallery is the default; the flattering prior is only itself under its own name."""

from __future__ import annotations

import dataclasses
import json
import types
from pathlib import Path

import numpy as np
import pytest

from eval.metrics import measure
from eval.protocol import PRIOR_WARNING, EvaluationError, LocatedQuery, read_queries, truth
from eval.rankings import read_rankings
from eval.run import measure_all, pool, report
from eval.scorers import METHODS, Bench, score, score_constant, score_random
from retriever.geo import Frame
from retriever.types import Query

FRAME = Frame(lat=1.28, lon=103.85)
LINE = {"id": "a", "text": "a red door", "lang": "en", "lat": 1.28, "lon": 103.85, "named": False, "source": "hand"}


def places(side: int = 30) -> types.SimpleNamespace:
    east, north = (a.ravel() * 60.0 for a in np.meshgrid(np.arange(side), np.arange(side)))
    lat, lon = FRAME.latlon(east, north)
    south, west = FRAME.latlon(east - 60, north - 60)
    top, right = FRAME.latlon(east + 60, north + 60)
    ids = [f"g-{i:04d}" for i in range(side * side)]
    return types.SimpleNamespace(id="g", ids=ids, lat=lat, lon=lon, bounds=np.stack([west, south, right, top], 1))


def ask(count: int, side: int = 30) -> list[LocatedQuery]:
    spots = np.random.default_rng(1).uniform(0, 60 * (side - 1), (count, 2))
    return [
        LocatedQuery(query=Query(id=f"q{i}", text="x"), lat=lat, lon=lon, named=i % 2 == 0, source="test")
        for i, (lat, lon) in enumerate(FRAME.latlon(e, n) for e, n in spots)
    ]


def test_nearest100_gives_random_scores_one_percent_and_constant_ones_nothing() -> None:
    gallery, queries = places(), ask(2000)
    right = truth(gallery, queries, "nearest100")
    assert right.pool.shape == (2000, 100)
    rng = np.random.default_rng(0)
    got = measure(rng.random((2000, 900)), right).values["recall@1"].mean()
    assert got == pytest.approx(0.01, abs=0.009)
    full = measure(rng.random((2000, 900)), truth(gallery, queries)).values["recall@1"].mean()
    assert full < 0.005
    assert measure(np.ones((2000, 900)), right).values["recall@1"].sum() == 0


def test_nearest100_shows_exactly_the_nearest_tiles_and_always_the_true_one() -> None:
    gallery, queries = places(), ask(20)
    near, full = truth(gallery, queries, "nearest100"), truth(gallery, queries)
    for row in range(20):
        assert near.pool[row, near.target[row]] == full.target[row]
        assert near.distance[row].max() <= np.sort(full.distance[row])[99]


def test_a_point_on_no_tile_is_refused_by_name() -> None:
    stray = LocatedQuery(query=Query(id="stray", text="x"), lat=2.0, lon=103.85, named=False, source="test")
    with pytest.raises(EvaluationError, match=r"'stray' .1 in all. lies on no tile"):
        truth(places(4), [*ask(1, 4), stray])


def test_a_tile_that_the_query_names_is_the_one_right_tile_in_both_protocols() -> None:
    gallery, (at,) = places(30), ask(1)
    plain = truth(gallery, [at])
    own = next(int(row) for row in np.flatnonzero(plain.holds[0]) if row != plain.target[0])
    named = dataclasses.replace(at, tile_id=gallery.ids[own])
    for protocol in ("full", "nearest100"):
        right = truth(gallery, [named, at], protocol)
        assert right.pool[0, right.target[0]] == own
        assert right.pool[0][right.holds[0]].tolist() == [own]
        assert right.holds[1].sum() > 1
    assert truth(gallery, [named]).clusters == (f"g:{gallery.ids[own]}",)


def test_the_named_one_of_many_tiles_of_the_same_place_is_shown_by_nearest100() -> None:
    gallery = places(20)
    gallery.lat[:], gallery.lon[:], gallery.bounds[:] = gallery.lat[0], gallery.lon[0], gallery.bounds[0]
    asked = LocatedQuery(
        query=Query(id="q", text="x"), lat=gallery.lat[0], lon=gallery.lon[0], named=False, source="t", tile_id="g-0399"
    )
    right = truth(gallery, [asked], "nearest100")
    assert right.pool[0, right.target[0]] == 399


def test_a_named_tile_that_is_unknown_or_elsewhere_is_refused() -> None:
    gallery, (at,) = places(4), ask(1, 4)
    with pytest.raises(EvaluationError, match="names the tile 'h-1', which gallery g does not hold"):
        truth(gallery, [dataclasses.replace(at, tile_id="h-1")])
    far = int(truth(gallery, [at]).distance[0].argmax())
    with pytest.raises(EvaluationError, match=f"does not lie on its tile '{gallery.ids[far]}'"):
        truth(gallery, [dataclasses.replace(at, tile_id=gallery.ids[far])])


def test_a_query_file_gives_the_tile_and_a_tile_that_is_no_id_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text(json.dumps(LINE | {"tile_id": "g-0001"}) + "\n" + json.dumps(LINE | {"id": "b"}))
    assert [q.tile_id for q in read_queries(path)] == ["g-0001", None]
    path.write_text(json.dumps(LINE | {"tile_id": 7}))
    with pytest.raises(EvaluationError, match="tile_id must be the id of a tile"):
        read_queries(path)


def test_unknown_protocol_and_method_list_the_known_ones() -> None:
    with pytest.raises(EvaluationError, match="full, nearest100"):
        truth(places(4), ask(1, 4), "nearest")
    bench = Bench(gallery=places(4), queries=ask(1, 4))  # type: ignore[arg-type]
    with pytest.raises(EvaluationError, match=", ".join(METHODS)):
        score(bench, ["denser"])


def test_controls_are_rows_even_when_nobody_asked_for_them() -> None:
    bench = Bench(gallery=places(4), queries=ask(3, 4))  # type: ignore[arg-type]
    assert [s.method for s in score(bench, [])] == ["random", "constant"]


def test_control_rows_give_chance_and_zero() -> None:
    gallery, queries = places(10), ask(10, 10)
    bench = Bench(gallery=gallery, queries=queries)  # type: ignore[arg-type]
    random, constant = measure_all([score_random(bench), score_constant(bench)], truth(gallery, queries))
    assert random.per_query.values["recall@10"].mean() == pytest.approx(0.1, abs=0.03)
    assert constant.per_query.values["recall@10"].sum() == 0
    assert constant.per_query.values["L@150m"].sum() == 0


def test_reports_carry_protocol_count_command_and_the_warning() -> None:
    gallery, queries = places(15), ask(6, 15)
    right = truth(gallery, queries, "nearest100")
    bench = Bench(gallery=gallery, queries=queries)  # type: ignore[arg-type]
    measured = measure_all(score(bench, []), right)
    made = report("T", measured, queries, right.clusters, protocol="nearest100", tiles=225, command="sightline x")
    assert made.warnings == (PRIOR_WARNING,)
    assert [t.title for t in made.tables] == ["all", "named", "unnamed", "English"]
    assert [t.n for t in made.tables] == [6, 3, 3, 6]
    assert len(pool([measured, measured])[0].per_query.rank) == 12


def test_a_bad_query_file_names_the_line(tmp_path: Path) -> None:
    cases = {
        "'lon' is missing": {k: v for k, v in LINE.items() if k != "lon"},
        "not on Earth": LINE | {"lat": 95},
        "'fr' is none of": LINE | {"lang": "fr"},
        "true or false": LINE | {"named": "yes"},
        "text is empty": LINE | {"text": " "},
    }
    path = tmp_path / "q.jsonl"
    for message, line in cases.items():
        path.write_text(f"{json.dumps(LINE | {'id': 'first'})}\n{json.dumps(line)}\n")
        with pytest.raises(EvaluationError, match=message) as error:
            read_queries(path)
        assert "q.jsonl:2" in str(error.value)
    path.write_text(f"{json.dumps(LINE)}\n{json.dumps(LINE)}\n")
    with pytest.raises(EvaluationError, match="twice"):
        read_queries(path)
    path.write_text("\n")
    with pytest.raises(EvaluationError, match="no queries"):
        read_queries(path)


def rankings(path: Path, *lines: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def candidate(gallery: types.SimpleNamespace, column: int, rank: int, score: float | None) -> dict[str, object]:
    return {"tile_id": gallery.ids[column], "rank": rank, "score": score}


def test_rankings_join_by_id_count_missing_queries_as_failed_and_equal_scores_as_ties(tmp_path: Path) -> None:
    gallery, queries = places(4), ask(3, 4)
    targets = truth(gallery, queries).target
    other = [(int(t) + 1) % 16 for t in targets]
    path = rankings(
        tmp_path / "r.jsonl",
        {"query_id": "q2", "method": "m", "candidates": [candidate(gallery, int(targets[2]), 1, 0.9)]},
        {
            "query_id": "q0",
            "method": "m",
            "candidates": [candidate(gallery, other[0], 2, 0.5), candidate(gallery, int(targets[0]), 1, 0.5)],
        },
    )
    scored = read_rankings(path, gallery.ids, queries)
    got = measure_all([scored], truth(gallery, queries))[0]
    assert got.per_query.values["recall@1"].tolist() == [0.0, 0.0, 1.0]
    assert got.per_query.values["recall@5"].tolist() == [1.0, 0.0, 1.0]
    assert got.per_query.failed.tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"query_id": "nobody"}, "not in the query set"),
        ({"candidates": [{"tile_id": "elsewhere", "rank": 1}]}, "not in the gallery"),
        ({"candidates": [{"tile_id": "g-0001", "rank": 2}]}, "not a ranking"),
        ({"candidates": [{"tile_id": "g-0001", "rank": 1}, {"tile_id": "g-0001", "rank": 2}]}, "listed twice"),
    ],
)
def test_rankings_that_do_not_belong_are_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    gallery = places(4)
    path = rankings(tmp_path / "r.jsonl", {"query_id": "q0", "method": "m", "candidates": []} | change)
    with pytest.raises(EvaluationError, match=message):
        read_rankings(path, gallery.ids, ask(1, 4))


def test_rankings_of_a_gallery_rebuilt_since_are_refused_and_the_judge_is_named(tmp_path: Path) -> None:
    gallery, queries = places(4), ask(1, 4)
    line = {
        "query_id": "q0",
        "method": "m",
        "gallery": {"sha256": "old"},
        "judge": {"model": "mini"},
        "candidates": [candidate(gallery, 0, 1, None) | {"error": "no server"}],
    }
    path = rankings(tmp_path / "r.jsonl", line)
    assert read_rankings(path, gallery.ids, queries, sha256="old").note == "mini, 1 of 1 queries not judged"
    with pytest.raises(EvaluationError, match="other content"):
        read_rankings(path, gallery.ids, queries, sha256="new")


def test_a_half_written_ranking_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text('{"query_id": "q0", "candi')
    with pytest.raises(EvaluationError, match="run the batch again"):
        read_rankings(path, places(4).ids, ask(1, 4))
