"""One method on one query: its order, how sure that makes the posterior, what it cost, and the reasons."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from agent.answer import in_template
from agent.explaining import reasons
from agent.judged import Reasons
from agent.ledger import active, map_evidence, net_support
from agent.rerankers import ContractError, Kit, Reranker, check_permutation, create
from agent.rerankers.base import picture
from agent.verdict import verdict
from eval.arena.asking import Cost, CountingClient
from eval.arena.config import Method
from eval.arena.frozen import Asked
from eval.protocol import EvaluationError
from retriever.errors import SightlineError
from retriever.posterior import Features
from retriever.types import Candidate, Claim, Evidence, Judgement, Ranking

if TYPE_CHECKING:
    from retriever.gallery import Gallery

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What a method is run with."""

    gallery: Gallery
    kit: Kit
    client: CountingClient | None
    """The judge's, where there is one."""


def build(method: Method, kit: Kit) -> Reranker:
    """The reranker with its options. Raises ``EvaluationError`` for an option that it does not know."""
    plain = create(method.name, kit)
    if not method.options:
        return plain
    maker: Any = type(plain)
    try:
        made: Reranker = maker(kit, **method.options)
    except TypeError as error:
        raise EvaluationError(f"method {method.key}: {error}; correct its options") from None
    return made


def shuffled(asked: Asked, number: int) -> tuple[Candidate, ...]:
    """The candidates in the ``number``-th random order; 0: the retriever's. Scores go with their tiles."""
    if number == 0:
        return asked.candidates
    drawn = list(asked.candidates)
    Random(f"shuffle {number} {asked.query.id}").shuffle(drawn)
    return tuple(dataclasses.replace(c, rank=rank) for rank, c in enumerate(drawn, 1))


async def judge(
    bench: Bench, method: Method, reranker: Reranker, asked: Asked, shuffle: int, top: int, how: Reasons = "written"
) -> Json:
    """The line of one query, the first ``top`` tiles explained. What fails for the whole query is its ``error``.

    Raises ``ContractError`` where the method does not give back the tiles that it was given: that is no bad luck.
    """
    given = shuffled(asked, shuffle)
    line: Json = {"query_id": asked.query.id, "given": [c.tile_id for c in given] if shuffle else None}
    start, cost = time.perf_counter(), Cost()
    try:
        _begin(bench)
        ranking = await reranker.rerank(asked.query, asked.claims, given, bench.gallery)
        cost = _cost(bench)
    except ContractError:
        raise
    except Exception as error:  # A method of another package may fail in any way; its line says how.
        return line | {"error": f"{type(error).__name__}: {error}", "cost": _cost(bench).to_json()}
    wall = time.perf_counter() - start
    check_permutation(ranking, given)
    line |= {
        "judgements": [_judgement(j) for j in ranking.judgements],
        "prompt": ranking.prompt,
        "cost": cost.to_json(),
        "wall_s": round(wall, 4),
        "sure": _sure(bench, method, asked, ranking),
    }
    return line if not top else line | await _explained(bench, asked, ranking, top, how)


def _begin(bench: Bench) -> None:
    if bench.client is not None:
        bench.client.begin()


def _cost(bench: Bench) -> Cost:
    return Cost() if bench.client is None else bench.client.cost


def _judgement(j: Judgement) -> Json:
    kept = {"tile_id": j.tile_id, "score": j.score, "kind": j.score_kind, "verdict": j.verdict, "error": j.error}
    return kept if j.explanation is None else kept | {"explanation": j.explanation.to_json()}


def _sure(bench: Bench, method: Method, asked: Asked, ranking: Ranking) -> Json:
    """The posterior with what this method found out, the map's part only for methods that look at the map."""
    mapped = "facts" in method.sees
    features: dict[str, Features] = {}
    evidence: dict[str, tuple[Evidence, ...]] = {}
    z = {c.tile_id: c.score for c in asked.candidates}
    for j in ranking.judgements:
        evidence[j.tile_id] = (map_evidence(bench.gallery, j.tile_id, asked.claims) or ()) if mapped else ()
        ledger, names = net_support(asked.claims, evidence[j.tile_id])
        p = j.score if j.score_kind == "p_match" else None
        features[j.tile_id] = Features(retrieval=z[j.tile_id], p_match=p, ledger=ledger, names=names)
    # Weights were fitted where the map spoke: without its part the number stands, and promises nothing.
    found = bench.kit.confidence.posterior(features, asked.prior, mapped=mapped)
    return {
        "cells": {tile: round(p, 6) for tile, p in found.cells.items()},
        "elsewhere": round(found.elsewhere, 6),
        "outside": round(found.outside, 6),
        "calibrated": found.calibrated,
        "verdicts": _verdicts(ranking, evidence),
    }


def _verdicts(ranking: Ranking, evidence: Mapping[str, tuple[Evidence, ...]]) -> dict[str, str]:
    """As the desk shows them: the judge's probability moved by the map, where the method looks at it."""
    found: dict[str, str] = {}
    for j in ranking.judgements:
        p = j.score if j.score_kind == "p_match" else None
        seen = [e for e in j.evidence if e.by == "model"]
        word = j.verdict if p is None else verdict(p, (*seen, *evidence[j.tile_id]))
        if word is not None:
            found[j.tile_id] = word
    return found


async def _explained(bench: Bench, asked: Asked, ranking: Ranking, top: int, how: Reasons) -> Json:
    """Reasons for the first ``top`` tiles: the method's own, else those of the same explainer for all."""
    start = time.perf_counter()
    _begin(bench)
    told = await asyncio.gather(*(_reasons(bench, asked, j, how) for j in ranking.judgements[:top]))
    wall = round(time.perf_counter() - start, 4)
    return {"reasons": told, "reasons_cost": _cost(bench).to_json(), "reasons_wall_s": wall}


async def _reasons(bench: Bench, asked: Asked, judgement: Judgement, how: Reasons) -> Json:
    if judgement.explanation is not None:
        words = judgement.explanation
        return {"tile_id": judgement.tile_id, "by": "own", "author": words.author, "en": words.en, "zh": words.zh}
    p = judgement.score if judgement.score_kind == "p_match" else None
    problem = None
    if bench.kit.judge is not None and active(asked.claims):
        try:
            tile = bench.gallery.tile(judgement.tile_id)
            png = picture(bench.gallery, judgement.tile_id)
            # A method without a probability is explained as the match that it took its first tile for.
            found = await reasons(bench.kit.judge, tile, png, asked.claims, 1.0 if p is None else p, how)
            words = found.explanation
            return {"tile_id": tile.id, "by": "shared", "author": words.author, "en": words.en, "zh": words.zh}
        except SightlineError as error:
            problem = str(error)
    words = in_template(asked.claims, _facts(bench, judgement.tile_id, asked.claims), judgement.verdict)
    told = {"tile_id": judgement.tile_id, "by": "shared", "author": "template", "en": words.en, "zh": words.zh}
    return told if problem is None else told | {"problem": problem}


def _facts(bench: Bench, tile_id: str, claims: Sequence[Claim]) -> tuple[Evidence, ...]:
    try:
        return map_evidence(bench.gallery, tile_id, claims) or ()
    except SightlineError:
        # A tile whose facts are damaged has no evidence; the method's own line already says what is wrong with it.
        return ()
