from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from desk_fakes import claim

from agent.confidence import Confidence, load
from agent.ledger import net_support
from agent.verdict import verdict
from retriever.errors import ModelError
from retriever.posterior import DEFAULTS, GRID, Features, Prior, Weights, logit, utility
from retriever.types import Evidence

SCORES = np.random.default_rng(3).normal(size=500)


def posterior(**features: Features):
    return Confidence().posterior(features, Prior.of(SCORES))


def test_probabilities_sum_to_one_over_cells_elsewhere_and_outside() -> None:
    found = posterior(a=Features(retrieval=3.0, p_match=0.9), b=Features(retrieval=2.0, p_match=0.2))
    assert sum(found.cells.values()) + found.elsewhere + found.outside == pytest.approx(1.0)
    assert found.cells["a"] > found.cells["b"]


def test_prior_equals_the_softmax_over_the_whole_gallery() -> None:
    z = (SCORES - SCORES.mean()) / SCORES.std()
    weights = Weights(retrieval=1.5, elsewhere=0.0, outside=-50.0)
    top = np.argsort(-z)[:3]
    features = {str(i): Features(retrieval=float(z[i])) for i in top}
    found = Confidence(weights=weights).posterior(features, Prior.of(SCORES))
    softmax = np.exp(1.5 * z) / np.exp(1.5 * z).sum()
    assert [found.cells[str(i)] for i in top] == pytest.approx(softmax[top], rel=1e-3)
    assert found.elsewhere == pytest.approx(1 - softmax[top].sum(), rel=1e-3)


def test_a_tenfold_gallery_of_the_same_scores_looks_no_more_certain_of_being_inside() -> None:
    features = {"a": Features(retrieval=3.0, p_match=0.6)}
    small = Confidence().posterior(features, Prior.of(SCORES))
    large = Confidence().posterior(features, Prior.of(np.tile(SCORES, 10)))
    assert large.cells["a"] < small.cells["a"]
    assert large.outside == pytest.approx(small.outside, abs=0.05)


@pytest.mark.parametrize("field", ["ledger", "names"])
def test_a_supported_claim_raises_a_cell_and_its_removal_lowers_it(field: str) -> None:
    other = Features(retrieval=2.0, p_match=0.5)
    without = posterior(a=Features(retrieval=2.0, p_match=0.5), b=other)
    with_claim = posterior(a=Features(retrieval=2.0, p_match=0.5, **{field: 1.0}), b=other)
    assert with_claim.cells["a"] > 1.2 * without.cells["a"]


def test_with_a_nest_of_one_it_is_the_softmax_of_everything_at_once() -> None:
    weights = Weights(retrieval=0.9, match=0.7, ledger=0.4, names=2.0, elsewhere=0.3, outside=-0.6)
    z = np.sort((SCORES - SCORES.mean()) / SCORES.std())[::-1]
    features = {str(i): Features(retrieval=float(z[i]), p_match=0.3 + 0.2 * i, ledger=i, names=i % 2) for i in range(3)}
    found = Confidence(weights=weights).posterior(features, Prior.of(SCORES))
    prior = np.exp(0.9 * z) / np.exp(0.9 * z).sum()
    odds = [prior[i] * np.exp(0.7 * logit(0.3 + 0.2 * i) + 0.4 * i + 2.0 * (i % 2)) for i in range(3)]
    odds += [prior[3:].sum() * np.exp(0.3), np.exp(-0.6)]
    assert [*found.cells.values(), found.elsewhere, found.outside] == pytest.approx(
        np.array(odds) / sum(odds), rel=1e-3
    )


def test_a_smaller_nest_leaves_the_shares_among_cells_and_takes_evidence_for_less_news_against_the_rest() -> None:
    features = {"a": Features(retrieval=2.0, ledger=3.0), "b": Features(retrieval=2.2, ledger=1.0)}
    found = {}
    for nest in (1.0, 0.5, 0.0):
        weights = Weights(retrieval=1.0, ledger=1.0, elsewhere=0.0, outside=-1.0, nest=nest)
        found[nest] = Confidence(weights=weights).posterior(features, Prior.of(SCORES))
    share = [p.cells["a"] / sum(p.cells.values()) for p in found.values()]
    assert share == pytest.approx([share[0]] * 3)
    listed = [sum(p.cells.values()) for p in found.values()]
    assert listed[0] > listed[1] > listed[2]
    total = Prior.of(SCORES).log_total(1.0)
    assert listed[2] == pytest.approx((np.exp(2.0 - total) + np.exp(2.2 - total)) / (1.0 + np.exp(-1.0)), rel=1e-3)


def test_when_nothing_fits_outside_gains() -> None:
    good = posterior(a=Features(retrieval=3.0, p_match=0.9, ledger=2.0))
    bad = posterior(a=Features(retrieval=3.0, p_match=0.05, ledger=-2.0))
    assert bad.outside > good.outside


def test_a_tile_that_was_not_judged_is_neither_favoured_nor_punished() -> None:
    assert utility(DEFAULTS, Features(retrieval=1.0)) == utility(DEFAULTS, Features(retrieval=1.0, p_match=0.5))


def test_log_odds_are_bounded() -> None:
    assert logit(1.0) == logit(0.999999) == -logit(0.0)


def test_equal_scores_everywhere_give_no_preference() -> None:
    found = Confidence().posterior({"a": Features(retrieval=0.0), "b": Features(retrieval=0.0)}, Prior.of(np.ones(50)))
    assert found.cells["a"] == found.cells["b"]


