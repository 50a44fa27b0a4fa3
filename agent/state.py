"""What a thread remembers: small JSON, tile ids instead of pixels. It is checkpointed after every node."""

from __future__ import annotations

import operator
from typing import Annotated, Any

# The standard one cannot be described as JSON Schema on Python 3.11, which the studio asks for.
from typing_extensions import TypedDict

Json = dict[str, Any]


class State(TypedDict, total=False):
    """The graph's state. Records are kept as the JSON that ``to_json`` writes."""

    text: str
    """The analyst's words of this turn."""
    query_id: str
    lang: str | None
    """Language of the words, where it is known; None: it is recognised."""
    images: list[list[str]]
    """Pairs of view and sha256."""
    within: str | None
    """Area limit as text, as :meth:`retriever.area.Area.parse` reads it."""
    order: Json | None
    """What is asked for without words, by a click: ``{"do": "strike", "claim": "c2"}``; see :mod:`agent.orders`."""
    turn: int
    """From 1."""
    words: list[str]
    """Everything the witness said that was searched for, in order."""
    act: Json
    """What this turn asks for: ``{"kind": "search"}`` or a question about what is already judged."""
    claims: list[Json]
    candidates: list[Json]
    prior: Json
    ranking: Json
    checks: dict[str, list[Json]]
    """Map evidence by tile id; a tile without map facts is absent."""
    posterior: Json
    result: Json
    """The whole answer of the last search, as ``sightline locate --json`` prints it."""
    before: Json
    """First tile and confidences of the search before this one."""
    reply: Json
    """What is said back: ``{"en": ..., "zh": ...}``."""
    spoken: str
    """Language of the replies: en, zh or both."""
    length: str
    """Length of the replies: short, usual or long."""
    limits: list[Json]
    """Area limits in force, each with the words for it; together they are ``within``."""
    pending: Json | None
    """A limit in words that fits several things on the map, until the analyst says which."""
    pool: list[list[Any]]
    """Tiles next to the shortlist with their utility: what a question to the witness may also split."""
    effects: Json
    """What each clue did, by claim id; see :mod:`agent.effects`."""
    question: Json | None
    """The question that is put to the witness with the last reply."""
    asked: list[Json]
    """Questions that were put, with their answers: ``{"key", "answer"}``; none is put twice."""
    past: list[Json]
    """What was searched for after every turn that searched, to go back to."""
    notes: list[str]
    """What could not be done as usual in this turn, and why."""
    usage: Json
    """Of this turn."""
    log: Annotated[list[Json], operator.add]
    """Every turn and reply, in order."""
