"""Wrong details: what a witness gets wrong, checked to be really wrong on this tile."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from finetune.data.sayings import Place, Saying
from retriever.oracle import FactIndex, check
from retriever.oracle.generality import akin
from retriever.types import RelationType

_SWAPS = tuple(
    "pharmacy hospital cafe restaurant bank supermarket bakery hairdresser books florist post_office police school "  # noqa: SIM905
    "library church mosque cinema museum hotel fountain playground bus_stop tram_stop subway_entrance parking fuel "
    "river".split()
)
_COLOURS = ("white", "grey", "red", "yellow", "brown", "green", "blue")
_ACROSS: dict[RelationType, RelationType] = {"left": "right", "right": "left", "front": "behind", "behind": "front"}
_ROADS = {"straight": "curved", "curved": "straight", "wide": "narrow", "narrow": "wide"}


def falsify(saying: Saying, index: FactIndex, rng: Random) -> Saying | None:
    """The same saying with one thing wrong, or None where no wrong version was found that the map does not bear out."""
    for _ in range(3):
        wrong = _change(saying, index, rng)
        if wrong is None:
            return None
        claims = wrong.claims("", 1)
        if not any(check(claim, index).stance == "supports" for claim in claims):
            return replace(wrong, truth=False)
    return None


def _change(saying: Saying, index: FactIndex, rng: Random) -> Saying | None:
    place = saying.place
    if saying.form == "axis" and place.bearing is not None:
        return replace(saying, place=replace(place, bearing=(place.bearing + 90.0) % 180.0))
    if saying.form == "road_form" and saying.value in _ROADS:
        return replace(saying, value=_ROADS[saying.value])
    if saying.form == "storeys":
        floors = int(saying.value)
        off = rng.choice((-4, 4, 5, 6)) if floors > 5 else rng.choice((4, 5, 7))
        return replace(saying, value=str(floors + off))
    if saying.form == "colour":
        return replace(saying, value=rng.choice([c for c in _COLOURS if c != saying.value]))
    if place.bearing is not None and (saying.form != "object" or rng.random() < 0.5):
        return replace(saying, place=_turned(place, place.bearing))
    if saying.form != "object" or saying.count or place.anchor:
        return None
    absent = [kind for kind in _SWAPS if not akin(kind) & set(index.kinds)]
    if not absent:
        return None
    return replace(saying, value=rng.choice(absent), name=None, osm_ids=(), bearing=None, distance=None)


def _turned(place: Place, bearing: float) -> Place:
    """The same distance in the opposite direction."""
    hour = None if place.hour is None else (place.hour + 5) % 12 + 1
    side = _ACROSS.get(place.type, place.type)
    return replace(place, bearing=(bearing + 180.0) % 360.0, type=side, hour=hour)
