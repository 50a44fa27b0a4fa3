"""Golden answers: requests with the probabilities that a bundle was exported with.

``golden.json``: ``{"version": 1, "items": [{"messages": [{"role", "parts": [{"text"} | {"png": base64}]}],
"choices": ["yes", "no"], "p": probability of the first choice}]}``, with ``p`` from transformers + peft.
"""

from __future__ import annotations

import asyncio
import base64
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prompts.clients.base import ChatClient, ChatRequest, ImagePart, Message, Part, TextPart
from retriever.errors import ModelError
from retriever.models import write_atomic


@dataclass(frozen=True, kw_only=True)
class Golden:
    requests: tuple[ChatRequest, ...]
    p: tuple[float, ...]


def load_golden(path: Path) -> Golden:
    """Raises ``ModelError`` if the file is not what this module writes."""
    try:
        items = json.loads(path.read_text(encoding="utf-8"))["items"]
        return Golden(requests=tuple(_request(i) for i in items), p=tuple(float(i["p"]) for i in items))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} holds no golden answers ({error!r}); export the bundle again") from None


async def write_golden(path: Path, requests: Sequence[ChatRequest], client: ChatClient) -> Golden:
    """Ask the client (transformers + peft in process) and write requests with answers. Each needs ``choices``."""
    p = await probabilities(client, requests)
    items = [{**_item(request), "p": value} for request, value in zip(requests, p, strict=True)]
    write_atomic(path, json.dumps({"version": 1, "items": items}, ensure_ascii=False, indent=1).encode() + b"\n")
    return Golden(requests=tuple(requests), p=tuple(p))


async def probabilities(client: ChatClient, requests: Sequence[ChatRequest]) -> list[float]:
    """Probability of each request's first choice."""
    replies = await asyncio.gather(*(client.complete(request) for request in requests))
    found = []
    for request, reply in zip(requests, replies, strict=True):
        if request.choices is None or reply.choice_logprobs is None:
            raise ModelError("a golden request without choices proves nothing; export the bundle again")
        found.append(math.exp(reply.choice_logprobs[request.choices[0]]))
    return found


def _item(request: ChatRequest) -> dict[str, Any]:
    def part(p: Part) -> dict[str, str]:
        return {"text": p.text} if isinstance(p, TextPart) else {"png": base64.b64encode(p.png).decode()}

    messages = [{"role": m.role, "parts": [part(p) for p in m.parts]} for m in request.messages]
    return {"messages": messages, "choices": request.choices}


def _request(item: Mapping[str, Any]) -> ChatRequest:
    def part(p: Mapping[str, str]) -> Part:
        return TextPart(text=p["text"]) if "text" in p else ImagePart(png=base64.b64decode(p["png"], validate=True))

    messages = tuple(Message(role=m["role"], parts=tuple(part(p) for p in m["parts"])) for m in item["messages"])
    return ChatRequest(messages=messages, max_tokens=1, choices=tuple(item["choices"]))
