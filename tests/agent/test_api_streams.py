"""Streams that break off, and many turns of several users at once, on a server that really listens."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from api_kit import ANN, app_of, listening
from desk_fakes import FakeJudge

from agent.api import turning
from agent.client import ApiRefused, AsyncClient, Client

TEXT = "There is a cafe here."
USERS = [f"user{n}-key-0123456789abcdef" for n in range(4)]


class HeldJudge(FakeJudge):
    """Answers only while it is not held up."""

    held = False

    async def score(self, *args: Any) -> Any:
        while self.held:
            await asyncio.sleep(0.01)
        return await super().score(*args)


@pytest.fixture
def judge() -> HeldJudge:
    return HeldJudge()


@pytest.fixture
def url(tmp_path: Path, judge: HeldJudge) -> Iterator[str]:
    keys = ";".join([f"ann={ANN}", *(f"user{n}={key}" for n, key in enumerate(USERS))])
    with listening(app_of(tmp_path, judge=judge, keys=keys)) as address:
        yield address


def test_a_listener_who_goes_away_ends_the_turn_which_leaves_no_trace(url: str, judge: HeldJudge) -> None:
    with Client(url, ANN) as desk:
        before = desk.locate(TEXT)
        for _ in range(6):  # more than may be under way at once: every slot comes back
            judge.held = True
            stream = desk.events(before.thread, "There is also a bank.")
            assert next(e for e in stream if e.kind == "candidates").data["stage"] == "retrieved"
            stream.close()  # type: ignore[attr-defined]
            judge.held = False
            after = desk.say(before.thread, "There is also a pharmacy.")
            assert [c["value"] for c in after.result["claims"]] == ["cafe", "pharmacy"]  # type: ignore[index]
            assert after.number == 2
            before = desk.locate(TEXT)


def test_a_defect_in_one_turn_leaves_the_thread_usable(
    url: str, judge: HeldJudge, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*args: Any) -> Any:
        raise ZeroDivisionError

    with Client(url, ANN) as desk:
        thread = desk.locate(TEXT).thread
        monkeypatch.setattr(judge, "score", broken)
        with pytest.raises(ApiRefused) as caught:
            desk.say(thread, "There is also a bank.")
        assert (caught.value.status, caught.value.code) == (500, "internal")
        monkeypatch.undo()
    with Client(url, ANN) as desk:  # the server closes a connection on which a defect came to light
        after = desk.say(thread, "There is also a pharmacy.")
        assert [c["value"] for c in after.result["claims"]] == ["cafe", "pharmacy"]  # type: ignore[index]


def test_more_turns_at_once_than_one_key_may_have_are_refused(url: str, judge: HeldJudge) -> None:
    with Client(url, ANN) as desk:
        thread = desk.locate(TEXT).thread
        judge.held = True
        open_streams = [desk.locate_events(f"{TEXT} There is also a bank.") for _ in range(4)]
        for stream in open_streams:
            next(stream)
        with pytest.raises(ApiRefused) as caught:
            desk.say(thread, "There is also a pharmacy.")
        assert (caught.value.status, caught.value.code) == (429, "too_many_at_once")
        assert desk.turn(thread).number == 1  # reading goes on
        judge.held = False
        assert [list(stream)[-1].kind for stream in open_streams] == ["turn"] * 4


async def test_turns_of_several_users_at_once_are_not_mixed(url: str) -> None:
    kinds = ["cafe", "church"]

    async def talk(key: str, kind: str) -> tuple[str, str]:
        async with AsyncClient(url, key) as desk:
            turn = await desk.locate(f"There is a {kind} here.")
            turn = await desk.say(turn.thread, "There is also a bakery.")
            values = [c["value"] for c in turn.result["claims"]]  # type: ignore[index]
            assert values == [kind, "bakery"]
            return key, turn.thread

    made = await asyncio.gather(*(talk(key, kind) for key in USERS for kind in kinds))
    for key in USERS:
        async with AsyncClient(url, key) as desk:
            assert {t.id for t in await desk.threads()} == {thread for owner, thread in made if owner == key}


def test_a_stream_in_which_nothing_happens_says_that_it_lives(
    url: str, judge: HeldJudge, monkeypatch: pytest.MonkeyPatch
) -> None:
    import httpx

    monkeypatch.setattr(turning, "ALIVE_S", 0.05)
    judge.held = True
    headers = {"Authorization": f"Bearer {ANN}", "Accept": "text/event-stream"}
    with httpx.stream("POST", f"{url}/v1/locate", json={"text": TEXT}, headers=headers, timeout=60) as answer:
        for line in answer.iter_lines():
            if line.startswith(":"):
                judge.held = False
            if line == "event: turn":
                break
        assert not judge.held
