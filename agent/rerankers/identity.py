"""The retriever's order, untouched: the control that every method must beat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agent.rerankers.base import Kit, by_retrieval, ranking
from retriever.types import Candidate, Claim, Judgement, Query, Ranking, Usage

if TYPE_CHECKING:
    from retriever.gallery import Gallery


class Identity:
    """Judges nothing."""

    name = "identity"

    def __init__(self, kit: Kit) -> None:
        self._why = "not judged: the method identity keeps the retrieval order"

    async def rerank(
        self, query: Query, claims: Sequence[Claim], candidates: Sequence[Candidate], gallery: Gallery
    ) -> Ranking:
        """The candidates by retrieval rank; ``score`` is the retrieval score."""
        order = by_retrieval(candidates)
        found = {
            c.tile_id: Judgement(tile_id=c.tile_id, score=c.score, score_kind="retrieval", error=self._why)
            for c in order
        }
        return ranking(query, self.name, (c.tile_id for c in order), found, Usage())
