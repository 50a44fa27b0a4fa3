"""Failure cases of a system on the frozen test set: which ones are shown, and how."""

from __future__ import annotations

from testset_kit import answers, say

from eval.testset.failures import EACH, MOST, failure_table, worst
from eval.testset.predictions import Prediction


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
