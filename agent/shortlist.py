"""The retriever's shortlist with its scores standardised over the gallery, and the gallery's prior."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agent.ledger import active, map_evidence, net_support
from retriever.errors import SightlineError
from retriever.fusion import best, standardise
from retriever.posterior import DEFAULTS, Features, Prior, Weights, utility
from retriever.types import Candidate, Claim, Query

if TYPE_CHECKING:
    from retriever.area import Area
    from retriever.gallery import Gallery


@dataclass(frozen=True, kw_only=True)
class Shortlist:
    candidates: tuple[Candidate, ...]
    """Best first; ``score`` is standardised over the searched part of the gallery (mean 0, deviation 1)."""
    prior: Prior
    pool: tuple[tuple[str, float], ...] = ()
    """The next best tiles with their utility: neither judged nor shown, but a question may split them."""


NEXT = 40
"""Tiles of the pool that are handed on."""
Images = Mapping[str, Path]


def shortlist(
    retriever: Any,
    gallery: Gallery,
    query: Query,
    claims: Sequence[Claim],
    *,
    k: int,
    within: Area | None = None,
    images: Mapping[str, Path] | None = None,
    pool: int = 0,
    weights: Weights | None = None,
    seen: dict[str, Any] | None = None,
) -> Shortlist:
    """The best ``k`` tiles inside ``within``; ``images`` holds the files of the query's images by sha256.

    With a ``pool``, the best ``pool`` retrieved tiles are ordered by retrieval score and map facts together, weighed by
    ``weights``, before the best ``k`` are taken. ``seen`` keeps images' scores by sha256.
    Raises ``SightlineError`` when no tile lies inside.
    """
    scores = gallery_scores(retriever, query, claims, images or {}, seen)
    allowed = np.isfinite(scores) & searched(gallery, within)
    if not allowed.any():
        raise SightlineError("no tile of the gallery lies within the given area; widen it or leave the limit out")
    prior = Prior.of(scores[allowed])
    rows = best(scores, gallery.ids, max(k, pool), allowed)
    z = {gallery.ids[row]: round(prior.z(float(scores[row])), 6) for row in rows}
    worth = _with_map(gallery, claims, z, weights or DEFAULTS) if pool else {}
    order = sorted(z, key=lambda tile: -worth[tile]) if pool else list(z)
    first = next(iter(z))
    if 1 < k <= order.index(first):
        # The retriever's first stays in sight: a gate that keeps its order must have it.
        order.remove(first)
        order.insert(k - 1, first)
    candidates = (Candidate(tile_id=tile, score=z[tile], rank=rank) for rank, tile in enumerate(order[:k], 1))
    rest = tuple((tile, round(worth[tile], 6)) for tile in order[k : k + NEXT]) if pool else ()
    return Shortlist(candidates=tuple(candidates), prior=prior, pool=rest)


def gallery_scores(
    retriever: Any, query: Query, claims: Sequence[Claim], images: Images, seen: dict[str, Any] | None = None
) -> NDArray[np.float32]:
    """float32 [N] over the gallery: the words' scores and every image's, each standardised where both are there.

    An image without words is scored alone. Raises ``SightlineError`` where there is neither.
    """
    told = bool(query.text.strip()) or not query.images
    scores = np.zeros(0, dtype=np.float32)
    if told:
        scores = np.asarray(retriever.scores(query, active(claims)), dtype=np.float32)
    for _, sha in query.images:
        kept = {} if seen is None else seen
        if sha not in kept:
            kept[sha] = standardise(_by_image(retriever, images.get(sha), sha))
        scores = scores + kept[sha] if len(scores) else kept[sha]
    return scores


def searched(gallery: Gallery, within: Area | None) -> NDArray[np.bool_]:
    """bool [N]: the tiles that an area limit leaves."""
    if within is None:
        return np.ones(len(gallery), dtype=bool)
    return np.asarray(within.contains(gallery.lat, gallery.lon), dtype=bool)


def _with_map(gallery: Gallery, claims: Sequence[Claim], z: Mapping[str, float], weights: Weights) -> dict[str, float]:
    """What a tile is worth by retrieval score and map facts, by tile id in the retriever's order."""

    def worth(tile: str) -> float:
        ledger, names = net_support(claims, map_evidence(gallery, tile, claims) or ())
        return utility(weights, Features(retrieval=z[tile], ledger=ledger, names=names))

    return {tile: worth(tile) for tile in z}


def _by_image(retriever: Any, path: Path | None, sha: str) -> Any:
    """Cosine of a query image with every tile: float32 [N]. Raises ``SightlineError`` where it is gone or damaged."""
    from PIL import Image

    encoder, index = retriever.dense
    again = "begin a new thread and give the image again"
    if path is None or not path.is_file():
        raise SightlineError(f"the image {sha[:12]} of this thread is no longer in the image store; {again}")
    try:
        with Image.open(path, formats=("PNG",)) as kept:
            picture = kept.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise SightlineError(f"the image {path} of this thread cannot be read ({error}); {again}") from None
    return index.scores(encoder.encode_images([picture]))[0]
