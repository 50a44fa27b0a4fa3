"""Late interaction: every word looks for the patch of the tile that fits it best (ColBERT's MaxSim).

The vectors are those of the dual encoder, which was trained to match whole texts with whole tiles: nobody taught its
tokens and patches to match one by one, so this method is **untrained for late interaction**. It is a baseline.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from agent.rerankers.base import Kit, ranking, reorder_judged
from agent.rerankers.seen_patches import patches_of
from retriever.errors import ModelError, SightlineError
from retriever.types import Candidate, Claim, Judgement, Query, Ranking, Usage

if TYPE_CHECKING:
    from retriever.encoder import Encoder
    from retriever.gallery import Gallery

Floats = NDArray[np.float32]


class MaxSim:
    """Sees the words of the query and the pixels of the shortlisted tiles; asks no judge and gives no verdicts."""

    name = "maxsim"

    def __init__(self, kit: Kit) -> None:
        self._encoder = kit.encoder
        self._why = "not judged: the method maxsim measures likeness and gives no verdict"

    async def rerank(
        self, query: Query, claims: Sequence[Claim], candidates: Sequence[Candidate], gallery: Gallery
    ) -> Ranking:
        """By :func:`maxsim`, equal scores by retrieval rank; a tile without picture keeps its place."""
        start = time.perf_counter()
        # By id, so that the order of the list cannot touch a score.
        tiles = sorted({c.tile_id for c in candidates})
        found = self._measure_all(query.text, tiles, gallery)
        utility = {t: j.score for t, j in found.items() if j.score is not None}
        usage = Usage(seconds={"maxsim": time.perf_counter() - start})
        return ranking(query, self.name, reorder_judged(candidates, utility), found, usage)

    def _measure_all(self, text: str, tiles: Sequence[str], gallery: Gallery) -> dict[str, Judgement]:
        from retriever.late import text_tokens

        try:
            if self._encoder is None:
                raise ModelError("maxsim needs the encoder that made the shortlist, and none was given")
            tokens = text_tokens(self._encoder, text)
        except SightlineError as error:
            return {t: Judgement(tile_id=t, error=f"not judged: {error}") for t in tiles}
        return {t: self._measure(self._encoder, tokens, t, gallery) for t in tiles}

    def _measure(self, encoder: Encoder, tokens: Floats, tile_id: str, gallery: Gallery) -> Judgement:
        try:
            score = maxsim(tokens, patches_of(encoder, gallery, tile_id))
        except SightlineError as error:
            return Judgement(tile_id=tile_id, error=f"not judged: {error}")
        return Judgement(tile_id=tile_id, score=score, score_kind="maxsim", error=self._why)


def maxsim(tokens: Floats, patches: Floats) -> float:
    """Mean over the tokens [L, D] of the largest cosine with any of the patches [P, D]; -1 to 1, to six decimals.

    >>> maxsim(np.float32([[2, 0], [0, 1]]), np.float32([[1, 0], [0, -3]]))
    0.5
    """
    cosines = _unit(tokens) @ _unit(patches).T
    return round(float(cosines.max(axis=1).mean()), 6)


def _unit(rows: Floats) -> Floats:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    out: Floats = (rows / np.maximum(lengths, 1e-12)).astype(np.float32)
    return out
