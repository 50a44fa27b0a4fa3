"""Kills at every node, many threads at once, and a model that is down, slow or wrong."""

from __future__ import annotations

import asyncio
import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from desk_fakes import FakeGallery, FakeJudge, FakeRetriever
from killed_desk import ENDS, TURNS, context_in, converse

from agent.context import Context
from agent.desk import open_desk
from agent.graph import STEPS
from agent.judge import Judge
from agent.rerankers import Kit, create
from prompts.clients.base import ChatReply
from prompts.clients.recorded import RecordedClient
from retriever.errors import ServerUnavailable, SightlineError

TEXT = "There is a church here and a cafe."


def paid(folder: Path) -> list[str]:
    return sorted((folder / "calls").read_text().splitlines())


def told(result: Any) -> Any:
    return [(c["tile_id"], c["verdict"], c["confidence"], c["explanation"]) for c in result["candidates"]]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("killed")
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, str(here / "killed_desk.py"), str(folder)],
        capture_output=True, text=True, timeout=240, cwd=here.parents[1],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Any]:
    folder = tmp_path_factory.mktemp("undisturbed")

    async def run() -> Any:
        await converse(folder)
        async with open_desk(context_in(folder), folder / "threads.sqlite") as desk:
            return await desk.state("t")

    state = asyncio.run(run())
    return paid(folder), state


@pytest.mark.slow
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("name", STEPS)
async def test_a_turn_killed_at_any_node_is_finished_and_nothing_is_paid_twice(
    name: str, end: str, killed: Path, undisturbed: tuple[list[str], Any]
) -> None:
    folder = killed / f"{name}-{end}"
    assert (folder / "acknowledged").read_text() == "1"
    async with open_desk(context_in(folder), folder / "threads.sqlite") as desk:
        before = await desk.state("t")
        assert before["log"][1]["who"] == "sightline", "the acknowledged turn is there"
        state = await desk.resume("t")
        if state is None:  # killed before the turn's first checkpoint: the turn was never begun, so it is said again
            assert (name, end) == ("claims", "begins")
            await desk.say("t", TURNS[1])
            state = await desk.state("t")
    calls, whole = undisturbed
    assert paid(folder) == calls
    assert told(state["result"]) == told(whole["result"])
    assert [entry["who"] for entry in state["log"]] == ["analyst", "sightline"] * 2
    assert [c["value"] for c in state["claims"]] == ["church", "cafe"]


@pytest.mark.slow
async def test_saying_something_after_a_kill_first_finishes_the_turn_that_was_cut_off(
    killed: Path, undisturbed: tuple[list[str], Any]
) -> None:
    folder = killed / "check-ends"
    async with open_desk(context_in(folder), folder / "threads.sqlite") as desk:
        turn = await desk.say("t", "why this one?")
        state = await desk.state("t")
    assert (turn.number, turn.kind) == (3, "why_this")
    assert told(state["result"]) == told(undisturbed[1]["result"])


def plain_context(gallery: FakeGallery, judge: Any, **options: Any) -> Context:
    kit = Kit(judge=judge, why_no_judge="no server")
    made: dict[str, Any] = {"shortlist": 5, "top": 2, **options}
    return Context(
        gallery=gallery,  # type: ignore[arg-type]
        retriever=FakeRetriever(gallery),
        kit=kit,
        reranker=create("posterior", kit),
        **made,
    )


async def test_32_threads_at_once_do_not_mix_and_lose_no_acknowledged_turn(
    gallery: FakeGallery, tmp_path: Path
) -> None:
    kinds = ("pharmacy", "cafe", "church")
    database = tmp_path / "threads.sqlite"
    acknowledged: dict[str, list[str]] = {}

    async def converse_about(desk: Any, number: int) -> None:
        thread, kind = f"t{number}", kinds[number % 3]
        texts = [
            f"There is a {kind} here, I am witness {number}.",
            f"There is also a {kinds[(number + 1) % 3]}.",
            "why?",
        ]
        for text in texts:
            turn = await desk.say(thread, text, owner=f"user{number % 4}")
            assert turn.thread == thread
            acknowledged.setdefault(thread, []).append(turn.said)

    async with open_desk(plain_context(gallery, FakeJudge()), database) as desk:
        await asyncio.gather(*(converse_about(desk, n) for n in range(32)))
    async with open_desk(plain_context(gallery, FakeJudge()), database) as again:
        assert len(await again.threads()) == 32
        assert len(await again.threads("user1")) == 8
        for number in range(32):
            state = await again.state(f"t{number}")
            assert [e["text"] for e in state["log"] if e["who"] == "sightline"] == acknowledged[f"t{number}"]
            assert [c["value"] for c in state["claims"]] == [kinds[number % 3], kinds[(number + 1) % 3]]
            assert f"witness {number}." in state["words"][0]


