"""Free text to claims by a chat model behind any OpenAI-style endpoint: the same claims as :mod:`prompts.claims` gives.

The description is data for the model, and the answer is data for us: one that :mod:`prompts.claims_form` refuses, prose
or broken JSON is asked for once more, and after that refused; no claim is mended or made up.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from prompts.claims import extract_claims
from prompts.claims_form import colours, letters, most_claims, read_claims, schema
from prompts.clients.base import ChatClient, ChatReply, ChatRequest, Message, clip, parse_json
from prompts.clients.wire import Refused
from retriever.errors import ReplyError, ServerUnavailable, SightlineError
from retriever.kinds import kinds
from retriever.types import Claim, Lang, Usage

MAX_CHARACTERS = 20_000
"""A longer text is refused."""
DEADLINE_S = 60.0
"""For one description, both attempts and the client's own retries together."""
BY_MODEL = "the claims were read by the chat model"
"""How the note of a reading by a model begins."""
_TAG = re.compile(r"<(?=\s*/?\s*description)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class ClaimsRead:
    """The claims of one text, who read them, and what the asking cost."""

    claims: tuple[Claim, ...]
    by: str
    """The client's name, or ``rules``."""
    note: str
    """For the person who asked: who read the claims, and where it was the rules, why."""
    usage: Usage = field(default_factory=Usage)


async def extract_with_model(
    client: ChatClient,
    text: str,
    *,
    lang: Lang | None = None,
    turn: int = 0,
    first_id: int = 1,
    deadline_s: float = DEADLINE_S,
    replies: list[ChatReply] | None = None,
) -> list[Claim]:
    """The claims of ``text`` as the model reads them, in the text's order, with ids ``c<first_id>`` onwards.

    ``lang`` is accepted for symmetry with :func:`prompts.claims.extract_claims`. Every ``span`` is a substring of
    ``text``. ``replies`` collects what the model answered. A wordless text gives an empty list and no call. Raises
    ``SightlineError`` on a text over ``MAX_CHARACTERS``, ``ServerUnavailable`` (no answer in time) and ``ReplyError``
    (two answers, neither usable).
    """
    if len(text) > MAX_CHARACTERS:
        raise SightlineError(f"the description has {len(text)} characters; a chat model reads at most {MAX_CHARACTERS}")
    if not letters(text):
        return []
    until, problem = time.monotonic() + deadline_s, ""
    for attempt in range(2):
        left = until - time.monotonic()
        if left <= 0:
            raise ServerUnavailable(f"{client.name} gave no usable claims within {deadline_s:g} s ({problem})")
        try:
            reply = await client.complete(replace(request(text, problem=problem, seed=attempt), deadline_s=left))
            if replies is not None:
                replies.append(reply)
            return read_claims(parse_json(reply.text, schema()), text, turn=turn, first_id=first_id)
        except (ReplyError, ValueError, RecursionError) as error:
            # JSON may also hold numbers, surrogates and depths that Python refuses.
            problem = clip(str(error), 240)
    raise ReplyError(f"{client.name} was asked twice and gave no usable claims: {problem}")


async def extract_or_rules(client: ChatClient, text: str, **options: Any) -> ClaimsRead:
    """As :func:`extract_with_model` with its ``options``; where the model fails, the rules' reading, and a note."""
    replies: list[ChatReply] = []
    try:
        claims = await extract_with_model(client, text, replies=replies, **options)
        by, note = client.name, f"{BY_MODEL} {client.name}, not by the rules"
    except SightlineError as error:
        options.pop("deadline_s", None)
        claims = extract_claims(text, **options)
        by, note = "rules", f"the claims were read by the rules, as the chat model {client.name} {_failure(error)}"
    used = (Usage(calls=1, prompt_tokens=r.prompt_tokens, completion_tokens=r.completion_tokens) for r in replies)
    return ClaimsRead(claims=tuple(claims), by=by, note=note, usage=sum(used, start=Usage()))


def _failure(error: SightlineError) -> str:
    """What went wrong, without the error's own words: they hold the endpoint's address and what it answered."""
    if isinstance(error, Refused):
        return f"refused with HTTP status {error.code}"
    if isinstance(error, ServerUnavailable):
        return "could not be reached or did not answer in time"
    return "gave no usable answer" if isinstance(error, ReplyError) else f"reads at most {MAX_CHARACTERS} characters"


def open_client(spec: str, key: str = "", *, concurrency: int = 8) -> ChatClient:
    """The client that ``URL|model`` names, ``http://127.0.0.1:8000/v1|my-model``.

    Raises ``SightlineError``, also for an address with a user or a password in it; what was given is never repeated.
    """
    import httpx

    from prompts.clients.http import OpenAIClient

    url, _, model = (part.strip() for part in spec.partition("|"))
    try:
        parts = httpx.URL(url)
        usable = parts.scheme in ("http", "https") and bool(re.fullmatch(r"[\w.:-]+", parts.host)) and bool(model)
        secret = bool(parts.userinfo)
    except httpx.InvalidURL:
        usable = secret = False
    if not usable:
        raise SightlineError(
            "what names the chat model for claims is not URL|model; write for example http://127.0.0.1:8000/v1|my-model"
        )
    if secret:
        raise SightlineError(
            "the address of the chat model for claims holds a user or a password; take them out and give the key "
            "in SIGHTLINE_CLAIMS_KEY"
        )
    return OpenAIClient(url, model, key, concurrency=concurrency, timeout_s=DEADLINE_S, dialect="openai")


def request(text: str, *, problem: str = "", seed: int = 0) -> ChatRequest:
    """What the model is asked; ``problem``: what was wrong with its last answer."""
    template = _template()
    before, _, after = template["ask"].partition("«text»")
    # A space inside the tag keeps the description from closing its own block.
    asked = before + _TAG.sub("< ", text) + after
    if problem:
        asked += "\n" + template["again"].replace("«problem»", _TAG.sub("< ", problem))
    # A claim is about 80 tokens of JSON; an answer that needs more than this is no list of claims.
    tokens = min(8_000, 400 + 100 * most_claims(text))
    messages = (Message.of("system", _system()), Message.of("user", asked))
    return ChatRequest(messages=messages, max_tokens=tokens, seed=seed, json_schema=schema())


@cache
def _template() -> Mapping[str, str]:
    path = Path(__file__).with_name("templates") / "claims.yaml"
    data: Mapping[str, str] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return data


@cache
def _system() -> str:
    words = "; ".join(f"{k.id} ({', '.join(k.en[:3])}, {', '.join(k.zh[:2])})" for k in kinds().values())
    return _template()["system"].replace("«colours»", ", ".join(colours())).replace("«kinds»", words)
