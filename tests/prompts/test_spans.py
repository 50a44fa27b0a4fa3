"""One span per call: what it says, what it keeps to itself, and that nobody pays who does not look."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from prompts.clients import ChatRequest, Message
from prompts.clients.http import OpenAIClient
from prompts.clients.spans import CONTENT, OTLP, export_if_asked
from retriever.errors import ReplyError, ServerUnavailable, SightlineError

ROOT = Path(__file__).parents[2]
ASK = ChatRequest(messages=(Message.of("user", "the green door"),), max_tokens=9, seed=4)


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """A provider for this test alone: the API's global one can be set only once in a process."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    monkeypatch.delenv(CONTENT, raising=False)
    yield exporter
    provider.shutdown()


def client(*answers: httpx.Response | Exception, **options: Any) -> OpenAIClient:
    left = iter(answers)

    def handler(request: httpx.Request) -> httpx.Response:
        answer = next(left)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return OpenAIClient("http://127.0.0.1:9/v1", "judge", transport=httpx.MockTransport(handler), **options)


def answer(text: str = "beside the red roof", finish: str = "stop") -> httpx.Response:
    choice = {"message": {"content": text}, "finish_reason": finish}
    usage = {"prompt_tokens": 7, "completion_tokens": 2}
    return httpx.Response(200, json={"choices": [choice], "model": "judge-1a", "usage": usage})


def streamed(*texts: str) -> httpx.Response:
    chunks = [{"choices": [{"delta": {"content": t}, "finish_reason": None}]} for t in texts]
    end = {"model": "judge-1a", "choices": [{"delta": {}, "finish_reason": "stop"}]}
    usage = {"model": "judge-1a", "choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}
    body = "".join(f"data: {json.dumps(c)}\n\n" for c in (*chunks, end, usage)) + "data: [DONE]\n\n"
    return httpx.Response(200, text=body, headers={"content-type": "text/event-stream"})


def only(exporter: InMemorySpanExporter) -> ReadableSpan:
    (span,) = exporter.get_finished_spans()
    return span


async def test_a_call_says_model_operation_tokens_and_how_it_ended(spans: InMemorySpanExporter) -> None:
    reply = await client(answer(finish="length")).complete(ASK)
    span = only(spans)
    assert (span.name, span.kind, span.status.status_code) == ("chat judge", SpanKind.CLIENT, StatusCode.UNSET)
    assert span.start_time is not None
    assert span.end_time is not None
    assert (span.end_time - span.start_time) / 1e9 >= reply.seconds > 0
    assert dict(span.attributes or {}) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "judge",
        "gen_ai.request.max_tokens": 9,
        "gen_ai.request.temperature": 0.0,
        "gen_ai.request.seed": 4,
        "gen_ai.request.stream": False,
        "gen_ai.output.type": "text",
        "server.address": "127.0.0.1",
        "server.port": 9,
        "gen_ai.response.model": "judge-1a",
        "gen_ai.response.finish_reasons": ("length",),
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 2,
        "sightline.seconds": reply.seconds,
    }


async def test_a_streamed_call_also_says_when_its_first_piece_came(spans: InMemorySpanExporter) -> None:
    async with aclosing(client(streamed("beside ", "the roof")).stream(ASK)) as pieces:
        assert [p async for p in pieces][:-1] == ["beside ", "the roof"]
    found = dict(only(spans).attributes or {})
    assert found["gen_ai.request.stream"] is True
    assert (found["gen_ai.usage.input_tokens"], found["gen_ai.usage.output_tokens"]) == (7, 2)
    first, whole = found["gen_ai.response.time_to_first_chunk"], found["sightline.seconds"]
    assert isinstance(first, float)
    assert isinstance(whole, float)
    assert 0 < first <= whole


