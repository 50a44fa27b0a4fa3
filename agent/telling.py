"""What is told changes what is searched for: claims, words, limits, and the way back to an earlier search."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from agent import areas
from agent.state import Json, State
from retriever.types import Claim

if TYPE_CHECKING:
    from agent.context import Context

_ORPHAN = re.compile(r"(?:\s*[,;，；、])+\s*([.,;。，；])")
"""Punctuation that a cut left in front of other punctuation."""
REMEMBERED = ("claims", "words", "within", "limits", "images", "asked")
"""What makes up a search, and what going back brings back."""


def claims_in(state: State) -> list[Claim]:
    return [Claim.from_json(c) for c in state.get("claims") or []]


def with_status(claim: Claim, status: Any) -> Claim:
    return dataclasses.replace(claim, status=status)


def search(why: str, claims: Sequence[Claim], words: Sequence[str], state: State, **act: Any) -> State:
    """A search for these words and claims; where nothing is left to search for, the thread stays as it is."""
    said = [w for w in words if w] or [c.span for c in claims if c.status == "active"]
    if not said and not state.get("images"):
        return {"act": {"kind": "emptied"}}
    return {"act": {"kind": "search", "why": why, **act}, "claims": [c.to_json() for c in claims], "words": said}


def struck(ids: Collection[str], state: State, status: str = "struck") -> State:
    """Claims taken back, and their words no longer searched for."""
    before = claims_in(state)
    kept = [with_status(c, status) if c.id in ids else c for c in before]
    return search(status, kept, without(state["words"], [c.span for c in before if c.id in ids]), state)


def edited(claim: Claim, words: str, state: State, turn: int) -> State:
    """One claim said anew: what the words hold stands in its place, with what they leave open as it was."""
    from prompts.claims import extract_claims
    from prompts.claims_.amend import next_id

    before = claims_in(state)
    new = extract_claims(words, turn=turn, first_id=next_id(before))
    if not new:
        return {"act": {"kind": "unknown"}}
    kept = [with_status(c, "corrected") if c.id == claim.id else c for c in before]
    return search("corrected", [*kept, *new], [*without(state["words"], [claim.span]), words], state)


def answered(answer: str, state: State, turn: int) -> State:
    """What the witness says to the question that was put: a claim, or that it cannot be told."""
    from prompts.claims_.amend import next_id

    question: Json = state["question"] or {}
    asked = [{**a, "answer": answer} if a["key"] == question["key"] else a for a in state.get("asked") or []]
    if answer == "unknown":
        return {"act": {"kind": "noted", "key": question["key"]}, "asked": asked, "question": None}
    before = claims_in(state)
    claim = Claim.from_json(question["claim"])
    claim = dataclasses.replace(
        claim,
        id=f"c{next_id(before)}",
        turn=turn,
        polarity=answer == "yes",
        span=question["said"][answer],
        asked=True,
    )
    # A text encoder reads "no tram" much as it reads "tram", so a denial is left to the ledger.
    words = [*state["words"], question["said"]["yes"]] if answer == "yes" else state["words"]
    return {**search("answer", [*before, claim], words, state), "asked": asked, "question": None}


def inside(limits: Sequence[Json], state: State, context: Context) -> State:
    """The same search inside these limits; after a fresh start there is nothing to search for yet."""
    try:
        within = areas.combined(limits, context)
    except areas.NoArea as error:
        return {"act": {"kind": "no_area", "en": str(error), "zh": error.zh}, "pending": None}
    something = state.get("words") or state.get("images")
    act = {"kind": "search", "why": "area"} if something else {"kind": "restart"}
    return {"act": act, "limits": list(limits), "within": within, "pending": None}


def back(turn: int, state: State) -> State:
    """The search as it was after ``turn``; a negative number counts turns back, 0 is the first search."""
    past = state.get("past") or []
    now = past[-1]["turn"] if past else 0
    earlier = [p for p in past if p["turn"] <= (turn if turn >= 0 else now - 1)]
    if turn < 0:
        earlier = past[: len(past) + turn] if -turn < len(past) else past[:1]
    chosen = past[0] if turn == 0 and past else earlier[-1] if earlier else None
    if chosen is None or (turn > (state.get("turn") or 0)):
        return {"act": {"kind": "no_turn", "turn": turn}}
    found: Any = {key: chosen[key] for key in REMEMBERED}
    found |= {"act": {"kind": "search", "why": "back", "turn": chosen["turn"]}, "question": None, "pending": None}
    change: State = found
    return change


def remembered(state: State) -> list[Json]:
    """The list of past searches with this turn's at its end."""
    snapshot: Json = {key: state.get(key) for key in REMEMBERED}
    return [*(state.get("past") or []), {"turn": state["turn"], **snapshot}]


def without(words: Sequence[str], spans: Collection[str]) -> list[str]:
    """The words with what was taken back cut out, so that it is no longer searched for."""
    left = []
    for text in words:
        for span in spans:
            text = text.replace(span, " ")
        text = _ORPHAN.sub(r"\1", " ".join(text.split())).strip(" ,;，；")
        if text.strip(" .。"):
            left.append(text)
    return left
