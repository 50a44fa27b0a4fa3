"""From a thread to the documents of its case: everything that was asked, seen, found and concluded, as plain JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent import confidence
from agent.casefile import versions
from agent.casefile.errors import CaseError
from agent.state import State
from agent.threads import NoThread
from retriever.errors import SightlineError
from retriever.types import Claim

if TYPE_CHECKING:
    from agent.context import Context
    from agent.desk import Desk

Json = dict[str, Any]
COPIED = ("tile_id", "rank", "lat", "lon", "bounds", "verdict", "confidence", "score", "score_kind", "retrieval_rank")


@dataclass(frozen=True, kw_only=True)
class Source:
    """One thread as it stood after its last finished turn."""

    thread: Json
    state: State
    turns: list[Json]


@dataclass(kw_only=True)
class Documents:
    """A case before it is packed. ``pictures`` holds entries by name; ``json`` documents by name without ending."""

    json: dict[str, Any] = field(default_factory=dict)
    pictures: dict[str, bytes] = field(default_factory=dict)


async def gather(desk: Desk, thread: str) -> Source:
    """The thread's last finished turn and every turn before it. Raises ``NoThread`` or ``CaseError``."""
    if not desk.graph.checkpointer:
        raise CaseError("this desk keeps no threads, so there is nothing to export; open it with a database")
    state: State = {}
    turns: dict[int, Json] = {}
    # Newest first. A turn under way has a next node, and what it has done so far is no answer yet.
    async for snapshot in desk.graph.aget_state_history({"configurable": {"thread_id": thread}}):
        values: State = snapshot.values
        number = values.get("turn") or 0
        if snapshot.next or not number or not values.get("reply"):
            continue
        state = state or values
        if number <= state["turn"]:
            turns.setdefault(number, _turn(values))
    if not state:
        raise NoThread(f"there is no thread {thread!r}; list the threads to see which there are")
    _searched(state, thread)
    entry = await desk.book.get(thread)
    known = entry.to_json() if entry else {"id": thread}
    # Whose it is stays with the desk.
    told = {key: known[key] for key in ("id", "title", "begun", "changed", "parent", "parent_turn") if key in known}
    return Source(thread=told, state=state, turns=[turns[number] for number in sorted(turns)])


def _searched(state: State, thread: str) -> None:
    result, words = state.get("result"), state.get("words") or []
    if not result or not result["candidates"]:
        raise CaseError(f"nothing was searched for in the thread {thread!r} yet; describe the place first")
    something = words or state.get("images")
    if not something or " ".join(words) != result["text"] or state.get("within") != result["within"]:
        raise CaseError(f"the thread {thread!r} was begun anew and not searched since; describe the place first")


def _turn(values: State) -> Json:
    best = (values.get("result") or {}).get("candidates", [{}])[0]
    reply = values["reply"]
    return {
        "number": values["turn"],
        "asked": values.get("text") or "",
        "order": values.get("order"),
        "kind": values["act"]["kind"],
        "en": reply["en"],
        "zh": reply["zh"],
        "cites": [s["cites"] for s in reply.get("sentences", [])],
        "first": best.get("tile_id"),
        "confidence": best.get("confidence"),
        "within": values.get("within"),
        "notes": list(values.get("notes") or []),
        "usage": values.get("usage") or {},
    }


def documents(source: Source, context: Context) -> Documents:
    """Every document but the report and the maps. Reads pictures and facts from the gallery."""
    from agent.casefile.pictures import tile_pictures

    state, result = source.state, _result(source)
    found = Documents()
    entries = tile_pictures(result, context, found.pictures)
    found.json = {
        "case": _case(source, context),
        "query": _query(source, context, found.pictures),
        "claims": result["claims"],
        "candidates": [{**_beside(c), **entries[c["tile_id"]]} for c in result["candidates"]],
        "evidence": {c["tile_id"]: c["evidence"] for c in result["candidates"]},
        "explanations": {c["tile_id"]: _words(c) for c in result["candidates"]},
        "posterior": _posterior(state),
        "tiles": [context.gallery.tile(c["tile_id"]).to_json() for c in result["candidates"]],
        "trace": _trace(source, context, entries),
        "versions": _versions(source, context),
    }  # fmt: skip
    return found


def _result(source: Source) -> Json:
    result: Json = source.state["result"]
    return result


def _beside(candidate: Json) -> Json:
    return {key: candidate[key] for key in (*COPIED, "features", "error")}


def _words(candidate: Json) -> Json:
    return {"written": candidate["explanation"], "error": candidate.get("explanation_error")}


