"""What the annotators of one queued item say of each thing, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from finetune.annotate.disagree import Thing, read_back
from finetune.annotate.queue import Answer, QueueItem
from retriever.types import Claim

Side = Literal["there", "not_there"]
"""Whether someone says that a thing is on both sides of a pair (or in the picture), or is not."""


@dataclass(frozen=True, kw_only=True)
class ThingRow:
    """One thing that is claimed, with what each annotator says of it."""

    id: str
    """``object church``: kind and value."""
    claim: Claim
    """As it is proposed: the revised text's own, else the first annotator's who has it."""
    sides: tuple[tuple[str, Side | None], ...]
    """(annotator, side) in the order of the answers; None where that annotator does not speak of it."""

    @property
    def proposed(self) -> Side:
        said = [side for _, side in self.sides if side is not None]
        return said[0] if said else "there" if self.claim.polarity else "not_there"


def thing_of(claim: Claim) -> Thing:
    return claim.kind, claim.value.casefold()


def annotators(item: QueueItem) -> tuple[Answer, ...]:
    """Those of a pair who answered or should have."""
    return tuple(a for a in item.answers if a.by.startswith("annotator"))


def things(item: QueueItem) -> tuple[ThingRow, ...]:
    """Everything that the proposed text or any annotator claims, each thing once, in the order of its first mention."""
    first: dict[Thing, Claim] = {}
    for claim in (*item.claims, *(c for a in item.answers for c in a.claims), *_listed_claims(item)):
        first.setdefault(thing_of(claim), claim)
    sides = [(a.by, sides_of(a)) for a in annotators(item)]
    return tuple(
        ThingRow(id=" ".join(thing), claim=claim, sides=tuple((by, said.get(thing)) for by, said in sides))
        for thing, claim in first.items()
    )


def sides_of(answer: Answer) -> dict[Thing, Side]:
    """By thing. What an annotator lists as agreeing or differing counts more than how a sentence was read back.

    Listed on both sides, or affirmed and denied in one text, it is no side.
    """
    listed = {"there": _listed(answer, "agree"), "not_there": _listed(answer, "differ")}
    denied = {thing_of(c) for c in answer.claims if not c.polarity}
    affirmed = {thing_of(c) for c in answer.claims if c.polarity}
    found: dict[Thing, Side] = {}
    for thing in affirmed ^ denied:
        found[thing] = "there" if thing in affirmed else "not_there"
    for thing in listed["there"] | listed["not_there"]:
        if thing in listed["there"] & listed["not_there"]:
            found.pop(thing, None)
        else:
            found[thing] = "there" if thing in listed["there"] else "not_there"
    return found


def _listed(answer: Answer, word: str) -> set[Thing]:
    return {thing_of(c) for c in _points([answer], word)}


def _listed_claims(item: QueueItem) -> list[Claim]:
    return [c for word in ("agree", "differ") for c in _points(annotators(item), word)]


def _points(answers: Sequence[Answer], word: str) -> list[Claim]:
    """Claims in the notes ``agree: english / chinese`` that the annotators' stage writes."""
    texts = [
        n.removeprefix(f"{word}: ").partition(" / ")[0] for a in answers for n in a.notes if n.startswith(f"{word}: ")
    ]
    return [claim for text in texts for claim in read_back(text)]
