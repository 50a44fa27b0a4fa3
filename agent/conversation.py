"""One turn of a conversation: read what it asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agent import areas, orders, reasons, telling
from agent.language import language
from agent.state import Json, State
from agent.telling import without
from retriever.types import Claim

if TYPE_CHECKING:
    from agent.context import Context
    from prompts.claims_.area import AreaLimit
    from prompts.dialogue import TurnIntent

__all__ = ["extract", "read", "without"]


def read(state: State, context: Context) -> State:
    """What this turn changes: the first one brings the description, later ones clues, corrections or questions."""
    order = state.get("order")
    text = orders.in_words(order) if order else state["text"]
    turn = (state.get("turn") or 0) + 1
    change: State = {"turn": turn, "text": text, "notes": [], "log": [{"turn": turn, "who": "analyst", "text": text}]}
    given = _given(state, context)
    state = {**state, **given}
    if order:
        change = {**change, **orders.carry_out(order, state, turn, context)}
    elif not state.get("result"):
        change = {**change, **_first(state, text, turn)}
    else:
        change = {**change, **_later(state, text, turn, context)}
    # After a fresh start the old result is another place's, so nothing is compared with it.
    old = state.get("result")
    change["before"] = _summary(old) if old and (state.get("words") or state.get("images")) else {}
    if change["act"]["kind"] == "search":
        change.setdefault("question", None)
    return {**given, **change}


def extract(text: str, lang: Any, turn: int, first_id: int) -> list[Claim]:
    """The claims of a description."""
    from prompts.claims import extract_claims

    return extract_claims(text, lang=lang, turn=turn, first_id=first_id)


def _given(state: State, context: Context) -> State:
    """A limit that came with the turn as numbers takes the place of those in force."""
    within, limits = state.get("within"), state.get("limits") or []
    if within == areas.combined(limits, context):
        return {}
    return {"limits": [areas.drawn(within)] if within else []}


def _first(state: State, text: str, turn: int) -> State:
    claims = extract(text, state.get("lang") or language(text), turn, 1) if text else []
    query_id = state.get("query_id") or f"q{turn}"
    return {**telling.search("description", claims, [text], state), "query_id": query_id}


def _later(state: State, text: str, turn: int, context: Context) -> State:
    from prompts.dialogue import read_turn

    limited, within = areas.written(text)
    if limited:
        return telling.inside([areas.drawn(within)] if within else [], state, context)
    before, question, pending = telling.claims_in(state), state.get("question"), state.get("pending")
    intent = read_turn(
        text,
        shown=len(state["result"]["candidates"]),
        claims=before,
        turn=turn,
        question=Claim.from_json(question["claim"]) if question else None,
        options=len(pending["options"]) - 1 if pending else 0,
    )
    if intent.intent == "choice" and pending:
        return _chosen(intent.choice or 0, pending, state, context)
    if intent.intent == "limit_area" and intent.area is not None:
        return _limited(intent.area, {}, intent.instead, state, context)
    if intent.intent == "answer" and intent.answer:
        return telling.answered(intent.answer, state, turn)
    if intent.intent in ("new_description", "add_clue", "correct_clue", "retract_clue"):
        return {**_told(intent, before, state), "pending": None}
    if intent.intent == "go_back":
        return telling.back(intent.to_turn if intent.to_turn is not None else -1, state)
    if intent.intent == "more_elsewhere":
        return _elsewhere(state, context)
    return _asked(intent, state)


def _elsewhere(state: State, context: Context) -> State:
    """The candidates that lie apart, from the list; where there are none, or they were told, a search elsewhere."""
    told = state["act"]["kind"] == "more_elsewhere" or state["act"].get("why") == "elsewhere"
    if reasons.apart(state["result"]) and not told:
        return {"act": {"kind": "more_elsewhere"}}
    ranks = range(1, len(state["result"]["candidates"]) + 1)
    try:
        limit = areas.around(state["result"], ranks, reasons.APART_M, context)
    except areas.NoArea as error:
        return {"act": {"kind": "no_area", "en": str(error), "zh": error.zh}}
    change = telling.inside([*(state.get("limits") or []), limit], state, context)
    if change["act"]["kind"] == "search":
        change["act"] = {**change["act"], "why": "elsewhere"}
    return change


def _chosen(choice: int, pending: Json, state: State, context: Context) -> State:
    """The limit whose words fitted several things, with the one that was chosen."""
    from prompts.claims_.area import AreaLimit

    option = pending["options"][choice - 1]
    chosen = {**pending["chosen"], pending["part"]: option["ids"]}
    return _limited(AreaLimit.from_json(pending["limit"]), chosen, pending["instead"], state, context)


def _limited(limit: AreaLimit, chosen: Json, instead: bool, state: State, context: Context) -> State:
    try:
        found = areas.resolve(limit, context, state["result"], chosen)
    except areas.WhichOne as error:
        pending: Json = {"limit": limit.to_json(), "part": error.part, "options": error.options}
        pending |= {"chosen": chosen, "instead": instead}
        return {"act": {"kind": "which_area", "en": str(error), "zh": error.zh}, "pending": pending}
    except areas.NoArea as error:
        return {"act": {"kind": "no_area", "en": str(error), "zh": error.zh}, "pending": None}
    return telling.inside([found] if instead else [*(state.get("limits") or []), found], state, context)


def _told(intent: TurnIntent, before: Sequence[Claim], state: State) -> State:
    """The ledger's claims and the words that are searched for after a clue, a correction or a retraction."""
    new, words = list(intent.claims), state["words"]
    if intent.intent == "new_description":
        fresh: State = {"within": None, "limits": [], "images": [], "asked": [], "question": None}
        if not new:
            return {**fresh, "act": {"kind": "restart"}, "claims": [], "words": []}
        return {**fresh, **telling.search("description", new, [intent.text], {})}
    if intent.intent == "add_clue":
        return telling.search("clue", [*before, *new], [*words, intent.text], state)
    if intent.intent == "retract_clue":
        return telling.struck(intent.claim_ids, state)
    old = set(intent.claim_ids)
    kept = [telling.with_status(c, "corrected") if c.id in old else c for c in before]
    said = [*without(words, [c.span for c in before if c.id in old]), intent.text]
    return telling.search("corrected", [*kept, *new], said, state)


def _asked(intent: TurnIntent, state: State) -> State:
    act: Json = {"kind": intent.intent}
    if intent.beyond is not None and not intent.ranks:
        return {"act": {"kind": "beyond", "rank": intent.beyond}}
    if intent.ranks:
        act["ranks"] = list(intent.ranks)
    if intent.intent == "name_thread":
        act["title"] = intent.title
    if intent.intent == "switch_language":
        return {"act": act, "spoken": intent.language or "both"}
    if intent.intent in ("shorter", "longer"):
        return {"act": act, "length": _length(intent.intent, state.get("length") or "usual")}
    return {"act": act}


def _length(wish: str, now: str) -> str:
    step = orders.LENGTHS.index(now) + (1 if wish == "longer" else -1)
    return orders.LENGTHS[min(max(step, 0), len(orders.LENGTHS) - 1)]


def _summary(result: Json) -> Json:
    """What a later reply compares with."""
    found = result["candidates"]
    return {"first": found[0]["tile_id"], "confidence": {c["tile_id"]: c["confidence"] for c in found}}
