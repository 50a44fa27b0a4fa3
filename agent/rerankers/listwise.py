"""Windows of tiles put in order by the judge, sliding from the bottom up (RankGPT: Sun et al., arXiv 2304.09542)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.rerankers.comparing import WINDOW, Asking, Comparing, by_place

STEP = WINDOW // 2


class Listwise(Comparing):
    """The judge writes an order such as ``B > A > C``; anything else is no answer, and that window stays as it was."""

    name = "listwise"
    template = "listwise"

    async def compare(self, asking: Asking, tiles: Sequence[str]) -> Mapping[str, float]:
        """About K / 2 questions, one after the other."""
        if len(tiles) < 2:
            return dict.fromkeys(tiles, 1.0)
        order, judged, end = list(tiles), set[str](), len(tiles)
        while True:
            start = max(0, end - WINDOW)
            said = await asking.order(order[start:end])
            if said is not None:
                order[start:end] = said
                judged |= set(said)
            if start == 0:
                return by_place(order, judged)
            end -= STEP
