"""Pixels, map facts and retrieval score together: ordered by the same posterior that the confidence shows.

The map is cheap to ask, so it is asked first: the judge looks at the tiles that retrieval and map together put first
among the best few hundred retrieved. Where the gallery has no map facts, that is the retriever's own order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from agent.ledger import map_evidence, net_support
from agent.rerankers.base import Kit
from agent.rerankers.yesno import YesNo
from retriever.posterior import Features, utility
from retriever.types import Candidate, Claim, Judgement

if TYPE_CHECKING:
    from retriever.gallery import Gallery


class ByPosterior(YesNo):
    """As ``yesno``, with every claim also checked against the map where the gallery has facts."""

    name = "posterior"
    pool = 300
    """How many retrieved tiles are checked against the map before the shortlist is cut from them."""

    def __init__(self, kit: Kit) -> None:
        super().__init__(kit)
        self._weights = kit.confidence.weights

    def utilities(
        self, claims: Sequence[Claim], candidates: Sequence[Candidate], found: Mapping[str, Judgement], gallery: Gallery
    ) -> dict[str, float]:
        """By tile id, for the tiles that the judge could judge."""
        return {
            c.tile_id: utility(self._weights, self._features(claims, c, found[c.tile_id], gallery))
            for c in candidates
            if found[c.tile_id].score is not None
        }

    def _features(self, claims: Sequence[Claim], candidate: Candidate, found: Judgement, gallery: Gallery) -> Features:
        evidence = map_evidence(gallery, candidate.tile_id, claims) or ()
        ledger, names = net_support(claims, evidence)
        return Features(retrieval=candidate.score, p_match=found.score, ledger=ledger, names=names)
