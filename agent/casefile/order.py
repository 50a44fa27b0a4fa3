"""The order of a case's candidates, found again: by its method, behind the gate that was recorded with the answer."""

from __future__ import annotations

from typing import Any

from agent.casefile import again
from agent.casefile.case import Case, candidates_then
from agent.rerankers import Kit, create
from agent.rerankers.base import Reranker
from agent.rerankers.cascade import Cascade
from agent.rerankers.gate import load
from agent.verdict import verdict
from retriever.errors import SightlineError
from retriever.types import Judgement, Query, Ranking

Json = dict[str, Any]
FROM_SCORES = ("posterior", "yesno", "identity", "oracle")
"""Methods whose order follows from probabilities, facts and retrieval alone; ``cascade``'s does from its gate too."""


async def ranked(case: Case, kit: Kit, gallery: Any, live: bool) -> tuple[Ranking, str]:
    """The shortlist in order, and why that order was not found again, where it was not."""
    name = case.case["method"]
    query = Query(id=case.query["id"], text=case.query["text"])
    if not live and name not in (*FROM_SCORES, Cascade.name):
        return _archived(case, f"the order of the method {name!r} cannot be found without its model")
    if not live and name == Cascade.name and case.gate is None and again.was_judged(case):
        why = "the file does not record the gate of its order, which was that fitted for its models on the day"
        return _archived(case, why)
    try:
        reranker = _method(case, name, kit)
        found = await reranker.rerank(query, case.claims, candidates_then(case), gallery)
    except SightlineError as error:
        return _archived(case, f"the method {name!r} cannot be used here ({error})")
    if not live and _fought(reranker, case, found, gallery):
        return _archived(case, "near-ties were settled by showing a model two tiles at once, and it is not asked again")
    return found, ""


def _method(case: Case, name: str, kit: Kit) -> Reranker:
    """The method as it was then: a cascade behind the recorded gate, whatever gate is fitted today.

    Where none is recorded, behind today's for the models that answered.
    """
    if name != Cascade.name:
        return create(name, kit)
    return Cascade(kit, gate=case.gate or load(case.case["judge"]["model"], case.case["encoder"]))


def _fought(reranker: Reranker, case: Case, found: Ranking, gallery: Any) -> bool:
    """Whether the method had tiles compared that were too close to tell apart."""
    if not isinstance(reranker, Cascade):
        return False
    judged = {j.tile_id: j for j in found.judgements}
    return len(reranker.tied(reranker.utilities(case.claims, candidates_then(case), judged, gallery))) > 1


def _archived(case: Case, why: str) -> tuple[Ranking, str]:
    judgements = tuple(_then(c) for c in case.candidates)
    ranking = Ranking(query_id=case.query["id"], method=case.case["method"], judgements=judgements)
    return ranking, f"{why}, so the archive's order is kept"


def _then(candidate: Json) -> Judgement:
    """The judgement as the archive has it, before map evidence and reasons."""
    p = candidate["score"] if candidate["score_kind"] == "p_match" else None
    word = candidate["verdict"] if p is None else verdict(p, ())
    return Judgement(
        tile_id=candidate["tile_id"], verdict=word, score=candidate["score"], score_kind=candidate["score_kind"],
        error=candidate["error"], evidence=again.of_model(candidate),
    )  # fmt: skip
