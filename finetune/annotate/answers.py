"""JSON out of what models write: as asked, else repaired, else asked for once more. Each way is counted."""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

from finetune.annotate.paying import PaidClient
from prompts.clients.base import ChatRequest, clip, parse_json
from retriever.errors import ReplyError

T = TypeVar("T")
_FENCE = re.compile(r"```(?:json)?\s*(.*?)```", re.DOTALL)
_THINK = re.compile(r"<think>.*?</think>", re.DOTALL)
_LOOSE_COMMA = re.compile(r",(\s*[}\]])")


async def ask(client: PaidClient, request: ChatRequest, read: Callable[[Any], T], counts: Counter[str]) -> T:
    """The answer, held to the request's schema and through ``read``, which raises ``ReplyError`` on what it refuses.

    A reply that was broken is paid for and kept: it is repaired where only its wrapping is wrong, and otherwise asked
    for once more with another seed. Raises ``ReplyError`` if that fails, too. ``counts`` gets ``as_asked``,
    ``repaired``, ``asked_once_more`` or ``unanswered``.
    """
    try:
        return await _one(client, request, read, counts)
    except ReplyError:
        counts["asked_once_more"] += 1
    try:
        return await _one(client, dataclasses.replace(request, seed=request.seed + 1), read, counts)
    except ReplyError as error:
        counts["unanswered"] += 1
        raise ReplyError(f"no usable answer of {client.model}, also when asked once more: {error}") from None


async def _one(client: PaidClient, request: ChatRequest, read: Callable[[Any], T], counts: Counter[str]) -> T:
    schema = request.json_schema or {}
    try:
        text = (await client.complete(request)).text
        value, how = read(parse_json(text, schema)), "as_asked"
    except ReplyError as broken:
        text = client.text(request)
        if not text:
            raise
        value, how = read(parse_json(repaired(text, broken), schema)), "repaired"
    counts[how] += 1
    return value


def repaired(text: str, broken: ReplyError) -> str:
    """The JSON object inside what a model wrapped it in: fences, thoughts, words around it, commas too many.

    Raises ``broken`` where there is no whole object: what was cut off is never completed by guessing.
    """
    text = _THINK.sub("", text)
    fenced = _FENCE.search(text)
    inner = fenced[1] if fenced else text
    start = inner.find("{")
    for candidate in (inner, _LOOSE_COMMA.sub(r"\1", inner)) if start >= 0 else ():
        try:
            # From the first brace only: an object inside one that was cut off is not the answer.
            value, _ = json.JSONDecoder(strict=False).raw_decode(candidate, start)
        except json.JSONDecodeError:
            continue
        return json.dumps(value, ensure_ascii=False)
    raise ReplyError(f"{broken}; there is no whole JSON object in it: {clip(text)}")
