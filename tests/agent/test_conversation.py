"""Turns on one thread: what they change, and that nothing is said which the ledger does not hold."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from desk_fakes import FakeGallery, FakeJudge, FakeRetriever

from agent import areas
from agent.context import Context
from agent.conversation import without
from agent.desk import Desk, open_desk
from agent.rerankers import Kit, create
from prompts.claims_.area import AreaLimit
from retriever.area import Area
from retriever.errors import SightlineError

TEXT = "I am standing next to a pharmacy."


@pytest.fixture
def judge() -> FakeJudge:
    return FakeJudge()


@pytest.fixture
async def desk(gallery: FakeGallery, judge: FakeJudge, tmp_path: Path) -> AsyncIterator[Desk]:
    kit = Kit(judge=judge)
    context = Context(
        gallery=gallery,  # type: ignore[arg-type]
        retriever=FakeRetriever(gallery),
        kit=kit,
        reranker=create("posterior", kit),
        shortlist=5,
        top=3,
    )
    async with open_desk(context, tmp_path / "threads.sqlite") as opened:
        yield opened


async def talk(desk: Desk, *turns: str) -> Any:
    state: Any = {}
    for text in turns:
        state = await desk.ask(text, thread="t", query_id="t")
    return state


def order(state: Any) -> list[str]:
    return [c["tile_id"] for c in state["result"]["candidates"]]


async def test_a_further_clue_changes_the_search_and_moves_the_confidence(desk: Desk) -> None:
    first = await talk(desk, "There is a church here.")
    second = await talk(desk, "There is also a cafe.")
    assert len(second["claims"]) > len(first["claims"])
    assert order(first)[0] != "t-b"
    before = {c["tile_id"]: c["confidence"] for c in first["result"]["candidates"]}
    best = second["result"]["candidates"][0]
    assert best["tile_id"] == "t-c"
    assert best["confidence"] > before["t-c"]


async def test_a_clue_taken_back_no_longer_counts(desk: Desk) -> None:
    state = await talk(desk, "There is a church here.", "There is also a cafe.", "Forget the church.")
    values = {c["value"]: c["status"] for c in state["claims"]}
    assert values == {"church": "struck", "cafe": "active"}
    assert "church" not in state["result"]["text"]
    assert order(state)[0] == "t-a"


async def test_a_corrected_clue_is_replaced_and_kept_as_corrected(desk: Desk) -> None:
    state = await talk(desk, "There is a church here.", "No, it was not a church, it was a pharmacy.")
    statuses = {(c["value"], c["polarity"]): c["status"] for c in state["claims"]}
    assert statuses["church", True] == "corrected"
    assert any(value == "pharmacy" and status == "active" for (value, _), status in statuses.items())


async def test_why_not_is_answered_from_both_ledgers_without_the_model(desk: Desk, judge: FakeJudge) -> None:
    await talk(desk, "There is a pharmacy and a cafe here.")
    calls = len(judge.calls)
    state = await talk(desk, "Why not the second one?")
    assert len(judge.calls) == calls
    second = order(state)[1]
    assert f"Number 1 ({order(state)[0]})" in state["reply"]["en"]
    assert f"Number 2 ({second})" in state["reply"]["en"]
    assert "cafe" in state["reply"]["en"]
    assert "咖啡馆" in state["reply"]["zh"]


async def test_a_question_leaves_search_and_result_alone(desk: Desk) -> None:
    first = await talk(desk, TEXT)
    later = await talk(desk, "why this one?", "what is uncertain?", "compare 1 and 3", "help")
    assert later["result"] == first["result"]
    assert later["claims"] == first["claims"]


async def test_the_same_again_in_chinese_and_back(desk: Desk, judge: FakeJudge) -> None:
    await talk(desk, TEXT)
    calls = len(judge.calls)
    chinese = await talk(desk, "用中文再说一遍")
    assert chinese["spoken"] == "zh"
    assert chinese["log"][-1]["text"] == chinese["reply"]["zh"]
    assert "第一位是" in chinese["reply"]["zh"]
    english = await talk(desk, "now in English, please")
    assert (english["spoken"], english["log"][-1]["text"]) == ("en", english["reply"]["en"])
    assert len(judge.calls) == calls


async def test_a_candidate_that_is_not_there_is_said_not_to_be_there(desk: Desk) -> None:
    state = await talk(desk, TEXT, "why not number 9?")
    assert "no number 9" in state["reply"]["en"]


async def test_words_that_hold_nothing_change_nothing(desk: Desk) -> None:
    first = await talk(desk, TEXT)
    state = await talk(desk, "hmm, let me think")
    assert state["result"] == first["result"]
    assert "nothing" in state["reply"]["en"]


async def test_a_limit_by_coordinates_and_its_removal(desk: Desk, gallery: FakeGallery) -> None:
    lat, lon = float(gallery.lat[4]), float(gallery.lon[4])
    state = await talk(desk, TEXT, f"only within 70 m of {lat:.6f}, {lon:.6f}")
    assert sorted(order(state)) == ["t-d", "t-e"]
    assert len(order(await talk(desk, "search everywhere again"))) == 5


async def test_a_limit_around_a_candidate(desk: Desk) -> None:
    state = await talk(desk, TEXT, "search only within 70 m of the first one")
    assert sorted(order(state)) == ["t-a", "t-b"]


async def test_a_failed_turn_leaves_the_thread_as_it_was(desk: Desk) -> None:
    before = await talk(desk, TEXT)
    with pytest.raises(SightlineError, match="no tile"):
        await talk(desk, "only within 100 m of 10.000, 10.000")
    await desk.undo("t", before)
    after = await desk.state("t")
    assert (after["result"], after.get("within")) == (before["result"], None)
    assert order(await talk(desk, "There is also a cafe."))[0] == "t-a"


async def test_a_reply_names_only_claims_that_the_witness_made(desk: Desk) -> None:
    state = await talk(desk, TEXT, "why this one?")
    for kind in ("cafe", "church", "bank"):
        assert kind not in state["reply"]["en"]


async def test_after_a_struck_claim_its_evidence_is_not_used(desk: Desk) -> None:
    await talk(desk, "There is a church here.", "There is also a cafe.", "Forget the church.")
    state = await talk(desk, "why this one?")
    assert "church" not in state["reply"]["en"]


def test_struck_words_are_cut_out_of_what_is_searched_for() -> None:
    assert without(["a church stands here", "a cafe"], ["a church"]) == ["stands here", "a cafe"]
    assert without(["a church."], ["a church"]) == []
    assert without(["lights, a church. A cafe"], ["a church"]) == ["lights. A cafe"]


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        (AreaLimit(text="x", anchor="railway", words="tracks"), "no railway line is on this gallery's map"),
        (AreaLimit(text="x", anchor="Zzyzx Hall", anchor_is_name=True), "nothing called 'Zzyzx Hall'"),
        (AreaLimit(text="x", rank=9), "no number 9"),
        (AreaLimit(text="x", anchor="church", words="church"), "which one"),
        (AreaLimit(text="x", rank=1, radius_m=9000.0, exclude=True), "no tile of this gallery lies not within"),
    ],
)
async def test_limits_that_cannot_be_placed_say_why(desk: Desk, limit: AreaLimit, reason: str) -> None:
    state = await talk(desk, TEXT)
    with pytest.raises(areas.NoArea, match=reason) as told:
        areas.resolve(limit, desk.context, state["result"])
    assert any("\u4e00" <= letter <= "\u9fff" for letter in told.value.zh)


async def test_a_side_of_a_candidate_leaves_the_tiles_on_that_side(desk: Desk, gallery: FakeGallery) -> None:
    state = await talk(desk, TEXT)
    east = areas.resolve(AreaLimit(text="x", rank=1, bearing_deg=90.0), desk.context, state["result"])
    inside = Area.parse(east["area"]).contains(gallery.lat, gallery.lon)
    assert [t for t, there in zip(gallery.ids, inside, strict=True) if there] == ["t-b", "t-c", "t-d", "t-e"]
    assert (east["en"], east["zh"]) == ("east of number 1", "第 1 个以东")


@pytest.mark.parametrize(
    ("text", "lifts"),
    [
        ("search everywhere again", True), ("Look everywhere!", True), ("everywhere", True), ("the whole city", True),
        ("no limit, please", True), ("搜索全部区域", True), ("不限范围", True),
        ("There are bikes everywhere", False), ("trees everywhere and a cafe", False), ("整个区域都很安静", False),
        ("search everywhere, there is a church", False), ("There is no limit sign", False),
    ],
)  # fmt: skip
def test_only_a_command_lifts_the_area_limit(text: str, lifts: bool) -> None:
    assert areas.written(text) == (lifts, None)


@pytest.mark.parametrize("words", ["start over", "new search", "reset", "重新开始"])
async def test_a_fresh_start_searches_for_nothing_and_forgets_what_was_said(
    desk: Desk, judge: FakeJudge, words: str
) -> None:
    await talk(desk, "There is a church here.", "search only within 200 m of the first one")
    calls = len(judge.calls)
    state = await talk(desk, words)
    assert len(judge.calls) == calls
    assert (state["claims"], state["words"], state["within"]) == ([], [], None)
    assert "Describe the new place" in state["reply"]["en"]
    assert "请描述新的地点" in state["reply"]["zh"]
    assert "Describe the new place" in (await talk(desk, "search everywhere"))["reply"]["en"]
    state = await talk(desk, "There is a pharmacy and a cafe.")
    assert "church" not in state["result"]["text"]
    assert "Before this turn" not in state["reply"]["en"]
    assert order(state)[0] == "t-a"
