"""Calls that cost money: asked once, kept before they are read, paced, and within the budget.

:class:`PaidClient` is a chat client like the others. Underneath, :class:`PaidTransport` stands between the HTTP client
and the network: a reply that is in the store never goes out again, and one that arrives is stored before it is parsed.
"""

from __future__ import annotations

import asyncio
import email.utils
import json
import math
import time
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import httpx

from finetune.annotate.config import Endpoint
from finetune.annotate.estimate import estimate
from finetune.annotate.pace import Budget, Pace, Stopped
from finetune.annotate.store import PaidStore, Tokens
from prompts.clients.base import ChatReply, ChatRequest
from prompts.clients.http import OpenAIClient
from retriever.types import canonical_json, sha256_text

RETRIED = (408, 425, 429, 500, 502, 503, 504, 529)
LONGEST_BACKOFF_S = 30.0
_NEVER_S = 10 * 365 * 86_400.0
"""The transport has its own limit for each attempt; waiting for leave to ask has none."""


@dataclass(frozen=True, kw_only=True)
class _Call:
    key: str
    stage: str
    estimated: int
    """Tokens of the prompt by our own count, not yet corrected by what the server counted before."""
    at_most: Tokens


_call: ContextVar[_Call] = ContextVar("_call")
"""Which call the transport is carrying: httpx runs in the task of the caller."""


class NotPaid(Exception):
    """A dry run came to a call whose reply is not in the store."""

    def __init__(self, stage: str, tokens: Tokens) -> None:
        super().__init__(stage)
        self.stage, self.tokens = stage, tokens


def call_key(model: str, request: ChatRequest) -> str:
    """SHA-256 of model, prompt and pictures. The address is left out: a server may move."""
    return sha256_text(canonical_json({"model": model, "request": request.key}))


class PaidTransport(httpx.AsyncBaseTransport):
    def __init__(
        self, endpoint: Endpoint, store: PaidStore, budget: Budget, pace: Pace, inner: httpx.AsyncBaseTransport
    ) -> None:
        self._endpoint, self._store, self._budget, self._pace, self._inner = endpoint, store, budget, pace, inner

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        call = _call.get()
        # The same for every attempt: a server that knows the header does not charge twice for a reply that got lost.
        request.headers["Idempotency-Key"] = call.key
        for attempt in range(self._endpoint.retries + 1):
            body = self._store.body(call.key)
            if body is not None:
                return httpx.Response(200, content=body, request=request)
            response = await self._attempt(request, call)
            if response is not None and response.status_code not in RETRIED:
                return response
            self._wait(attempt, response)
        raise self._given_up()

    async def _attempt(self, request: httpx.Request, call: _Call) -> httpx.Response | None:
        """One call on the wire; None where the connection broke."""
        money = self._endpoint.prices.of(call.at_most.prompt, call.at_most.completion)
        async with self._budget.reserved(money):
            await self._pace.turn(call.at_most.prompt + call.at_most.completion)
            if self._budget.stopped is not None:
                raise self._budget.stopped
            number = self._store.ask(
                call.key,
                stage=call.stage,
                model=self._endpoint.model,
                estimated=call.estimated,
                at_most=call.at_most,
                money=money,
            )
            try:
                async with asyncio.timeout(self._endpoint.timeout_s):
                    response = await self._inner.handle_async_request(request)
                    body = await response.aread()
                    if response.status_code == 200:
                        # No await between the last byte and the store: nothing can come between them.
                        self._keep(number, body, call)
                        return httpx.Response(200, content=body, request=request)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                self._store.settle(number, "refused")
                return None
            except (httpx.TransportError, TimeoutError):
                self._store.settle(number, "lost")
                self._budget.spent += money
                return None
            self._store.settle(number, "refused")
            return httpx.Response(
                response.status_code, content=body, request=request, headers=_only(response, "retry-after")
            )

    def _keep(self, number: int, body: bytes, call: _Call) -> None:
        tokens = _counted(body) or Tokens(prompt=call.at_most.prompt, completion=call.at_most.completion)
        money = self._endpoint.prices.of(tokens.prompt, tokens.completion)
        self._store.answered(number, body, tokens, money)
        self._budget.spent += money

    def _wait(self, attempt: int, response: httpx.Response | None) -> None:
        """All calls to this endpoint pause: what one was refused for, the next would be, too."""
        if attempt == self._endpoint.retries:
            return
        asked = None if response is None else retry_after(response.headers.get("retry-after"))
        try:
            self._pace.pause(min(0.25 * 2.0**attempt, LONGEST_BACKOFF_S) if asked is None else asked)
        except Stopped as stopped:
            self._budget.stop(stopped)
            raise

    def _given_up(self) -> Stopped:
        stopped = Stopped(
            f"{self._endpoint.base_url} refused or broke off {self._endpoint.retries + 1} times in a row; what was "
            "paid for is kept: run the same command again when the server is well"
        )
        self._budget.stop(stopped)
        return stopped


