"""What a click asks for, without words: the orders of the desk's verbs and how they are said in the log.

``{"do": "limit", "area": TEXT | GeoJSON | None}``, ``strike``/``restore`` ``{"claim": ID}``,
``edit`` ``{"claim": ID, "words": TEXT}``, ``answer`` ``{"answer": "yes" | "no" | "unknown"}``,
``attach`` ``{"image": [VIEW, SHA256]}``, ``switch`` ``{"spoken": en | zh | both, "length": short | usual | long}``,
``back`` ``{"turn": N}``, ``ask`` (put the best question), ``why``/``why_not`` ``{"rank": N}``,
``compare`` ``{"ranks": [N, M]}``, ``uncertain``, ``elsewhere``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from agent import areas, telling
from agent.state import Json, State
from retriever.errors import SightlineError
from retriever.types import Claim

if TYPE_CHECKING:
    from agent.context import Context

LENGTHS = ("short", "usual", "long")
SPOKEN = ("en", "zh", "both")
_ASKS = {"why": "why_this", "why_not": "why_not", "compare": "compare", "uncertain": "uncertain",
         "elsewhere": "more_elsewhere", "ask": "ask_me"}  # fmt: skip


class BadOrder(SightlineError):
    """An order that names something which the thread does not hold."""

    status = 422


def in_words(order: Json) -> str:
    """How the log tells an order."""
    do, rest = order.get("do"), {k: v for k, v in order.items() if k != "do" and v is not None}
    if do == "limit":
        return "[limit: none]" if order.get("area") is None else "[limit: an area that was drawn]"
    if do == "attach":
        return f"[image: {order['image'][0]}]"
    return f"[{do}{': ' if rest else ''}{', '.join(str(v) for v in rest.values())}]"


def carry_out(order: Json, state: State, turn: int, context: Context) -> State:
    """What an order changes. Raises ``BadOrder`` where it names what is not there."""
    do = order.get("do", "")
    if do in _ASKS:
        return _asked(order, _ASKS[do], state)
    maker = _ORDERS.get(do)
    if maker is None:
        raise BadOrder(f"there is no order {do!r}; known are {', '.join(sorted((*_ORDERS, *_ASKS)))}")
    try:
        return maker(order, state, turn, context)
    except (KeyError, TypeError, ValueError) as error:
        raise BadOrder(f"the order {do!r} is not complete ({error}); see the list of orders") from None


def _asked(order: Json, kind: str, state: State) -> State:
    _must_have_result(state)
    ranks = order.get("ranks") or ([order["rank"]] if "rank" in order else [])
    if not all(isinstance(n, int) and n >= 1 for n in ranks):
        raise BadOrder(f"{ranks!r} are no candidates' numbers; they count from 1")
    beyond = next((n for n in ranks if n > len(state["result"]["candidates"])), None)
    return {"act": {"kind": "beyond", "rank": beyond} if beyond else {"kind": kind, "ranks": ranks}}


def _limit(order: Json, state: State, turn: int, context: Context) -> State:
    area = order["area"]
    text = json.dumps(area) if isinstance(area, Mapping) else area
    if not state.get("result"):
        limits = [areas.drawn(text)] if text else []
        return {"act": {"kind": "restart"}, "limits": limits, "within": areas.combined(limits, context)}
    return telling.inside([areas.drawn(text)] if text else [], state, context)


def _strike(order: Json, state: State, turn: int, context: Context) -> State:
    _claim(order["claim"], state, ("active",))
    return telling.struck([order["claim"]], state)


def _restore(order: Json, state: State, turn: int, context: Context) -> State:
    claim = _claim(order["claim"], state, ("struck",))
    claims = [telling.with_status(c, "active") if c.id == claim.id else c for c in telling.claims_in(state)]
    return telling.search("restored", claims, [*state["words"], claim.span], state)


def _edit(order: Json, state: State, turn: int, context: Context) -> State:
    claim = _claim(order["claim"], state, ("active", "struck"))
    return telling.edited(claim, str(order["words"]), state, turn)


def _answer(order: Json, state: State, turn: int, context: Context) -> State:
    if order["answer"] not in ("yes", "no", "unknown"):
        raise BadOrder(f"the answer {order['answer']!r} is none of yes, no, unknown")
    if not state.get("question"):
        raise BadOrder("no question is open on this thread; ask for one first")
    return telling.answered(order["answer"], state, turn)


def _attach(order: Json, state: State, turn: int, context: Context) -> State:
    view, sha = order["image"]
    known = [pair for pair in state.get("images") or [] if pair != [view, sha]]
    change: State = {"images": [*known, [view, sha]]}
    return {**change, "act": {"kind": "search", "why": "image"}, "words": state.get("words") or [],
            "claims": state.get("claims") or [], "query_id": state.get("query_id") or f"q{turn}"}  # fmt: skip


def _switch(order: Json, state: State, turn: int, context: Context) -> State:
    spoken, length = order.get("spoken"), order.get("length")
    if spoken not in (None, *SPOKEN) or length not in (None, *LENGTHS):
        raise BadOrder(f"language {spoken!r} or length {length!r} is none of {', '.join((*SPOKEN, *LENGTHS))}")
    change: State = {"act": {"kind": "switch"}}
    if spoken:
        change["spoken"] = spoken
    if length:
        change["length"] = length
    return change


def _back(order: Json, state: State, turn: int, context: Context) -> State:
    return telling.back(int(order["turn"]), state)


def _claim(claim_id: Any, state: State, statuses: tuple[str, ...]) -> Claim:
    known = telling.claims_in(state)
    found = next((c for c in known if c.id == claim_id and c.status in statuses), None)
    if found is None:
        ids = ", ".join(c.id for c in known if c.status in statuses) or "none"
        raise BadOrder(f"there is no claim {claim_id!r} that can be changed so; there are: {ids}")
    return found


def _must_have_result(state: State) -> None:
    if not state.get("result"):
        raise BadOrder("nothing has been searched for on this thread yet; describe the place first")


_ORDERS: dict[str, Callable[[Json, State, int, Context], State]] = {
    "limit": _limit, "strike": _strike, "restore": _restore, "edit": _edit, "answer": _answer, "attach": _attach,
    "switch": _switch, "back": _back,
}  # fmt: skip
