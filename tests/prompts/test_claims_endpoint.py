"""A chat model that reads claims, over HTTP: slow, refusing, overloaded or dead, and the setting that names it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from claims_kit import BANK, GOOD, TEXT, answer

from prompts.claims_form import schema
from prompts.claims_model import extract_or_rules, extract_with_model, open_client
from prompts.clients import ChatRequest
from prompts.clients.http import OpenAIClient
from prompts.clients.recorded import RecordedClient
from retriever.errors import ReplyError, ServerUnavailable, SightlineError


def server(handler: Callable[[httpx.Request], Any]) -> OpenAIClient:
    return OpenAIClient("http://model.test/v1", "big", transport=httpx.MockTransport(handler), dialect="openai")


def completion(text: str, finish: str = "stop") -> httpx.Response:
    return httpx.Response(200, json={"choices": [{"message": {"content": text}, "finish_reason": finish}]})


async def test_the_schema_travels_to_the_endpoint_and_its_answer_back() -> None:
    bodies: list[Any] = []

    def handler(asked: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(asked.content))
        return completion(answer(*GOOD))

    assert len(await extract_with_model(server(handler), TEXT)) == 4
    assert bodies[0]["response_format"]["json_schema"]["schema"] == schema()
    assert TEXT in bodies[0]["messages"][1]["content"]


async def test_an_answer_cut_off_is_not_read_in_part() -> None:
    with pytest.raises(ReplyError, match="cut off"):
        await extract_with_model(server(lambda _: completion(answer(BANK)[:-3], "length")), TEXT)


async def test_a_slow_endpoint_is_given_up_at_the_deadline() -> None:
    async def handler(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep(30)
        return completion(answer())

    found = await extract_or_rules(server(handler), TEXT, deadline_s=0.05)
    assert found.by == "rules"
    assert "did not answer in time" in found.note
    assert "model.test" not in found.note, "notes go into replies and case files; the address is no part of them"


async def test_an_endpoint_that_refuses_is_named_with_its_status_and_not_with_its_words() -> None:
    found = await extract_or_rules(server(lambda _: httpx.Response(401, json={"error": "bad key sk-secret"})), TEXT)
    assert found.by == "rules"
    assert "openai:big refused with HTTP status 401" in found.note
    assert "secret" not in found.note
    assert "model.test" not in found.note


async def test_a_rate_limit_is_waited_out_and_an_endless_one_is_told() -> None:
    replies = [httpx.Response(429, headers={"retry-after": "0"}, json={}), completion(answer(BANK))]
    assert len(await extract_with_model(server(lambda _: replies.pop(0)), TEXT)) == 1
    with pytest.raises(ServerUnavailable, match="overloaded"):
        await extract_with_model(server(lambda _: httpx.Response(429, headers={"retry-after": "0"}, json={})), TEXT)


async def test_a_dead_endpoint_is_not_asked_a_second_time_round() -> None:
    calls: list[ChatRequest] = []

    def dead(asked: ChatRequest) -> Exception:
        calls.append(asked)
        return ServerUnavailable("nobody there")

    with pytest.raises(ServerUnavailable, match="nobody there"):
        await extract_with_model(RecordedClient(dead), TEXT)
    assert len(calls) == 1


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "http://x/v1",
        "|m",
        "ftp://x/v1|m",
        "http://|m",
        "http://[|m",
        "http://a b/v1|m",
        "http://x:y/v1|m",
        "m|http://x/v1",
    ],
)
def test_a_setting_that_names_no_endpoint_is_refused(spec: str) -> None:
    with pytest.raises(SightlineError, match=r"is not URL\|model"):
        open_client(spec)


@pytest.mark.parametrize(
    "spec", ["http://me:s3cret@127.0.0.1:9/v1|m", "https://s3cret@x/v1|m", "http://me:s3cret@x/v1", "me:s3cret@x|m"]
)
def test_a_password_in_the_setting_is_refused_and_not_repeated(spec: str) -> None:
    with pytest.raises(SightlineError) as caught:
        open_client(spec)
    assert "s3cret" not in str(caught.value)
    assert ("SIGHTLINE_CLAIMS_KEY" in str(caught.value)) == (spec.startswith("http") and "|" in spec)


def test_a_setting_names_the_endpoint_and_the_model() -> None:
    assert open_client(" http://127.0.0.1:8000/v1 | org/model:8b ").name == "openai:org/model:8b"