class PaidClient:
    """One part's endpoint; ``stage`` names its rows in the ledger. ``dry``: :class:`NotPaid` instead of asking."""

    def __init__(
        self,
        endpoint: Endpoint,
        store: PaidStore,
        budget: Budget,
        *,
        stage: str,
        pace: Pace | None = None,
        dry: bool = False,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.endpoint, self.stage, self._store, self._dry = endpoint, stage, store, dry
        pace = pace or Pace(endpoint.requests_per_minute, endpoint.tokens_per_minute)
        inner = transport or httpx.AsyncHTTPTransport(proxy=endpoint.proxy or None)
        self._inner = OpenAIClient(
            endpoint.base_url,
            endpoint.model,
            "" if dry else endpoint.key(),
            concurrency=endpoint.concurrency,
            timeout_s=_NEVER_S,
            retries=0,
            dialect="openai",
            transport=PaidTransport(endpoint, store, budget, pace, inner),
        )
        self._under_way: dict[str, asyncio.Lock] = {}

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def model(self) -> str:
        return self.endpoint.model

    def tokens(self, request: ChatRequest) -> Tokens:
        """What the call costs at most, as far as is known before: the estimate times the worst seen so far."""
        return self._call(request).at_most

    def _call(self, request: ChatRequest) -> _Call:
        estimated = estimate(request, self.endpoint.pixels_per_token)
        prompt = math.ceil(estimated * self._store.worst_ratio(self.model))
        return _Call(
            key=call_key(self.model, request),
            stage=self.stage,
            estimated=estimated,
            at_most=Tokens(prompt=prompt, completion=request.max_tokens),
        )

    async def complete(self, request: ChatRequest) -> ChatReply:
        """See :class:`prompts.clients.base.ChatClient`; raises :class:`Stopped` where nothing may be sent any more."""
        call = self._call(request)
        # Two equal questions at once are one question.
        async with self._under_way.setdefault(call.key, asyncio.Lock()):
            if self._dry and self._store.body(call.key) is None:
                raise NotPaid(self.stage, call.at_most)
            token = _call.set(call)
            try:
                return await self._inner.complete(_without_schema(request, self.endpoint.json_schema))
            finally:
                _call.reset(token)

    def text(self, request: ChatRequest) -> str:
        """What the model wrote, whether or not it is as asked; empty where the reply has no text or there is none."""
        body = self._store.body(call_key(self.model, request))
        return "" if body is None else _text(body)

    async def close(self) -> None:
        await self._inner.close()


def _without_schema(request: ChatRequest, supported: bool) -> ChatRequest:
    if supported or request.json_schema is None:
        return request
    return ChatRequest(
        messages=request.messages, max_tokens=request.max_tokens, temperature=request.temperature, seed=request.seed
    )


def retry_after(value: str | None) -> float | None:
    """Seconds from a ``Retry-After`` header: a number or a date (RFC 9110); None where it says neither.

    >>> retry_after("2.5"), retry_after("soon"), retry_after("Wed, 21 Oct 2015 07:28:00 GMT")
    (2.5, None, 0.0)
    """
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _only(response: httpx.Response, name: str) -> dict[str, str]:
    return {name: response.headers[name]} if name in response.headers else {}


def _counted(body: bytes) -> Tokens | None:
    """The tokens as the server counted them; None where it does not say."""
    try:
        usage = json.loads(body)["usage"]
        return Tokens(prompt=int(usage["prompt_tokens"]), completion=int(usage["completion_tokens"]), counted=True)
    except (ValueError, KeyError, TypeError):
        return None


def _text(body: bytes) -> str:
    try:
        content: Any = json.loads(body)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, TypeError, IndexError):
        return ""
    return content if isinstance(content, str) else ""
