"""Every pair of tiles in both orders (PRP-Allpair: Qin et al., Large Language Models are Effective Text Rankers with
Pairwise Ranking Prompting, arXiv 2306.17563), scored by probabilities instead of words."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from itertools import combinations

from agent.rerankers.comparing import Asking, Comparing


class Pairwise(Comparing):
    """The share of its pairs that a tile wins. Both orders count alike, so the judge's love of a letter cancels out."""

    name = "pairwise"
    template = "pairwise"

    async def compare(self, asking: Asking, tiles: Sequence[str]) -> Mapping[str, float]:
        """K (K - 1) questions, all at once; a pair counts where both its orders were answered."""
        if len(tiles) < 2:
            return dict.fromkeys(tiles, 1.0)
        pairs = list(combinations(tiles, 2))
        answers = await asyncio.gather(*(asking.choose(shown) for a, b in pairs for shown in ((a, b), (b, a))))
        won: dict[str, list[float]] = {t: [] for t in tiles}
        for n, (a, b) in enumerate(pairs):
            first, second = answers[2 * n], answers[2 * n + 1]
            if first is not None and second is not None:
                p = (first[a] + second[a]) / 2
                won[a].append(p)
                won[b].append(1 - p)
        return {t: sum(p) / len(p) for t, p in won.items() if p}
