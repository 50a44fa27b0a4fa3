"""A client for any server that speaks the OpenAI chat API: ours on loopback, or another one by its URL.

Only connection failures, 429 and 503 are tried again, with backoff, inside the request's deadline. Pictures travel as
``data:`` URLs of bytes that we encoded; an outside URL never reaches the server. What the server says in an error is
shown to a person, clipped, and never read as an answer.
"""

from __future__ import annotations

import asyncio
import base64
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import httpx

from prompts.clients.base import ChatReply, ChatRequest, ImagePart, Message, TextPart, clip, parse_json
from prompts.clients.choices import from_allowed, from_top
from retriever.errors import ReplyError, ServerUnavailable

Dialect = Literal["auto", "vllm", "openai"]
RETRIED = (429, 503)
MAX_WAIT_S = 20.0
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

    @property
    def name(self) -> str:
        return f"{'server' if self._dialect == 'auto' else self._dialect}:{self.model}"

    async def complete(self, request: ChatRequest) -> ChatReply:
        """See :class:`prompts.clients.base.ChatClient`."""
        began = time.perf_counter()
        limit = request.deadline_s or self._timeout_s
        session = self._open()
        try:
            async with asyncio.timeout(limit), session.gate:
                body = await self._body(session, request)
                data = await self._post(session, f"{self.base_url}/chat/completions", body)
        except TimeoutError:
            raise ServerUnavailable(f"the model server at {self.base_url} did not answer within {limit:g} s") from None
        return self._reply(request, body, data, time.perf_counter() - began)

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
            "messages": [_message(m) for m in request.messages],
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
                raise ReplyError(f"the choice {word!r} is {len(tokens)} tokens of {self.model}, and must be one")
            self._ids[word] = tokens[0]
        self._dialect = "vllm"
        return [self._ids[word] for word in choices]

    async def _tokenize(self, session: _Session, word: str) -> list[int] | None:
        body = {"model": self.model, "prompt": word, "add_special_tokens": False}
        try:
            data = await self._post(session, self.base_url.removesuffix("/v1") + "/tokenize", body)
        except _Refused as refused:
            if refused.code in (404, 405, 501) and self._dialect == "auto":
                return None
            raise
        tokens = data.get("tokens")
        if not isinstance(tokens, list) or not all(isinstance(t, int) for t in tokens):
            raise ReplyError(f"the model server at {self.base_url} gave no token ids for {word!r}")
        return tokens

    async def _post(self, session: _Session, url: str, body: Mapping[str, Any]) -> dict[str, Any]:
        for attempt in range(self._retries + 1):
            last = attempt == self._retries
            try:
                response = await session.http.post(url, json=body)
            except httpx.TransportError as error:
                if last:
                    what = type(error).__name__
                    raise ServerUnavailable(
                        f"the model server at {self.base_url} cannot be reached ({what}); "
                        "start it with 'sightline serve-model'"
                    ) from None
                await asyncio.sleep(_backoff(attempt))
                continue
            if response.status_code in RETRIED and not last:
                await asyncio.sleep(_backoff(attempt, response.headers.get("retry-after")))
                continue
            return self._read(response)
        raise AssertionError("unreachable")

    def _read(self, response: httpx.Response) -> dict[str, Any]:
        if response.status_code != 200:
            raise _Refused.of(self.base_url, response)
        try:
            data = response.json()
        except ValueError:
            data = None
        if not isinstance(data, dict):
            raise ReplyError(f"the model server at {self.base_url} did not answer in JSON: {clip(response.text)}")
        return data

    def _reply(
        self, request: ChatRequest, body: Mapping[str, Any], data: Mapping[str, Any], seconds: float
    ) -> ChatReply:
        try:
            choice = data["choices"][0]
            text = choice["message"]["content"] or ""
            finish = str(choice.get("finish_reason") or "stop")
            usage = data.get("usage") or {}
            tokens = int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)
            logprobs = self._logprobs(request, body, choice)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise ReplyError(f"the model server at {self.base_url} left out part of its answer ({error!r})") from None
        if logprobs is not None:
            # One token was asked for, so "length" is how a whole answer ends.
            text, finish = max(logprobs, key=lambda word: logprobs[word]), "stop"
        if request.json_schema is not None:
            if finish == "length":
                raise ReplyError(f"the model's JSON was cut off at {request.max_tokens} tokens: {clip(text)}")
            parse_json(text, request.json_schema)
        return ChatReply(
            text=text,
            choice_logprobs=logprobs,
            prompt_tokens=tokens[0],
            completion_tokens=tokens[1],
            seconds=seconds,
            model=str(data.get("model") or self.model),
            finish_reason=finish,
        )

    def _logprobs(
        self, request: ChatRequest, body: Mapping[str, Any], choice: Mapping[str, Any]
    ) -> dict[str, float] | None:
        if request.choices is None:
            return None
        top = choice["logprobs"]["content"][0]["top_logprobs"]
        pairs = [(str(entry["token"]), float(entry["logprob"])) for entry in top]
        if "allowed_token_ids" in body:
            return from_allowed(pairs, dict(zip(request.choices, body["allowed_token_ids"], strict=True)))
        return from_top(pairs, request.choices)


class _Refused(ServerUnavailable):
    """The server answered with an HTTP error."""

    code = 0

    @classmethod
    def of(cls, base_url: str, response: httpx.Response) -> ServerUnavailable | ReplyError:
        said = clip(_error_text(response))
        if response.status_code in (400, 413, 422):
            return ReplyError(f"the model server refused the request: {said}")
        hint = {
            401: "the key is wrong",
            403: "the key is wrong",
            404: "no such model or path there",
            429: "it is overloaded",
        }.get(response.status_code, said)
        error = cls(f"the model server at {base_url} answered {response.status_code}: {hint}")
        error.code = response.status_code
        return error


def _error_text(response: httpx.Response) -> str:
    try:
        data = response.json()
        inner = data.get("error", data)
        return str(inner.get("message", inner) if isinstance(inner, dict) else inner)
    except (ValueError, AttributeError):
        return response.text


def _backoff(attempt: int, retry_after: str | None = None) -> float:
    """Seconds to wait: what the server asks for, else 0.25, 0.5, 1 ... with jitter."""
    if retry_after is not None and retry_after.strip().isdigit():
        return min(float(retry_after), MAX_WAIT_S)
    return min(0.25 * 2.0**attempt, MAX_WAIT_S) * random.uniform(0.75, 1.25)


def _message(message: Message) -> dict[str, Any]:
    if all(isinstance(part, TextPart) for part in message.parts):
        return {"role": message.role, "content": "".join(p.text for p in message.parts if isinstance(p, TextPart))}
    return {"role": message.role, "content": [_part(part) for part in message.parts]}


def _part(part: TextPart | ImagePart) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    return {"type": "image_url", "image_url": {"url": "data:image/png;base64," + base64.b64encode(part.png).decode()}}
