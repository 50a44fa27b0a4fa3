"""The posterior's order behind a gate: the retriever's order stands where the evidence does not carry a change."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from agent.rerankers.base import Kit, by_retrieval
from agent.rerankers.posterior import ByPosterior
from retriever.errors import SightlineError
from retriever.types import Candidate

MARGIN = math.log(3.0)
"""In nats of the posterior's utility: a tile must be three times as probable as the one that it overtakes.

A round number, fitted to nothing. It means what it says only as far as the posterior's weights are calibrated.
"""


class Cascade(ByPosterior):
    """As ``posterior`` (one batch of probabilities, map checks folded in), with every overtaking by ``margin``.

    A margin of 0 gives the order of ``posterior``, an infinite one that of ``identity``. The confidence that is shown
    is the posterior's, so a tile that was kept back can carry a higher one than the tile before it.
    """

    name = "cascade"

    def __init__(self, kit: Kit, *, margin: float = MARGIN) -> None:
        if not margin >= 0.0:
            raise SightlineError(f"the gate's margin is {margin}; give nats, 0 or more")
        super().__init__(kit)
        self.margin = margin

    def order(self, candidates: Sequence[Candidate], useful: Mapping[str, float]) -> list[str]:
        """As :func:`gated` by this method's margin."""
        return gated(candidates, useful, self.margin)


def gated(candidates: Sequence[Candidate], utility: Mapping[str, float], margin: float) -> list[str]:
    """Tile ids in the retriever's order, but that a tile passes those before it that it beats by more than ``margin``.

    It stops behind the first one that it does not beat so clearly: no tile is overtaken on less than the margin.
    Tiles without a utility keep their place.
    """
    order = by_retrieval(candidates)
    placed: list[str] = []
    for tile_id in (c.tile_id for c in order if c.tile_id in utility):
        at = len(placed)
        while at and utility[tile_id] - utility[placed[at - 1]] > margin:
            at -= 1
        placed.insert(at, tile_id)
    judged = iter(placed)
    return [next(judged) if c.tile_id in utility else c.tile_id for c in order]
