"""The OpenAI-style chat API in data: messages out, answers and errors in."""

from __future__ import annotations

import base64
import random
from collections.abc import Mapping
from typing import Any

import httpx

from prompts.clients.base import ChatReply, ChatRequest, ImagePart, Message, TextPart, clip, parse_json
from prompts.clients.choices import from_allowed, from_top
from retriever.errors import ReplyError, ServerUnavailable

MAX_WAIT_S = 20.0


class Refused(ServerUnavailable):
    """The server answered with an HTTP error."""

    code = 0

    @classmethod
    def of(cls, base_url: str, response: httpx.Response) -> ServerUnavailable | ReplyError:
        """Of a response whose body has been read."""
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
    except ValueError:
        return response.text
    return error_message(data) if isinstance(data, dict) else response.text


def error_message(data: Mapping[str, Any]) -> str:
    """What an error object of the API says."""
    inner = data.get("error", data)
    return str(inner.get("message", inner) if isinstance(inner, dict) else inner)


def backoff(attempt: int, retry_after: str | None = None) -> float:
    """Seconds to wait: what the server asks for, else 0.25, 0.5, 1 ... with jitter."""
    if retry_after is not None and retry_after.strip().isdigit():
        return min(float(retry_after), MAX_WAIT_S)
    return min(0.25 * 2.0**attempt, MAX_WAIT_S) * random.uniform(0.75, 1.25)


def message_json(message: Message) -> dict[str, Any]:
    """One message; pictures as ``data:`` URLs of the bytes that we encoded."""
    if all(isinstance(part, TextPart) for part in message.parts):
        return {"role": message.role, "content": "".join(p.text for p in message.parts if isinstance(p, TextPart))}
    return {"role": message.role, "content": [_part(part) for part in message.parts]}


def _part(part: TextPart | ImagePart) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    return {"type": "image_url", "image_url": {"url": "data:image/png;base64," + base64.b64encode(part.png).decode()}}


def read_answer(
    request: ChatRequest, data: Mapping[str, Any], *, model: str, base_url: str, ids: Mapping[str, int] | None
) -> ChatReply:
    """The reply in a whole answer, held to what was asked for; its ``seconds`` are left at 0.

    ``ids``: token ids of the choices, where the server was held to them. Raises ``ReplyError``.
    """
    try:
        choice = data["choices"][0]
        text = choice["message"]["content"] or ""
        finish = str(choice.get("finish_reason") or "stop")
        usage = data.get("usage") or {}
        tokens = int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)
        logprobs = _logprobs(request, choice, ids)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise ReplyError(f"the model server at {base_url} left out part of its answer ({error!r})") from None
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
        model=str(data.get("model") or model),
        finish_reason=finish,
    )


def _logprobs(
    request: ChatRequest, choice: Mapping[str, Any], ids: Mapping[str, int] | None
) -> dict[str, float] | None:
    if request.choices is None:
        return None
    top = choice["logprobs"]["content"][0]["top_logprobs"]
    pairs = [(str(entry["token"]), float(entry["logprob"])) for entry in top]
    return from_top(pairs, request.choices) if ids is None else from_allowed(pairs, ids)
