"""One OpenTelemetry span per call of a model, by the conventions for generative AI.

https://opentelemetry.io/docs/specs/semconv/gen-ai/. Without an SDK in the process a span records nothing and costs
nothing. ``SIGHTLINE_OTLP=http://collector:4318`` turns an exporter on. What people wrote and what the model answered
stays out of spans, error messages included, unless ``SIGHTLINE_TRACE_CONTENT=1``.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, StatusCode

from prompts.clients.base import ChatReply, ChatRequest, Message, TextPart
from retriever.errors import SightlineError

OTLP = "SIGHTLINE_OTLP"
CONTENT = "SIGHTLINE_TRACE_CONTENT"
EXPORT_S = 5.0
"""Seconds that a collector has to take a batch; one that is down must not hold up a command's end."""


class CallSpan:
    """The span of one call; every method does nothing where nobody records."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._on = span.is_recording()
        self._began = time.perf_counter()
        self._heard = False

    def asked(self, request: ChatRequest, provider: str, model: str, url: str, *, stream: bool) -> None:
        if not self._on:
            return
        where = urlsplit(url)
        given: dict[str, Any] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": provider,
            "gen_ai.request.model": model,
            "gen_ai.request.max_tokens": request.max_tokens,
            "gen_ai.request.temperature": request.temperature,
            "gen_ai.request.seed": request.seed,
            "gen_ai.request.stream": stream,
            "gen_ai.output.type": "text" if request.json_schema is None else "json",
            "server.address": where.hostname,
            "server.port": where.port,
        }
        if with_content():
            given["gen_ai.input.messages"] = _json([_message(m) for m in request.messages])
        self._span.set_attributes({key: value for key, value in given.items() if value is not None})

    def piece(self) -> None:
        """Text of a streamed answer has come; only the first time counts."""
        if self._on and not self._heard:
            self._heard = True
            self._span.set_attribute("gen_ai.response.time_to_first_chunk", time.perf_counter() - self._began)

    def answered(self, reply: ChatReply) -> None:
        if not self._on:
            return
        self._span.set_attributes(
            {
                "gen_ai.response.model": reply.model,
                "gen_ai.response.finish_reasons": [reply.finish_reason],
                "gen_ai.usage.input_tokens": reply.prompt_tokens,
                "gen_ai.usage.output_tokens": reply.completion_tokens,
                "sightline.seconds": reply.seconds,
            }
        )
        if with_content():
            said = [{"type": "text", "content": reply.text}]
            out = {"role": "assistant", "parts": said, "finish_reason": reply.finish_reason}
            self._span.set_attribute("gen_ai.output.messages", _json([out]))

    def failed(self, error: BaseException) -> None:
        """A reader who stops early, or a call that is cancelled, is no failure of the server."""
        if not self._on:
            return
        if isinstance(error, (asyncio.CancelledError, GeneratorExit)):
            self._span.set_attribute("gen_ai.response.finish_reasons", ["cancelled"])
            return
        self._span.set_attribute("error.type", type(error).__name__)
        # Messages quote the answer that was not as asked.
        self._span.set_status(StatusCode.ERROR, str(error) if with_content() else type(error).__name__)


@contextmanager
def call_span(
    request: ChatRequest, provider: str, model: str, url: str = "", *, stream: bool = False
) -> Iterator[CallSpan]:
    """A span from here to the end of the block, which reports the reply to it.

    It is a child of the caller's span but never the current one: a streamed answer may be closed in another context
    than it was opened in.
    """
    span = trace.get_tracer("sightline").start_span(f"chat {model}", kind=SpanKind.CLIENT)
    call = CallSpan(span)
    call.asked(request, provider, model, url, stream=stream)
    try:
        yield call
    except BaseException as error:
        call.failed(error)
        raise
    finally:
        span.end()


def with_content() -> bool:
    """Whether texts of people and models may go into spans."""
    return os.environ.get(CONTENT) == "1"


def export_if_asked() -> None:
    """Send spans where ``SIGHTLINE_OTLP`` says, once per process. Raises ``SightlineError`` for an unusable address."""
    url = os.environ.get(OTLP, "").strip()
    if url:
        _export(url)


@cache
def _export(url: str) -> None:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    exporter = _exporter(url)
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        # A program that embeds us may have set its own, and keeps it.
        provider = TracerProvider(resource=Resource.create({"service.name": "sightline"}))
        trace.set_tracer_provider(provider)
    provider.add_span_processor(BatchSpanProcessor(exporter))


def _exporter(url: str) -> Any:
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        fits = False
    if not fits:
        raise SightlineError(f"{OTLP}={url!r} is no address of a collector; give one like http://127.0.0.1:4318")
    try:
        import requests
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError:
        raise SightlineError(
            f"{OTLP} is set and the exporter is not installed; pip install opentelemetry-exporter-otlp-proto-http"
        ) from None
    endpoint = url if parts.path.rstrip("/").endswith("/v1/traces") else url.rstrip("/") + "/v1/traces"
    session = requests.Session()
    # A proxy from the environment has no business between us and loopback.
    session.trust_env = parts.hostname not in ("127.0.0.1", "localhost", "::1")
    return OTLPSpanExporter(endpoint=endpoint, timeout=EXPORT_S, session=session)


def _message(message: Message) -> dict[str, Any]:
    parts = [
        {"type": "text", "content": p.text} if isinstance(p, TextPart) else {"type": "image", "sha256": p.sha256}
        for p in message.parts
    ]
    return {"role": message.role, "parts": parts}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
