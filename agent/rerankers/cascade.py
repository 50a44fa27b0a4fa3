"""The posterior's order, near-ties settled by duels, behind a gate: the retriever's order stands where the evidence
does not carry a change."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from agent.rerankers.base import Kit, in_their_places, ranking
from agent.rerankers.duels import duels
from agent.rerankers.gate import FittedGate, load, models_of
from agent.rerankers.posterior import ByPosterior
from agent.rerankers.yesno import judge_all, prompt_of
from retriever import gate as gates
from retriever.errors import SightlineError
from retriever.gate import MARGIN, Gate, near_ties
from retriever.types import Candidate, Claim, Query, Ranking, Usage

if TYPE_CHECKING:
    from retriever.gallery import Gallery

RIVALS = 2
"""Duels at most: the best tile against the next ones of a near-tie."""


class Cascade(ByPosterior):
    """One batch of probabilities with the map's checks folded in; duels only in near-ties; then the gate.

    The gate (margin, weight of duels) is the one that was fitted for the models of the kit, else the default; a
    ``gate`` given here is taken instead, as is a ``margin``, without duels. A margin of 0 gives the order of
    ``posterior``, an infinite one that of the retrieval scores. Reasons are left to whoever shows tiles. The confidence
    that is shown is the posterior's, so a tile that was kept back can carry a higher one than the tile before it.
    """

    name = "cascade"

    def __init__(self, kit: Kit, *, margin: float | None = None, gate: FittedGate | None = None) -> None:
        if margin is not None:
            if not margin >= 0.0:
                raise SightlineError(f"the gate's margin is {margin}; give nats, 0 or more")
            gate = FittedGate(gate=Gate(margin=margin), note="a given margin")
        super().__init__(kit)
        self.fitted = gate or load(*models_of(kit))
        self.margin = self.fitted.gate.margin

    async def rerank(
        self, query: Query, claims: Sequence[Claim], candidates: Sequence[Candidate], gallery: Gallery
    ) -> Ranking:
        """As ``posterior``, the best tile's lead in a near-tie moved by its duels, and the order gated."""
        start = time.perf_counter()
        found, usage = await judge_all(self._kit, claims, candidates, gallery, self.judge_one)
        useful = self.utilities(claims, candidates, found, gallery)
        useful, fought = await self._settled(claims, useful, gallery)
        took = Usage(seconds={"judge": time.perf_counter() - start})
        order = self.order(candidates, useful)
        return ranking(query, self.name, order, found, usage + fought + took, prompt=prompt_of(self._kit))

    async def _settled(
        self, claims: Sequence[Claim], useful: dict[str, float], gallery: Gallery
    ) -> tuple[dict[str, float], Usage]:
        best, *rivals = self.tied(useful) or [""]
        if not rivals:
            return useful, Usage()
        odds, usage = await duels(self._kit, claims, gallery, best, rivals)
        weight = self.fitted.gate.duel_weight
        return useful | {t: useful[t] - weight * lead for t, lead in odds.items()}, usage

    def tied(self, useful: Mapping[str, float]) -> list[str]:
        """The best tile and those that it is to fight, best first; fewer than two: no duel decides anything."""
        gate = self.fitted.gate
        return near_ties(useful, gate.near, RIVALS) if gate.duel_weight > 0 and useful else []

    def order(self, candidates: Sequence[Candidate], useful: Mapping[str, float]) -> list[str]:
        """As :func:`gated` by the margin; where nothing was judged, that is the order that was given."""
        return gated(candidates, useful, self.margin)


def gated(candidates: Sequence[Candidate], utility: Mapping[str, float], margin: float) -> list[str]:
    """:func:`retriever.gate.gated` over the judged candidates (those with a utility) by retrieval score.

    By score and not by rank: where the map has cut the shortlist, the rank is the map's word already.
    """
    judged = sorted((c for c in candidates if c.tile_id in utility), key=lambda c: (-c.score, c.rank, c.tile_id))
    return in_their_places(candidates, gates.gated([c.tile_id for c in judged], utility, margin))


__all__ = ["MARGIN", "Cascade", "gated"]
