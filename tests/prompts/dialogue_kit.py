"""A description that was read, and turns read after it."""

from __future__ import annotations

from prompts.dialogue import TurnIntent, read_turn
from retriever.types import Claim

TOLD = (
    "I'm facing north. On my left is a pharmacy called Boots. A church is behind me and a bank is 50 m to the east. "
    "The street is one-way."
)


def read(text: str, claims: list[Claim], shown: int = 5) -> TurnIntent:
    return read_turn(text, shown=shown, claims=claims)


def ids(claims: list[Claim], *values: str) -> tuple[str, ...]:
    return tuple(c.id for c in claims if c.value in values)
