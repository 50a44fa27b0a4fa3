"""Claim level, boxes, twins, baselines: what is invented, contradicted or only unknown is told apart."""

from __future__ import annotations

from explained_fakes import CLAIMS, FACTS, case, claim, explained

from eval.explanations.baselines import all_baselines, oracle_template, text_only
from eval.explanations.claim_level import score_claims
from eval.explanations.localise import iou, score_boxes
from eval.explanations.reading import read_explanation
from eval.explanations.scoring import claim_values, score_items, twin_values, worst
from eval.explanations.twins import score_twins
from prompts.wording import explain
from retriever.oracle.index import box_around
from retriever.types import Evidence

STANCES = {"c1": "supports", "c2": "supports", "c3": "contradicts", "c4": "unknown"}


def outcomes(text: str, marks=None) -> list[str]:
    return [c.outcome for c in score_claims(case(), read_explanation(text), marks).checked]


def test_the_map_decides_as_the_fake_says() -> None:
    assert {k: e.stance for k, e in case().checked.items()} == STANCES


def test_the_maps_own_words_are_right_and_whole_in_both_languages() -> None:
    for text in explain(CLAIMS, STANCES, match=True):
        score = score_claims(case(), read_explanation(text))
        assert (score.precision, score.recall, score.f1, score.borne_out, score.recall_against) == (1, 1, 1, 1, 1)
        assert not score.wrong_reason("match", "match")


def test_a_fluent_wrong_reason_for_a_right_verdict_is_counted_apart() -> None:
    en, zh = explain(CLAIMS, {"c1": "contradicts", "c3": "supports"}, match=True)
    for text in (en, zh):
        score = score_claims(case(), read_explanation(text))
        assert score.precision == 0
        assert score.wrong_reason("match", "match") is True
        assert score.wrong_reason("no_match", "match") is None


def test_one_wrong_reason_among_many_is_seen_apart_from_reasons_that_are_wrong_as_a_whole() -> None:
    one = case()
    said = score_claims(
        one, read_explanation("Description and tile agree on the cafe to the north, the sign 'Hop Kee'.")
    )
    assert said.any_wrong("match", "match") is False
    mixed = explained(one, stances={"c1": "supports", "c2": "supports", "c3": "supports"})
    score = score_claims(one, read_explanation(mixed.texts["en"]))
    assert score.wrong_reason("match", "match") is False
    assert score.any_wrong("match", "match") is True
    assert score.any_wrong("no_match", "match") is None


def test_agreeing_on_what_was_never_said_is_invented_although_the_map_has_it() -> None:
    assert outcomes("Description and tile agree on the fountain to the west.") == ["invented"]
    assert outcomes("They differ on the road running north-south and the library.") == ["right", "invented"]


def test_speaking_of_the_tile_alone_is_checked_against_the_map_alone() -> None:
    assert outcomes("The tile shows a fountain to the west.") == ["right"]
    assert outcomes("The tile shows a fountain to the east.") == ["contradicted"]
    assert outcomes("There is no cafe to the north on the tile.") == ["contradicted"]


def test_what_the_map_does_not_say_is_open_and_counts_only_against_being_borne_out() -> None:
    score = score_claims(
        case(), read_explanation("Description and tile agree on the cafe to the north and the cinema.")
    )
    assert [c.outcome for c in score.checked] == ["right", "open"]
    assert (score.precision, score.borne_out) == (1.0, 0.5)
    assert score.recall == 1 / 3


def test_silence_costs_recall_and_has_no_precision() -> None:
    score = score_claims(case(), read_explanation("So they probably show the same place."))
    assert (score.precision, score.recall, score.f1) == (None, 0.0, 0.0)


def test_another_direction_is_not_what_was_said_but_none_is() -> None:
    assert outcomes("Description and tile agree on the cafe to the south.") == ["invented"]
    assert outcomes("Description and tile agree on the cafe.") == ["right"]


def test_saying_it_twice_is_no_invention_and_saying_both_places_nothing() -> None:
    twice = score_claims(case(), read_explanation("They agree on the cafe to the north. They agree on the cafe."))
    assert twice.count("invented") == 0
    both = score_claims(case(), read_explanation("They agree on the cafe. They differ on the cafe."))
    assert both.recall == 0


