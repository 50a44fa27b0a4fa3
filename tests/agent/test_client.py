"""The typed client, blocking and asynchronous, against a server that really listens."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_kit import ANN, BOB, app_of, listening, picture, town

from agent.client import ApiRefused, AsyncClient, Client
from agent.turns import Turn
from retriever.errors import ServerUnavailable

TEXT = "There is a cafe here and a pharmacy."


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with listening(app_of(tmp_path_factory.mktemp("client"))) as address:
        yield address


def test_a_whole_case_with_the_blocking_client(url: str, tmp_path: Path) -> None:
    with Client(url, ANN) as desk:
        turn = desk.locate(TEXT, spoken="en", gallery="town")
        assert isinstance(turn, Turn)
        assert desk.order(turn.thread, do="strike", claim="c2").result["claims"][1]["status"] == "struck"  # type: ignore[index]
        assert desk.say(turn.thread, "There is also a bank.").number == 3
        file = tmp_path / "photo.jpg"
        file.write_bytes(picture("JPEG"))
        upload = desk.upload("ground", file)
        assert desk.order(turn.thread, do="attach", upload=upload.id).number == 4
        assert [p.number for p in desk.history(turn.thread)] == [1, 2, 3, 4]
        assert desk.name(turn.thread, "Case 7").title == "Case 7"
        branch = desk.branch(turn.thread, after=2)
        assert (branch.parent, branch.turns) == (turn.thread, 2)
        assert {branch.id, turn.thread} <= {t.id for t in desk.threads()}
        assert desk.export(turn.thread)["thread"]["title"] == "Case 7"
        desk.forget(turn.thread)
        with pytest.raises(ApiRefused) as caught:
            desk.turn(turn.thread)
        assert (caught.value.status, caught.value.code) == (404, "no_thread")
        assert caught.value.request_id
        only = desk.galleries()[0]
        assert (only.id, only.tiles) == ("town", len(town()))
        assert desk.tile("town", town().ids[3]) == town().tile(town().ids[3])
        assert desk.tile_png("town", town().ids[3]).startswith(b"\x89PNG")


async def test_a_whole_case_with_the_asynchronous_client(url: str) -> None:
    async with AsyncClient(url, BOB) as desk:
        events = [event async for event in desk.locate_events(TEXT, spoken="zh")]
        assert events[-1].kind == "turn"
        turn = Turn.from_json(events[-1].data)
        assert turn == await desk.turn(turn.thread)
        kinds = [e.kind async for e in desk.events(turn.thread, order={"do": "strike", "claim": "c9"})]
        assert kinds[-1] == "error"
        assert (await desk.say(turn.thread, "忘掉药店")).number == 2
        assert (await desk.order(turn.thread, do="uncertain")).number == 3
        assert [p.number for p in await desk.history(turn.thread)] == [1, 2, 3]
        upload = await desk.upload("map", picture("WEBP"))
        assert (await desk.locate(images=[upload.id])).result
        assert (await desk.name(turn.thread, "乙")).title == "乙"
        assert (await desk.branch(turn.thread)).parent == turn.thread
        assert (await desk.export(turn.thread))["thread"]["owner"] == "bob"
        assert (await desk.galleries())[0].sha256 == town().sha256
        assert (await desk.tile("town", town().ids[0])).id == town().ids[0]
        assert await desk.tile_png("town", town().ids[0])
        await desk.forget(turn.thread)
        assert turn.thread not in [t.id for t in await desk.threads()]


def test_what_is_refused_says_why(url: str) -> None:
    with Client(url, "wrong") as desk, pytest.raises(ApiRefused) as caught:
        list(desk.locate_events(TEXT))
    assert (caught.value.status, caught.value.code) == (401, "no_key")
    with Client(url, ANN) as desk:
        with pytest.raises(ApiRefused, match="text or an order"):
            list(desk.events("0" * 20))
        with pytest.raises(ApiRefused, match="PNG, JPEG or WebP"):
            desk.upload("ground", b"GIF89a")


def test_a_server_that_is_not_there_is_told_in_a_sentence() -> None:
    with Client("http://127.0.0.1:9") as desk, pytest.raises(ServerUnavailable, match="sightline serve"):
        desk.galleries()


def test_both_clients_offer_the_same() -> None:
    def offered(client: type) -> dict[str, list[str]]:
        methods = inspect.getmembers(client, inspect.isfunction)
        return {name: list(inspect.signature(m).parameters) for name, m in methods if not name.startswith("_")}

    assert offered(Client) == offered(AsyncClient)
