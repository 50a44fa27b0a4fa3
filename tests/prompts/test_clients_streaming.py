"""Answers that come in pieces, from a real server on loopback that behaves or breaks off."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

import pytest

from prompts.clients import ChatReply, ChatRequest, Message
from prompts.clients.http import OpenAIClient
from prompts.clients.recorded import RecordedClient
from prompts.clients.streaming import AnswerBrokeOff, StreamingClient, stream
from retriever.errors import ReplyError, ServerUnavailable

ASK = ChatRequest(messages=(Message.of("user", "Why is it here?"),))
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nconnection: close\r\n\r\n"
Script = Callable[["FakeServer", asyncio.StreamWriter], Awaitable[None]]


class FakeServer:
    """Speaks HTTP by hand, so that it can stop in the middle of a word. ``bodies``: what was asked, in order."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.bodies: list[dict[str, Any]] = []
        self.gone = asyncio.Event()
        """Set when a caller hung up while this server still had something to say."""

    async def __aenter__(self) -> FakeServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(x.split(b":")[1]) for x in head.lower().split(b"\r\n") if x.startswith(b"content-length"))
        self.bodies.append(json.loads(await reader.readexactly(length)))
        script = asyncio.ensure_future(self._script(self, writer))
        hung_up = asyncio.ensure_future(reader.read(1))
        await asyncio.wait([script, hung_up], return_when=asyncio.FIRST_COMPLETED)
        if not script.done():
            self.gone.set()
        script.cancel()
        hung_up.cancel()
        writer.close()

    def client(self, **options: Any) -> OpenAIClient:
        return OpenAIClient(f"http://127.0.0.1:{self.port}/v1", "judge", "key", **options)


