"""The judge's match probability for the whole shortlist at once, weighed against the retrieval score."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from agent.ledger import active
from agent.rerankers.base import JudgeLike, Kit, picture, ranking, reorder_judged
from agent.verdict import verdict
from retriever.errors import SightlineError
from retriever.posterior import Features, utility
from retriever.types import Candidate, Claim, Judgement, Query, Ranking, Usage

if TYPE_CHECKING:
    from retriever.gallery import Gallery


class YesNo:
    """Score = sigmoid of the yes/no logit difference, as in Qwen3-VL-Reranker. Sees pixels and claims, no map facts."""

    name = "yesno"

    def __init__(self, kit: Kit) -> None:
        self._kit = kit

    async def rerank(
        self, query: Query, claims: Sequence[Claim], candidates: Sequence[Candidate], gallery: Gallery
    ) -> Ranking:
        """By ``retrieval * z + match * logit(p_match)``; ``score`` is ``p_match``. Unjudged tiles keep their place."""
        start = time.perf_counter()
        found, usage = await judge_all(self._kit, claims, candidates, gallery, self.judge_one)
        useful = self.utilities(claims, candidates, found, gallery)
        took = Usage(seconds={"judge": time.perf_counter() - start})
        order = self.order(candidates, useful)
        return ranking(query, self.name, order, found, usage + took, prompt=prompt_of(self._kit))

    async def judge_one(
        self, judge: JudgeLike, claims: Sequence[Claim], tile_id: str, gallery: Gallery
    ) -> tuple[Judgement, Usage]:
        """One tile judged on its standing claims, or its ``error``."""
        try:
            scored = await judge.score(gallery.tile(tile_id), picture(gallery, tile_id), claims)
        except SightlineError as error:
            return Judgement(tile_id=tile_id, error=f"not judged: {error}"), Usage()
        p = scored.p_match
        return Judgement(tile_id=tile_id, verdict=verdict(p, ()), score=p, score_kind="p_match"), scored.usage

    def order(self, candidates: Sequence[Candidate], useful: Mapping[str, float]) -> list[str]:
        """Tile ids, best first, by the utilities of the judged ones."""
        return reorder_judged(candidates, useful)

    def utilities(
        self, claims: Sequence[Claim], candidates: Sequence[Candidate], found: Mapping[str, Judgement], gallery: Gallery
    ) -> dict[str, float]:
        """By tile id, for the judged tiles."""
        weights = self._kit.confidence.weights
        return {
            c.tile_id: utility(weights, Features(retrieval=c.score, p_match=found[c.tile_id].score))
            for c in candidates
            if found[c.tile_id].score is not None
        }


JudgeOne = Callable[[JudgeLike, Sequence[Claim], str, "Gallery"], Awaitable[tuple[Judgement, Usage]]]


def prompt_of(kit: Kit) -> str:
    """Id and hash of the judge's own template; empty where there is no judge or it keeps none."""
    template = getattr(kit.judge, "template", None)
    return "" if template is None else f"{template.id}@{template.sha256[:8]}"


async def judge_all(
    kit: Kit, claims: Sequence[Claim], candidates: Sequence[Candidate], gallery: Gallery, judge_one: JudgeOne
) -> tuple[dict[str, Judgement], Usage]:
    """Every distinct tile judged once, all at the same time (the client bounds how many calls are under way)."""
    tiles, standing = list(dict.fromkeys(c.tile_id for c in candidates)), active(claims)
    if kit.judge is None or not standing:
        why = kit.why_no_judge if kit.judge is None else "the description holds nothing that could be checked on a tile"
        return {t: Judgement(tile_id=t, error=f"not judged: {why}") for t in tiles}, Usage()
    results = await asyncio.gather(*(judge_one(kit.judge, standing, t, gallery) for t in tiles))
    total = Usage()
    for _, usage in results:
        total = total + usage
    return {j.tile_id: j for j, _ in results}, total
