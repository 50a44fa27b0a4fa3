"""Questions that show the judge several pictures at once, and the strict reading of its answers."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from prompts.clients.base import ImagePart, Message, Part, TextPart, clip
from prompts.render import claims_block
from prompts.schema import MAX_CLAIMS
from retriever.errors import ModelError, ReplyError
from retriever.types import Claim

LABELS = ("A", "B", "C", "D")
"""As many tiles as the servers here take pictures in one question."""
_FIELDS = ("id", "system", "tile", "question")


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A template, checked when it is loaded."""

    id: str
    system: str
    tile: str
    question: str
    sha256: str

    @property
    def name(self) -> str:
        """Id and hash, as recorded with every ranking."""
        return f"{self.id}@{self.sha256[:8]}"


@cache
def load_comparison(name: str) -> Comparison:
    """Raises ``ModelError`` where a field is missing or claims or label have no place to stand."""
    path = Path(__file__).parent / "templates" / f"{name}.yaml"
    raw = path.read_bytes()
    data: Mapping[str, str] = yaml.safe_load(raw)
    missing = [f for f in _FIELDS if not isinstance(data.get(f), str)]
    if missing or "«claims»" not in data["question"] or "«label»" not in data["tile"]:
        raise ModelError(f"the template {path.name} lacks {', '.join(missing) or '«claims» or «label»'}; restore it")
    return Comparison(**{f: data[f] for f in _FIELDS}, sha256=hashlib.sha256(raw).hexdigest())


def comparison_messages(
    template: Comparison, pictures: Sequence[tuple[str, ImagePart]], claims: Sequence[Claim], *, words: str = ""
) -> tuple[Message, ...]:
    """Each picture under its label, then the question about them."""
    parts: list[Part] = []
    for label, image in pictures:
        parts += [TextPart(text=template.tile.replace("«label»", label)), image]
    # The words come last: a claim that spells out a placeholder must not be filled in.
    before, mark, after = template.question.partition("«words»")
    question = before.replace("«claims»", claims_block(claims[:MAX_CLAIMS])) + (words if mark else "") + after
    parts.append(TextPart(text=question))
    return (Message(role="system", parts=(TextPart(text=template.system),)), Message(role="user", parts=tuple(parts)))


def parse_order(text: str, labels: Sequence[str]) -> list[str]:
    """The labels in the order that an answer like ``B > A > C`` puts them.

    Raises ``ReplyError`` unless the answer is exactly that: every label once and nothing else.

    >>> parse_order(" B > A", ["A", "B"])
    ['B', 'A']
    """
    found = [part.strip() for part in text.strip().split(">")]
    if sorted(found) != sorted(labels) or not re.fullmatch(r"[A-Z >]+", text.strip()):
        raise ReplyError(f"the judge's answer is no order of {', '.join(labels)}: {clip(text)}")
    return found