async def test_a_reader_who_stops_early_leaves_a_finished_span_without_an_error(spans: InMemorySpanExporter) -> None:
    async with aclosing(client(streamed("beside ", "the roof")).stream(ASK)) as pieces:
        await anext(pieces)
    span = only(spans)
    assert span.status.status_code is StatusCode.UNSET
    assert (span.attributes or {})["gen_ai.response.finish_reasons"] == ("cancelled",)


async def test_errors_are_named_in_the_span(spans: InMemorySpanExporter) -> None:
    with pytest.raises(ServerUnavailable):
        await client(httpx.ConnectError("refused"), retries=0).complete(ASK)
    span = only(spans)
    assert (span.status.status_code, (span.attributes or {})["error.type"]) == (StatusCode.ERROR, "ServerUnavailable")


async def test_no_word_of_question_or_answer_leaves_unless_asked_for(
    spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ChatRequest(messages=ASK.messages, json_schema={"type": "object"})

    async def all_of_it() -> str:
        spans.clear()
        await client(answer()).complete(ASK)
        async with aclosing(client(streamed("beside ", "the red roof")).stream(ASK)) as pieces:
            assert [p async for p in pieces]
        with pytest.raises(ReplyError, match="red roof"):
            await client(answer()).complete(asked)
        assert len(spans.get_finished_spans()) == 3
        return "".join(span.to_json() for span in spans.get_finished_spans())

    quiet = await all_of_it()
    assert "green door" not in quiet
    assert "red roof" not in quiet
    monkeypatch.setenv(CONTENT, "1")
    loud = await all_of_it()
    assert loud.count("green door") == 3
    assert loud.count("red roof") == 3


async def test_a_span_is_a_child_of_the_callers(spans: InMemorySpanExporter) -> None:
    with trace.get_tracer("test").start_as_current_span("locate") as parent:
        await client(answer()).complete(ASK)
    child = next(s for s in spans.get_finished_spans() if s.name == "chat judge")
    assert child.parent is not None
    assert child.parent.span_id == parent.get_span_context().span_id


PROGRAM = """
import asyncio, sys, httpx
from prompts.clients import ChatRequest, Message
from prompts.clients.http import OpenAIClient
data = {"choices": [{"message": {"content": "here"}}], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}
client = OpenAIClient("http://127.0.0.1:9/v1", "judge",
                      transport=httpx.MockTransport(lambda r: httpx.Response(200, json=data)))
print(asyncio.run(client.complete(ChatRequest(messages=(Message.of("user", "the green door"),)))).text)
print("opentelemetry.sdk.trace" in sys.modules)
"""


def run(**env: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if k not in (OTLP, CONTENT) and k.lower() != "no_proxy"}
    # Nothing on loopback goes through a proxy, and this one does not exist.
    clean |= {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, env=clean | env, capture_output=True, text=True, check=False
    )


def test_without_an_address_no_sdk_is_even_loaded() -> None:
    assert run().stdout.split() == ["here", "False"]


@pytest.mark.slow
def test_an_address_turns_the_exporter_on_and_the_spans_arrive() -> None:
    got: list[tuple[str, bytes]] = []

    class Collector(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        done = run(**{OTLP: f"http://127.0.0.1:{server.server_address[1]}"})
    finally:
        server.shutdown()
        server.server_close()
    assert done.stdout.split() == ["here", "True"], done.stderr
    ((path, body),) = got
    assert path == "/v1/traces"
    assert b"gen_ai.usage.input_tokens" in body
    assert b"green door" not in body


@pytest.mark.slow
def test_a_collector_that_is_down_fails_no_call() -> None:
    done = run(**{OTLP: "http://127.0.0.1:9"})
    assert (done.returncode, done.stdout.split()) == (0, ["here", "True"])


@pytest.mark.parametrize("url", ["collector:4318", "ftp://here", "http://", "http://a:99999999"])
def test_an_unusable_address_is_one_sentence(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OTLP, url)
    with pytest.raises(SightlineError, match="no address of a collector"):
        export_if_asked()
