"""What the judge answers: a probability, stances, an explanation, each with what it saw and what it cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from retriever.types import Evidence, Explanation, Usage

Saw = Literal["pixels", "facts"]
"""The picture alone, or the picture and the map's facts about the tile as text, with names."""
SAW: tuple[Saw, ...] = ("pixels", "facts")
Reasons = Literal["auto", "read", "written"]
"""``written``: evidence and sentences by the model. ``read``: a stance for each claim, one token each, and the words of
the template. ``auto``: ``read`` of a model that was taught to have its stances read, else ``written``."""


@dataclass(frozen=True, kw_only=True)
class Scored:
    """The judge's probability that a tile is the place described."""

    p_match: float
    """Of ``yes`` against ``no``, 0..1, on the scale of the judge's fit where there is one."""
    p_model: float
    """The same as the model gave it."""
    saw: Saw
    """``facts`` only where the tile has some; else the judge looked for itself."""
    listing: str
    asked: tuple[str, ...]
    """Ids of the claims that the question held; the rest did not fit."""
    usage: Usage


@dataclass(frozen=True, kw_only=True)
class Stanced:
    """The judge's stance on each claim about a tile, one token each."""

    evidence: tuple[Evidence, ...]
    """One for each claim, in the ledger's order; where on the tile is the listing's, if it says the same."""
    sure: tuple[float, ...]
    """Probability of each of these stances against the other two; 0 for a claim that was not asked about."""
    saw: Saw
    usage: Usage


@dataclass(frozen=True, kw_only=True)
class Explained:
    """The judge's evidence for each claim and its sentences in both languages."""

    evidence: tuple[Evidence, ...]
    """One for each claim, in the ledger's order."""
    explanation: Explanation
    usage: Usage
