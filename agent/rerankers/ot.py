"""Phrases against patches by optimal transport, after LaZSL (Interpretable Zero-Shot Learning with Locally-Aligned
Vision-Language Model, arXiv 2506.23822): its attribute phrases are the claims here, its crops the tile's patches.

Like maxsim it uses vectors that were trained for whole texts and whole tiles alone: a baseline, **untrained for this**.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from agent.ledger import active
from agent.rerankers.base import Kit, ranking, reorder_judged
from agent.rerankers.seen_patches import patches_of
from retriever.errors import ModelError, SightlineError
from retriever.types import Candidate, Claim, Judgement, Query, Ranking, Usage

if TYPE_CHECKING:
    from retriever.encoder import Encoder
    from retriever.gallery import Gallery

Floats = NDArray[np.floating]
REGULAR = 0.1
"""Weight of entropy in the plan, as a share of the largest possible cost."""
SHARP = 0.1
"""Temperature at which a patch's likeness to the whole text becomes its share of the mass."""
_BREAKS = re.compile(r"[.;!?。；！？，,\n]+")


class Transport:
    """Sees the words of the query and the pixels of the shortlisted tiles; asks no judge and gives no verdicts."""

    name = "ot"

    def __init__(self, kit: Kit) -> None:
        self._encoder = kit.encoder
        self._why = "not judged: the method ot measures likeness and gives no verdict"

    async def rerank(
        self, query: Query, claims: Sequence[Claim], candidates: Sequence[Candidate], gallery: Gallery
    ) -> Ranking:
        """By :func:`transported`, equal scores by retrieval rank; a tile without picture keeps its place."""
        start = time.perf_counter()
        tiles = sorted({c.tile_id for c in candidates})
        found = self._measure_all(phrases(query.text, claims), tiles, gallery)
        utility = {t: j.score for t, j in found.items() if j.score is not None}
        usage = Usage(seconds={"ot": time.perf_counter() - start})
        return ranking(query, self.name, reorder_judged(candidates, utility), found, usage)

    def _measure_all(self, said: Sequence[str], tiles: Sequence[str], gallery: Gallery) -> dict[str, Judgement]:
        try:
            if self._encoder is None:
                raise ModelError("ot needs the encoder that made the shortlist, and none was given")
            if not said:
                raise ModelError("the text has no phrases to compare; describe the place in a sentence or more")
            vectors = self._encoder.encode_text(said)
        except SightlineError as error:
            return {t: Judgement(tile_id=t, error=f"not judged: {error}") for t in tiles}
        return {t: self._measure(self._encoder, vectors, t, gallery) for t in tiles}

    def _measure(self, encoder: Encoder, vectors: Floats, tile_id: str, gallery: Gallery) -> Judgement:
        try:
            score = transported(vectors, patches_of(encoder, gallery, tile_id))
        except SightlineError as error:
            return Judgement(tile_id=tile_id, error=f"not judged: {error}")
        return Judgement(tile_id=tile_id, score=score, score_kind="ot", error=self._why)


def phrases(text: str, claims: Sequence[Claim]) -> list[str]:
    """What is matched: the words of each standing claim that says what is there, else the parts of the text."""
    spans = [c.span.strip() for c in active(claims) if c.polarity and c.span.strip()]
    return list(dict.fromkeys(spans)) or [part.strip() for part in _BREAKS.split(text) if part.strip()]


def transported(phrases: Floats, patches: Floats) -> float:
    """Mean cosine of phrases [P, D] and patches [N, D] under the plan that moves one onto the other, to six decimals.

    Phrases weigh alike; a patch weighs by its likeness to all of them together, so that empty ground hardly counts.

    >>> transported(np.eye(2), np.eye(2)) > transported(np.eye(2), np.ones((2, 2)))
    True
    """
    import ot

    said, seen = _unit(phrases), _unit(patches)
    cosines = said @ seen.T
    whole = seen @ _unit(said.mean(0, keepdims=True))[0] / SHARP
    share = np.exp(whole - whole.max())
    share /= share.sum()
    plan = ot.sinkhorn(np.full(len(said), 1 / len(said)), share, 1.0 - cosines, 2 * REGULAR, numItermax=2000)
    return round(float((plan * cosines).sum() / plan.sum()), 6)


def _unit(rows: Floats) -> Floats:
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    out: Floats = rows / np.maximum(lengths, 1e-12)
    return out
