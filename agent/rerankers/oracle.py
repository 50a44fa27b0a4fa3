"""Map facts only, no model: supports minus contradicts. It says how far the map alone would get."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from agent.ledger import map_evidence, net_support
from agent.rerankers.base import Kit, ranking, reorder_judged
from retriever.errors import SightlineError
from retriever.types import Candidate, Claim, Evidence, Judgement, Query, Ranking, Usage, Verdict

if TYPE_CHECKING:
    from retriever.gallery import Gallery


class Oracle:
    """Orders by the fitted weights of the ledger; ties keep the retrieval order."""

    name = "oracle"

    def __init__(self, kit: Kit) -> None:
        self._weights = kit.confidence.weights

    async def rerank(
        self, query: Query, claims: Sequence[Claim], candidates: Sequence[Candidate], gallery: Gallery
    ) -> Ranking:
        """The candidates by their claims' support on the map; a tile without facts is an ``error`` and stays put."""
        start = time.perf_counter()
        found = {t: self._judge(gallery, t, claims) for t in dict.fromkeys(c.tile_id for c in candidates)}
        utility = {t: j.score for t, j in found.items() if j.score is not None}
        usage = Usage(seconds={"oracle": time.perf_counter() - start})
        return ranking(query, self.name, reorder_judged(candidates, utility), found, usage)

    def _judge(self, gallery: Gallery, tile_id: str, claims: Sequence[Claim]) -> Judgement:
        try:
            evidence = map_evidence(gallery, tile_id, claims)
        except SightlineError as error:
            return Judgement(tile_id=tile_id, error=f"not judged: {error}")
        if evidence is None:
            return Judgement(tile_id=tile_id, error="not judged: the gallery holds no map facts for this tile")
        ledger, names = net_support(claims, evidence)
        score = self._weights.ledger * ledger + self._weights.names * names
        return Judgement(
            tile_id=tile_id, verdict=_verdict(evidence, score), score=score, score_kind="oracle", evidence=evidence
        )


def _verdict(evidence: Sequence[Evidence], score: float) -> Verdict:
    if all(item.stance == "unknown" for item in evidence) or score == 0.0:
        return "cannot_tell"
    return "match" if score > 0 else "no_match"
