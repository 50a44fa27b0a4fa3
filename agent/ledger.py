"""The claim ledger of a tile: what supports, what contradicts, what cannot be told, and how much that weighs."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from retriever.types import Claim, Evidence

if TYPE_CHECKING:
    from retriever.gallery import Gallery

HEDGED = 0.5
"""Weight of a claim that the witness was not sure of."""
KEPT_TILES = 800
_lock = threading.Lock()
"""The worker thread and the event loop both ask."""
_indexes: WeakKeyDictionary[Gallery, dict[str, Any]] = WeakKeyDictionary()

SIGN = {"supports": 1.0, "contradicts": -1.0, "unknown": 0.0}


def active(claims: Iterable[Claim]) -> list[Claim]:
    """The claims that still stand."""
    return [claim for claim in claims if claim.status == "active"]


def map_evidence(gallery: Gallery, tile_id: str, claims: Sequence[Claim]) -> tuple[Evidence, ...] | None:
    """Every standing claim checked against the tile's map facts; None where the gallery knows no facts."""
    from retriever.oracle import check_all

    with _lock:
        index = _index(gallery, tile_id)
        if index is None:
            return None
        standing = {_same(claim): claim for claim in active(claims)}
        memo = index.memo
        new = {key: claim for key, claim in standing.items() if key not in memo}
        memo.update(zip(new, check_all(list(new.values()), index), strict=True))
        return tuple(_of(claim, memo[_same(claim)]) for claim in active(claims))


def _of(claim: Claim, evidence: Evidence) -> Evidence:
    """What was found for the same claim under another id."""
    return evidence if evidence.claim_id == claim.id else dataclasses.replace(evidence, claim_id=claim.id)


def _same(claim: Claim) -> tuple[Any, ...]:
    """What the map's answer depends on: a claim is checked once on a tile, however many turns come back to it."""
    where = claim.relation
    return (
        "evidence", claim.kind, claim.value, claim.count, claim.polarity,
        where.type, where.bearing_deg, where.distance_m, where.anchor,
    )  # fmt: skip


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
