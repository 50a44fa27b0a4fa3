"""An answer as it is written: server-sent events of the OpenAI-style API, and any client made to stream.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html, one JSON chunk per event, ``[DONE]`` at the end.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Protocol, runtime_checkable

import httpx
from httpx_sse import EventSource, ServerSentEvent, SSEError

from prompts.clients.base import ChatClient, ChatReply, ChatRequest, clip
from prompts.clients.wire import error_message
from retriever.errors import ReplyError, ServerUnavailable


class AnswerBrokeOff(ServerUnavailable):
    """The server began to answer and did not finish."""


@runtime_checkable
class StreamingClient(ChatClient, Protocol):
    """A chat client that gives its answer piece by piece."""

    def stream(self, request: ChatRequest) -> AsyncGenerator[str | ChatReply]:
        """Pieces of text that are never empty, then one ``ChatReply`` with the whole text. Raises as ``complete``."""
        ...


async def stream(client: ChatClient, request: ChatRequest) -> AsyncGenerator[str | ChatReply]:
    """The answer of any client; one that cannot stream gives its whole text as one piece."""
    if isinstance(client, StreamingClient) and request.choices is None:
        async with aclosing(client.stream(request)) as pieces:
            async for piece in pieces:
                yield piece
        return
    reply = await client.complete(request)
    if reply.text:
        yield reply.text
    yield reply


class Chunks:
    """Reads one streamed answer: :meth:`texts` to its end, then :meth:`whole`."""

    def __init__(self, response: httpx.Response, base_url: str, until: float) -> None:
        """``until``: the deadline, by the event loop's clock."""
        self._events = EventSource(response).aiter_sse()
        self._where = f"the model server at {base_url}"
        self._until = until
        self._texts: list[str] = []
        self._last: dict[str, Any] = {}
        self._finish: str | None = None
        self._usage: Any = None

    async def texts(self) -> AsyncGenerator[str]:
        """The texts as they come. Raises ``AnswerBrokeOff``, ``ReplyError``, or ``TimeoutError`` at the deadline."""
        async with aclosing(self._events):
            while (event := await self._next()) is not None:
                text = self._read(event.data)
                if text:
                    self._texts.append(text)
                    yield text
        if self._finish is None:
            raise self._broken("it ended without saying why")

    def whole(self) -> dict[str, Any]:
        """The answer as a server gives it that does not stream."""
        choice = {"message": {"content": "".join(self._texts)}, "finish_reason": self._finish}
        return {"choices": [choice], "model": self._last.get("model"), "usage": self._usage}

    async def _next(self) -> ServerSentEvent | None:
        """The next event; None after the last one.

        The clock runs around each read and not around the whole loop: between two pieces it is the reader's task that
        runs, and a time limit there would strike the reader.
        """
        try:
            async with asyncio.timeout_at(self._until):
                event = await anext(self._events, None)
        except SSEError as error:
            raise ReplyError(f"{self._where} did not answer with a stream of events: {clip(str(error))}") from None
        except httpx.RequestError as error:
            # A connection that broke, or bytes that cannot be decoded.
            raise self._broken(type(error).__name__) from None
        return None if event is None or event.data.strip() == "[DONE]" else event

    def _read(self, data: str) -> str:
        try:
            chunk = json.loads(data)
            if chunk.get("error"):
                raise self._broken(f"it says: {clip(error_message(chunk))}")
            self._last = chunk
            self._usage = chunk.get("usage") or self._usage
            if not chunk.get("choices"):
                return ""
            (choice,) = chunk["choices"]
            self._finish = choice.get("finish_reason") or self._finish
            text = (choice.get("delta") or {}).get("content") or ""
            if not isinstance(text, str):
                raise TypeError("content is no text")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ReplyError(f"{self._where} sent a piece that is no answer ({error!r}): {clip(data)}") from None
        return text

    def _broken(self, why: str) -> AnswerBrokeOff:
        count = sum(map(len, self._texts))
        return AnswerBrokeOff(f"{self._where} broke off its answer after {count} characters ({why}); ask again")