def _case(source: Source, context: Context) -> Json:
    result, gallery = _result(source), context.gallery
    manifest: Mapping[str, Any] = getattr(gallery, "manifest", {})
    if result["gallery"]["sha256"] != gallery.sha256:
        raise CaseError(
            f"the thread is about another gallery ({result['gallery']['id']}, {result['gallery']['sha256'][:12]}) "
            f"than {gallery.id}; open the desk with that one"
        )
    return {
        "thread": source.thread,
        "gallery": {
            **result["gallery"],
            **{name: getattr(gallery, name) for name in ("view", "size_m", "stride_m", "px")},
            **{name: manifest.get(name) for name in ("attribution", "licence", "sources", "bounds", "fonts")},
        },
        "method": result["method"],
        "gate": result.get("gate"),
        "reasons": result.get("reasons", "written"),
        "judge": result["judge"],
        "prompt": _prompt(source.state),
        "encoder": result["encoder"],
        "shown": result["shown"],
        "spoken": source.state.get("spoken") or "both",
        "notes": list(source.state.get("notes") or []),
    }


def _prompt(state: State) -> str:
    return str((state.get("ranking") or {}).get("prompt") or "")


def _query(source: Source, context: Context, pictures: dict[str, bytes]) -> Json:
    from agent.casefile.areas import area_json
    from agent.casefile.pictures import query_pictures

    state = source.state
    limits = [{**limit, "area": area_json(limit.get("area"))} for limit in state.get("limits") or []]
    return {
        "id": state["query_id"],
        "text": _result(source)["text"],
        "words": state["words"],
        "lang": state.get("lang"),
        "images": query_pictures(state, context, pictures),
        "limits": limits,
        "within": area_json(state.get("within")),
        "questions": state.get("asked") or [],
    }


def _posterior(state: State) -> Json:
    result: Json = state["result"]
    posterior = state.get("posterior") or {}
    return {
        "cells": posterior.get("cells", {}),
        "elsewhere": result["elsewhere_probability"],
        "outside": result["outside_probability"],
        "calibrated": result["confidence"]["calibrated"],
        "note": result["confidence"]["note"],
        "prior": result["prior"],
        "effects": result.get("effects") or {},
        "weights": _weights(result),
    }


def _weights(result: Json) -> Json:
    """The weights that the answer was computed with; an answer that does not say had those fitted for its models."""
    kept: Json | None = result["confidence"].get("weights")
    return kept or confidence.load(result["judge"]["model"], result["encoder"]).weights.to_json()


def _versions(source: Source, context: Context) -> Json:
    result, prompt = _result(source), _prompt(source.state)
    weights = _weights(result)
    return {
        **versions.at_hand(),
        "models": {
            "judge": {**result["judge"], "bundle": versions.judge_bundle(result["judge"]["model"])},
            "encoder": {"id": result["encoder"]},
            "confidence": {"weights_sha256": versions.weights_sha(weights), "note": result["confidence"]["note"]},
        },
        "prompt": {"stamp": prompt, "template": versions.prompt_named(prompt) if prompt else None},
        "gallery": {"id": context.gallery.id, "sha256": context.gallery.sha256},
    }


def _trace(source: Source, context: Context, entries: Mapping[str, Json]) -> Json:
    """What was put to which model about each tile, with tokens and seconds, and every turn of the conversation."""
    from prompts.render import claims_block
    from prompts.schema import MAX_CLAIMS

    result = _result(source)
    standing = [c for c in map(Claim.from_json, result["claims"]) if c.status == "active"][:MAX_CLAIMS]
    asked = []
    for candidate in result["candidates"]:
        p = candidate["score"] if candidate["score_kind"] == "p_match" else None
        sha = entries[candidate["tile_id"]]["picture_sha256"]
        written = candidate["explanation"] or {}
        asked.append(
            {
                "tile_id": candidate["tile_id"],
                "picture_sha256": sha,
                "saw": _listing(context, sha),
                "p_match": p,
                "not_judged": candidate["error"],
                "reasons": {"author": written.get("author"), "failed": candidate.get("explanation_error")},
            }
        )
    return {
        "model": result["judge"],
        "prompt": _prompt(source.state),
        "claims_as_asked": claims_block(standing),
        "tiles": asked,
        "usage": result["usage"],
        "turns": source.turns,
    }


def _listing(context: Context, picture_sha256: str | None) -> str | None:
    """What the model wrote about the tile before it was asked anything, where that is kept."""
    judge = context.kit.judge
    store, name = getattr(judge, "store", None), getattr(judge, "name", "")
    if store is None or picture_sha256 is None:
        return None
    try:
        kept: str | None = store.get(name, picture_sha256)
    except SightlineError:
        return None
    return kept