def test_two_claims_with_the_same_words_are_each_found_once() -> None:
    claims = (claim(1, "cafe", 0.0), claim(2, "cafe", 180.0))
    two = case(claims=claims)
    stances = {k: e.stance for k, e in two.checked.items()}
    en, _ = explain(claims, stances, match=None)
    assert score_claims(two, read_explanation(en)).recall == 1


def test_peoples_marks_stand_over_the_map() -> None:
    text = "Description and tile agree on the cafe to the north and the cinema."
    assert outcomes(text, {"e1": "wrong", "e2": "right"}) == ["contradicted", "right"]
    assert outcomes(text, {"the cinema": "cant_tell"}) == ["right", "open"]


def test_without_facts_nothing_is_decided() -> None:
    blind = case(tile="a").__class__(**{**case().__dict__, "facts": None})
    score = score_claims(blind, read_explanation("Description and tile agree on the cafe to the north."))
    assert (score.precision, score.recall) == (None, None)


def test_boxes_hold_the_object_or_not_and_the_maps_own_are_left_out() -> None:
    cafe = box_around(FACTS[1].parts[0])
    away = (0.8, 0.8, 0.9, 0.9)
    whole = (0.0, 0.0, 1.0, 1.0)
    boxes = [Evidence(claim_id="c1", stance="supports", region=r, by="model") for r in (cafe, away, whole)]
    mapped = Evidence(claim_id="c2", stance="supports", region=cafe, by="map")
    unsure = Evidence(claim_id="c4", stance="supports", region=cafe, by="model")
    score = score_boxes(case(), explained(case(), evidence=(*boxes, mapped, unsure)))
    assert score.hits == (True, False, True)
    assert score.ious[0] == 1.0
    assert score.ious[1] == 0.0
    assert score.areas[2] == 1.0
    assert score.ious[2] < 0.01


def test_iou_of_half_overlapping_squares() -> None:
    assert iou((0, 0, 2, 2), (1, 0, 3, 2)) == 2 / 6


def test_twins_that_say_the_same_and_that_do_not() -> None:
    en, zh = explain(CLAIMS, STANCES, match=True)
    assert score_twins(en, zh).same
    _, other = explain(CLAIMS, {**STANCES, "c1": "contradicts"}, match=True)
    turned = score_twins(en, other)
    assert (turned.claims, turned.stance, turned.names) == (1.0, 0.75, True)
    assert score_twins(en, zh.replace("Hop Kee", "Hop Lee")).names is False
    assert score_twins("Both have the building of 5 storeys.", "一致：6层的楼。").numbers is False
    assert score_twins(en, zh.replace("因此两者很可能是同一地点", "因此两者不是同一地点")).verdict is False
    assert not score_twins(en, zh.replace("北侧的咖啡馆", "南侧的咖啡馆")).same


def test_every_score_of_the_summary_puts_the_baselines_in_order() -> None:
    cases = [case(n, claims=CLAIMS) for n in range(2)]
    other = (claim(1, "bank", 90.0), claim(2, "street", None, "road"))
    cases.append(case(2, claims=other))
    values = claim_values(score_items(all_baselines(cases, {c.key: 0.95 for c in cases}), {c.key: c for c in cases}))
    for lang in ("en", "zh"):
        means = {system: sum(found.values()) / len(found) for system, found in values[f"borne out, {lang}"].items()}
        assert means["oracle template"] == 1.0
        assert means["oracle template"] >= means["retrieval template"] > means["text only"] > means["another tile's"]


def test_the_worst_explanations_come_worst_first_and_never_without_a_fault() -> None:
    cases = [case(n) for n in range(3)]
    items = [
        oracle_template(cases[0]),
        text_only(cases[1]),
        explained(cases[2], stances={"c1": "contradicts", "c2": "contradicts", "c3": "supports"}),
    ]
    found = worst(score_items(items, {c.key: c for c in cases}))
    assert [s.item.query_id for s in found] == ["q2", "q1"]


def test_a_missing_language_is_unscored_and_not_wrong() -> None:
    one = case()
    item = explained(one, texts={"en": "Description and tile agree on the cafe to the north."})
    scored = score_items([item], {one.key: one})
    assert not any(name.endswith("zh") for name in claim_values(scored))
    assert twin_values(scored) == {}
