"""What is changed for a counterfactual: the description's claims, or the tile, redrawn from its facts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from PIL import Image

from eval.explanations.cases import Case
from retriever.draw import Fonts, draw_tile, visible
from retriever.oracle import FactIndex, check
from retriever.oracle.generality import satisfying
from retriever.types import Claim, Fact, Stance

KINDS = {
    "same": "nothing changed, the tile redrawn from its facts: what repeating alone does",
    "strike": "the claim is taken out of the description",
    "remove": "the objects that the claim rests on are taken off the tile",
    "move": "the objects that the claim rests on are put on the other side of the tile",
    "remove other": "control: as many objects of another kind, which no claim rests on, are taken off",
    "swap": "the tile of another place",
    "blank": "a map with nothing on it",
}
SMALL = 0.25
"""Objects that reach over more of the tile than this (its main road, its river) are the place and are not moved."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A description and a tile to be judged: as they are, or edited."""

    claims: tuple[Claim, ...]
    facts: tuple[Fact, ...]
    image: Image.Image
    size_m: float
    words: bool = True
    """Whether the explanation will be read; where not, a judge may leave it out and answer the rest."""

    def stance(self, claim: Claim) -> Stance:
        """What the map says of a claim in this scene."""
        return check(claim, FactIndex(self.facts, size_m=self.size_m)).stance


@dataclass(frozen=True, kw_only=True)
class Edit:
    kind: str
    """One of :data:`KINDS`."""
    scene: Scene
    claim: Claim | None = None
    """The claim that was struck or lost its object."""


def drawn(claims: Sequence[Claim], facts: Sequence[Fact], size_m: float, fonts: Fonts, px: int = 256) -> Scene:
    """A scene with the tile drawn from ``facts`` alone."""
    image = draw_tile(facts, size_m=size_m, px=px, fonts=fonts)
    return Scene(claims=tuple(claims), facts=tuple(facts), image=image, size_m=size_m)


def edits(case: Case, other: Case | None, *, fonts: Fonts, seed: int = 0) -> list[Edit]:
    """Every edit that this case allows, ``same`` first; none where the map knows nothing of the tile.

    One claim is drawn among those that the map supports by small objects that the picture shows; ``remove`` and
    ``move`` are only made where the map then no longer supports it.
    """
    if case.facts is None:
        return []
    rng = Random(f"{seed} {case.key}")
    found = [Edit(kind="same", scene=drawn(case.claims, case.facts, case.size_m, fonts))]
    claim = _pick(case, rng)
    if claim is not None:
        found += _about(case, claim, rng, fonts)
    if other is not None and other.facts is not None:
        found.append(Edit(kind="swap", scene=drawn(case.claims, other.facts, case.size_m, fonts)))
    found.append(Edit(kind="blank", scene=drawn(case.claims, (), case.size_m, fonts)))
    return found


def _about(case: Case, claim: Claim, rng: Random, fonts: Fonts) -> list[Edit]:
    facts = case.facts or ()
    basis = _basis(case, claim)
    left = tuple(f for f in facts if f.osm_id not in basis)
    moved = tuple(_mirrored(f) if f.osm_id in basis else f for f in facts)
    rest = [c for c in case.claims if c.id != claim.id]
    found = [Edit(kind="strike", scene=drawn(rest, facts, case.size_m, fonts), claim=claim)] if rest else []
    for kind, changed in (("remove", left), ("move", moved)):
        scene = drawn(case.claims, changed, case.size_m, fonts)
        if scene.stance(claim) != "supports":
            found.append(Edit(kind=kind, scene=scene, claim=claim))
    spare = _spare(case, basis, rng)
    if spare:
        kept = tuple(f for f in facts if f.osm_id not in spare)
        scene = drawn(case.claims, kept, case.size_m, fonts)
        if all(scene.stance(c) == case.checked[c.id].stance for c in case.claims):
            found.append(Edit(kind="remove other", scene=scene, claim=claim))
    return found


def _pick(case: Case, rng: Random) -> Claim | None:
    facts, seen = case.facts or (), _seen(case)
    fitting = []
    for claim in case.claims:
        if claim.kind == "object" and claim.polarity and case.checked[claim.id].stance == "supports":
            basis = _basis(case, claim)
            if basis & seen and all(_reach(f) <= SMALL for f in facts if f.osm_id in basis):
                fitting.append(claim)
    return rng.choice(fitting) if fitting else None


def _seen(case: Case) -> set[str]:
    """The objects whose symbol is really drawn."""
    facts = case.facts or ()
    return {f.osm_id for f, shown in zip(facts, visible(facts, size_m=case.size_m), strict=True) if shown}


def _basis(case: Case, claim: Claim) -> frozenset[str]:
    """Every object that could bear the claim out: all mapped ones of its kind, wherever on the tile."""
    wanted = satisfying(claim.value)
    return frozenset(f.osm_id for f in case.facts or () if f.kind in wanted)


def _spare(case: Case, basis: frozenset[str], rng: Random) -> set[str]:
    """Small objects in sight that no claim rests on, at most as many as ``basis``."""
    used = {osm_id for e in case.checked.values() for osm_id in e.osm_ids} | basis
    seen = _seen(case) - used
    free = [f.osm_id for f in case.facts or () if f.osm_id in seen and _reach(f) <= SMALL]
    names = list(dict.fromkeys(free))
    return set(rng.sample(names, min(len(names), len(basis))))


def _reach(fact: Fact) -> float:
    xs = [p[0] for part in fact.parts for p in part]
    ys = [p[1] for part in fact.parts for p in part]
    return max(max(xs) - min(xs), max(ys) - min(ys))


def _mirrored(fact: Fact) -> Fact:
    """The object on the other side of the tile's centre, its own shape kept."""
    xs = [p[0] for part in fact.parts for p in part]
    ys = [p[1] for part in fact.parts for p in part]
    dx, dy = 1.0 - (min(xs) + max(xs)), 1.0 - (min(ys) + max(ys))
    return replace(fact, parts=tuple(tuple((x + dx, y + dy) for x, y in part) for part in fact.parts))
