"""The gate in front of a new order: no tile is overtaken on less than a margin of evidence.

Numbers only: it stands here because the agent applies it and ``finetune`` fits it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from retriever.types import Record

MARGIN = math.log(3.0)
"""In nats, where no gate was fitted: a tile must be three times as probable as the one that it overtakes."""


@dataclass(frozen=True, kw_only=True)
class Gate(Record):
    """Parameters of the gate, in nats of the posterior's utility."""

    margin: float = MARGIN
    duel_weight: float = 0.0
    """What a nat of a duel's log-odds is worth; 0: duels decide nothing, so none are fought."""
    near: float = 0.0
    """A tile this close behind the best is in a near-tie with it."""


def gated(order: Sequence[str], utility: Mapping[str, float], margin: float) -> list[str]:
    """Tile ids in the given ``order``, but that a tile passes those before it that it beats by more than ``margin``.

    It stops behind the first one that it does not beat so clearly: no tile is overtaken on less than the margin.
    Tiles without a utility keep their place.

    >>> gated(["a", "b", "c"], {"a": 0.0, "b": 0.4, "c": 2.0}, 1.0)
    ['c', 'a', 'b']
    """
    placed: list[str] = []
    for tile_id in (t for t in order if t in utility):
        at = len(placed)
        while at and utility[tile_id] - utility[placed[at - 1]] > margin:
            at -= 1
        placed.insert(at, tile_id)
    judged = iter(placed)
    return [next(judged) if t in utility else t for t in order]


def near_ties(utility: Mapping[str, float], near: float, most: int) -> list[str]:
    """The best tile and at most ``most`` others within ``near`` of it, best first; fewer than two: no near-tie."""
    best = sorted(utility, key=lambda t: (-utility[t], t))
    return [t for t in best if utility[best[0]] - utility[t] <= near][: most + 1]
