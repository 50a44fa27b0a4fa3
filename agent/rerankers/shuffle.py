"""A random order, the same for the same query: the control that shows what luck gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agent.rerankers.base import Kit, ranking
from retriever.types import Candidate, Claim, Judgement, Query, Ranking, Usage, sha256_text

if TYPE_CHECKING:
    from retriever.gallery import Gallery


class Shuffle:
    """Orders by a hash of query id and tile id, so neither the input order nor the platform matters."""

    name = "shuffle"

    def __init__(self, kit: Kit) -> None:
        self._why = "not judged: the method shuffle draws lots"

    async def rerank(
        self, query: Query, claims: Sequence[Claim], candidates: Sequence[Candidate], gallery: Gallery
    ) -> Ranking:
        """The candidates in an order that depends on nothing but the query's id and theirs."""
        lots = {c.tile_id: int(sha256_text(f"{query.id}\n{c.tile_id}")[:13], 16) / 16**13 for c in candidates}
        order = sorted((c.tile_id for c in candidates), key=lambda tile: (-lots[tile], tile))
        found = {t: Judgement(tile_id=t, score=lots[t], score_kind="lot", error=self._why) for t in order}
        return ranking(query, self.name, order, found, Usage())
