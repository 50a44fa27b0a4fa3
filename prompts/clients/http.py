"""A client for any server that speaks the OpenAI chat API: ours on loopback, or another one by its URL.

Only connection failures, 429 and 503 are tried again, with backoff, inside the request's deadline. Pictures travel as
``data:`` URLs of bytes that we encoded; an outside URL never reaches the server. What the server says in an error is
shown to a person, clipped, and never read as an answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractContextManager, aclosing
from dataclasses import dataclass, replace
from typing import Any, Literal

import httpx

from prompts.clients.base import ChatReply, ChatRequest, clip
from prompts.clients.choices import SplitChoice
from prompts.clients.spans import CallSpan, call_span, export_if_asked
from prompts.clients.streaming import Chunks
from prompts.clients.wire import Refused, backoff, message_json, read_answer
from retriever.errors import ReplyError, ServerUnavailable

Dialect = Literal["auto", "vllm", "openai"]
RETRIED = (429, 503)
TOP_LOGPROBS = 20
"""The most that the OpenAI API gives."""


@dataclass(frozen=True)
class _Session:
    """What belongs to one event loop: connections and the count of calls under way."""

    loop: asyncio.AbstractEventLoop
    http: httpx.AsyncClient
    gate: asyncio.Semaphore


class OpenAIClient:
    """``base_url`` ends in ``/v1``; ``concurrency`` calls at most are under way at once, the others wait their turn."""

    def __init__(
        self,
        base_url: str,
        model: str,
        api_key: str = "",
        *,
        concurrency: int = 16,
        timeout_s: float = 120.0,
        retries: int = 3,
        dialect: Dialect = "auto",
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.model = model
        self._key = api_key
        self._concurrency = concurrency
        self._timeout_s = timeout_s
        self._retries = retries
        self._dialect: Dialect = dialect
        self._transport = transport
        self._session: _Session | None = None
        self._ids: dict[str, int] = {}
        export_if_asked()

    @property
    def name(self) -> str:
        return f"{'server' if self._dialect == 'auto' else self._dialect}:{self.model}"

    async def complete(self, request: ChatRequest) -> ChatReply:
        """See :class:`prompts.clients.base.ChatClient`."""
        with self._span(request) as span:
            reply = await self._complete(request)
            span.answered(reply)
        return reply

    async def stream(self, request: ChatRequest) -> AsyncGenerator[str | ChatReply]:
        """See :class:`prompts.clients.streaming.StreamingClient`.

        The deadline runs from the first step to the last piece, the reader's own time included. A reader who stops
        early closes it (``contextlib.aclosing``), which ends the connection and so the server's work. Only a call that
        has not been answered yet is tried again. A schema is held to the whole text, after its last piece.
        """
        if request.choices is not None:
            raise ValueError("an answer of one token has no pieces; use complete for choices")
        began, limit = time.perf_counter(), request.deadline_s or self._timeout_s
        session = self._open()
        until = session.loop.time() + limit
        with self._span(request, stream=True) as span:
            try:
                async with asyncio.timeout_at(until):
                    await session.gate.acquire()
                try:
                    async with aclosing(self._pieces(session, request, until)) as pieces:
                        async for piece in pieces:
                            if isinstance(piece, ChatReply):
                                piece = replace(piece, seconds=time.perf_counter() - began)
                                span.answered(piece)
                            else:
                                span.piece()
                            yield piece
                finally:
                    session.gate.release()
            except TimeoutError:
                raise self._late(limit) from None

    async def _complete(self, request: ChatRequest) -> ChatReply:
        began = time.perf_counter()
        limit = request.deadline_s or self._timeout_s
        session = self._open()
        try:
            async with asyncio.timeout(limit), session.gate:
                body = await self._body(session, request)
                data = await self._post(session, f"{self.base_url}/chat/completions", body)
        except TimeoutError:
            raise self._late(limit) from None
        reply = self._answer(request, body, data)
        return replace(reply, seconds=time.perf_counter() - began)

    async def _pieces(self, session: _Session, request: ChatRequest, until: float) -> AsyncGenerator[str | ChatReply]:
        async with asyncio.timeout_at(until):
            body = await self._body(session, request)
            body |= {"stream": True, "stream_options": {"include_usage": True}}
            response = await self._send(session, f"{self.base_url}/chat/completions", body, stream=True)
        try:
            chunks = Chunks(response, self.base_url, until)
            async with aclosing(chunks.texts()) as texts:
                async for text in texts:
                    yield text
        finally:
            await response.aclose()
        yield self._answer(request, body, chunks.whole())

    def _answer(self, request: ChatRequest, body: Mapping[str, Any], data: Mapping[str, Any]) -> ChatReply:
        allowed = body.get("allowed_token_ids")
        ids = None if allowed is None else dict(zip(request.choices or (), allowed, strict=True))
        return read_answer(request, data, model=self.model, base_url=self.base_url, ids=ids)

    def _span(self, request: ChatRequest, *, stream: bool = False) -> AbstractContextManager[CallSpan]:
        provider = "openai" if self._dialect == "auto" else self._dialect
        return call_span(request, provider, self.model, self.base_url, stream=stream)

    def _late(self, limit: float) -> ServerUnavailable:
        return ServerUnavailable(f"the model server at {self.base_url} did not answer within {limit:g} s")

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None and session.loop is asyncio.get_running_loop():
            await session.http.aclose()

    def _open(self) -> _Session:
        """Connections live in one event loop; a caller that starts a second loop gets fresh ones."""
        loop = asyncio.get_running_loop()
        if self._session is None or self._session.loop is not loop:
            headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
            http = httpx.AsyncClient(
                headers=headers,
                timeout=httpx.Timeout(None, connect=10.0),
                transport=self._transport,
                follow_redirects=False,
                # A proxy from the environment has no business between us and loopback.
                trust_env=not self.base_url.startswith(("http://127.0.0.1", "http://localhost")),
            )
            self._session = _Session(loop, http, asyncio.Semaphore(self._concurrency))
        return self._session

    async def _body(self, session: _Session, request: ChatRequest) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [message_json(m) for m in request.messages],
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "seed": request.seed,
        }
        if request.stop:
            body["stop"] = list(request.stop)
        if request.continues:
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        if request.json_schema is not None:
            schema = {"name": "answer", "strict": True, "schema": dict(request.json_schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        if request.choices is not None:
            body |= await self._choice_options(session, request.choices)
        return body

    async def _choice_options(self, session: _Session, choices: tuple[str, ...]) -> dict[str, Any]:
        ids = await self._choice_ids(session, choices)
        if ids is None:
            return {"max_tokens": 1, "logprobs": True, "top_logprobs": TOP_LOGPROBS}
        return {
            "max_tokens": 1,
            "logprobs": True,
            "top_logprobs": len(choices),
            "allowed_token_ids": ids,
            # By id, since the text of a token may be half a character.
            "return_tokens_as_token_ids": True,
        }

    async def _choice_ids(self, session: _Session, choices: tuple[str, ...]) -> list[int] | None:
        """Token ids of the choices; None where the server cannot tell them (it is not vLLM)."""
        if self._dialect == "openai":
            return None
        for word in choices:
            if word in self._ids:
                continue
            tokens = await self._tokenize(session, word)
            if tokens is None:
                self._dialect = "openai"
                return None
            if len(tokens) != 1:
                raise SplitChoice.of(word, len(tokens), self.model)
            self._ids[word] = tokens[0]
        self._dialect = "vllm"
        return [self._ids[word] for word in choices]

    async def _tokenize(self, session: _Session, word: str) -> list[int] | None:
        body = {"model": self.model, "prompt": word, "add_special_tokens": False}
        try:
            data = await self._post(session, self.base_url.removesuffix("/v1") + "/tokenize", body)
        except Refused as refused:
            if refused.code in (404, 405, 501) and self._dialect == "auto":
                return None
            raise
        tokens = data.get("tokens")
        if not isinstance(tokens, list) or not all(isinstance(t, int) for t in tokens):
            raise ReplyError(f"the model server at {self.base_url} gave no token ids for {word!r}")
        return tokens

    async def _post(self, session: _Session, url: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._read(await self._send(session, url, body))

    async def _send(
        self, session: _Session, url: str, body: Mapping[str, Any], *, stream: bool = False
    ) -> httpx.Response:
        """The response; of a stream only its head, if that is a good one, for the caller to read and close."""
        for attempt in range(self._retries + 1):
            last = attempt == self._retries
            try:
                response = await session.http.send(session.http.build_request("POST", url, json=body), stream=stream)
                if stream and response.status_code != 200:
                    await self._close_read(response)
            except httpx.DecodingError as error:
                raise ReplyError(f"the answer of {self.base_url} cannot be decoded: {clip(str(error))}") from None
            except httpx.TransportError as error:
                if last:
                    what = type(error).__name__
                    raise ServerUnavailable(
                        f"the model server at {self.base_url} cannot be reached ({what}); "
                        "start it with 'sightline serve-model'"
                    ) from None
                await asyncio.sleep(backoff(attempt))
                continue
            if response.status_code in RETRIED and not last:
                await asyncio.sleep(backoff(attempt, response.headers.get("retry-after")))
                continue
            if response.status_code != 200:
                raise Refused.of(self.base_url, response)
            return response
        raise AssertionError("unreachable")

    async def _close_read(self, response: httpx.Response) -> None:
        try:
            await response.aread()
        finally:
            await response.aclose()

    def _read(self, response: httpx.Response) -> dict[str, Any]:
        try:
            data = response.json()
        except ValueError:
            data = None
        if not isinstance(data, dict):
            raise ReplyError(f"the model server at {self.base_url} did not answer in JSON: {clip(response.text)}")
        return data
