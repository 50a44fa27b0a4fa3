"""A chat model as the reader of explanations, in place of the rules of :mod:`eval.explanations.reading`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

import prompts
from eval.explanations.phrases import read_phrase
from eval.explanations.reading import Assertion, Read
from eval.explanations.schema import Problem
from prompts.clients.base import ChatClient, ChatRequest, Message, TextPart, clip, parse_json
from retriever.errors import ReplyError, ServerUnavailable

_ENTRY = {
    "type": "object",
    "properties": {
        "words": {"type": "string", "maxLength": 200},
        "stance": {"enum": ["supports", "contradicts", "unknown"]},
        "frame": {"enum": ["agree", "differ", "unsettled", "tile"]},
    },
    "required": ["words", "stance", "frame"],
    "additionalProperties": False,
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "claims": {"type": "array", "items": _ENTRY, "maxItems": 40},
        "concludes": {"enum": ["match", "no_match", "cannot_tell", "none"]},
    },
    "required": ["claims", "concludes"],
    "additionalProperties": False,
}


async def read_all(client: ChatClient, texts: Iterable[str]) -> tuple[dict[str, Read], list[Problem]]:
    """Every text as the model reads it. A text that it cannot read is left to the rules, and said."""
    gate = asyncio.Semaphore(8)
    wanted = list(dict.fromkeys(texts))

    async def one(text: str) -> Read | Problem:
        async with gate:
            try:
                return await read(client, text)
            except (ReplyError, ServerUnavailable) as error:
                return Problem(where=clip(text, 60), what=f"not read by {client.name} ({error}); read by rule")

    found = await asyncio.gather(*(one(text) for text in wanted))
    reads = {text: f for text, f in zip(wanted, found, strict=True) if isinstance(f, Read)}
    return reads, [f for f in found if isinstance(f, Problem)]


async def read(client: ChatClient, text: str) -> Read:
    """One text. Raises ``ReplyError`` or ``ServerUnavailable``."""
    path = Path(prompts.__file__).parent / "templates" / "geval_claims.yaml"
    template = yaml.safe_load(path.read_text(encoding="utf-8"))
    ask = template["ask"].replace("«explanation»", text.replace("</explanation>", ""))
    messages = (
        Message(role="system", parts=(TextPart(text=template["system"]),)),
        Message(role="user", parts=(TextPart(text=ask),)),
    )
    reply = await client.complete(ChatRequest(messages=messages, max_tokens=1500, json_schema=SCHEMA))
    data = parse_json(reply.text, SCHEMA)
    assertions: list[Assertion] = []
    for row in data["claims"]:
        for claim in read_phrase(row["words"]):
            name = f"e{len(assertions) + 1}"
            assertions.append(
                Assertion(
                    id=name,
                    claim=replace(claim, id=name),
                    stance=row["stance"],
                    frame=row["frame"],
                    span=row["words"],
                )
            )
    concludes = None if data["concludes"] == "none" else data["concludes"]
    return Read(assertions=tuple(assertions), concludes=concludes)
