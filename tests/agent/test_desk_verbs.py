"""The desk's verbs: clicks, pictures, threads with names and branches, streaming, questions, and what a clue did."""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from desk_fakes import FakeGallery, FakeJudge, FakeRetriever
from PIL import Image

from agent.chat_commands import carry_out
from agent.checkpoints import SETTING
from agent.context import Context
from agent.desk import Desk, open_desk
from agent.questions import Witness, information, scored
from agent.rerankers import Kit, create
from agent.threads import NoThread
from agent.turns import Event, Past, Thread, Turn
from retriever.errors import SightlineError

TEXT = "There is a church here and a cafe."


def context_of(gallery: FakeGallery, judge: Any, folder: Path) -> Context:
    kit = Kit(judge=judge)
    return Context(
        gallery=gallery,  # type: ignore[arg-type]
        retriever=FakeRetriever(gallery),
        kit=kit,
        reranker=create("posterior", kit),
        shortlist=5,
        top=2,
        image_folder=folder,
    )


@pytest.fixture
def judge() -> FakeJudge:
    return FakeJudge()


@pytest.fixture
async def desk(gallery: FakeGallery, judge: FakeJudge, tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_desk(context_of(gallery, judge, tmp_path), tmp_path / "threads.sqlite") as opened:
        yield opened


def first(turn: Turn) -> str:
    assert turn.result is not None
    return str(turn.result["candidates"][0]["tile_id"])


async def test_a_struck_claim_moves_the_search_and_comes_back(desk: Desk, judge: FakeJudge) -> None:
    before = await desk.locate(TEXT, thread="t")
    struck = await desk.strike("t", "c1")
    assert [c["status"] for c in struck.result["claims"]] == ["struck", "active"]  # type: ignore[index]
    assert "church" not in struck.result["text"]  # type: ignore[index]
    back = await desk.restore("t", "c1")
    assert first(before) == first(back) == "t-c"
    assert first(struck) == "t-a"


async def test_an_edited_claim_is_replaced(desk: Desk) -> None:
    await desk.locate(TEXT, thread="t")
    turn = await desk.edit("t", "c2", "a pharmacy")
    claims = [(c["value"], c["status"]) for c in turn.result["claims"]]  # type: ignore[index]
    assert claims == [("church", "active"), ("cafe", "corrected"), ("pharmacy", "active")]


async def test_a_drawn_area_limits_the_search_until_it_is_lifted(desk: Desk, gallery: FakeGallery) -> None:
    await desk.locate(TEXT, thread="t")
    west, east = float(gallery.lon[2]) - 1e-4, float(gallery.lon[4]) + 1e-4
    ring = [[west, 51.4], [east, 51.4], [east, 51.6], [west, 51.6], [west, 51.4]]
    turn = await desk.limit("t", {"type": "Polygon", "coordinates": [ring]})
    assert sorted(c["tile_id"] for c in turn.result["candidates"]) == ["t-c", "t-d", "t-e"]  # type: ignore[index]
    assert "drawn" in turn.en
    assert len((await desk.limit("t", None)).result["candidates"]) == 5  # type: ignore[index]


@pytest.mark.parametrize("area", ["nowhere", {"type": "Point", "coordinates": [0, 0]}, "1,2,3,4,5"])
async def test_a_bad_area_is_refused_and_changes_nothing(desk: Desk, area: Any) -> None:
    before = await desk.locate(TEXT, thread="t")
    with pytest.raises(SightlineError, match="area"):
        await desk.limit("t", area)
    assert await desk.turn("t") == before


async def test_answers_are_claims_and_no_question_is_put_twice(desk: Desk) -> None:
    turn, put = await desk.locate("There is a bakery.", thread="t"), []
    for answer in ("unknown", "no", "yes"):
        if turn.question is None:
            break
        put.append(turn.question["key"])
        turn = await desk.reply("t", answer)
    assert len(put) == len(set(put)) >= 2
    state = await desk.state("t")
    assert [a["key"] for a in state["asked"]][: len(put)] == put
    assert [c["polarity"] for c in state["claims"] if c["asked"]] == [False, True][: len(put) - 1]


async def test_the_desk_says_why_it_asks(desk: Desk) -> None:
    turn = await desk.locate("There is a bakery.", thread="t")
    assert turn.question is not None
    split = turn.question["splits"]
    assert f"shows it at {len(split['supports'])}" in turn.en
    assert f"{len(split['supports'])} 处有" in turn.zh


async def test_threads_are_listed_named_and_branched(desk: Desk) -> None:
    await desk.locate(TEXT, thread="one", owner="ann")
    await desk.say("one", "There is also a pharmacy.")
    await desk.locate("A pharmacy.", thread="two", owner="bob")
    assert {t.id for t in await desk.threads()} == {"one", "two"}
    assert [t.id for t in await desk.threads("ann")] == ["one"]
    assert (await desk.name("one", "  Case\n 7 ")).title == "Case 7"
    made = await desk.branch("one", after=1, title="without the pharmacy")
    assert (made.parent, made.parent_turn, made.owner) == ("one", 1, "ann")
    claims = [c["value"] for c in (await desk.state(made.id))["claims"]]
    assert claims == ["church", "cafe"]
    await desk.say(made.id, "Forget the cafe.")
    assert [p.number for p in await desk.history("one")] == [1, 2]
    assert [p.number for p in await desk.history(made.id)] == [1, 2]
    await desk.forget(made.id)
    for gone in (desk.turn(made.id), desk.info(made.id), desk.branch("nothing")):
        with pytest.raises(NoThread):
            await gone


async def test_going_back_asks_the_judge_nothing(desk: Desk, judge: FakeJudge) -> None:
    before = await desk.locate(TEXT, thread="t")
    await desk.say("t", "There is also a pharmacy.")
    paid = len(judge.calls)
    after = await desk.back("t", 1)
    assert len(judge.calls) == paid
    assert after.result["candidates"] == before.result["candidates"]  # type: ignore[index]


async def test_elsewhere_is_first_the_list_then_a_search_away_from_it(gallery: FakeGallery, tmp_path: Path) -> None:
    context = dataclasses.replace(context_of(gallery, FakeJudge(), tmp_path), shortlist=2)
    async with open_desk(context, tmp_path / "threads.sqlite") as desk:
        before = await desk.locate("There is a pharmacy.", thread="t")
        turn = await desk.say("t", "show me other candidates like this but elsewhere")
    assert {c["tile_id"] for c in before.result["candidates"]} == {"t-a", "t-b"}  # type: ignore[index]
    assert turn.kind == "search"
    assert {c["tile_id"] for c in turn.result["candidates"]} == {"t-e"}  # type: ignore[index]
    assert "farther than 150 m" in turn.en


async def test_a_turn_is_streamed_as_it_happens(desk: Desk) -> None:
    events = [event async for event in desk.stream("t", TEXT)]
    kinds = [event.kind for event in events]
    assert kinds[-1] == "turn"
    assert kinds.index("candidates") < kinds.index("explanation") < kinds.index("sentence")
    steps = [(e.data["name"], e.data["phase"]) for e in events if e.kind == "step"]
    assert steps[:2] == [("claims", "started"), ("claims", "finished")]
    assert steps[-1] == ("answer", "finished")
    stages = [e.data["stage"] for e in events if e.kind == "candidates"]
    assert stages == ["retrieved", "judged"]
    assert Turn.from_json(events[-1].data) == await desk.turn("t")


async def test_a_streamed_failure_is_an_event_and_leaves_the_thread(desk: Desk) -> None:
    before = await desk.locate(TEXT, thread="t")
    events = [event async for event in desk.stream("t", order={"do": "strike", "claim": "c9"})]
    assert events[-1].kind == "error"
    assert "no claim 'c9'" in events[-1].data["message"]
    assert await desk.turn("t") == before


async def test_a_picture_joins_the_words_and_a_view_known_from_renderings_alone_is_said(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = SimpleNamespace(scores=lambda vector: np.array([[0, 0, 0, 9, 0]], dtype=np.float32))
    encoder = SimpleNamespace(encode_images=lambda pictures: np.ones((1, 2), dtype=np.float32))
    monkeypatch.setattr(FakeRetriever, "dense", (encoder, index), raising=False)
    data = io.BytesIO()
    Image.new("RGB", (20, 20), (200, 10, 10)).save(data, "PNG")
    alone = await desk.attach("t", "ground", data.getvalue())
    assert first(alone) == "t-d"
    assert "only as rendered from maps" in alone.en
    joined = await desk.say("t", TEXT)
    assert first(joined) == "t-c"
    with pytest.raises(SightlineError, match="cannot be read"):
        await desk.attach("t", "map", b"not a picture")


async def test_what_a_clue_did_is_what_the_search_without_it_says(gallery: FakeGallery, tmp_path: Path) -> None:
    context = dataclasses.replace(context_of(gallery, None, tmp_path), shortlist=5)
    async with open_desk(context, tmp_path / "threads.sqlite") as desk:
        turn = await desk.locate("There is a church here. There is a cafe here.", thread="t")
        assert turn.result is not None
        effects, leader = turn.result["effects"], first(turn)
        without = await desk.strike("t", "c2")
    assert effects["leader"] == leader
    found = {c["tile_id"]: c["confidence"] for c in without.result["candidates"]}  # type: ignore[index]
    assert effects["clues"]["c2"]["without"] == pytest.approx(found[leader], rel=1e-6)
    p, q = turn.result["candidates"][0]["confidence"], found[leader]
    assert effects["clues"]["c2"]["log_odds"] == pytest.approx(math.log(p / (1 - p)) - math.log(q / (1 - q)))


def test_information_is_the_entropy_that_answers_take_away() -> None:
    p, likely = np.array([0.5, 0.3, 0.2]), np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.3, 0.6, 0.1]])
    expected = -sum(v * math.log2(v) for v in p)
    for answer in range(3):
        joint = p * likely[:, answer]
        total = joint.sum()
        expected += total * sum(v / total * math.log2(v / total) for v in joint)
    assert information(p, likely) == pytest.approx(expected)


