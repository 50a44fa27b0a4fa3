"""Free text to claims by a chat model behind any OpenAI-style endpoint: the same claims as :mod:`prompts.claims` gives.

The description is data for the model, and the answer is data for us: a kind that is not in the table, words or a name
that the description does not hold, more claims than it can hold, a thing both claimed and denied, prose or broken JSON
make the whole answer unusable. It is then asked for once more, and after that refused; no claim is mended or made up.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, get_args

import yaml

from prompts.claims import extract_claims
from prompts.claims_.groups import ROAD_FORMS
from prompts.claims_.lexicon import lexicon
from prompts.claims_.text import normalise
from prompts.clients.base import ChatClient, ChatReply, ChatRequest, Message, clip, parse_json
from prompts.clients.wire import Refused
from retriever.errors import ReplyError, ServerUnavailable, SightlineError
from retriever.kinds import kinds
from retriever.types import Claim, Lang, Relation, RelationType, Usage

MAX_CHARACTERS = 20_000
"""A longer text is refused."""
MAX_CLAIMS = 150
MAX_SPAN = 300
"""Characters that one claim may quote: a clause, not the description."""
DEADLINE_S = 60.0
"""For one description, both attempts and the client's own retries together."""
MAX_METRES = 50_000
BY_MODEL = "the claims were read by the chat model"
"""How the note of a reading by a model begins."""
_JUNCTIONS = ("crossroads", "roundabout", "t_junction")
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
    if not _letters(text):
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


