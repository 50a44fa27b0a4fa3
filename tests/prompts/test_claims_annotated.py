"""The annotated texts: every file loads, and how well the rules read those that they were worked on does not fall."""

from __future__ import annotations

from pathlib import Path

import pytest
from claims_kit import bench

from retriever.kinds import kinds
from retriever.types import Claim

FILES = {
    "claims_annotated.jsonl": 109,
    "claims_annotated_2.jsonl": 60,
    "claims_annotated_3.jsonl": 120,
    "claims_annotated_4.jsonl": 80,
}


def rows_of(name: str) -> list[dict]:
    return bench.load(bench.FILE.with_name(name))


@pytest.mark.parametrize(("name", "texts"), FILES.items())
def test_every_annotation_is_a_claim_and_no_text_comes_twice(name: str, texts: int) -> None:
    rows = rows_of(name)
    assert len(rows) == len({r["id"] for r in rows}) == len({r["text"] for r in rows}) == texts
    for row in rows:
        for claim in bench.gold(row):
            assert claim.kind in bench.KINDS, row["id"]
            assert claim.kind != "object" or claim.value in kinds(), (row["id"], claim.value)
            assert claim.kind != "name" or claim.value in row["text"], (row["id"], claim.value)


def test_the_first_file_is_partly_worked_on_and_partly_held_out() -> None:
    assert {row["split"] for row in rows_of("claims_annotated.jsonl")} == {"dev", "heldout"}


def test_claims_on_the_development_half_keep_their_quality() -> None:
    p, r, f1 = bench.prf(bench.table(bench.load(bench.FILE, "dev"))["all"].sum(axis=0))
    assert f1 >= 0.88
    assert min(p, r) >= 0.86


def test_claims_on_the_second_development_file_keep_their_quality() -> None:
    rows = bench.load(bench.FILE.with_name("claims_annotated_2.jsonl"))
    p, r, f1 = bench.prf(bench.table(rows)["all"].sum(axis=0))
    assert f1 >= 0.84
    assert min(p, r) >= 0.82


def test_the_third_development_file_keeps_its_quality() -> None:
    assert bench.prf(bench.table(rows_of("claims_annotated_3.jsonl"))["all"].sum(axis=0))[2] >= 0.72


def test_an_annotation_that_leaves_texts_out_is_refused(tmp_path: Path) -> None:
    rows = rows_of("claims_annotated_3.jsonl")
    lines = bench.FILE.with_name("claims_annotated_3_second.jsonl").read_text(encoding="utf-8").splitlines()
    part = tmp_path / "part.jsonl"
    part.write_text("\n".join(lines[1:]), encoding="utf-8")
    with pytest.raises(ValueError, match=r"leaves out 1 of 120 texts, the first is "):
        bench.annotated(rows, part)


def test_two_annotators_agree_far_beyond_the_rules() -> None:
    rows = rows_of("claims_annotated_3.jsonl")
    second = bench.annotated(rows, bench.FILE.with_name("claims_annotated_3_second.jsonl"))
    agreement = bench.prf(bench.table(rows, second)["all"].sum(axis=0))[2]
    assert 0.9 < agreement < 0.95
    assert agreement > bench.prf(bench.table(rows)["all"].sum(axis=0))[2]


def test_scoring_counts_hits_once_and_ignores_nothing() -> None:
    a, b = ("object", "bank", "left", True), ("object", "bank", "near", True)
    assert bench.tally([a, a, b], [a, b, b])["object"].tolist() == [2, 3, 3]
    assert bench.prf([2, 4, 2]).tolist() == [0.5, 1.0, pytest.approx(2 / 3)]


def _at(kind: str, value: str, bearing: float) -> Claim:
    relation = {"type": "here", "bearing_deg": bearing}
    return Claim.from_json({"id": "c", "span": "", "kind": kind, "value": value, "relation": relation})


def test_an_axis_agrees_with_its_opposite_and_a_bearing_does_not() -> None:
    assert bench.key(_at("road", "runs", 90.0)) == bench.key(_at("road", "runs", 270.0))
    assert bench.key(_at("object", "bank", 90.0)) != bench.key(_at("object", "bank", 270.0))


def test_the_report_states_its_sample_and_an_interval_around_the_value() -> None:
    rows = bench.load(bench.FILE, "dev")[:8]
    counts = bench.table(rows)["all"]
    low, high = bench.interval(counts, samples=200)
    assert low <= bench.prf(counts.sum(axis=0))[2] <= high
    assert "N = 8" in bench.markdown(rows, "dev")
