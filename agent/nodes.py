"""The steps of one question's way, each a function from state to a change of state."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from langgraph.runtime import Runtime

from agent.answer import Told, authors, candidate_json, explain_shown
from agent.aside import aside
from agent.confidence import Posterior
from agent.context import Context
from agent.conversation import read
from agent.effects import effects
from agent.hearing import heard
from agent.ledger import map_evidence
from agent.order_note import order_note
from agent.reading import (
    area_of,
    candidates_of,
    checks_of,
    claims_of,
    features_of,
    images_of,
    query_of,
    usage_of,
)
from agent.replies import respond
from agent.rerankers import check_permutation
from agent.rerankers.gate import gate_of
from agent.shortlist import shortlist
from agent.state import Json, State
from agent.talk import question, talk
from agent.telling import remembered
from retriever.posterior import Features, Prior
from retriever.types import Ranking, Usage

Node = Callable[[State, Runtime[Context]], Awaitable[State]]


def timed(node: Node) -> Node:
    """Adds the node's wall seconds to the turn's usage, under the node's name."""

    @functools.wraps(node)
    async def run(state: State, runtime: Runtime[Context]) -> State:
        start = time.perf_counter()
        change = await node(state, runtime)
        before = Usage.from_json(change.get("usage") or state.get("usage") or {})
        took = Usage(seconds={node.__name__: round(time.perf_counter() - start, 4)})
        change["usage"] = (before + took).to_json()
        if change.get("result"):
            change["result"] = {**change["result"], "usage": change["usage"]}
        return change

    return run


@timed
async def claims(state: State, runtime: Runtime[Context]) -> State:
    """What this turn says: new claims, or a question about what is already judged."""
    change = await aside(read, state, runtime.context)
    change["usage"] = Usage().to_json()
    return await heard(change, runtime.context)


@timed
async def retrieve(state: State, runtime: Runtime[Context]) -> State:
    """The shortlist out of the whole gallery, or out of the part that an area limit leaves."""
    context = runtime.context
    found = await aside(
        shortlist,
        context.retriever,
        context.gallery,
        query_of(state),
        claims_of(state),
        k=context.shortlist,
        within=area_of(state, context),
        images=images_of(state, context),
        # Methods of other packages need not know of the map; theirs is the retriever's shortlist.
        pool=getattr(context.reranker, "pool", 0),
        weights=context.kit.confidence.weights,
        seen=context.seen,
    )
    _show(runtime, "retrieved", [c.tile_id for c in found.candidates], {})
    return {
        "candidates": [c.to_json() for c in found.candidates],
        "prior": found.prior.to_json(),
        "pool": [list(pair) for pair in found.pool],
    }


@timed
async def rerank(state: State, runtime: Runtime[Context]) -> State:
    """The shortlist in the reranker's order, each tile judged or marked with the reason why not."""
    context = runtime.context
    candidates = candidates_of(state)
    ranking = await context.reranker.rerank(query_of(state), claims_of(state), candidates, context.gallery)
    check_permutation(ranking, candidates)
    return {"ranking": ranking.to_json(), "usage": (usage_of(state) + ranking.usage).to_json()}


@timed
async def check(state: State, runtime: Runtime[Context]) -> State:
    """Every standing claim against the map facts of every shortlisted tile."""
    return {"checks": await aside(_checks, state, runtime.context)}


def _checks(state: State, context: Context) -> dict[str, list[Json]]:
    said = claims_of(state)
    found: dict[str, list[Json]] = {}
    for candidate in candidates_of(state):
        evidence = map_evidence(context.gallery, candidate.tile_id, said)
        if evidence is not None:
            found[candidate.tile_id] = [e.to_json() for e in evidence]
    return found


@timed
async def confidence(state: State, runtime: Runtime[Context]) -> State:
    """The posterior over the shortlisted cells, the rest of the gallery and outside, and what each clue did to it."""
    found = features_of(state)
    mapped = bool(state["checks"])
    posterior = runtime.context.kit.confidence.posterior(found, Prior.from_json(state["prior"]), mapped=mapped)
    order = [j.tile_id for j in Ranking.from_json(state["ranking"]).judgements]
    _show(runtime, "judged", order, posterior.cells)
    change: State = {"posterior": posterior.to_json(), "effects": {}}
    if runtime.context.weighs:
        change["effects"] = await aside(_effects, state, runtime.context, found, posterior)
    return change


def _effects(state: State, context: Context, found: dict[str, Features], posterior: Posterior) -> Json:
    return effects(
        context, query_of(state), state["words"], claims_of(state),
        features=found, checks=checks_of(state), posterior=posterior,
        first=Ranking.from_json(state["ranking"]).judgements[0].tile_id,
        within=area_of(state, context), images=images_of(state, context),
    )  # fmt: skip


