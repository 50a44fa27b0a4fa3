"""The frozen test set's files: the bytes that the manifest names, what is in them, and predictions about them."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
from testset_kit import command

from eval.protocol import EvaluationError
from eval.testset import FROZEN
from eval.testset.predictions import read_predictions
from retriever.pair_frozen import PARTS, load_frozen
from retriever.pairs import NEGATIVES, PairError


def test_the_frozen_set_has_the_bytes_that_its_manifest_names(frozen) -> None:
    manifest = json.loads((FROZEN / "manifest.json").read_text(encoding="utf-8"))
    digests = "".join(manifest["parts"][name]["sha256"] for name in PARTS)
    assert hashlib.sha256(digests.encode()).hexdigest() == manifest["sha256"] == frozen.sha256
    assert sum(f.stat().st_size for f in FROZEN.iterdir()) < 3_000_000


def test_it_has_2000_pairs_in_each_language_and_200_texts_by_hand(frozen) -> None:
    langs = Counter(p.query.lang for p in frozen.pairs if p.query.view == "text")
    assert langs["en"] >= 2000
    assert langs["zh"] >= 2000
    by_hand = {p.query.origin for p in frozen.pairs if p.query.source == "hand"}
    assert len(by_hand) >= 200
    assert {p.query.view for p in frozen.pairs} == {"text", "map", "ground", "panorama", "uav"}


def test_labels_are_balanced_within_view_language_and_area(frozen) -> None:
    counts = Counter((p.query.view, p.query.lang, p.area, p.label) for p in frozen.pairs)
    for view, lang, area, _ in counts:
        assert counts[view, lang, area, "match"] == counts[view, lang, area, "no_match"], (view, lang, area)


def test_kinds_of_negatives_are_balanced_among_generated_texts(frozen) -> None:
    for lang in ("en", "zh"):
        chosen = [p for p in frozen.pairs if p.query.lang == lang and p.query.source == "generated"]
        kinds = Counter(p.negative for p in chosen if p.negative)
        assert set(kinds) == set(NEGATIVES)
        assert max(kinds.values()) <= 1.25 * min(kinds.values()), lang


def test_only_test_areas_are_in_it(frozen) -> None:
    towns = {f"town-{seed}" for seed in range(3000, 3100)}
    assert {p.area for p in frozen.pairs} <= towns | {"london", "singapore", "taipei"}


def test_hand_written_texts_stand_in_it_word_for_word(frozen) -> None:
    queries = Path(__file__).parents[2] / "benchmarks" / "queries"
    written = {}
    for path in queries.glob("*.jsonl"):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if isinstance(row, dict) and "id" in row and "text" in row:
                written[row["id"]] = row["text"]
    for pair in frozen.pairs:
        if pair.query.source == "hand":
            assert written[pair.query.origin] == pair.query.text, pair.id


def copy(tmp_path: Path) -> Path:
    target = tmp_path / "set"
    shutil.copytree(FROZEN, target)
    return target


def test_another_byte_is_refused(tmp_path: Path) -> None:
    folder = copy(tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["parts"]["hand"]["sha256"] = "0" * 64
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(PairError, match="not the frozen set"):
        load_frozen(folder)


@pytest.mark.parametrize("damage", ["cut", "missing", "no manifest"])
def test_a_damaged_set_is_refused_in_one_sentence(tmp_path: Path, damage: str) -> None:
    folder = copy(tmp_path)
    target = folder / ("manifest.json" if damage == "no manifest" else "towns.jsonl.xz")
    data = target.read_bytes()
    target.unlink()
    if damage == "cut":
        target.write_bytes(data[: len(data) // 2])
    with pytest.raises(PairError):
        load_frozen(folder)


def test_predictions_are_read_and_strange_ones_refused(few, tmp_path: Path) -> None:
    good = {
        "pair_id": few[0].id,
        "verdict": "match",
        "score": 0.8,
        "evidence": [{"claim_id": "c1", "stance": "supports"}],
    }
    bad = [
        {"pair_id": "nobody", "verdict": "match"},
        {"pair_id": few[1].id, "verdict": "maybe"},
        {"pair_id": few[1].id},
        {"pair_id": few[1].id, "verdict": "match", "error": "x"},
        {"pair_id": few[1].id, "verdict": "match", "score": float("nan")},
        {"pair_id": few[1].id, "verdict": "match", "evidence": [{"claim_id": "c999", "stance": "supports"}]},
        {"pair_id": few[0].id, "verdict": "match"},
        "text",
    ]
    path = tmp_path / "p.jsonl"
    path.write_text(json.dumps(good) + "\n", encoding="utf-8")
    assert read_predictions(path, few)[0].stances == {"c1": "supports"}
    for row in bad:
        path.write_text(json.dumps(good) + "\n" + json.dumps(row) + "\n", encoding="utf-8")
        with pytest.raises(EvaluationError, match=r"p\.jsonl:2"):
            read_predictions(path, few)


@pytest.mark.slow
def test_the_command_scores_a_file(few, tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(
        "".join(json.dumps({"pair_id": p.id, "verdict": "match"}) + "\n" for p in few[:40]), encoding="utf-8"
    )
    result = command("--predictions", str(path), "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["slices"][0]["rows"][-1]["name"] == "mine"
    assert report["slices"][0]["rows"][-1]["scores"]["n"] == 40


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--judge", "mini-judge", "--saw", "smell"], "not smell"),
        (["--judge", "mini-judge", "--stances", "--evidence"], "there is only one"),
        (["--judge", "nobody"], "no judge 'nobody'"),
        (["--judge", "mini-judge", "--backend", "gpu"], "'gpu' is none of"),
    ],
)
def test_options_that_cannot_be_meant_are_refused_before_a_judge_is_opened(
    words: list[str], said: str, tmp_path: Path
) -> None:
    result = command(*words, "--limit", "2", "--out", str(tmp_path / "answers.jsonl"))
    assert result.exit_code
    assert said in str(result.exception)
