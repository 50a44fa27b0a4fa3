"""Chat clients over HTTP, and their answers recorded: what is sent, and what is made of what comes back."""

from __future__ import annotations

import asyncio
import base64
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from clients_kit import ASK, IDS, RED, YES_NO

from prompts.clients import ChatReply, ChatRequest, ImagePart, Message
from prompts.clients.http import OpenAIClient
from prompts.clients.recorded import RecordedClient, Recorder
from retriever.errors import ReplyError, ServerUnavailable

Handler = Callable[[httpx.Request], httpx.Response]


def client(handler: Any, **options: Any) -> OpenAIClient:
    return OpenAIClient("http://127.0.0.1:9/v1", "judge", "key", transport=httpx.MockTransport(handler), **options)


def answer(content: str = "hello", *, top: list[dict[str, Any]] | None = None, finish: str = "stop") -> httpx.Response:
    choice: dict[str, Any] = {"message": {"content": content}, "finish_reason": finish}
    if top is not None:
        choice["logprobs"] = {"content": [{"top_logprobs": top}]}
    return httpx.Response(
        200, json={"choices": [choice], "model": "judge", "usage": {"prompt_tokens": 7, "completion_tokens": 2}}
    )


def vllm(request: httpx.Request) -> httpx.Response:
    body = json.loads(request.content)
    if request.url.path == "/tokenize":
        return httpx.Response(200, json={"tokens": [IDS.get(body["prompt"], 1)] * (1 if body["prompt"] in IDS else 3)})
    ids = body["allowed_token_ids"]
    return answer(
        "x",
        top=[{"token": f"token_id:{i}", "logprob": math.log(0.25 if i == 12 else 0.75)} for i in ids],
        finish="length",
    )


async def test_pictures_travel_as_data_in_the_order_given() -> None:
    seen: list[dict[str, Any]] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(json.loads(request.content))
        assert request.headers["authorization"] == "Bearer key"
        return answer()

    part = ImagePart.of(RED)
    messages = (Message.of("system", "Judge."), Message.of("user", "Tile:", part, "Claim<|im_end|>"))
    reply = await client(handler).complete(ChatRequest(messages=messages))
    assert (reply.text, reply.prompt_tokens, reply.completion_tokens) == ("hello", 7, 2)
    assert seen[0]["messages"][0] == {"role": "system", "content": "Judge."}
    text, image, claim = seen[0]["messages"][1]["content"]
    assert image["image_url"]["url"] == "data:image/png;base64," + base64.b64encode(part.png).decode()
    assert text["text"] == "Tile:"
    assert claim["text"] == "Claim< |im_end| >"


async def test_choices_are_asked_of_vllm_by_token_id() -> None:
    reply = await client(vllm).complete(YES_NO)
    assert (reply.text, reply.finish_reason) == ("yes", "stop")
    assert reply.choice_logprobs is not None
    assert math.exp(reply.choice_logprobs["no"]) == pytest.approx(0.25)


async def test_a_choice_of_several_tokens_is_an_error() -> None:
    with pytest.raises(ReplyError, match="is 3 tokens"):
        await client(vllm).complete(ChatRequest(messages=ASK.messages, choices=("yes", "perhaps")))


async def test_another_server_is_asked_for_its_likeliest_tokens() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/tokenize":
            return httpx.Response(404, json={"detail": "Not Found"})
        assert json.loads(request.content)["top_logprobs"] == 20
        return answer(
            "Yes", top=[{"token": "No", "logprob": math.log(0.6)}, {"token": "Yes", "logprob": math.log(0.2)}]
        )

    reply = await client(handler).complete(YES_NO)
    assert reply.text == "no"
    assert reply.choice_logprobs is not None
    assert math.exp(reply.choice_logprobs["yes"]) == pytest.approx(0.25)


async def test_an_assistants_last_message_is_continued() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        return answer(f"{body['continue_final_message']} {body['add_generation_prompt']}")

    reply = await client(handler).complete(ChatRequest(messages=(*ASK.messages, Message.of("assistant", "It is"))))
    assert reply.text == "True False"


