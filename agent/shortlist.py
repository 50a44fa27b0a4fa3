"""The retriever's shortlist with its scores standardised over the gallery, and the gallery's prior."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agent.ledger import active
from retriever.errors import SightlineError
from retriever.fusion import best, standardise
from retriever.posterior import Prior
from retriever.types import Candidate, Claim, Query

if TYPE_CHECKING:
    from retriever.area import Area
    from retriever.gallery import Gallery


@dataclass(frozen=True, kw_only=True)
class Shortlist:
    candidates: tuple[Candidate, ...]
    """Best first; ``score`` is standardised over the searched part of the gallery (mean 0, deviation 1)."""
    prior: Prior


def shortlist(
    retriever: Any,
    gallery: Gallery,
    query: Query,
    claims: Sequence[Claim],
    *,
    k: int,
    within: Area | None = None,
    images: Mapping[str, Path] | None = None,
) -> Shortlist:
    """The best ``k`` tiles inside ``within``; ``images`` holds the files of the query's images by sha256.

    Raises ``SightlineError`` when no tile lies inside.
    """
    scores = np.asarray(retriever.scores(query, active(claims)), dtype=np.float32)
    for _, sha in query.images:
        scores = scores + standardise(_by_image(retriever, (images or {})[sha]))
    allowed = np.isfinite(scores)
    if within is not None:
        allowed &= np.asarray(within.contains(gallery.lat, gallery.lon), dtype=bool)
    if not allowed.any():
        raise SightlineError("no tile of the gallery lies within the given area; widen it or leave the limit out")
    prior = Prior.of(scores[allowed])
    rows = best(scores, gallery.ids, k, allowed)
    candidates = (
        Candidate(tile_id=gallery.ids[row], score=round(prior.z(float(scores[row])), 6), rank=rank)
        for rank, row in enumerate(rows, 1)
    )
    return Shortlist(candidates=tuple(candidates), prior=prior)


def _by_image(retriever: Any, path: Path) -> Any:
    """Cosine of a query image with every tile: float32 [N]."""
    from PIL import Image

    encoder, index = retriever.dense
    with Image.open(path) as picture:
        vector = encoder.encode_images([picture.convert("RGB")])
    return index.scores(vector)[0]
