"""The retriever's shortlist with its scores standardised over the gallery, and the gallery's prior."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agent.confidence import Prior
from agent.ledger import active
from retriever.errors import SightlineError
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
    mode: str = "fused",
) -> Shortlist:
    """The best ``k`` tiles inside ``within``. Raises ``SightlineError`` when no tile lies there."""
    standing = active(claims)
    found = retriever.retrieve(query, standing, k=k, within=within, mode=mode)
    scores = np.asarray(retriever.scores(query, standing, mode=mode), dtype=np.float64)
    if within is not None:
        scores = scores[np.asarray(within.contains(gallery.lat, gallery.lon), dtype=bool)]
    scores = scores[np.isfinite(scores)]
    if not found or not len(scores):
        raise SightlineError("no tile of the gallery lies within the given area; widen it or leave --within out")
    prior = Prior.of(scores)
    return Shortlist(
        candidates=tuple(dataclasses.replace(c, score=round(prior.z(c.score), 6)) for c in found), prior=prior
    )
