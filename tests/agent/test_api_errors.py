"""What the API refuses: keys that are none, too much at once, other sites' pages, and errors in one shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from api_kit import ANN, BOB, KEYS, TEXT, app_of, auth, code, context_of, events, locate, picture, town
from fastapi.testclient import TestClient

from agent.api import limits
from agent.api.app import create_app
from agent.api.keys import Keyring, KeysError, new_key
from retriever.errors import SightlineError


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"X-API-Key": ""}, {"Authorization": ANN}])
def test_without_a_valid_key_nothing_is_told(client: TestClient, headers: dict[str, str]) -> None:
    answer = client.get("/v1/threads", headers=headers)
    assert code(answer) == (401, "no_key")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert client.get("/v1/health", headers=headers).json() == {"status": "ok"}


def test_the_key_may_come_in_its_own_header(client: TestClient) -> None:
    assert client.get("/v1/me", headers={"X-API-Key": BOB}).json()["user"] == "bob"


def test_who_guesses_keys_must_wait_while_others_go_on(tmp_path: Path) -> None:
    with TestClient(app_of(tmp_path)) as client:
        seen = [client.get("/v1/me", headers=auth(f"guess-{n}")).status_code for n in range(22)]
        assert seen == [401] * 20 + [429] * 2
        assert client.get("/v1/me", headers=auth(ANN)).status_code == 200


def test_each_key_has_limits_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    ann, bob = new_key("ann", file), new_key("bob", file)
    text = file.read_text(encoding="utf-8").replace("[ann]", '[ann]\nturns = "2/minute"\nrequests = "6/minute"')
    file.write_text(text.replace("[bob]", "[bob]\nupload_mb = 0"), encoding="utf-8")
    with TestClient(app_of(tmp_path / "d", ring=Keyring.load(file, {}))) as client:
        answers = [client.post("/v1/locate", json={"text": TEXT}, headers=auth(ann)) for _ in range(3)]
        assert [a.status_code for a in answers] == [200, 200, 429]
        assert int(answers[2].headers["retry-after"]) == answers[2].json()["error"]["retry_after_s"] > 0
        locate(client, bob)
        assert [client.get("/v1/me", headers=auth(ann)).status_code for _ in range(4)] == [200, 200, 200, 429]
        assert code(client.post("/v1/uploads?view=uav", content=picture(size=(400, 400)), headers=auth(bob)))[0] == 429


async def test_turns_at_once_are_bounded_and_slots_come_back() -> None:
    meter = limits.Meter()
    with meter.at_once("a"), meter.at_once("a"), meter.at_once("a"), meter.at_once("a"):
        with pytest.raises(SightlineError, match="under way"), meter.at_once("a"):
            pass
        with meter.at_once("b"):
            pass
    with meter.at_once("a"):
        pass


def test_pages_of_other_sites_and_other_host_names_are_refused(tmp_path: Path) -> None:
    with TestClient(app_of(tmp_path, keys="", origins=("https://desk.example",))) as client:
        assert client.get("/v1/threads").status_code == 200
        assert code(client.get("/v1/threads", headers={"Origin": "https://evil.example"})) == (403, "cross_origin")
        assert code(client.get("/v1/threads", headers={"Origin": "null"})) == (403, "cross_origin")
        assert code(client.get("/v1/threads", headers={"Host": "evil.example"})) == (403, "unknown_host")
        same = client.get("/v1/threads", headers={"Origin": "http://testserver"})
        assert same.status_code == 200
        assert "access-control-allow-origin" not in same.headers
        allowed = client.get("/v1/threads", headers={"Origin": "https://desk.example"})
        assert allowed.headers["access-control-allow-origin"] == "https://desk.example"


def test_errors_have_one_shape_and_no_traceback(client: TestClient, tmp_path: Path) -> None:
    long = "x" * limits.MAX_BODY_BYTES
    wrong = [
        client.get("/v1/nothing", headers=auth(ANN)), client.put("/v1/locate", headers=auth(ANN)),
        client.post("/v1/locate", content=b"{", headers={**auth(ANN), "Content-Type": "application/json"}),
        client.post("/v1/locate", content=b"[" * 90_000, headers={**auth(ANN), "Content-Type": "application/json"}),
        client.post("/v1/locate", json={"text": long}, headers=auth(ANN)),
        client.post("/v1/locate", json={"text": TEXT, "typo": 1}, headers=auth(ANN)),
        client.post("/v1/locate", content=b'{"text": "\\ud800"}',
                    headers={**auth(ANN), "Content-Type": "application/json"}),
        client.post("/v1/locate", content=b'{"text": "x", "\\ud800": 1}',
                    headers={**auth(ANN), "Content-Type": "application/json"}),
        client.post("/v1/locate", json={"text": " \x00 "}, headers=auth(ANN)),
        client.post("/v1/locate", json={"images": ["a"], "text": TEXT}, headers=auth(ANN)),
        client.post("/v1/locate", json={"text": TEXT, "within": "/etc/passwd"}, headers=auth(ANN)),
        client.post("/v1/locate", json={"text": TEXT, "within": {"lat": 89, "lon": 0, "radius_m": 1}},
                    headers=auth(ANN)),
    ]  # fmt: skip
    statuses = [answer.status_code for answer in wrong]
    assert statuses == [404, 405, 422, 400, 413, 422, 422, 422, 400, 404, 422, 400]
    for answer in wrong:
        error = answer.json()["error"]
        assert error["request_id"] == answer.headers["x-request-id"]
        assert error["message"]
        assert "Traceback" not in answer.text


def test_a_defect_is_told_without_its_insides(tmp_path: Path) -> None:
    class Broken:
        async def score(self, *args: Any) -> Any:
            raise ZeroDivisionError("secret path /srv/x")

    with TestClient(app_of(tmp_path, judge=Broken()), raise_server_exceptions=False) as client:
        answer = client.post("/v1/locate", json={"text": TEXT}, headers=auth(ANN))
        assert code(answer) == (500, "internal")
        assert "secret" not in answer.text
        streamed = client.post(
            "/v1/locate", json={"text": TEXT}, headers={**auth(ANN), "Accept": "text/event-stream"}
        )  # fmt: skip
        assert json.loads(events(streamed.text)[-1][1])["code"] == "internal"
        assert "secret" not in streamed.text


def test_keys_are_kept_as_hashes_only(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    key = new_key("ann", file)
    assert key not in file.read_text(encoding="utf-8")
    ring = Keyring.load(file, {})
    found = ring.find(key)
    assert found is not None
    assert found.user == "ann"
    assert ring.find(key + "x") is None
    assert key not in repr(ring)
    assert KEYS.split("=")[1].split(";")[0] not in repr(Keyring.load(None, {"SIGHTLINE_API_KEYS": KEYS}))
    with pytest.raises(KeysError, match="already"):
        new_key("ann", file)


@pytest.mark.parametrize(
    "text",
    ["", "[ann]", "[ann]\nsha256 = 'abc'", "[ann]\nkey = 'x'", "ann = 3", "[-a]\nsha256='x'", "no toml [",
     f"[ann]\nsha256 = '{'0' * 64}'\nturns = 'often'", f"[ann]\nsha256 = '{'0' * 64}'\nupload_mb = 'all'",
     f"[ann]\nsha256 = '{'0' * 64}'\ngalleries = 'town'"],
)  # fmt: skip
def test_a_keys_file_that_cannot_be_meant_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "keys.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SightlineError):
        Keyring.load(file, {})


@pytest.mark.parametrize("text", ["ann=short", "=" + "k" * 30, "a b=" + "k" * 30])
def test_keys_in_the_environment_are_checked(text: str) -> None:
    with pytest.raises(KeysError) as caught:
        Keyring.load(None, {"SIGHTLINE_API_KEYS": text})
    assert "kkkk" not in str(caught.value)


async def test_two_galleries_of_one_id_are_refused(tmp_path: Path) -> None:
    app = create_app([context_of(town(), tmp_path)] * 2, tmp_path / "t.sqlite")
    with pytest.raises(SightlineError, match="ids"):
        async with app.router.lifespan_context(app):
            pass