def most_claims(text: str) -> int:
    """More claims than this no text of that length holds."""
    return min(MAX_CLAIMS, 4 + len(text) // 4)


@cache
def _template() -> Mapping[str, str]:
    path = Path(__file__).with_name("templates") / "claims.yaml"
    data: Mapping[str, str] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return data


@cache
def _system() -> str:
    words = "; ".join(f"{k.id} ({', '.join(k.en[:3])}, {', '.join(k.zh[:2])})" for k in kinds().values())
    return _template()["system"].replace("«colours»", ", ".join(_colours())).replace("«kinds»", words)


@cache
def _colours() -> tuple[str, ...]:
    return tuple(sorted(set(lexicon().colours.values())))


@cache
def schema() -> dict[str, Any]:
    """The answer's JSON schema: a list of claims with the fields of :class:`retriever.types.Claim`.

    In the subset that servers which enforce a schema understand: every field required, no bounds on strings.
    """
    roads = sorted(ROAD_FORMS) + [k.id for k in kinds().values() if k.group == "road"]
    values: dict[str, dict[str, Any]] = {
        "object": {"type": "string", "enum": list(kinds())},
        "name": {"type": "string"},
        "road": {"type": "string", "enum": roads},
        "junction": {"type": "string", "enum": list(_JUNCTIONS)},
        "building": {"type": "string", "pattern": rf"^(storeys:[1-9][0-9]{{0,2}}|colour:({'|'.join(_colours())}))$"},
    }
    entries = [_entry(kind, value) for kind, value in values.items()]
    return _object({"claims": {"type": "array", "maxItems": MAX_CLAIMS, "items": {"anyOf": entries}}})


def _entry(kind: str, value: Mapping[str, Any]) -> dict[str, Any]:
    number = {"type": ["number", "null"]}
    relation = {
        "type": {"type": "string", "enum": list(get_args(RelationType))},
        "bearing_deg": number,
        "distance_m": number,
        "anchor": {"type": ["string", "null"]},
    }
    return _object(
        {
            "span": {"type": "string"},
            "kind": {"type": "string", "enum": [kind]},
            "value": value,
            "relation": _object(relation),
            "count": {"type": ["integer", "null"]},
            "polarity": {"type": "boolean"},
            "hedge": {"type": "boolean"},
        }
    )


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def read_claims(data: Mapping[str, Any], text: str, *, turn: int = 0, first_id: int = 1) -> list[Claim]:
    """The claims in an answer that holds to :func:`schema`, held to ``text``. Raises ``ReplyError``."""
    rows: Sequence[Mapping[str, Any]] = data["claims"]
    if len(rows) > most_claims(text):
        raise ReplyError(f"{len(rows)} claims are more than a description of {len(text)} characters can hold")
    source = _Source(text)
    placed = [_claim(row, source, turn) for row in rows]
    kept: dict[tuple[str, str, Relation], Claim] = {}
    for _, claim in sorted(placed, key=lambda pair: pair[0]):
        key = (claim.kind, claim.value.casefold(), claim.relation)
        if kept.setdefault(key, claim).polarity != claim.polarity:
            raise ReplyError(f"{claim.value!r} is both claimed and denied; only what holds in the end is wanted")
    return [replace(claim, id=f"c{first_id + i}") for i, claim in enumerate(kept.values())]


class _Source:
    """A description in which quotations are found again, whatever became of spaces, quotes and traditional forms."""

    def __init__(self, text: str) -> None:
        self.text = text
        folded = normalise(text)
        self._at = [i for i, char in enumerate(folded) if not char.isspace()]
        self._dense = "".join(folded[i] for i in self._at)
        self._letters = _letters(text)

    def quoted(self, span: str) -> tuple[int, str]:
        """Where the words stand, and the words as they stand there."""
        dense = "".join(normalise(span).split())
        found = self._dense.find(dense) if _letters(span) else -1
        if found < 0:
            raise ReplyError(f"the words {clip(span, 80)!r} are not in the description")
        start, end = self._at[found], self._at[found + len(dense) - 1] + 1
        if end - start > MAX_SPAN:
            raise ReplyError(f"the span {clip(span, 60)!r} quotes {end - start} characters; quote one clause")
        return start, self.text[start:end]

    def names(self, value: str) -> bool:
        """Whether the description holds the name."""
        wanted = _letters(value)
        return bool(wanted) and wanted in self._letters


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", normalise(text)).casefold()


def _claim(row: Mapping[str, Any], source: _Source, turn: int) -> tuple[int, Claim]:
    start, span = source.quoted(row["span"])
    kind, value, count = row["kind"], row["value"].strip(), row["count"]
    if kind == "name" and not source.names(value):
        raise ReplyError(f"the name {clip(value, 80)!r} is not in the description")
    if count is not None and not 1 <= count <= 1000:
        raise ReplyError(f"{count} of {value!r} is no count")
    relation = _relation(row["relation"], value, source)
    if kind == "road" and value == "runs" and relation.bearing_deg is None:
        raise ReplyError("a road that runs along an axis needs its bearing_deg")
    said = Claim(
        id="",
        span=span,
        kind=kind,
        value=value,
        relation=relation,
        count=None if count is None else int(count),
        polarity=row["polarity"],
        hedge=row["hedge"],
        turn=turn,
    )
    return start, said


def _relation(row: Mapping[str, Any], value: str, source: _Source) -> Relation:
    kind, bearing, distance, anchor = row["type"], row["bearing_deg"], row["distance_m"], row["anchor"]
    if bearing is not None and not 0 <= bearing <= 360:
        raise ReplyError(f"the bearing {bearing:g} of {value!r} is not within 0 to 360 degrees")
    if kind == "bearing" and bearing is None:
        raise ReplyError(f"{value!r} lies in a compass direction without its bearing_deg")
    if distance is not None and not 0 < distance <= MAX_METRES:
        raise ReplyError(f"the distance {distance:g} m of {value!r} is not within 0 to {MAX_METRES} m")
    if anchor is not None and anchor not in kinds() and not source.names(anchor):
        raise ReplyError(f"the anchor {clip(anchor, 80)!r} is neither a kind nor a name in the description")
    return Relation(
        type=kind,
        bearing_deg=None if bearing is None else float(bearing) % 360.0,
        distance_m=None if distance is None else float(distance),
        anchor=anchor,
    )
