"""Counterfactuals: a judge that looks follows what is changed, one that recites does not."""

from __future__ import annotations

import asyncio

import pytest
from explained_fakes import CLAIMS, FACTS, case, claim

from eval.explanations.baselines import map_confidence
from eval.explanations.counterfactual import Answer, run_trials, said_of, summarise
from eval.explanations.edits import Scene, edits
from prompts.wording import explain
from retriever.draw import Fonts
from retriever.errors import ReplyError
from retriever.oracle import FactIndex, check_all

FONTS = Fonts.none_cjk()
PLAIN = (claim(1, "cafe", 0.0), claim(2, "pharmacy", 180.0))
CASES = [case(n, claims=PLAIN) for n in range(3)] + [case(9, tile="b", claims=PLAIN)]


async def honest(scene: Scene) -> Answer:
    """Says what the map of the scene says."""
    stances = {e.claim_id: e.stance for e in check_all(scene.claims, FactIndex(scene.facts, size_m=scene.size_m))}
    p = map_confidence(0.5, stances)
    en, zh = explain(scene.claims, stances, match=p > 0.5)
    return Answer(verdict="match" if p > 0.5 else "no_match", confidence=p, texts={"en": en, "zh": zh})


async def reciting(scene: Scene) -> Answer:
    """Says that everything holds, whatever it is shown."""
    en, zh = explain(PLAIN, {c.id: "supports" for c in PLAIN}, match=True)
    return Answer(verdict="match", confidence=0.9, texts={"en": en, "zh": zh})


def measured(judging):
    trials, problems = asyncio.run(run_trials(judging, CASES, fonts=FONTS))
    return {row.kind: row for row in summarise(trials)}, problems


def test_an_edit_changes_what_it_says_and_nothing_else() -> None:
    made = {e.kind: e for e in edits(case(claims=PLAIN), case(1, tile="b"), fonts=FONTS)}
    assert set(made) == {"same", "strike", "remove", "move", "remove other", "swap", "blank"}
    struck = made["strike"].claim
    assert struck is not None
    assert [c.id for c in made["strike"].scene.claims] == [c.id for c in PLAIN if c.id != struck.id]
    gone = {f.osm_id for f in FACTS} - {f.osm_id for f in made["remove"].scene.facts}
    assert gone == {"node/2" if struck.value == "cafe" else "node/3"}
    assert made["remove"].scene.stance(struck) != "supports"
    assert made["move"].scene.stance(struck) != "supports"
    assert {f.osm_id for f in made["move"].scene.facts} == {f.osm_id for f in FACTS}
    assert made["remove other"].scene.stance(struck) == "supports"
    assert made["blank"].scene.facts == ()
    pixels = {kind: edit.scene.image.tobytes() for kind, edit in made.items()}
    assert pixels["strike"] == pixels["same"]
    for kind in ("remove", "move", "swap", "blank"):
        assert pixels[kind] != pixels["same"]


def test_a_tile_without_facts_has_no_edits() -> None:
    bare = case()
    assert edits(bare.__class__(**{**bare.__dict__, "facts": None}), None, fonts=FONTS) == []


def test_a_judge_that_looks_follows_and_the_control_stays() -> None:
    rows, problems = measured(honest)
    assert problems == []
    for kind in ("remove", "move"):
        assert rows[kind].falls.value == 1.0
        assert rows[kind].reason["en"].value == rows[kind].reason["zh"].value == 1.0
    assert rows["remove other"].fall.value == pytest.approx(0)
    assert rows["remove other"].reason["en"].value == 0.0
    for kind in ("remove over control", "move over control"):
        assert rows[kind].fall.value == pytest.approx(rows[kind.split()[0]].fall.value)
        assert rows[kind].falls.value == 1.0
    assert rows["blank"].verdict is not None
    assert rows["blank"].verdict.value == 1.0


def test_words_are_only_wanted_where_they_can_follow() -> None:
    asked: list[tuple[bool, int]] = []

    async def silent(scene: Scene) -> Answer:
        asked.append((scene.words, len(scene.facts)))
        return Answer(verdict="match", confidence=0.9)

    asyncio.run(run_trials(silent, CASES[:2], fonts=FONTS, parallel=1))
    assert sum(words for words, _ in asked) == 2
    asked.clear()

    async def speaking(scene: Scene) -> Answer:
        asked.append((scene.words, len(scene.facts)))
        return await reciting(scene)

    asyncio.run(run_trials(speaking, CASES[:1], fonts=FONTS, parallel=1))
    # As it is, and the claim struck, its object removed, moved, another removed; not the blank tile.
    assert [words for words, _ in asked] == [True] * 5 + [False]
    assert asked[-1] == (False, 0)


def test_a_judge_that_recites_is_found_out() -> None:
    rows, _ = measured(reciting)
    assert {row.falls.value for row in rows.values()} == {0.0}
    assert rows["remove"].reason["en"].value == 0.0
    assert rows["strike"].reason["zh"].value == 0.0


def test_a_scene_that_cannot_be_judged_costs_its_case_alone() -> None:
    async def picky(scene: Scene) -> Answer:
        if not scene.facts:
            raise ReplyError("the model said nothing")
        return await honest(scene)

    trials, problems = asyncio.run(run_trials(picky, CASES, fonts=FONTS))
    assert len(problems) == 4
    assert trials == []
    assert "said nothing" in problems[0].what


def test_what_a_text_says_of_one_claim() -> None:
    en, zh = explain(CLAIMS, {"c1": "supports", "c3": "contradicts"}, match=True)
    assert [said_of(en, c) for c in CLAIMS] == ["supports", "unknown", "contradicts", "unknown"]
    assert [said_of(zh, c) for c in CLAIMS] == ["supports", "unknown", "contradicts", "unknown"]
    assert said_of("So they show the same place.", CLAIMS[0]) is None
