"""The claim ledger of a tile: what supports, what contradicts, what cannot be told, and how much that weighs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from retriever.types import Claim, Evidence

if TYPE_CHECKING:
    from retriever.gallery import Gallery

HEDGED = 0.5
"""Weight of a claim that the witness was not sure of."""

KEPT_TILES = 800
_indexes: WeakKeyDictionary[Gallery, dict[str, Any]] = WeakKeyDictionary()

SIGN = {"supports": 1.0, "contradicts": -1.0, "unknown": 0.0}


def active(claims: Iterable[Claim]) -> list[Claim]:
    """The claims that still stand."""
    return [claim for claim in claims if claim.status == "active"]


def map_evidence(gallery: Gallery, tile_id: str, claims: Sequence[Claim]) -> tuple[Evidence, ...] | None:
    """Every standing claim checked against the tile's map facts; None where the gallery knows no facts."""
    from retriever.oracle import check_all

    index = _index(gallery, tile_id)
    return None if index is None else tuple(check_all(active(claims), index))


def _index(gallery: Gallery, tile_id: str) -> Any:
    """The tile's facts, indexed. Turns and queries come back to the same tiles, so the last ones are kept."""
    from retriever.oracle import FactIndex

    kept: dict[str, Any] = _indexes.setdefault(gallery, {})
    if tile_id not in kept:
        facts = gallery.facts(tile_id)
        if len(kept) >= KEPT_TILES:
            kept.pop(next(iter(kept)))
        kept[tile_id] = None if facts is None else FactIndex(facts, size_m=gallery.size_m)
    return kept[tile_id]


def decisive(evidence: Iterable[Evidence]) -> dict[str, Evidence]:
    """One piece of evidence per claim id: the map's where it can tell, else the model's, else whatever there is."""
    best: dict[str, Evidence] = {}
    for item in evidence:
        known = best.get(item.claim_id)
        if known is None or _weight(item) > _weight(known):
            best[item.claim_id] = item
    return best


def _weight(item: Evidence) -> int:
    return (2 if item.stance != "unknown" else 0) + (1 if item.by == "map" else 0)


def net_support(claims: Sequence[Claim], evidence: Iterable[Evidence]) -> tuple[float, float]:
    """Supports minus contradicts over the claims that could be decided: ``(ledger, names)``.

    Name claims are summed apart, because a name that was read weighs far more than a kind of thing that was seen.
    Hedged claims count half; struck and corrected claims not at all.
    """
    found = decisive(evidence)
    ledger = names = 0.0
    for claim in active(claims):
        if claim.id not in found:
            continue
        value = SIGN[found[claim.id].stance] * (HEDGED if claim.hedge else 1.0)
        if claim.kind == "name":
            names += value
        else:
            ledger += value
    return ledger, names