def event(text: str | None = None, *, finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": {} if text is None else {"content": text}, "finish_reason": finish}
    return (
        b"data: " + json.dumps({"model": "judge-1", "choices": [choice], **more}, ensure_ascii=False).encode() + b"\n\n"
    )


USAGE = b'data: {"model": "judge-1", "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4}}\n\n'
DONE = b"data: [DONE]\n\n"


def says(*parts: bytes) -> Script:
    async def script(server: FakeServer, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)

    return script


def says_and_waits(*parts: bytes) -> Script:
    async def script(server: FakeServer, writer: asyncio.StreamWriter) -> None:
        await says(*parts)(server, writer)
        await asyncio.sleep(60)

    return script


async def gather(client: Any, request: ChatRequest = ASK) -> list[str | ChatReply]:
    async with aclosing(stream(client, request)) as pieces:
        return [piece async for piece in pieces]


async def test_pieces_come_as_they_are_written_and_then_the_whole_reply() -> None:
    async with (
        FakeServer(says_and_waits(HEAD, event(""), event("左边"))) as server,
        aclosing(server.client().stream(ASK)) as pieces,
    ):
        # The server has not ended its answer, and the first piece is here.
        assert await anext(pieces) == "左边"
    async with FakeServer(
        says(HEAD, event(""), event("左边"), event(" a\u2028river"), event(finish="stop"), USAGE, DONE)
    ) as server:
        *texts, reply = await gather(server.client())
        assert texts == ["左边", " a\u2028river"]
        assert isinstance(reply, ChatReply)
        assert (reply.text, reply.finish_reason, reply.model) == ("左边 a\u2028river", "stop", "judge-1")
        assert (reply.prompt_tokens, reply.completion_tokens) == (9, 4)
        assert reply.seconds > 0
        assert server.bodies[0]["stream"] is True
        assert server.bodies[0]["stream_options"] == {"include_usage": True}


async def test_the_stream_says_what_the_whole_answer_says() -> None:
    body = json.dumps(
        {
            "model": "judge-1",
            "choices": [{"message": {"content": "a river"}, "finish_reason": "length"}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 4},
        }
    ).encode()
    plain = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n" + body

    async def script(server: FakeServer, writer: asyncio.StreamWriter) -> None:
        streamed = says(HEAD, event("a "), event("river", finish="length"), USAGE, DONE)
        await (streamed if server.bodies[-1].get("stream") else says(plain))(server, writer)

    async with FakeServer(script) as server:
        client = server.client()
        whole, streamed = await client.complete(ASK), (await gather(client))[-1]
        assert isinstance(streamed, ChatReply)
        assert (streamed.text, streamed.finish_reason) == ("a river", "length")
        fields = ("text", "finish_reason", "model", "prompt_tokens", "completion_tokens")
        assert [getattr(whole, f) for f in fields] == [getattr(streamed, f) for f in fields]
        asked, streamed_body = server.bodies
        assert {k: v for k, v in streamed_body.items() if not k.startswith("stream")} == asked


async def test_events_cut_anywhere_are_put_together() -> None:
    raw = b": a comment\r\n\r\n" + event("药店").replace(b"\n\n", b"\r\n\r\n") + event("!", finish="stop") + DONE
    async with FakeServer(says(HEAD, *(raw[i : i + 1] for i in range(len(raw))))) as server:
        assert (await gather(server.client()))[:-1] == ["药店", "!"]


@pytest.mark.parametrize(
    "parts",
    [
        (event("It is "),),
        (event("It is "), event("he")[:-9]),
        (event("It is "), DONE),
        (event("It is "), b'data: {"error": {"message": "engine died", "code": 500}}\n\n'),
        (),
    ],
)
async def test_an_answer_that_breaks_off_is_a_named_error_and_not_asked_again(parts: tuple[bytes, ...]) -> None:
    async with FakeServer(says(HEAD, *parts)) as server:
        with pytest.raises(AnswerBrokeOff, match=rf"broke off its answer after {6 if parts else 0} characters"):
            await gather(server.client())
        assert len(server.bodies) == 1


async def test_a_connection_that_is_reset_in_the_middle_is_the_same_error() -> None:
    head = HEAD.replace(b"connection: close", b"content-length: 100000")
    async with FakeServer(says(head, event("It is "))) as server:
        with pytest.raises(AnswerBrokeOff, match="RemoteProtocolError"):
            await gather(server.client())


@pytest.mark.parametrize(
    "junk",
    [
        HEAD + b"data: Sure, here it is\n\n",
        HEAD + b'data: ["match"]\n\n',
        HEAD + b'data: {"choices": [{"delta": {"content": 7}}]}\n\n',
        HEAD + b'data: {"choices": "yes"}\n\n',
        b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n<html>hello</html>",
    ],
)
async def test_nonsense_is_an_error_not_an_answer(junk: bytes) -> None:
    async with FakeServer(says(junk)) as server:
        with pytest.raises(ReplyError):
            await gather(server.client())


async def test_the_schema_is_held_to_the_whole_text() -> None:
    asked = ChatRequest(messages=ASK.messages, json_schema={"type": "object", "required": ["v"]})
    for parts, match in (
        ((event('{"w": 1}'), event(finish="stop")), "breaks the schema"),
        ((event('{"v": '), event(finish="length")), "cut off"),
    ):
        async with FakeServer(says(HEAD, *parts, DONE)) as server:
            with pytest.raises(ReplyError, match=match):
                await gather(server.client(), asked)
    async with FakeServer(says(HEAD, event('{"v": '), event("1}", finish="stop"), DONE)) as server:
        reply = (await gather(server.client(), asked))[-1]
        assert isinstance(reply, ChatReply)
        assert reply.text == '{"v": 1}'


async def test_the_deadline_holds_before_and_between_the_pieces() -> None:
    asked = ChatRequest(messages=ASK.messages, deadline_s=0.3)
    for script in (says_and_waits(), says_and_waits(HEAD), says_and_waits(HEAD, event("It is "))):
        async with FakeServer(script) as server:
            with pytest.raises(ServerUnavailable, match=r"within 0\.3 s"):
                await gather(server.client(), asked)
            await asyncio.wait_for(server.gone.wait(), 10)


async def test_the_deadline_strikes_the_call_and_never_the_reader() -> None:
    asked = ChatRequest(messages=ASK.messages, deadline_s=0.2)
    async with (
        FakeServer(says_and_waits(HEAD, event("It is "))) as server,
        aclosing(server.client().stream(asked)) as pieces,
    ):
        assert await anext(pieces) == "It is "
        await asyncio.sleep(0.4)
        with pytest.raises(ServerUnavailable, match="within"):
            await anext(pieces)


async def test_a_reader_who_leaves_or_is_cancelled_ends_the_servers_work_and_frees_the_place() -> None:
    async with FakeServer(says_and_waits(HEAD, event("It is "))) as server:
        client = server.client(concurrency=1)
        async with aclosing(client.stream(ASK)) as pieces:
            assert await anext(pieces) == "It is "
        await asyncio.wait_for(server.gone.wait(), 10)
        server.gone.clear()
        reader = asyncio.ensure_future(gather(client))
        while len(server.bodies) < 2:
            await asyncio.sleep(0.01)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        await asyncio.wait_for(server.gone.wait(), 10)
        third = client.stream(ASK)
        assert await asyncio.wait_for(anext(third), 10) == "It is "
        await third.aclose()


async def test_only_a_call_that_was_not_answered_is_tried_again() -> None:
    busy = b"HTTP/1.1 503 Busy\r\nretry-after: 0\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"

    async def script(server: FakeServer, writer: asyncio.StreamWriter) -> None:
        done = says(HEAD, event("here", finish="stop"), DONE)
        await (done if len(server.bodies) == 3 else says(busy))(server, writer)

    async with FakeServer(script) as server:
        assert (await gather(server.client()))[0] == "here"
        assert len(server.bodies) == 3


@pytest.mark.parametrize(("status", "error"), [(400, ReplyError), (401, ServerUnavailable), (500, ServerUnavailable)])
async def test_a_refusal_is_read_and_named(status: int, error: type[Exception]) -> None:
    body = b'{"error": {"message": "the prompt is too long"}}'
    head = f"HTTP/1.1 {status} No\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    async with FakeServer(says(head + body)) as server:
        with pytest.raises(error, match="key is wrong" if status == 401 else "prompt is too long"):
            await gather(server.client())
        assert len(server.bodies) == 1


async def test_a_body_that_cannot_be_decoded_is_named_in_both_ways() -> None:
    head = HEAD.replace(b"connection", b"content-encoding: gzip\r\nconnection")
    async with FakeServer(says(head + b"not zip")) as server:
        with pytest.raises(AnswerBrokeOff, match="DecodingError"):
            await gather(server.client())
        with pytest.raises(ReplyError, match="cannot be decoded"):
            await server.client().complete(ASK)


async def test_any_client_streams_and_one_that_cannot_gives_one_piece() -> None:
    silent = RecordedClient(lambda request: ChatReply(text="here"))
    assert not isinstance(silent, StreamingClient)
    assert await gather(silent) == ["here", ChatReply(text="here")]
    assert isinstance(OpenAIClient("http://127.0.0.1:9/v1", "judge"), StreamingClient)


async def test_a_question_of_one_token_is_not_streamed() -> None:
    asked = ChatRequest(messages=ASK.messages, choices=("yes", "no"))
    with pytest.raises(ValueError, match="no pieces"):
        await anext(OpenAIClient("http://127.0.0.1:9/v1", "judge").stream(asked))
