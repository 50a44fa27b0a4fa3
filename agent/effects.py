"""What each clue did: the first candidate's probability had that clue alone not been said.

Without the clue its words are not searched for and its map evidence does not count; the judge's probabilities stay as
they were asked, because asking again would be paid for (``judge`` says so). The shortlist stays too, so the numbers are
of the same tiles.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from agent.ledger import active, net_support
from agent.shortlist import gallery_scores, searched
from agent.state import Json
from agent.telling import without
from retriever.posterior import Features, Prior
from retriever.types import Claim, Query

if TYPE_CHECKING:
    from agent.confidence import Posterior
    from agent.context import Context
    from agent.shortlist import Images
    from retriever.area import Area
    from retriever.types import Evidence

MOST = 12
"""Clues that are weighed one by one; every one costs a text embedding."""


def effects(
    context: Context,
    query: Query,
    words: Sequence[str],
    claims: Sequence[Claim],
    *,
    features: dict[str, Features],
    checks: dict[str, tuple[Evidence, ...]],
    posterior: Posterior,
    first: str,
    within: Area | None,
    images: Images,
) -> Json:
    """``{"leader", "judge": "held", "clues": {claim id: {"without", "log_odds"}}}``; ``log_odds`` is what it added.

    ``first`` is the candidate that is shown first and becomes the ``leader``; behind a gate another can be likelier.
    """
    allowed = searched(context.gallery, within)
    found: dict[str, Json] = {}
    for claim in active(claims)[:MOST]:
        rest = [c for c in claims if c.id != claim.id]
        left = " ".join(without(words, [claim.span]))
        scores = _scores(context, Query(id=query.id, text=left, lang=query.lang, images=query.images), rest, images)
        prior = Prior.of(scores[allowed & np.isfinite(scores)])
        changed = {
            tile: _without(feature, prior.z(float(scores[context.gallery.row(tile)])), rest, checks.get(tile, ()))
            for tile, feature in features.items()
        }
        other = context.kit.confidence.posterior(changed, prior).cells[first]
        found[claim.id] = {"without": other, "log_odds": _logit(posterior.cells[first]) - _logit(other)}
    return {"leader": first, "judge": "held", "clues": found}


def _scores(context: Context, query: Query, claims: Sequence[Claim], images: Images) -> NDArray[np.float32]:
    """float32 [N]; nothing to search for prefers no tile."""
    if not query.text.strip() and not query.images:
        return np.zeros(len(context.gallery), dtype=np.float32)
    return gallery_scores(context.retriever, query, claims, images, context.seen)


def _without(feature: Features, retrieval: float, rest: Sequence[Claim], evidence: Sequence[Evidence]) -> Features:
    ledger, names = net_support(rest, evidence)
    return Features(retrieval=retrieval, p_match=feature.p_match, ledger=ledger, names=names)


def _logit(p: float) -> float:
    bounded = min(max(p, 1e-9), 1.0 - 1e-9)
    return math.log(bounded / (1.0 - bounded))
