"""Claims to practise on: made from a listing, with the three stances in balance.

Eight of ten claims that a witness makes are true; a model that is shown only such claims learns to say "supports".
"""

from __future__ import annotations

import random

from prompts.listing import Listing, find
from retriever.geo import POINTS_SHORT
from retriever.kinds import kinds
from retriever.oracle.generality import satisfying
from retriever.types import Claim, Relation, Stance

_AXIS_DEG = {"n-s": 0.0, "ne-sw": 45.0, "e-w": 90.0, "nw-se": 135.0}
_OTHER = ("storeys:3", "storeys:5", "storeys:8", "colour:red", "colour:white", "colour:yellow")
_FORMS = ("crossroads", "t_junction", "roundabout")
_TRIES = 12


def practice_claims(listing: Listing, rng: random.Random, *, n: int) -> list[Claim]:
    """``n`` claims whose stances (by :func:`prompts.listing.find`) are about equally often each of the three."""
    claims = []
    for i in range(n):
        wanted: Stance = rng.choice(("supports", "contradicts", "unknown"))
        claims.append(_one(listing, rng, wanted, f"c{i + 1}"))
    return claims


def _one(listing: Listing, rng: random.Random, wanted: Stance, claim_id: str) -> Claim:
    claim = _random(listing, rng, claim_id, wanted)
    for _ in range(_TRIES):
        if find(claim, listing).stance == wanted:
            break
        claim = _random(listing, rng, claim_id, wanted)
    return claim


def _random(listing: Listing, rng: random.Random, claim_id: str, wanted: Stance) -> Claim:
    roll = rng.random()
    if roll < 0.12:
        bearing = rng.choice((None, *_AXIS_DEG.values()))
        return _claim(claim_id, "road", "runs", _jitter(bearing, rng))
    if wanted == "unknown" and roll < 0.3:
        return _undecided(listing, rng, claim_id)
    named = [e for e in listing.entries if e.name]
    if named and roll < 0.35:
        entry = rng.choice(named)
        return _claim(claim_id, "name", entry.name or "", _bearing(entry.parts, rng))
    present = {e.kind for e in listing.entries}
    if roll < 0.75 and present and wanted != "unknown":
        kind_id = rng.choice(sorted(present))
    else:
        kind_id = rng.choice([k for k in kinds() if k not in present])
    parts = tuple({p for e in listing.of(satisfying(kind_id)) for p in e.parts})
    negated = rng.random() < 0.12
    return _claim(claim_id, "object", kind_id, _bearing(parts, rng), polarity=not negated)


def _undecided(listing: Listing, rng: random.Random, claim_id: str) -> Claim:
    if rng.random() < 0.5:
        return _claim(claim_id, "name", "".join(rng.choice("abcdefghiklmnoprstu") for _ in range(6)).title(), None)
    if rng.random() < 0.5:
        return _claim(claim_id, "building", rng.choice(_OTHER), None)
    return _claim(claim_id, "junction", rng.choice(_FORMS), None)


def _bearing(parts: tuple[str, ...], rng: random.Random) -> float | None:
    """None, a direction where the thing lies, or any direction."""
    roll = rng.random()
    if roll < 0.25:
        return None
    around = [p for p in parts if p != "c"]
    if around and roll < 0.6:
        return _jitter(45.0 * POINTS_SHORT.index(rng.choice(around)), rng)
    return rng.random() * 360.0


def _jitter(bearing: float | None, rng: random.Random) -> float | None:
    return None if bearing is None else (bearing + rng.uniform(-18, 18)) % 360.0


def _claim(claim_id: str, kind: str, value: str, bearing: float | None, *, polarity: bool = True) -> Claim:
    relation = Relation(type="near" if bearing is None else "bearing", bearing_deg=bearing)
    return Claim(id=claim_id, span="", kind=kind, value=value, relation=relation, polarity=polarity)  # type: ignore[arg-type]
