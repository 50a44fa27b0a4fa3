"""The annotated texts: every file loads, and how well the rules read those that they were worked on does not fall."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks import claims as bench

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
            if claim.kind == "name":
                assert claim.value in row["text"], (row["id"], claim.value)


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