def test_the_best_question_splits_the_candidates_and_skips_what_was_said(gallery: FakeGallery) -> None:
    belief = {"t-a": 0.25, "t-b": 0.25, "t-c": 0.25, "t-d": 0.25}
    found = scored(gallery, belief, 0.0, [], [])  # type: ignore[arg-type]
    gains = {q.claim.value: q.gain_bits for q in found}
    assert gains["pharmacy"] > gains["church"]
    again = scored(gallery, belief, 0.0, [], ["object:pharmacy"])  # type: ignore[arg-type]
    assert "pharmacy" not in {q.claim.value for q in again}
    deaf = Witness(rates=dict.fromkeys(("plain", "supports", "contradicts", "unknown"), (0.3, 0.3, 0.4)))
    assert all(q.gain_bits < 1e-9 for q in scored(gallery, belief, 0.0, [], [], deaf))  # type: ignore[arg-type]


async def test_the_terminal_names_branches_and_lists(desk: Desk) -> None:
    await desk.locate(TEXT, thread="t")
    assert (await carry_out(desk, "t", "/name Case 7"))[1] == ["this thread is called 'Case 7'"]
    branched, _ = await carry_out(desk, "t", "/branch 1")
    assert branched != "t"
    listed = (await carry_out(desk, branched, "/threads"))[1]
    assert sum(line.startswith("*") for line in listed) == 1
    assert len(listed) == 2
    for wrong in ("/nonsense", "/back x", "/thread nobody", "/attach map=/nowhere.png"):
        with pytest.raises(SightlineError):
            await carry_out(desk, "t", wrong)


async def test_postgres_that_is_not_there_is_said_plainly(
    gallery: FakeGallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for url, says in (("postgres://127.0.0.1:1/x", "Postgres|postgres"), ("mysql://x", "not with postgres://")):
        monkeypatch.setenv(SETTING, url)
        with pytest.raises(SightlineError, match=says):
            async with open_desk(context_of(gallery, None, tmp_path), tmp_path / "threads.sqlite"):
                pass


async def test_records_go_to_json_and_back(desk: Desk) -> None:
    turn = await desk.locate(TEXT, thread="t")
    assert Turn.from_json(turn.to_json()) == turn
    past, entry = (await desk.history("t"))[0], await desk.info("t")
    assert Past.from_json(past.to_json()) == past
    assert Thread.from_json(entry.to_json()) == entry
    event = Event(kind="step", thread="t", data={"name": "check"})
    assert Event.from_json(event.to_json()) == event
    exported = await desk.export("t")
    assert (exported["turn"]["number"], len(exported["history"]), exported["reranker"]) == (1, 1, "posterior")
