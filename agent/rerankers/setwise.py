"""The best of a few tiles at a time, by bubble sort (Setwise: Zhuang et al., arXiv 2310.09497)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.rerankers.comparing import WINDOW, Asking, Comparing, by_place

PASSES = 3
"""Places at the top that are decided; behind them the order is what the passes left."""


class Setwise(Comparing):
    """From the bottom up, the tile that the judge names out of four goes to the front of them; three times over."""

    name = "setwise"
    template = "setwise"

    async def compare(self, asking: Asking, tiles: Sequence[str]) -> Mapping[str, float]:
        """At most ``PASSES`` times K / 3 questions, one after the other."""
        if len(tiles) < 2:
            return dict.fromkeys(tiles, 1.0)
        order, judged = list(tiles), set[str]()
        for done in range(min(PASSES, len(tiles) - 1)):
            end = len(order)
            while end > done + 1:
                start = max(done, end - WINDOW)
                shown = order[start:end]
                chances = await asking.choose(shown)
                if chances is not None:
                    judged |= set(shown)
                    # Equal chances: the one that stands in front, by retrieval and then by id.
                    best = shown[max(range(len(shown)), key=[round(chances[t], 6) for t in shown].__getitem__)]
                    order[start:end] = [best, *(t for t in shown if t != best)]
                end = start + 1
        return by_place(order, judged)
