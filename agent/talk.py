"""Turns that search for nothing: questions about the ledger, about the thread, and the desk's own question."""

from __future__ import annotations

import dataclasses
from typing import Any

from langgraph.runtime import Runtime

from agent.answer import candidate_json, explain_shown
from agent.aside import aside
from agent.context import Context
from agent.questions import LEAST_GAIN, SURE, belief_of, entropy, question_json, scored
from agent.reading import checks_of, claims_of, usage_of
from agent.replies import respond
from agent.state import Json, State
from agent.threads import ThreadBook, clean_title
from retriever.types import Ranking


async def talk(state: State, runtime: Runtime[Context]) -> State:
    """A turn that searches for nothing: a question about the ledger, about the thread, or for a question."""
    context, kind = runtime.context, state["act"]["kind"]
    change: State = {}
    if kind in ("why_not", "compare", "why_this"):
        change = await _unseen(state, context)
    elif kind in ("noted", "ask_me", "uncertain") and (state.get("words") or state.get("images")):
        change = await aside(question, state, context, at_will=kind == "noted")
    book, threads = ThreadBook(runtime.store), []
    if kind in ("name_thread", "list_threads"):
        threads = await _threads(state, book, runtime)
    return {**respond({**state, **change}, threads), **change}


async def _threads(state: State, book: ThreadBook, runtime: Runtime[Context]) -> list[Json]:
    """The owner's threads; this one named first, where that is what was asked."""
    info: Any = runtime.execution_info
    entry = await book.get(str(info.thread_id))
    if entry is None:
        return []
    if state["act"]["kind"] == "name_thread":
        await book.put(dataclasses.replace(entry, title=clean_title(state["act"]["title"] or "")))
        return []
    return [t.to_json() for t in await book.all(entry.owner)]


async def _unseen(state: State, context: Context) -> State:
    """Reasons for candidates that are asked about and were not explained yet: the judge is asked once, and kept."""
    result, act = state["result"], state["act"]
    wanted = act.get("ranks") or {"why_not": [2], "compare": [1, 2]}.get(act["kind"], [1])
    listed = list(result["candidates"])
    new = [
        n for n in wanted
        if 1 <= n <= len(listed) and n > result["shown"] and listed[n - 1]["explanation"] is None
        and listed[n - 1]["features"]["p_match"] is not None
    ]  # fmt: skip
    if not new or context.kit.judge is None:
        return {}
    return await _explained(state, context, new, listed)


async def _explained(state: State, context: Context, new: list[int], listed: list[Json]) -> State:
    judged = {j.tile_id: j for j in Ranking.from_json(state["ranking"]).judgements}
    checks, cells = checks_of(state), state["posterior"]["cells"]
    these = [dataclasses.replace(judged[t], confidence=cells[t]) for t in (listed[n - 1]["tile_id"] for n in new)]
    only = dataclasses.replace(context, top=len(these))
    found = await explain_shown(only, claims_of(state), these, checks)
    for n, told in zip(new, found, strict=True):
        listed[n - 1] = {**listed[n - 1], **candidate_json(context, told, n)}
    usage = sum((told.usage for told in found), start=usage_of(state)).to_json()
    return {"result": {**state["result"], "candidates": listed}, "usage": usage}


def question(state: State, context: Context, *, at_will: bool) -> State:
    """The best question, where one is worth asking; ``at_will`` only while no candidate is sure."""
    cells = state["posterior"]["cells"]
    if state.get("question") or (at_will and max(cells.values(), default=0.0) >= SURE):
        return {}
    belief, rest = belief_of(state["posterior"], state.get("pool") or [])
    asked = state.get("asked") or []
    found = scored(context.gallery, belief, rest, claims_of(state), [a["key"] for a in asked])
    telling = [question for question in found if question.gain_bits >= LEAST_GAIN]
    if not telling:
        return {"question": None}
    best = context.choose(telling, state)
    listed = [c["tile_id"] for c in state["result"]["candidates"]]
    question = question_json(best, listed, entropy([*belief.values(), rest]))
    return {"question": question, "asked": [*asked, {"key": question["key"], "answer": None}]}
