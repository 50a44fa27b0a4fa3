"""One turn of a conversation: read what it asks for, and say something that the ledger holds."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from agent import areas, replies
from agent.language import language
from agent.state import Json, State
from retriever.types import Claim

if TYPE_CHECKING:
    from agent.context import Context
    from prompts.dialogue import TurnIntent


_ORPHAN = re.compile(r"(?:\s*[,;，；、])+\s*([.,;。，；])")
"""Punctuation that a cut left in front of other punctuation."""


def read(state: State, context: Context) -> State:
    """What this turn changes: the first one brings the description, later ones clues, corrections or questions."""
    text, turn = state["text"], (state.get("turn") or 0) + 1
    change: State = {"turn": turn, "log": [{"turn": turn, "who": "analyst", "text": text}]}
    if not state.get("result"):
        return {**change, **_first(state, text, turn)}
    # After a fresh start the old result is another place's, so nothing is compared with it.
    change["before"] = _summary(state["result"]) if state["words"] else {}
    return {**change, **_later(state, text, turn, context)}


def extract(text: str, lang: Any, turn: int, first_id: int) -> list[Claim]:
    """The claims of a description."""
    from prompts.claims import extract_claims

    return extract_claims(text, lang=lang, turn=turn, first_id=first_id)


def _first(state: State, text: str, turn: int) -> State:
    claims = extract(text, state.get("lang") or language(text), turn, 1)
    query_id = state.get("query_id") or f"q{turn}"
    return {**_search("description", claims, [text]), "query_id": query_id}


def _later(state: State, text: str, turn: int, context: Context) -> State:
    from prompts.dialogue import read_turn

    limited, within = areas.written(text)
    if limited:
        return _inside(within, state)
    before = [Claim.from_json(c) for c in state["claims"]]
    intent = read_turn(text, shown=len(state["result"]["candidates"]), claims=before, turn=turn)
    if intent.intent == "limit_area" and intent.area is not None:
        return _limited(intent, context, state)
    if intent.intent in ("new_description", "add_clue", "correct_clue", "retract_clue"):
        return _told(intent, before, state["words"])
    return _asked(intent)


def _limited(intent: TurnIntent, context: Context, state: State) -> State:
    assert intent.area is not None
    try:
        within = areas.resolve(intent.area, context, state["result"])
    except areas.NoArea as error:
        return {"act": {"kind": "no_area", "reason": str(error)}}
    return _inside(within, state)


def _inside(within: str | None, state: State) -> State:
    """The same search inside another limit; after a fresh start there is nothing to search for yet."""
    act = {"kind": "search", "why": "area"} if state["words"] else {"kind": "restart"}
    return {"act": act, "within": within}


def _told(intent: TurnIntent, before: Sequence[Claim], words: Sequence[str]) -> State:
    """The ledger's claims and the words that are searched for after a clue, a correction or a retraction."""
    new = list(intent.claims)
    if intent.intent == "new_description":
        if not new:
            return {"act": {"kind": "restart"}, "claims": [], "words": [], "within": None, "images": []}
        return _search("description", new, [intent.text])
    if intent.intent == "add_clue":
        return _search("clue", [*before, *new], [*words, intent.text])
    status: Any = "corrected" if intent.intent == "correct_clue" else "struck"
    old = set(intent.claim_ids)
    kept = [dataclasses.replace(c, status=status) if c.id in old else c for c in before]
    said = without(words, [c.span for c in before if c.id in old])
    added = [intent.text] if intent.intent == "correct_clue" else []
    return _search(status, [*kept, *new], [*said, *added])


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


def _search(why: str, claims: Sequence[Claim], words: Sequence[str]) -> State:
    said = [w for w in words if w] or [c.span for c in claims if c.status == "active"]
    if not said:
        return {"act": {"kind": "emptied"}}
    return {"act": {"kind": "search", "why": why}, "claims": [c.to_json() for c in claims], "words": said}


def _asked(intent: TurnIntent) -> State:
    act: Json = {"kind": intent.intent}
    if intent.beyond is not None and not intent.ranks:
        return {"act": {"kind": "beyond", "rank": intent.beyond}}
    if intent.ranks:
        act["ranks"] = list(intent.ranks)
    if intent.intent == "switch_language":
        return {"act": act, "spoken": intent.language or "both"}
    return {"act": act}


def _summary(result: Json) -> Json:
    """What a later reply compares with."""
    found = result["candidates"]
    return {"first": found[0]["tile_id"], "confidence": {c["tile_id"]: c["confidence"] for c in found}}


def respond(state: State) -> State:
    """What is said back, in both languages, from the result and its ledger alone."""
    act, result = state["act"], state["result"]
    reply = replies.compose(act, result, state.get("reply"), state.get("before"))
    spoken = state.get("spoken") or "both"
    said = reply["en"] if spoken == "en" else reply["zh"] if spoken == "zh" else f"{reply['en']}\n{reply['zh']}"
    return {"reply": reply, "log": [{"turn": state["turn"], "who": "sightline", "text": said}]}
