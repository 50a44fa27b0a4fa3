"""Counterfactual tiles: the true tile with one thing moved, removed, replaced or added, so that one claim fails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from retriever.draw import visible
from retriever.kinds import kinds
from retriever.oracle import FactIndex, check
from retriever.oracle.generality import akin
from retriever.pairs import Change, apply_change
from retriever.types import Claim, Fact

_EDGE = 0.1
"""Nothing is put closer to the tile's edge than this part of it."""
_MOVABLE = frozenset({"place", "transport", "street"})
_FIXED = frozenset({"crossing", "traffic_signals"})
"""Belong on a road wherever they are."""
_GROUNDS = ("parking", "grass", "pitch", "construction")


def counterfactual_tile(
    facts: Sequence[Fact], claims: Sequence[Claim], *, size_m: float, rng: Random
) -> tuple[tuple[Fact, ...], Change] | None:
    """The facts with one thing changed, and the change; None where no single change turns a borne-out claim around.

    What is changed can be seen: the object was drawn before, and where it is moved or put it is drawn after.
    """
    index = FactIndex(facts, size_m=size_m)
    drawn = visible(facts, size_m=size_m)
    wanted = [c for c in claims if c.kind == "object" and check(c, index).stance == "supports"]
    rng.shuffle(wanted)
    # A thing added where none was looks less like a map than a thing moved, so denials come last.
    for claim in sorted(wanted, key=lambda c: not c.polarity):
        for change in _changes(claim, facts, drawn, index, rng):
            edited = apply_change(facts, change)
            if check(claim, FactIndex(edited, size_m=size_m)).stance == "contradicts" and _seen(edited, change, size_m):
                return edited, change
    return None


def _seen(facts: Sequence[Fact], change: Change, size_m: float) -> bool:
    if change.what == "removed":
        return True
    drawn = visible(facts, size_m=size_m)
    return any(
        shown and f.osm_id == change.osm_id and f.kind == (change.before if change.what == "moved" else change.after)
        for f, shown in zip(facts, drawn, strict=True)
    )


def _changes(
    claim: Claim, facts: Sequence[Fact], drawn: Sequence[bool], index: FactIndex, rng: Random
) -> Iterator[Change]:
    if not claim.polarity:
        yield from _added(claim, rng)
        return
    ids = set(check(claim, index).osm_ids)
    meant = [f for f, shown in zip(facts, drawn, strict=True) if shown and f.osm_id in ids]
    for fact in meant:
        if kinds()[fact.kind].group in _MOVABLE and fact.kind not in _FIXED:
            for x, y in _elsewhere(fact, rng):
                yield _change("moved", claim, fact, fact.kind, (x, y))
        elif kinds()[fact.kind].group in ("area", "water") and fact.shape == "area":
            for kind in rng.sample([k for k in _GROUNDS if k in kinds() and k not in akin(claim.value)], k=1):
                yield _change("replaced", claim, fact, kind, None)
        if kinds()[fact.kind].complete and kinds()[fact.kind].group != "road":
            yield _change("removed", claim, fact, "", None)


def _change(what: str, claim: Claim, fact: Fact, after: str, xy: tuple[float, float] | None) -> Change:
    return Change(what=what, claim_id=claim.id, before=fact.kind, after=after, osm_id=fact.osm_id, xy=xy)  # type: ignore[arg-type]


def _elsewhere(fact: Fact, rng: Random) -> list[tuple[float, float]]:
    """Places on the other side of the centre: opposite, and a little to both sides of that."""
    points = [p for part in fact.parts for p in part]
    x, y = (sum(p[i] for p in points) / len(points) - 0.5 for i in (0, 1))
    far = max(0.22, min(0.38, (x * x + y * y) ** 0.5)) / max(1e-6, (x * x + y * y) ** 0.5)
    places = []
    for turn in rng.sample((-0.35, 0.0, 0.35), k=3):
        a, b = -(x - turn * y) * far, -(y + turn * x) * far
        places.append(tuple(round(min(1 - _EDGE, max(_EDGE, 0.5 + v)), 3) for v in (a, b)))
    return places


def _added(claim: Claim, rng: Random) -> Iterator[Change]:
    """A thing that the text says is not there, put near the middle."""
    if claim.value not in kinds() or kinds()[claim.value].group == "road":
        return
    for _ in range(2):
        xy = (round(rng.uniform(0.4, 0.6), 3), round(rng.uniform(0.4, 0.6), 3))
        yield Change(what="added", claim_id=claim.id, before="", after=claim.value, osm_id="added/1", xy=xy)
