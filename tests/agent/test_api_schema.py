"""Everything that the OpenAPI document allows, and much that it does not, thrown at a server that really listens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import schemathesis
from api_kit import ANN, BOB, app_of, auth, listening, picture
from hypothesis import HealthCheck, Phase, settings
from schemathesis import checks as known

from agent.api.app import create_app
from agent.api.keys import Keyring, new_key

# A document that cannot be followed to the letter (a thread must be one's own) still must never end in a crash.
CHECKS = [
    known.not_a_server_error, known.status_code_conformance, known.content_type_conformance,
    known.response_schema_conformance,
]  # fmt: skip


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A desk with a user who may ask often, and the key."""
    folder = tmp_path_factory.mktemp("schema")
    file = folder / "keys.toml"
    key = new_key("often", file)
    text = file.read_text(encoding="utf-8")
    file.write_text(text + 'requests = "1000000/minute"\nturns = "1000000/minute"\nupload_mb = 100000\n', "utf-8")
    with listening(app_of(folder / "d", ring=Keyring.load(file, {}))) as url:
        yield url, key


schema = schemathesis.openapi.from_dict(create_app([], Path("none.sqlite")).openapi())


@pytest.fixture(scope="module")
def real(address: tuple[str, str]) -> dict[str, str]:
    """Ids that are there, so that what is thrown gets past the first door."""
    url, key = address
    with httpx.Client(base_url=url, headers=auth(key), timeout=60) as client:
        turn = client.post("/v1/locate", json={"text": "There is a bakery."}).json()
        made = client.post("/v1/uploads?view=ground", content=picture()).json()
    tile = turn["result"]["candidates"][0]["tile_id"]
    return {"thread": turn["thread"], "upload": made["id"], "gallery": "town", "tile": tile}


@pytest.mark.slow
@schema.parametrize()
@settings(
    max_examples=6, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
def test_nothing_that_is_sent_makes_the_server_fail(
    case: schemathesis.Case, address: tuple[str, str], real: dict[str, str]
) -> None:
    # A case file of a real thread is printed as PDF, which takes seconds; it has a test of its own.
    if case.method != "DELETE" and not case.path.endswith("/case") and case.path_parameters and len(str(case.body)) % 4:
        case.path_parameters.update({k: v for k, v in real.items() if k in case.path_parameters})
    response = case.call_and_validate(base_url=address[0], headers=auth(address[1]), checks=CHECKS)
    assert response.status_code < 500


def test_the_rest_of_the_server_is_well_afterwards(address: tuple[str, str], real: dict[str, str]) -> None:
    url, key = address
    with httpx.Client(base_url=url, headers=auth(key), timeout=60) as client:
        assert client.get("/v1/health").json() == {"status": "ok"}
        answer = client.post(f"/v1/threads/{real['thread']}/messages", json={"text": "There is also a cafe."})
        assert answer.status_code == 200


def test_guessed_ids_open_nothing(tmp_path: Path) -> None:
    with listening(app_of(tmp_path)) as url, httpx.Client(base_url=url, timeout=60) as client:
        names = [
            client.post("/v1/locate", json={"text": f"a cafe, clue {n}"}, headers=auth(ANN)).json()["thread"]
            for n in range(3)
        ]
        assert all(len(name) == 20 for name in names)
        near = [name[:-1] + c for name in names for c in "0123456789abcdef"]
        wild = ["%", "%25", "*", "..", "%2e%2e", "' OR 1=1 --", "sightline", "checkpoint", names[0] + "%00"]
        for guess in [*near, *wild]:
            answer = client.get(f"/v1/threads/{guess}", headers=auth(BOB))
            assert answer.status_code == 404, guess