@timed
async def answer(state: State, runtime: Runtime[Context]) -> State:
    """Reasons for the tiles shown and the whole result; or, for a question, its answer out of the ledger."""
    context = runtime.context
    if state["act"]["kind"] != "search":
        return await talk(state, runtime)
    said = claims_of(state)
    ranking = Ranking.from_json(state["ranking"])
    cells = state["posterior"]["cells"]
    judged = [dataclasses.replace(j, confidence=cells[j.tile_id]) for j in ranking.judgements]
    explained = await explain_shown(context, said, judged, checks_of(state), on_told=_teller(runtime))
    total = sum((told.usage for told in explained), start=usage_of(state)).to_json()
    searched: State = {**state, "usage": total, "notes": _notes(state)}
    searched["result"] = result_json(searched, context, explained)
    asked = await aside(question, searched, context, at_will=True)
    change: State = {"result": searched["result"], "usage": total, "notes": searched["notes"], **asked}
    change["past"] = remembered({**searched, **asked})
    return {**respond({**searched, **asked}), **change}


def _notes(state: State) -> list[str]:
    """What is noted of this turn, and what the answer cannot be expected to do."""
    from agent.opening import rendered_only

    note = rendered_only([view for view, _ in state.get("images") or []])
    return [*(state.get("notes") or []), *([note] if note else [])]


def _show(runtime: Runtime[Context], stage: str, tiles: Sequence[str], cells: Mapping[str, float]) -> None:
    """Tells listeners of the candidates as soon as they are known."""
    gallery, found = runtime.context.gallery, []
    for rank, tile in enumerate(tiles, 1):
        known = gallery.tile(tile)
        place = {"tile_id": tile, "lat": known.lat, "lon": known.lon, "bounds": list(known.bounds)}
        found.append({**place, "rank": rank, "confidence": cells.get(tile)})
    runtime.stream_writer({"kind": "candidates", "data": {"stage": stage, "candidates": found}})


def _teller(runtime: Runtime[Context]) -> Callable[[int, Told], None]:
    """Tells listeners of a tile's reasons as soon as they are there."""

    def tell(rank: int, told: Told) -> None:
        words = told.judgement.explanation
        data = {"tile_id": told.judgement.tile_id, "rank": rank, "error": told.problem}
        data |= {k: getattr(words, k, None) for k in ("en", "zh", "author")}
        runtime.stream_writer({"kind": "explanation", "data": data})

    return tell


def result_json(state: State, context: Context, explained: Sequence[Told]) -> Json:
    """The whole answer as ``--json`` prints it."""
    posterior, found = state["posterior"], features_of(state)
    ranks = {c.tile_id: c.rank for c in candidates_of(state)}
    method = state["ranking"]["method"]
    # A turn that another method ranked before it was cut off did not go through the gate of this one.
    gate = gate_of(context.reranker) if context.reranker.name == method else None
    result: Json = {
        "query_id": state["query_id"],
        "text": " ".join(state["words"]),
        "gallery": {"id": context.gallery.id, "sha256": context.gallery.sha256, "tiles": len(context.gallery)},
        "within": state.get("within"),
        "limits": [{"en": limit["en"], "zh": limit["zh"]} for limit in state.get("limits") or []],
        "claims": state["claims"],
        "candidates": [
            {
                **candidate_json(context, told, rank),
                "retrieval_rank": ranks[told.judgement.tile_id],
                "features": found[told.judgement.tile_id].to_json(),
            }
            for rank, told in enumerate(explained, 1)
        ],
        "shown": min(context.top, len(explained)),
        "outside_probability": posterior["outside"],
        "elsewhere_probability": posterior["elsewhere"],
        "confidence": {
            "calibrated": posterior["calibrated"],
            "note": posterior["note"],
            # A case file written later must not take the weights of that day for those of the answer.
            "weights": context.kit.confidence.weights.to_json(),
        },
        "effects": state.get("effects") or {},
        "prior": state["prior"],
        "method": method,
        # As the weights: a gate that is fitted later is not the one that this order went through.
        "gate": gate.to_json() if gate else None,
        "judge": {"backend": context.backend, "model": context.model},
        "encoder": context.encoder,
        "explanations": authors(explained),
        "reasons": context.reasons,
        "usage": state["usage"],
    }
    note = order_note(result["candidates"], result["gate"])
    return {**result, "order_note": {"en": note.en, "zh": note.zh} if note else None}


__all__ = ["answer", "check", "claims", "confidence", "rerank", "retrieve"]