def test_a_shortlist_of_the_whole_gallery_leaves_nothing_elsewhere() -> None:
    prior = Prior.of(np.array([0.0, 1.0]))
    found = Confidence().posterior(
        {"a": Features(retrieval=prior.z(0.0)), "b": Features(retrieval=prior.z(1.0))}, prior
    )
    assert found.elsewhere < 1e-6


def test_hedged_claims_weigh_half_struck_ones_nothing_and_names_are_summed_apart() -> None:
    claims = [
        claim(1, "cafe"),
        claim(2, "bank", hedge=True),
        claim(3, "park", status="struck"),
        claim(4, "Hop Kee", kind="name"),
    ]
    evidence = [Evidence(claim_id=f"c{i}", stance="supports") for i in (1, 2, 3, 4)]
    assert net_support(claims, evidence) == (1.5, 1.0)


def test_an_answer_to_a_question_weighs_as_much_as_a_clue_that_was_volunteered() -> None:
    evidence = [Evidence(claim_id="c1", stance="supports"), Evidence(claim_id="c2", stance="contradicts")]
    assert net_support([claim(1, "cafe", asked=True), claim(2, "bank", asked=False)], evidence) == (0.0, 0.0)


def test_the_map_decides_over_the_model_where_it_can_tell() -> None:
    claims = [claim(1, "cafe"), claim(2, "bank")]
    evidence = [
        Evidence(claim_id="c1", stance="supports", by="model"),
        Evidence(claim_id="c1", stance="contradicts", by="map"),
        Evidence(claim_id="c2", stance="supports", by="model"),
        Evidence(claim_id="c2", stance="unknown", by="map"),
    ]
    assert net_support(claims, evidence) == (0.0, 0.0)


def test_verdict_words() -> None:
    unknown = [Evidence(claim_id="c1", stance="unknown")]
    assert [verdict(p, ()) for p in (0.1, 0.49, 0.51, 0.9)] == ["no_match", "cannot_tell", "cannot_tell", "match"]
    assert verdict(0.9, unknown) == "cannot_tell"
    assert verdict(0.9, [*unknown, Evidence(claim_id="c2", stance="supports")]) == "match"


def test_what_the_map_confirms_moves_the_verdict_and_what_the_judge_saw_does_not_count_twice():
    def by(author, *stances):
        return [Evidence(claim_id=f"c{i}", stance=s, by=author) for i, s in enumerate(stances)]

    assert verdict(0.46, by("map", "supports", "supports", "supports")) == "match"
    assert verdict(0.54, by("map", "supports", "unknown", "unknown", "unknown")) == "cannot_tell"
    assert verdict(0.46, by("map", "supports", "unknown", "unknown", "unknown")) == "no_match"
    assert verdict(0.54, by("map", "contradicts", "supports")) == "no_match"
    assert verdict(0.46, by("model", "supports", "supports", "supports")) == "no_match"


def write(path: Path, **changes: object) -> Path:
    fit = {
        "judge": "mini-judge-1",
        "encoder": "enc-1",
        "weights": Weights(match=2.0).to_json(),
        "provenance": {"queries": 300, "areas": ["moscow"], "seed": 0},
    }
    path.write_text(json.dumps({"fits": [{**fit, **changes}]}), encoding="utf-8")
    return path


def test_fitted_weights_serve_their_own_models_only(tmp_path: Path) -> None:
    path = write(tmp_path / "c.json")
    mine = load("mini-judge-1", "enc-1", path)
    assert (mine.calibrated, mine.weights.match) == (True, 2.0)
    assert "300" in mine.note
    assert "moscow" in mine.note
    for judge, encoder in (("other", "enc-1"), ("mini-judge-1", "other")):
        theirs = load(judge, encoder, path)
        assert (theirs.calibrated, theirs.weights) == (False, DEFAULTS)
        assert "uncalibrated" in theirs.note


def test_a_damaged_parameter_file_is_an_error_not_a_default(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text("{")
    with pytest.raises(ModelError, match="calibrate"):
        load("a", "b", path)


def test_without_a_parameter_file_the_defaults_say_so(tmp_path: Path) -> None:
    assert "uncalibrated" in load("a", "b", tmp_path / "none.json").note


def test_the_stored_log_sums_are_those_of_the_grid() -> None:
    z = (SCORES - SCORES.mean()) / SCORES.std()
    prior = Prior.of(SCORES)
    assert prior.log_total(GRID[5]) == pytest.approx(np.log(np.exp(GRID[5] * z).sum()), abs=1e-5)


@pytest.mark.parametrize(
    ("judge", "p", "calibrated"), [("none", None, True), ("mini", None, False), ("mini", 0.7, True)]
)
def test_weights_fitted_with_a_judge_are_calibrated_only_where_it_judged(
    judge: str, p: float | None, calibrated: bool
) -> None:
    fitted = Confidence(calibrated=True, note="calibrated on 5 queries", judge=judge)
    features = {"a": Features(retrieval=3.0, p_match=p), "b": Features(retrieval=2.0)}
    found = fitted.posterior(features, Prior.of(SCORES))
    assert (found.calibrated, found.note.startswith("uncalibrated")) == (calibrated, not calibrated)


def test_weights_fitted_on_map_facts_promise_nothing_where_there_are_none() -> None:
    fitted = Confidence(calibrated=True, note="calibrated on 5 queries", judge="mini")
    features = {"a": Features(retrieval=3.0, p_match=0.7), "b": Features(retrieval=2.0, p_match=0.2)}
    prior = Prior.of(SCORES)
    bare = fitted.posterior(features, prior, mapped=False)
    assert not bare.calibrated
    assert "map facts" in bare.note
    assert bare.cells == fitted.posterior(features, prior).cells
    assert Confidence().posterior(features, prior, mapped=False).note == Confidence().note
