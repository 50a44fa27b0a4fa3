"""The API as its clients meet it: turns, streams, threads of two users, galleries, and what the document says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from api_kit import ANN, BOB, TEXT, app_of, auth, code, events, locate, picture, say, town
from fastapi.testclient import TestClient
from pydantic import TypeAdapter
from starlette.responses import PlainTextResponse

from agent.api.answers import EventOut, ExportOut, GalleriesOut, HistoryOut, ThreadsOut, TilesOut, TurnOut
from agent.api.keys import Keyring, new_key
from agent.api.records import Upload
from agent.casefile import verify_bytes
from agent.turns import Thread, Turn
from retriever.types import Tile


def test_a_conversation_in_plain_json(client: TestClient) -> None:
    first = locate(client, spoken="en")
    assert first["number"] == 1
    assert [c["value"] for c in first["result"]["claims"]] == ["cafe", "pharmacy"]
    struck = say(client, first["thread"], order={"do": "strike", "claim": "c2"}).json()
    assert [c["status"] for c in struck["result"]["claims"]] == ["active", "struck"]
    chinese = say(client, first["thread"], text="用中文再说一遍").json()
    assert chinese["said"] == chinese["zh"]
    past = client.get(f"/v1/threads/{first['thread']}/history", headers=auth(ANN)).json()["turns"]
    assert [p["number"] for p in past] == [1, 2, 3]
    now = client.get(f"/v1/threads/{first['thread']}", headers=auth(ANN)).json()
    assert now == chinese


def test_a_turn_as_server_sent_events(client: TestClient) -> None:
    headers = {**auth(ANN), "Accept": "text/event-stream"}
    answer = client.post("/v1/locate", json={"text": TEXT}, headers=headers)
    assert answer.headers["content-type"].startswith("text/event-stream")
    told = events(answer.text)
    kinds = [kind for kind, _ in told]
    assert kinds[0] == "step"
    assert kinds[-1] == "turn"
    assert {"candidates", "explanation", "sentence"} <= set(kinds)
    turn = json.loads(told[-1][1])
    assert turn == client.get(f"/v1/threads/{turn['thread']}", headers=auth(ANN)).json()


def test_an_order_that_cannot_be_done_ends_the_stream_with_an_error(client: TestClient) -> None:
    thread = locate(client)["thread"]
    headers = {**auth(ANN), "Accept": "text/event-stream"}
    body = {"order": {"do": "strike", "claim": "c9"}}
    answer = client.post(f"/v1/threads/{thread}/messages", json=body, headers=headers)
    kind, data = events(answer.text)[-1]
    assert (kind, json.loads(data)["code"]) == ("error", "bad_order")
    assert code(say(client, thread, **body)) == (422, "bad_order")
    assert client.get(f"/v1/threads/{thread}", headers=auth(ANN)).json()["number"] == 1


def test_every_order_of_the_desk_can_be_given(client: TestClient) -> None:
    thread = locate(client, text="There is a bakery.")["thread"]
    g = town()
    box = dict(zip(("west", "south", "east", "north"), map(float, g.bounds.mean(axis=0)), strict=True))
    box = {"west": box["west"] - 1, "south": box["south"] - 1, "east": box["east"] + 1, "north": box["north"] + 1}
    ring = [[-179, -80], [179, -80], [179, 80], [-179, 80], [-179, -80]]
    orders: list[dict[str, Any]] = [
        {"do": "ask"}, {"do": "answer", "answer": "unknown"}, {"do": "why", "rank": 1}, {"do": "why_not", "rank": 2},
        {"do": "compare", "ranks": [1, 2]}, {"do": "uncertain"}, {"do": "limit", "area": box},
        {"do": "limit", "area": {"type": "Polygon", "coordinates": [ring]}},
        {"do": "limit", "area": {"lat": float(g.lat[0]), "lon": float(g.lon[0]), "radius_m": 5000}},
        {"do": "limit", "area": None}, {"do": "edit", "claim": "c1", "words": "a cafe"},
        {"do": "switch", "spoken": "zh", "length": "short"}, {"do": "back", "turn": 1},
    ]  # fmt: skip
    for order in orders:
        answer = say(client, thread, order=order)
        assert answer.status_code in (200, 422), (order, answer.text)
        if order["do"] not in ("answer",):
            assert answer.status_code == 200, (order, answer.text)


def test_threads_are_named_branched_exported_and_forgotten(client: TestClient) -> None:
    thread = locate(client)["thread"]
    say(client, thread, text="There is also a bank.")
    named = client.patch(f"/v1/threads/{thread}", json={"title": "Case 7"}, headers=auth(ANN)).json()
    assert named["title"] == "Case 7"
    made = client.post(f"/v1/threads/{thread}/branches", json={"after": 1}, headers=auth(ANN))
    assert made.status_code == 201
    assert (made.json()["parent"], made.json()["parent_turn"]) == (thread, 1)
    whole = client.get(f"/v1/threads/{thread}/export", headers=auth(ANN)).json()
    assert [p["number"] for p in whole["history"]] == [1, 2]
    assert whole["gallery"]["sha256"] == town().sha256
    assert client.delete(f"/v1/threads/{thread}", headers=auth(ANN)).status_code == 204
    for path in ("", "/history", "/export"):
        assert code(client.get(f"/v1/threads/{thread}{path}", headers=auth(ANN))) == (404, "no_thread")
    left = [t["id"] for t in client.get("/v1/threads", headers=auth(ANN)).json()["threads"]]
    assert made.json()["id"] in left
    assert thread not in left


@pytest.mark.slow
def test_a_thread_as_a_case_file(client: TestClient) -> None:
    thread = locate(client)["thread"]
    answer = client.get(f"/v1/threads/{thread}/case", headers=auth(ANN))
    assert answer.headers["content-type"] == "application/zip"
    assert verify_bytes(answer.content)[0].entries > 5
    assert code(client.get(f"/v1/threads/{thread}/case", headers=auth(BOB))) == (404, "no_thread")


def test_paths_and_methods_that_are_not_there_are_the_apis_even_beside_a_page(tmp_path: Path) -> None:
    app = app_of(tmp_path, keys="")
    app.mount("/", PlainTextResponse("the page"))
    with TestClient(app) as client:
        assert client.get("/anything").text == "the page"
        assert code(client.get("/v1/nothing")) == (404, "not_found")
        wrong = client.put("/v1/locate")
        assert code(wrong) == (405, "method_not_allowed")
        assert wrong.headers["allow"] == "POST"


def test_another_user_gets_404_wherever_a_thread_can_be_named(client: TestClient) -> None:
    thread = locate(client)["thread"]
    mine = client.get(f"/v1/threads/{thread}", headers=auth(ANN)).json()
    asked = [
        ("GET", "", None), ("GET", "/history", None), ("GET", "/export", None), ("GET", "/case", None),
        ("DELETE", "", None),
        ("PATCH", "", {"title": "mine now"}), ("POST", "/branches", {}), ("POST", "/messages", {"text": "hello"}),
    ]  # fmt: skip
    for method, path, body in asked:
        answer = client.request(method, f"/v1/threads/{thread}{path}", json=body, headers=auth(BOB))
        nobody = client.request(method, f"/v1/threads/{'0' * 20}{path}", json=body, headers=auth(BOB))
        assert code(answer) == code(nobody) == (404, "no_thread"), path
        assert answer.json()["error"]["message"] == nobody.json()["error"]["message"]
    assert thread not in client.get("/v1/threads", headers=auth(BOB)).text
    assert client.get(f"/v1/threads/{thread}", headers=auth(ANN)).json() == mine


def test_another_users_upload_can_be_neither_read_nor_attached(client: TestClient) -> None:
    sent = {"content": picture(), "headers": {**auth(ANN), "Content-Type": "image/png"}}
    upload = client.post("/v1/uploads?view=ground", **sent).json()["id"]
    assert client.get(f"/v1/uploads/{upload}", headers=auth(ANN)).content.startswith(b"\x89PNG")
    assert code(client.get(f"/v1/uploads/{upload}", headers=auth(BOB))) == (404, "no_upload")
    body = {"text": TEXT, "images": [upload]}
    assert code(client.post("/v1/locate", json=body, headers=auth(BOB))) == (404, "no_upload")
    thread = locate(client, BOB)["thread"]
    assert code(say(client, thread, BOB, order={"do": "attach", "upload": upload})) == (404, "no_upload")


def test_the_same_picture_of_two_users_has_two_hashes(client: TestClient) -> None:
    raw = picture(size=(40, 40))
    made = [client.post("/v1/uploads?view=uav", content=raw, headers=auth(key)).json() for key in (ANN, BOB)]
    assert made[0]["sha256"] != made[1]["sha256"]


def test_a_user_sees_only_the_galleries_that_are_granted(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    ann, bob = new_key("ann", file), new_key("bob", file)
    granted = file.read_text(encoding="utf-8").replace("[bob]", '[bob]\ngalleries = ["other"]')
    file.write_text(granted, encoding="utf-8")
    galleries = [town(), town("other", 8)]
    with TestClient(app_of(tmp_path / "d", ring=Keyring.load(file, {}), galleries=galleries)) as client:
        tile = town().ids[0]
        for path in ("", "/tiles", f"/tiles/{tile}", f"/tiles/{tile}/image"):
            assert client.get(f"/v1/galleries/town{path}", headers=auth(ann)).status_code == 200
            assert code(client.get(f"/v1/galleries/town{path}", headers=auth(bob))) == (404, "no_gallery")
        assert locate(client, bob)["result"]["gallery"]["id"] == "other"
        assert code(
            client.post("/v1/locate", json={"text": TEXT, "gallery": "town"}, headers=auth(bob))
        ) == (404, "no_gallery")  # fmt: skip
        assert locate(client, ann, gallery="other")["result"]["gallery"]["id"] == "other"


def test_tiles_with_facts_and_pictures(client: TestClient) -> None:
    listed = client.get("/v1/galleries/town/tiles?limit=3", headers=auth(ANN)).json()
    assert [t["id"] for t in listed["tiles"]] == town().ids[:3]
    assert listed["more"] == len(town()) - 3
    tile = client.get(f"/v1/galleries/town/tiles/{town().ids[0]}", headers=auth(ANN)).json()
    assert Tile.from_json(tile) == town().tile(town().ids[0])
    answer = client.get(f"/v1/galleries/town/tiles/{town().ids[0]}/image", headers=auth(ANN))
    assert answer.content.startswith(b"\x89PNG")
    again = client.get(
        str(answer.request.url), headers={**auth(ANN), "If-None-Match": answer.headers["etag"]}
    )  # fmt: skip
    assert (again.status_code, again.content) == (304, b"")
    for name in ("town-r99c99", "..%2f..%2fmanifest.json", "%00", "%F0%9F%8D%B0"):
        assert code(client.get(f"/v1/galleries/town/tiles/{name}", headers=auth(ANN)))[0] == 404


def test_what_goes_out_is_what_the_document_says(client: TestClient) -> None:
    turn = locate(client)
    TypeAdapter(TurnOut).validate_python(turn)
    assert set(TurnOut.model_fields) == set(turn) == set(Turn.__dataclass_fields__)
    at = f"/v1/threads/{turn['thread']}"
    upload = client.post("/v1/uploads?view=map", content=picture(), headers=auth(ANN)).json()
    got = {path: client.get(path, headers=auth(ANN)).json() for path in
           ("/v1/threads", f"{at}/history", f"{at}/export", "/v1/galleries", "/v1/galleries/town/tiles")}  # fmt: skip
    for model, data in zip((ThreadsOut, HistoryOut, ExportOut, GalleriesOut, TilesOut), got.values(), strict=True):
        TypeAdapter(model).validate_python(data)
    assert Upload.from_json(upload).view == "map"
    assert set(Thread.__dataclass_fields__) == set(got["/v1/threads"]["threads"][0])
    assert "turn" in (EventOut.__doc__ or "")


def test_the_document_describes_every_route_with_its_errors(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    operations = {o["operationId"]: o for path in document["paths"].values() for o in path.values()}
    assert {"locate", "send_message", "list_threads", "export", "tile_image", "upload"} <= set(operations)
    for name, operation in operations.items():
        if name != "health":
            assert {"401", "429"} <= set(operation["responses"]), name
            assert operation["security"], name
    body = document["components"]["schemas"]["MessageIn"]
    assert {"text": "为什么不是第二个？"} in body["examples"]
    assert "text/event-stream" in operations["send_message"]["responses"]["200"]["content"]
