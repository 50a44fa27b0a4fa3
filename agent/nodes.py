"""The steps of one question's way, each a function from state to a change of state."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from langgraph.runtime import Runtime

from agent.answer import Told, authors, candidate_json, explain_shown
from agent.context import Context
from agent.conversation import read, respond
from agent.ledger import map_evidence, net_support
from agent.rerankers import check_permutation
from agent.shortlist import shortlist
from agent.state import Json, State
from retriever.posterior import Features, Prior
from retriever.types import Candidate, Claim, Evidence, Query, Ranking, Usage

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
    change = read(state, runtime.context)
    change["usage"] = Usage().to_json()
    return change


@timed
async def retrieve(state: State, runtime: Runtime[Context]) -> State:
    """The shortlist out of the whole gallery, or out of the part that an area limit leaves."""
    context = runtime.context
    found = shortlist(
        context.retriever,
        context.gallery,
        query_of(state),
        claims_of(state),
        k=context.shortlist,
        within=area_of(state, context),
        images=_images(state, context),
        # Methods of other packages need not know of the map; theirs is the retriever's shortlist.
        pool=getattr(context.reranker, "pool", 0),
        weights=context.kit.confidence.weights,
    )
    return {"candidates": [c.to_json() for c in found.candidates], "prior": found.prior.to_json()}


@timed
async def rerank(state: State, runtime: Runtime[Context]) -> State:
    """The shortlist in the reranker's order, each tile judged or marked with the reason why not."""
    context = runtime.context
    candidates = candidates_of(state)
    ranking = await context.reranker.rerank(query_of(state), claims_of(state), candidates, context.gallery)
    check_permutation(ranking, candidates)
    return {"ranking": ranking.to_json(), "usage": (_usage(state) + ranking.usage).to_json()}


@timed
async def check(state: State, runtime: Runtime[Context]) -> State:
    """Every standing claim against the map facts of every shortlisted tile."""
    said = claims_of(state)
    found: dict[str, list[Json]] = {}
    for candidate in candidates_of(state):
        evidence = map_evidence(runtime.context.gallery, candidate.tile_id, said)
        if evidence is not None:
            found[candidate.tile_id] = [e.to_json() for e in evidence]
    return {"checks": found}


@timed
async def confidence(state: State, runtime: Runtime[Context]) -> State:
    """The posterior over the shortlisted cells, the rest of the gallery and outside."""
    found = features_of(state)
    posterior = runtime.context.kit.confidence.posterior(found, Prior.from_json(state["prior"]))
    return {"posterior": posterior.to_json()}


@timed
async def answer(state: State, runtime: Runtime[Context]) -> State:
    """Reasons for the tiles shown and the whole result; or, for a question, its answer out of the ledger."""
    if state["act"]["kind"] != "search":
        return respond(state)
    context, said = runtime.context, claims_of(state)
    ranking = Ranking.from_json(state["ranking"])
    cells = state["posterior"]["cells"]
    judged = [dataclasses.replace(j, confidence=cells[j.tile_id]) for j in ranking.judgements]
    explained = await explain_shown(context, said, judged, checks_of(state))
    total = sum((told.usage for told in explained), start=_usage(state)).to_json()
    searched: State = {**state, "usage": total}
    result = result_json(searched, context, explained)
    return {**respond({**searched, "result": result}), "result": result, "usage": total}


def result_json(state: State, context: Context, explained: Sequence[Told]) -> Json:
    """The whole answer as ``--json`` prints it."""
    posterior, found = state["posterior"], features_of(state)
    ranks = {c.tile_id: c.rank for c in candidates_of(state)}
    return {
        "query_id": state["query_id"],
        "text": " ".join(state["words"]),
        "gallery": {"id": context.gallery.id, "sha256": context.gallery.sha256, "tiles": len(context.gallery)},
        "within": state.get("within"),
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
        "confidence": {"calibrated": posterior["calibrated"], "note": posterior["note"]},
        "prior": state["prior"],
        "method": state["ranking"]["method"],
        "judge": {"backend": context.backend, "model": context.model},
        "encoder": context.encoder,
        "explanations": authors(explained),
        "usage": state["usage"],
    }


def query_of(state: State) -> Query:
    """Everything searched for so far, as one query."""
    text = " ".join(state["words"])
    images: Any = [tuple(pair) for pair in state.get("images") or []]
    return Query(id=state["query_id"], text=text, lang=_lang(state), images=tuple(images))


def _lang(state: State) -> Any:
    from agent.language import language

    return state.get("lang") or language(" ".join(state["words"]))


def claims_of(state: State) -> list[Claim]:
    return [Claim.from_json(c) for c in state.get("claims", [])]


def candidates_of(state: State) -> list[Candidate]:
    return [Candidate.from_json(c) for c in state.get("candidates", [])]


def checks_of(state: State) -> dict[str, tuple[Evidence, ...]]:
    return {t: tuple(Evidence.from_json(e) for e in found) for t, found in state.get("checks", {}).items()}


def _images(state: State, context: Context) -> dict[str, Path]:
    """The files of the question's images by sha256; those of an earlier command are in the content store."""
    found = dict(context.images)
    for _, sha in state.get("images") or []:
        if sha not in found and context.image_folder is not None:
            found[sha] = context.image_folder / f"{sha}.png"
    return found


def area_of(state: State, context: Context) -> Any:
    """The area limit, or None. Raises ``SightlineError`` for one that cannot be read."""
    if not state.get("within"):
        return None
    from retriever.area import Area

    return Area.parse(str(state["within"]))


def features_of(state: State) -> dict[str, Features]:
    """What is known about every shortlisted tile, by id."""
    said, checks = claims_of(state), checks_of(state)
    judged = {j.tile_id: j for j in Ranking.from_json(state["ranking"]).judgements}
    found: dict[str, Features] = {}
    for candidate in candidates_of(state):
        ledger, names = net_support(said, checks.get(candidate.tile_id, ()))
        judgement = judged[candidate.tile_id]
        p = judgement.score if judgement.score_kind == "p_match" else None
        found[candidate.tile_id] = Features(retrieval=candidate.score, p_match=p, ledger=ledger, names=names)
    return found


def _usage(state: State) -> Usage:
    return Usage.from_json(state.get("usage") or {})


__all__ = ["answer", "check", "claims", "confidence", "rerank", "retrieve"]
