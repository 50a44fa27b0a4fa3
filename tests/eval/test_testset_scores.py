"""Scores on the frozen test set that a reader could work out by hand, and the controls beside them."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from testset_kit import answers, say

from eval.controls import auroc as plain_auroc
from eval.protocol import EvaluationError
from eval.testset.controls import CONTROLS, oracle_share, text_only
from eval.testset.predictions import Prediction
from eval.testset.report import System, make, slices, to_json, to_markdown
from eval.testset.scores import agreement, auroc, balanced_accuracy, score, stance_scores, twins
from retriever.pairs import NEGATIVES


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
