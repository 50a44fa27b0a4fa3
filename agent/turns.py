"""What the desk gives to a page, an API or a client: frozen records that go to JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from agent.state import Json, State
from retriever.types import Record

EventKind = Literal["step", "candidates", "explanation", "sentence", "turn", "error"]


@dataclass(frozen=True, kw_only=True)
class Sentence(Record):
    """One sentence of a reply in both languages, with what holds it."""

    en: str
    zh: str
    cites: tuple[str, ...]
    """Ids of what the sentence rests on, never empty; :func:`agent.cites.lookup` finds each in the thread's state."""
    level: int = 1
    """0 belongs in the shortest reply, 1 in the usual one, 2 in the longest only."""


@dataclass(frozen=True, kw_only=True)
class Turn(Record):
    """A thread after one turn."""

    thread: str
    number: int
    """From 1; 0 for a thread in which nothing was said yet."""
    text: str
    """What the analyst said or did."""
    kind: str
    """What the turn was taken for: ``search``, ``why_this``, ``compare``, ``limit_area`` ..."""
    en: str
    zh: str
    said: str
    """The reply in the thread's language, both where it is ``both``."""
    spoken: str
    """en, zh or both."""
    length: str
    """short, usual or long."""
    sentences: tuple[Sentence, ...] = ()
    result: Mapping[str, Any] | None = None
    """The whole answer of the last search; see :func:`agent.nodes.result_json`. None before the first one."""
    question: Mapping[str, Any] | None = None
    """What the desk asks the analyst, if it asks: ``{"key", "en", "zh", "claim", "gain_bits", "splits"}``."""
    limits: tuple[Mapping[str, Any], ...] = ()
    """The area limits in force: ``{"text", "en", "zh", "area"}``, ``area`` as :meth:`retriever.area.Area.parse` reads
    it. Together they are ``result["within"]``."""
    notes: tuple[str, ...] = ()
    """What could not be done as usual, and why: the judge was down, an image view is known from renderings alone."""


@dataclass(frozen=True, kw_only=True)
class Past(Record):
    """One earlier turn of a thread, to which one can go back."""

    number: int
    checkpoint: str
    text: str
    said: str
    kind: str
    first: str | None = None
    """The tile that was first after the turn."""
    confidence: float | None = None
    within: str | None = None


@dataclass(frozen=True, kw_only=True)
class Thread(Record):
    """One conversation in the list."""

    id: str
    title: str
    gallery: str
    """Sha256 of the gallery that the thread is about."""
    owner: str = ""
    """Whose thread it is; empty where the desk has one user."""
    turns: int = 0
    begun: str = ""
    """UTC, ISO 8601."""
    changed: str = ""
    parent: str | None = None
    """The thread that it branched from, and after which turn."""
    parent_turn: int | None = None


@dataclass(frozen=True, kw_only=True)
class Event(Record):
    """One thing that happened while a turn was worked on, in the order it happened.

    ``step``: ``{"name", "phase": "started"|"finished", "seconds"?}``, names as in :data:`agent.graph.STEPS`.
    ``candidates``: ``{"stage": "retrieved"|"judged", "candidates": [{"tile_id", "lat", "lon", "bounds", "rank",
    "confidence"}]}``; confidence is None at the first stage.
    ``explanation``: ``{"tile_id", "rank", "en", "zh", "author", "error"}`` as soon as a tile's reasons are there.
    ``sentence``: one :class:`Sentence` of the reply. ``turn``: the finished :class:`Turn`. ``error``: ``{"message",
    "kind"}``; the thread is as it was before the turn.
    """

    kind: EventKind
    thread: str
    data: Mapping[str, Any] = field(default_factory=dict)


def turn_of(thread: str, state: State) -> Turn:
    """A thread's state as a record."""
    reply: Json = state.get("reply") or {}
    en, zh = reply.get("en", ""), reply.get("zh", "")
    spoken = state.get("spoken") or "both"
    return Turn(
        thread=thread,
        number=state.get("turn") or 0,
        text=state.get("text") or "",
        kind=(state.get("act") or {}).get("kind", ""),
        en=en,
        zh=zh,
        said=in_language(reply, spoken) if reply else "",
        spoken=spoken,
        length=state.get("length") or "usual",
        sentences=tuple(Sentence.from_json(s) for s in reply.get("sentences", [])),
        result=state.get("result"),
        question=state.get("question"),
        limits=tuple(state.get("limits") or []),
        notes=tuple(state.get("notes") or []),
    )


def in_language(reply: Json, spoken: str) -> str:
    """A reply in one language, or in both, one below the other."""
    return reply[spoken] if spoken in ("en", "zh") else f"{reply['en']}\n{reply['zh']}"
