"""The frozen test set: the bytes that the manifest names, and scores that a reader could work out by hand."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from eval.cli_testset import _answers, _file, _others
from eval.controls import auroc as plain_auroc
from eval.protocol import EvaluationError
from eval.testset import FROZEN
from eval.testset.controls import CONTROLS, oracle_share, text_only
from eval.testset.failures import EACH, MOST, failure_table, worst
from eval.testset.judging import RENDERED, Galleries, QueryPictures, claims_of, in_order, kept, kinds_of, run
from eval.testset.predictions import Prediction, read_predictions
from eval.testset.report import System, make, slices, to_json, to_markdown
from eval.testset.scores import agreement, auroc, balanced_accuracy, score, stance_scores, twins
from prompts.listing import parse_listing
from retriever.pair_frozen import PARTS, load_frozen
from retriever.pairs import NEGATIVES, PairError, write_pairs


@pytest.fixture(scope="module")
def frozen():
    return load_frozen(FROZEN)


@pytest.fixture(scope="module")
def few(frozen):
    """Whole places from every part."""
    return tuple(in_order(frozen.pairs, 400))


def say(pair, verdict: str, points: float | None = None, **more) -> Prediction:
    return Prediction(pair_id=pair.id, verdict=verdict, score=points, **more)


def answers(pairs, answer) -> dict[str, Prediction]:
    return {p.id: answer(p) for p in pairs}


# --- the files ------------------------------------------------------------------------------------------------------


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


# --- scores ---------------------------------------------------------------------------------------------------------


def test_a_perfect_system_gets_everything_and_its_opposite_nothing(few) -> None:
    perfect = score(few, answers(few, lambda p: say(p, p.label, float(p.label == "match"))))
    assert perfect.accuracy.value == perfect.auroc.value == perfect.balanced.value == 1.0
    other = {"match": "no_match", "no_match": "match"}
    worst = score(few, answers(few, lambda p: say(p, other[p.label], float(p.label != "match"))))
    assert worst.accuracy.value == worst.auroc.value == worst.balanced.value == 0.0


def test_cannot_tell_and_errors_count_as_wrong(few) -> None:
    half = answers(few, lambda p: say(p, p.label, float(p.label == "match")))
    for i, pair in enumerate(few):
        if i % 2 == 0:
            half[pair.id] = say(pair, "cannot_tell", 0.5)
    found = score(few, half)
    assert found.failed == found.n / 2
    assert found.accuracy.value == 0.5
    failed = answers(few, lambda p: Prediction(pair_id=p.id, verdict=None, score=None, error="server down"))
    assert score(few, failed).accuracy.value == 0.0
    assert score(few, failed).auroc.value == 0.0


def test_a_missing_pair_is_an_error_and_not_a_guess(few) -> None:
    found = answers(few, lambda p: say(p, "match"))
    found.pop(few[0].id)
    with pytest.raises(EvaluationError, match="1 of 400"):
        score(few, found)


def test_the_resampled_auroc_is_the_plain_one_with_ties(few) -> None:
    rng = np.random.default_rng(1)
    scores = rng.integers(0, 6, len(few)).astype(float)
    match = np.array([p.label == "match" for p in few])
    fast = auroc(scores, match, [p.place for p in few])
    assert fast.value == pytest.approx(plain_auroc(scores[match], scores[~match]))
    assert fast.low < fast.value < fast.high


def test_balanced_accuracy_is_the_mean_of_both_rates() -> None:
    match = np.array([True] * 6 + [False] * 2)
    right = np.array([1.0] * 3 + [0.0] * 3 + [1.0, 1.0])
    found = balanced_accuracy(right, match, [f"p{i}" for i in range(8)])
    assert found.value == pytest.approx((0.5 + 1.0) / 2)


def test_intervals_by_location_are_wider_than_by_pair(few) -> None:
    places = {p.place: i % 2 for i, p in enumerate({q.place: q for q in few}.values())}
    found = answers(few, lambda p: say(p, p.label if places[p.place] else "cannot_tell"))
    by_place = score(few, found).accuracy
    alone = tuple(replace(p, place=p.id) for p in few)
    by_pair = score(alone, found).accuracy
    assert by_place.high - by_place.low > 1.2 * (by_pair.high - by_pair.low)


def test_stances_are_scored_against_the_maps(few) -> None:
    right = answers(few, lambda p: say(p, "match", stances={e.claim_id: e.stance for e in p.evidence}))
    assert {s.stance: s.f1.value for s in stance_scores(few, right)} == {
        "supports": 1.0, "contradicts": 1.0, "unknown": 1.0, "macro": 1.0,
    }  # fmt: skip
    always = answers(few, lambda p: say(p, "match", stances={e.claim_id: "supports" for e in p.evidence}))
    rows = {s.stance: s for s in stance_scores(few, always)}
    share = Counter(e.stance for p in few for e in p.evidence)
    assert rows["supports"].precision == pytest.approx(share["supports"] / share.total())
    assert rows["supports"].recall == 1.0
    assert rows["contradicts"].f1.value == 0.0
    assert stance_scores(few, answers(few, lambda p: say(p, "match"))) == []


def test_twins_say_the_same_place_and_tile_in_both_languages(frozen) -> None:
    found = twins(frozen.pairs)
    assert len(found) > 800
    for a, b in found:
        assert (a.query.lang, b.query.lang) == ("en", "zh")
        assert (a.place, a.tile, a.label) == (b.place, b.tile, b.label)
    both = answers(frozen.pairs, lambda p: say(p, "match" if p.query.lang == "en" else "no_match"))
    assert agreement(frozen.pairs, both).value == 0.0
    assert agreement(frozen.pairs, answers(frozen.pairs, lambda p: say(p, "match"))).value == 1.0


# --- controls -------------------------------------------------------------------------------------------------------


def test_controls_without_sight_are_at_chance(frozen) -> None:
    for name in ("random", "constant"):
        found = {p.pair_id: p for p in CONTROLS[name][1](frozen.pairs, 0)}
        assert score(frozen.pairs, found).balanced.value == pytest.approx(0.5, abs=0.03), name


@pytest.mark.slow
def test_the_text_alone_hardly_tells_the_label(frozen) -> None:
    pairs = [p for p in frozen.pairs if p.query.view == "text"]
    found = {p.pair_id: p for p in text_only(pairs, 0)}
    assert score(pairs, found).auroc.value < 0.54


def test_the_oracle_row_is_high_and_uses_the_sets_evidence(few) -> None:
    found = {p.pair_id: p for p in oracle_share(few, 0)}
    assert score(few, found).auroc.value > 0.85
    assert all(found[p.id].stances == {e.claim_id: e.stance for e in p.evidence} for p in few)


@pytest.mark.slow
def test_the_report_has_every_slice_and_every_control(frozen, few) -> None:
    part = {p.id: frozen.part[p.id] for p in few}
    test = replace(frozen, pairs=few, part=part)
    mine = System("mine", "pixels", answers(few, lambda p: say(p, "match", 0.7)))
    report = make(test, [mine], command="x")
    titles = {s.title for s in report.slices}
    assert {
        "all pairs",
        "English texts",
        "Chinese texts",
        "hand-written texts",
        "generated texts",
        "view map",
    } <= titles
    assert {f"negatives {kind}" for kind in NEGATIVES} <= titles
    assert [r.name for r in report.slices[0].rows] == [*CONTROLS, "mine"]
    text = to_markdown(report)
    assert "| mine | pixels | 0 | 50.0" in text
    assert json.loads(json.dumps(to_json(report)))["of"] == len(few)


def test_a_kind_of_negative_is_sliced_with_its_own_matches(frozen) -> None:
    cut = slices(frozen.pairs, frozen.part)
    for kind in NEGATIVES:
        found = cut[f"negatives {kind}"]
        assert {p.negative for p in found} == {kind, None}
        assert sum(p.label == "match" for p in found) == len(found) / 2


def test_every_area_is_a_slice_where_there_are_several(frozen) -> None:
    cut = slices(frozen.pairs, frozen.part)
    areas = {p.area for p in frozen.pairs}
    assert {t for t in cut if t.startswith("area ")} == {f"area {name}" for name in areas}
    assert sum(len(cut[f"area {name}"]) for name in areas) == len(frozen.pairs)
    town = cut["area town-3000"]
    assert not [t for t in slices(town, frozen.part) if t.startswith("area ")]


def test_failure_cases_are_the_wrong_verdicts_that_it_was_surest_of(few) -> None:
    pairs = [p for p in few if p.query.view == "text" and p.negative in (None, "random")]
    wrong = [p for p in pairs if p.negative == "random"]
    scores = {p.id: 0.5 + 0.4 * i / len(wrong) for i, p in enumerate(wrong)}

    def said(pair) -> Prediction:
        if pair.label == "match":
            return say(pair, "match", 0.9)
        claim = pair.evidence[0]
        other = "unknown" if claim.stance != "unknown" else "supports"
        return say(pair, "match", scores[pair.id], stances={claim.claim_id: other})

    cases = worst(pairs, answers(pairs, said))
    assert {c.mistake for c in cases} == {"random taken for a match, text"}
    assert len(cases) == EACH
    assert cases[0].pair_id == max(scores, key=lambda i: scores[i])
    places = {p.id: p.place for p in pairs}
    assert len({places[c.pair_id] for c in cases}) == EACH
    assert all(c.stances and ", map " in c.stances[0] for c in cases)
    assert all(c.pair_id in text for c, text in zip(cases, failure_table("mine", cases)[4:], strict=True))


def test_of_many_stances_those_seen_the_other_way_come_first(few) -> None:
    pair = next(
        p for p in few if p.label == "match" and len([e for e in p.evidence if e.stance == "supports"]) > MOST + 1
    )
    known = [e.claim_id for e in pair.evidence if e.stance == "supports"]
    stances = dict.fromkeys(known, "unknown") | {known[-1]: "contradicts"}
    (case,) = worst([pair], {pair.id: say(pair, "no_match", 0.1, stances=stances)})
    assert case.stances[0].endswith("contradicts, map supports")
    assert len(case.stances) == MOST + 1
    assert case.stances[-1] == f"{len(known) - MOST} more"


def test_a_match_refused_with_a_low_score_is_the_surest_mistake_and_an_error_says_why(few) -> None:
    matches = [p for p in few if p.label == "match" and p.query.view == "text"][:20]
    found = {p.id: say(p, "no_match", 0.4 - 0.01 * i) for i, p in enumerate(matches)}
    assert worst(matches, found)[0].pair_id == matches[-1].id
    found[matches[0].id] = Prediction(pair_id=matches[0].id, verdict=None, score=None, error="no words")
    cases = {c.mistake: c for c in worst(matches, found)}
    assert cases["no answer, text"].error == "no words"
    assert "no words" in "".join(failure_table("mine", list(cases.values())))


# --- predictions ----------------------------------------------------------------------------------------------------


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
    from typer import Typer

    from eval.cli import register

    app = Typer()
    register(app)
    path = tmp_path / "mine.jsonl"
    path.write_text(
        "".join(json.dumps({"pair_id": p.id, "verdict": "match"}) + "\n" for p in few[:40]), encoding="utf-8"
    )
    result = CliRunner().invoke(app, ["eval", "testset", "--predictions", str(path), "--json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["slices"][0]["rows"][-1]["name"] == "mine"
    assert report["slices"][0]["rows"][-1]["scores"]["n"] == 40


# --- the judge ------------------------------------------------------------------------------------------------------


class FakeJudge:
    """Says yes to everything; fails on the pairs of one place."""

    name = plain_name = "fake+judge@1"

    def __init__(self) -> None:
        self.asked = 0

    async def score(self, tile, png, claims):
        self.asked += 1
        return type("S", (), {"p_match": 0.9, "p_model": 0.6, "saw": "pixels"})()

    async def look(self, tile, png):
        return "roads e-w; n cafe"


@pytest.fixture
def town_pairs(frozen):
    return [p for p in frozen.pairs if p.area == "town-3000" and p.query.view in ("text", "map")][:4]


@pytest.mark.slow
async def test_a_judge_is_asked_once_per_pair_and_a_cut_line_again(town_pairs, tmp_path: Path) -> None:
    out, judge = tmp_path / "p.jsonl", FakeJudge()
    galleries = Galleries(tmp_path / "galleries", None)
    await run(judge, town_pairs, galleries, out, say=lambda done, total: None)
    assert judge.asked == len(town_pairs)
    assert {p.verdict for p in read_predictions(out, town_pairs)} == {"match"}
    text = out.read_text(encoding="utf-8")
    out.write_text(text[:-20], encoding="utf-8")
    await run(judge, town_pairs, galleries, out, say=lambda done, total: None)
    assert judge.asked == len(town_pairs) + 1
    assert len(read_predictions(out, town_pairs)) == len(town_pairs)


def test_answers_of_another_judge_are_not_mixed(few, tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(json.dumps({"pair_id": few[0].id, "by": "other", "verdict": "match"}) + "\n", encoding="utf-8")
    with pytest.raises(EvaluationError, match="other"):
        kept(path, "mine")


def test_what_was_answered_without_the_reasons_that_are_wanted_now_is_asked_again(tmp_path: Path) -> None:
    path, answer = tmp_path / "p.jsonl", {"by": "mine", "verdict": "match"}
    rows = [
        {"pair_id": "plain", **answer},
        {"pair_id": "stances", **answer, "evidence": []},
        {"pair_id": "words", **answer, "evidence": [], "explanation": {"en": "", "zh": ""}},
        {"pair_id": "failed", "by": "mine", "error": "no answer"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert set(kept(path, "mine")) == {"plain", "stances", "words", "failed"}
    assert set(kept(path, "mine", "stances")) == {"stances", "words", "failed"}
    assert set(kept(path, "mine", "explain")) == {"words", "failed"}


async def test_asking_for_reasons_later_leaves_the_answers_to_other_pairs(
    few, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(judge, pair, galleries, *, reasons, views):
        return {"pair_id": pair.id, "by": judge.name, "verdict": "match"} | ({"evidence": []} if reasons else {})

    monkeypatch.setattr("eval.testset.judging.answer", answer)
    out, galleries = tmp_path / "p.jsonl", Galleries(tmp_path, None)
    await run(FakeJudge(), few[:4], galleries, out, say=lambda done, total: None)
    await run(FakeJudge(), few[:2], galleries, out, reasons="stances", say=lambda done, total: None)
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert {r["pair_id"]: "evidence" in r for r in rows} == {p.id: n < 2 for n, p in enumerate(few[:4])}
    assert len(rows) == 4


def test_answers_to_other_pairs_have_a_file_of_their_own(frozen, few, tmp_path: Path) -> None:
    other, third = tmp_path / "other.jsonl", tmp_path / "third.jsonl"
    write_pairs(other, few[:4])
    write_pairs(third, few[4:8])
    names = {_answers("mini-judge", "pixels", test).name for test in (frozen, _others([other]), _others([third]))}
    assert len(names) == 3
    assert "mini-judge.jsonl" in names, "that of the frozen set"
    assert _answers("mini-judge", "facts", frozen).name == "mini-judge-facts.jsonl"


async def test_a_rendered_view_is_asked_once_its_picture_is_there(frozen, tmp_path: Path) -> None:
    pair = next(p for p in frozen.pairs if p.area == "town-3000" and p.query.view in RENDERED)
    out, judge, galleries = tmp_path / "p.jsonl", FakeJudge(), Galleries(tmp_path / "galleries", None)
    await run(judge, [pair], galleries, out, say=lambda done, total: None)
    assert "without its picture" in str(read_predictions(out, [pair])[0].error)
    with pytest.raises(EvaluationError, match="testset render"):
        QueryPictures(tmp_path / "nowhere")
    (tmp_path / "views" / "queries").mkdir(parents=True)
    views = QueryPictures(tmp_path / "views")
    await run(judge, [pair], galleries, out, views=views, say=lambda done, total: None)
    assert "cannot be read" in str(read_predictions(out, [pair])[0].error)
    assert judge.asked == 0
    Image.new("RGB", (448, 336), "grey").save(views.folder / f"{pair.id.rsplit('-', 1)[0]}.png")
    for _ in range(2):
        await run(judge, [pair], galleries, out, views=views, say=lambda done, total: None)
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [(r["verdict"], r["as_recorded"]) for r in rows] == [("match", False)]
    assert judge.asked == 1


def test_of_a_rendered_view_only_kinds_count() -> None:
    claims = kinds_of(parse_listing("roads e-w; c cafe; n cafe, park"))
    assert [(c.id, c.value, c.relation.bearing_deg) for c in claims] == [("c1", "park", None), ("c2", "cafe", None)]


def test_answers_with_heat_have_a_file_of_their_own(frozen) -> None:
    names = {_answers("mini-judge", mode, frozen).name for mode in ("pixels", "facts", "pixels-heat", "facts-heat")}
    assert names == {
        "mini-judge.jsonl",
        "mini-judge-facts.jsonl",
        "mini-judge-pixels-heat.jsonl",
        "mini-judge-facts-heat.jsonl",
    }


def test_two_modes_have_a_file_each() -> None:
    assert _file(None, "facts", 2) is None
    assert _file(Path("a/b.jsonl"), "facts", 1) == Path("a/b.jsonl")
    assert {_file(Path("a/b.jsonl"), m, 2) for m in ("pixels", "facts")} == {
        Path("a/b-pixels.jsonl"),
        Path("a/b-facts.jsonl"),
    }


def test_a_listing_becomes_claims_where_things_lie() -> None:
    found = claims_of(parse_listing("roads e-w; c street; n cafe; sw park"))
    said = {(c.value, c.relation.bearing_deg) for c in found}
    assert said == {("street", None), ("cafe", 0.0), ("park", 225.0), ("runs", 90.0)}


def test_the_order_of_asking_keeps_a_place_together_and_mixes_areas(frozen) -> None:
    chosen = in_order(frozen.pairs, 300)
    places = [p.place for p in chosen]
    assert sum(a != b for a, b in pairwise(places)) + 1 == len(set(places))
    assert len({p.area for p in chosen}) >= 8
    assert in_order(frozen.pairs, 100) == chosen[:100]
