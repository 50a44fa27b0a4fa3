"""The queue for people: what two annotators disagree on, what the inspector refused, and a sample of the rest.

A JSON-lines file, one :class:`QueueItem` a line, only ever appended to. Pictures lie beside it in a content store; what
people decide is written elsewhere and joined by ``id``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from finetune.annotate.rows import append_rows, mend, read_rows
from retriever.errors import SourceError
from retriever.types import Claim, Record, canonical_json, sha256_text

Task = Literal["description", "pair"]
PairVerdict = Literal["match", "no_match"]
Why = Literal[
    "sample", "rejected", "verdict_differs", "claims_differ", "languages_differ", "incoherent", "unanswered", "asked"
]
REASONS: dict[str, str] = {
    "sample": "drawn by its hash for the share that people always read",
    "rejected": "the inspector still refused it after the last round",
    "verdict_differs": "one annotator says match, the other no match",
    "claims_differ": "read back, the two annotators put a thing on opposite sides",
    "languages_differ": "an annotator's English and Chinese, read back, do not claim the same",
    "incoherent": "an annotator's explanation concludes the other verdict",
    "unanswered": "a model gave no usable answer, also when asked once more",
    "asked": "a person asked for it",
}
"""Every ``why``, in a person's words."""


@dataclass(frozen=True, kw_only=True)
class QueueImage(Record):
    role: str
    """``ground``, ``panorama``, ``uav``, ``map`` or ``satellite``."""
    sha256: str
    """Of the PNG bytes that the models saw."""
    path: str
    """Of the PNG file, relative to the queue file's folder."""


@dataclass(frozen=True, kw_only=True)
class Answer(Record):
    """What one model said about the item."""

    by: str
    """``producer``, ``inspector``, ``annotator_a`` or ``annotator_b``."""
    model: str
    verdict: PairVerdict | None = None
    """None for descriptions, and where no usable answer came."""
    en: str = ""
    zh: str = ""
    claims: tuple[Claim, ...] = ()
    """Read back from ``en``, or from ``zh`` where there is no English."""
    notes: tuple[str, ...] = ()
    """The inspector's reasons; the disagreeing points; why there is no answer."""


@dataclass(frozen=True, kw_only=True)
class QueueItem(Record):
    id: str
    """By content (see :func:`item_id`), so the same item is never queued twice."""
    task: Task
    images: tuple[QueueImage, ...]
    """``description``: one. ``pair``: the query's picture, then the overhead tile; the query may be text alone."""
    en: str = ""
    """The text to revise. ``description``: the description; ``pair``: the explanation that is proposed."""
    zh: str = ""
    query: str = ""
    """``pair``: the witness's words, where the query has any."""
    verdict: PairVerdict | None = None
    """``pair``: the verdict that is proposed; None where the annotators differ."""
    claims: tuple[Claim, ...] = ()
    """Read back from the text to revise, each with its ``polarity``."""
    answers: tuple[Answer, ...] = ()
    why: tuple[Why, ...] = ()
    """Why it is here (see :data:`REASONS`); at least one."""
    detail: str = ""
    """The same in one sentence for the person who revises."""


def item_id(task: Task, images: Sequence[QueueImage], answers: Sequence[Answer], query: str = "") -> str:
    """16 hexadecimal digits of what is to be decided: pictures, query and answers."""
    content = [task, [(i.role, i.sha256) for i in images], query, [a.to_json() for a in answers]]
    return sha256_text(canonical_json(content))[:16]


def load(path: Path) -> list[QueueItem]:
    """The queue in its order. Raises ``SourceError`` on a missing file, a damaged line or an id that comes twice."""
    items = read_rows(path, QueueItem)
    seen: set[str] = set()
    for item in items:
        if item.id in seen:
            raise SourceError(f"{path} holds the item {item.id} twice; keep one of the two lines")
        if not item.why:
            raise SourceError(f"the item {item.id} of {path} does not say why it is there; write the queue again")
        seen.add(item.id)
    return items


def append(path: Path, items: Iterable[QueueItem]) -> int:
    """Add what is not queued yet; the number of items added. The file is made if it is not there."""
    mend(path)
    known = {item.id for item in load(path)} if path.exists() else set()
    fresh: dict[str, QueueItem] = {}
    for item in items:
        if item.id not in known:
            fresh.setdefault(item.id, item)
    if fresh:
        append_rows(path, fresh.values())
    return len(fresh)
