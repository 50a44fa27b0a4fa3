"""What a thread remembers: small JSON, tile ids instead of pixels. It is checkpointed after every node."""

from __future__ import annotations

import operator
from typing import Annotated, Any, TypedDict

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
    usage: Json
    """Of this turn."""
    log: Annotated[list[Json], operator.add]
    """Every turn and reply, in order."""
