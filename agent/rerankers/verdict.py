"""Reasons for every tile: the whole shortlist is scored and explained. The thorough method, and the dear one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from agent.rerankers.base import JudgeLike, picture
from agent.rerankers.yesno import YesNo
from agent.verdict import verdict
from retriever.errors import SightlineError
from retriever.types import Candidate, Claim, Judgement, Usage

if TYPE_CHECKING:
    from retriever.gallery import Gallery


class ByVerdict(YesNo):
    """Orders by the match probability alone; equal ones keep the retrieval order.

    The reasons are written after the probability and for it, so they do not change the order; they cost one more
    answer of some hundred tokens per tile. A tile whose reasons could not be had is an ``error``, for the method's
    promise is a verdict with reasons.
    """

    name = "verdict"

    async def judge_one(
        self, judge: JudgeLike, claims: Sequence[Claim], tile_id: str, gallery: Gallery
    ) -> tuple[Judgement, Usage]:
        """Probability, evidence for every standing claim, and the explanation in both languages."""
        scored, usage = await super().judge_one(judge, claims, tile_id, gallery)
        if scored.score is None:
            return scored, usage
        try:
            told = await judge.explain(gallery.tile(tile_id), picture(gallery, tile_id), claims, scored.score)
        except SightlineError as error:
            return Judgement(tile_id=tile_id, error=f"not judged: its reasons could not be had: {error}"), usage
        word = verdict(scored.score, told.evidence)
        return replace(scored, verdict=word, evidence=told.evidence, explanation=told.explanation), usage + told.usage

    def utilities(
        self, claims: Sequence[Claim], candidates: Sequence[Candidate], found: Mapping[str, Judgement], gallery: Gallery
    ) -> dict[str, float]:
        """The match probability by tile id, for the judged tiles."""
        return {tile_id: j.score for tile_id, j in found.items() if j.score is not None}