@pytest.mark.parametrize("status", [429, 503])
async def test_an_overloaded_server_is_asked_again(status: int) -> None:
    calls = 0

    def handler(request: httpx.Request) -> httpx.Response:
        nonlocal calls
        calls += 1
        return answer() if calls == 3 else httpx.Response(status, headers={"retry-after": "0"})

    assert (await client(handler).complete(ASK)).text == "hello"
    assert calls == 3


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, ReplyError), (401, ServerUnavailable), (404, ServerUnavailable), (500, ServerUnavailable)],
)
async def test_other_errors_are_not_asked_again_and_are_no_answer(status: int, error: type[Exception]) -> None:
    calls = 0

    def handler(request: httpx.Request) -> httpx.Response:
        nonlocal calls
        calls += 1
        return httpx.Response(status, json={"error": {"message": "[1] > [2] too long"}})

    with pytest.raises(error):
        await client(handler).complete(ASK)
    assert calls == 1


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    calls = 0

    def handler(request: httpx.Request) -> httpx.Response:
        nonlocal calls
        calls += 1
        raise httpx.ConnectError("refused")

    with pytest.raises(ServerUnavailable, match="cannot be reached"):
        await client(handler, retries=1).complete(ASK)
    assert calls == 2


async def test_a_server_that_dies_in_the_middle_is_unavailable() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")

    with pytest.raises(ServerUnavailable, match="cannot be reached"):
        await client(handler, retries=0).complete(ASK)


async def test_the_deadline_holds_over_all_retries() -> None:
    async def handler(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(30)
        return answer()

    with pytest.raises(ServerUnavailable, match=r"within 0\.05 s"):
        await client(handler).complete(ChatRequest(messages=ASK.messages, deadline_s=0.05))
    with pytest.raises(ServerUnavailable, match=r"within 0\.05 s"):
        await client(lambda r: httpx.Response(503, headers={"retry-after": "9"})).complete(
            ChatRequest(messages=ASK.messages, deadline_s=0.05)
        )


@pytest.mark.parametrize(
    "junk",
    [
        httpx.Response(200, text="<html>hello</html>"),
        httpx.Response(200, json=["match"]),
        httpx.Response(200, json={"choices": []}),
        httpx.Response(200, json={"choices": [{"message": None}]}),
        httpx.Response(200, json={"choices": "yes"}),
    ],
)
async def test_nonsense_is_an_error_not_an_answer(junk: httpx.Response) -> None:
    with pytest.raises(ReplyError):
        await client(lambda r: junk).complete(ASK)


async def test_json_that_breaks_the_schema_or_was_cut_off_is_an_error() -> None:
    asked = ChatRequest(messages=ASK.messages, json_schema={"type": "object", "required": ["v"]})
    with pytest.raises(ReplyError, match="breaks the schema"):
        await client(lambda r: answer("{}")).complete(asked)
    with pytest.raises(ReplyError, match="cut off"):
        await client(lambda r: answer('{"v": 1', finish="length")).complete(asked)
    assert (await client(lambda r: answer('{"v": 1}')).complete(asked)).text == '{"v": 1}'


async def test_no_more_calls_are_under_way_than_allowed() -> None:
    now, most = 0, 0

    async def handler(request: httpx.Request) -> httpx.Response:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= 1
        return answer()

    shared = client(handler, concurrency=3)
    await asyncio.gather(*(shared.complete(ASK) for _ in range(12)))
    assert most == 3


def test_one_client_serves_one_event_loop_after_another() -> None:
    shared = client(lambda r: answer())
    for _ in range(2):
        assert asyncio.run(shared.complete(ASK)).text == "hello"


async def test_what_was_recorded_is_answered_again_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    recorder = Recorder(client(vllm), path)
    first = await recorder.complete(YES_NO)
    again = RecordedClient.load(path)
    assert await again.complete(YES_NO) == first
    with pytest.raises(ReplyError, match="no answer was recorded"):
        await again.complete(ASK)
    assert [r.key for r in again.requests] == [YES_NO.key, ASK.key]


async def test_a_damaged_record_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_text('{"key": "a", "reply": {"text": "b"}}\n{"key": "c"\n', encoding="utf-8")
    with pytest.raises(ReplyError, match="line 2"):
        RecordedClient.load(path)


async def test_a_recorded_error_is_raised() -> None:
    fake = RecordedClient(lambda request: ServerUnavailable("down") if request is ASK else ChatReply(text="up"))
    with pytest.raises(ServerUnavailable, match="down"):
        await fake.complete(ASK)
    assert (await fake.complete(YES_NO)).text == "up"
