"""What goes out, for the OpenAPI document. Records go out as their own JSON; a test holds these schemas against it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from agent.api.records import GalleryInfo
from agent.turns import Past, Sentence, Thread
from retriever.types import Claim, Evidence, Explanation

Numbers = list[float]


class Answer(BaseModel):
    """Further fields may come."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)


class CandidateOut(Answer):
    tile_id: str
    lat: float
    lon: float
    bounds: Numbers
    """West, south, east, north in degrees."""
    rank: int
    score: float | None
    score_kind: str
    verdict: Literal["match", "no_match", "cannot_tell"] | None
    confidence: float | None
    """Posterior probability that this tile's cell is the place."""
    evidence: list[Evidence]
    explanation: Explanation | None
    error: str | None
    """Why this tile could not be judged; null where it was."""


class ResultOut(Answer):
    """The whole answer of the last search."""

    query_id: str
    text: str
    gallery: dict[str, Any]
    within: str | None
    claims: list[Claim]
    candidates: list[CandidateOut]
    shown: int
    outside_probability: float
    elsewhere_probability: float
    confidence: dict[str, Any]
    method: str
    gate: dict[str, Any] | None = None
    """``{margin, duel_weight, near, fitted, note}``: no tile passed another on a lead of no more than ``margin`` nats
    (null: on no lead at all); null for a method without a gate, and in answers kept from before gates were recorded."""
    order_note: dict[str, str] | None = None
    """Said, as {en, zh}, where a candidate comes after one that has a lower confidence than it."""
    reasons: str = "written"
    """How the tiles shown were explained: ``read`` off the judge, ``written`` by it, or ``auto``, read where it was
    taught that; answers kept from before this was recorded were written."""
    judge: dict[str, Any]
    encoder: str


class TurnOut(Answer):
    """A thread after one turn."""

    thread: str
    number: int
    text: str
    kind: str
    """What the turn was taken for."""
    en: str
    zh: str
    said: str
    """The reply in the thread's language."""
    spoken: str
    length: str
    sentences: list[Sentence]
    """The reply's sentences, each with the ids of what holds it."""
    result: ResultOut | None
    question: dict[str, Any] | None
    """What the desk asks back, with the reason."""
    limits: list[dict[str, Any]]
    notes: list[str]
    """What could not be done as usual, and why."""


class EventOut(Answer):
    """One server-sent event: ``event`` is the kind, ``data`` this JSON, ``id`` counts from 1.

    ``step`` {name, phase}; ``candidates`` {stage, candidates}; ``explanation`` {tile_id, rank, en, zh, author, error};
    ``sentence`` {en, zh, cites, level}; at the end ``turn`` (as TurnOut) or ``error`` {code, message}.
    """


class ThreadsOut(Answer):
    threads: list[Thread]


class HistoryOut(Answer):
    turns: list[Past]


class GalleriesOut(Answer):
    galleries: list[GalleryInfo]


class TilesOut(Answer):
    tiles: list[dict[str, Any]]
    """``id``, ``lat``, ``lon``, ``bounds``."""
    more: int
    """Further tiles that were not listed."""


class MeOut(Answer):
    user: str
    """Empty: the desk asks for no keys."""
    requests: str
    turns: str
    upload_mb: int
    galleries: list[str]


class HealthOut(Answer):
    status: Literal["ok"]


class ExportOut(Answer):
    """Everything that the desk has about a thread."""

    thread: dict[str, Any]
    turn: TurnOut
    history: list[Past]
    log: list[dict[str, Any]]
    claims: list[Claim]
    gallery: dict[str, Any]
    judge: dict[str, Any]
    encoder: str
    reranker: str
    attribution: str
    sightline: str
    """Version of this installation."""


class Problem(Answer):
    code: str
    message: str
    request_id: str


class ErrorOut(BaseModel):
    error: Problem


_WHY = {
    400: "It cannot be done; the message says why.", 401: "The key is missing or wrong.",
    403: "From a foreign host or site.", 404: "Not there, or not yours.", 408: "The body arrived too slowly.",
    413: "Too large.", 415: "No such kind of file is read.", 422: "The request is not as this document says.",
    429: "Too much at once; `Retry-After` says how long to wait.", 503: "The operator must look at the log.",
}  # fmt: skip


def problems(*more: int) -> dict[int | str, dict[str, Any]]:
    """The errors that every route may give, and ``more``."""
    example = {"error": {"code": "no_thread", "message": "there is no such thread", "request_id": "9f86d081884c7d65"}}
    content = {"application/json": {"example": example}}
    usual = (400, 401, 403, 422, 429, 503)
    return {
        status: {"model": ErrorOut, "description": _WHY[status], "content": content}
        for status in sorted({*usual, *more})
    }