async def test_two_turns_at_once_on_one_thread_come_one_after_the_other(gallery: FakeGallery, tmp_path: Path) -> None:
    async with open_desk(plain_context(gallery, FakeJudge()), tmp_path / "threads.sqlite") as desk:
        await desk.say("t", "There is a church here.")
        await asyncio.gather(desk.say("t", "There is also a cafe."), desk.say("t", "And a pharmacy."))
        state = await desk.state("t")
    assert sorted(c["value"] for c in state["claims"]) == ["cafe", "church", "pharmacy"]
    assert state["turn"] == 3


async def test_a_model_that_is_down_leaves_an_answer_by_words_and_map_that_says_why(gallery: FakeGallery) -> None:
    async with open_desk(plain_context(gallery, FakeJudge(down=True)), None) as desk:
        state = await desk.ask(TEXT, thread="t", query_id="q")
    best = state["result"]["candidates"][0]
    assert (best["tile_id"], best["verdict"]) == ("t-c", None)
    assert "does not answer; start it again" in state["reply"]["en"]
    assert {e["stance"] for e in best["evidence"]} == {"supports"}


async def test_a_model_that_came_back_is_asked_again(gallery: FakeGallery, tmp_path: Path) -> None:
    judge = FakeJudge(down=True)
    async with open_desk(plain_context(gallery, judge), tmp_path / "threads.sqlite") as desk:
        await desk.say("t", TEXT)
        judge.down = False
        turn = await desk.say("t", "There is also a pharmacy.")
    assert turn.result is not None
    assert turn.result["candidates"][0]["features"]["p_match"] is not None


class Slow(FakeJudge):
    """Gives up after its deadline, as the HTTP client does."""

    async def score(self, tile: Any, png: bytes, claims: Any) -> Any:
        await asyncio.sleep(0.01)
        raise ServerUnavailable("the model server did not answer within 120 s; it may be overloaded")


async def test_a_slow_model_is_given_up_and_the_answer_says_so(gallery: FakeGallery) -> None:
    async with open_desk(plain_context(gallery, Slow()), None) as desk:
        state = await desk.ask(TEXT, thread="t", query_id="q")
    assert "within 120 s" in state["reply"]["en"]
    assert state["result"]["candidates"][0]["tile_id"] == "t-c"


def reply(text: str, logprobs: dict[str, float] | None = None) -> ChatReply:
    return ChatReply(text=text, choice_logprobs=logprobs, prompt_tokens=1, completion_tokens=1, seconds=0.0)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda request: reply("yes"), "no probabilities"),
        (lambda request: reply("yes", {"yes": float("nan"), "no": 0.0}), "no probabilities"),
        (lambda request: reply("yes", {"yes": -0.1, "no": -2.4}), ""),
    ],
)
async def test_a_model_that_answers_nonsense_is_named_and_never_believed(
    answer: Any, says: str, gallery: FakeGallery
) -> None:
    judge = Judge(RecordedClient(lambda request: answer(request)))
    async with open_desk(plain_context(gallery, judge), None) as desk:
        state = await desk.ask(TEXT, thread="t", query_id="q")
    best = state["result"]["candidates"][0]
    if says:
        assert best["verdict"] is None
        assert says in state["reply"]["en"]
    else:  # the score is usable, the reasons are not: the template speaks, and the reason why is kept
        assert best["explanation"]["author"] == "template"
        assert best["explanation_error"]
        assert "reasons could not be had" in state["reply"]["en"]


async def test_a_turn_that_fails_leaves_the_thread_as_it_was(gallery: FakeGallery, tmp_path: Path) -> None:
    async with open_desk(plain_context(gallery, FakeJudge()), tmp_path / "threads.sqlite") as desk:
        before = await desk.say("t", TEXT)
        with pytest.raises(SightlineError, match="no claim 'c99'"):
            await desk.strike("t", "c99")
        after = await desk.turn("t")
    assert dataclasses.replace(after) == before


async def test_a_listener_who_goes_away_stops_the_turn_and_leaves_no_trace(
    gallery: FakeGallery, tmp_path: Path
) -> None:
    class Hangs(FakeJudge):
        async def score(self, tile: Any, png: bytes, claims: Any) -> Any:
            if any(c.value == "cafe" for c in claims):
                await asyncio.sleep(3600)
            return await super().score(tile, png, claims)

    async with open_desk(plain_context(gallery, Hangs()), tmp_path / "threads.sqlite") as desk:
        before = await desk.say("t", "There is a church here.")
        events = desk.stream("t", "There is also a cafe.")
        async for event in events:
            if event.kind == "candidates":
                break
        await events.aclose()  # type: ignore[attr-defined]
        assert await desk.turn("t") == before
        assert [c["value"] for c in (await desk.state("t"))["claims"]] == ["church"]
