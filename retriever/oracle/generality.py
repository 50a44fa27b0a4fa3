"""Which mapped kinds satisfy a word, and which a witness may well confuse with it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from retriever.kinds import kinds

SHOPS = tuple(
    "supermarket convenience bakery clothes hairdresser jewelry books florist optician electronics gift butcher "  # noqa: SIM905
    "alcohol laundry bicycle_shop furniture car_service ice_cream pharmacy shop".split()
)

# The word on the left is true of each mapped kind on the right.
_TRUE_OF: Mapping[str, tuple[str, ...]] = {
    "shop": SHOPS,
    "office": ("townhall", "embassy", "bank"),
    "building": ("church", "mosque", "synagogue", "temple"),
    "clinic": ("hospital",),
    "temple": (),
    "water": ("river", "stream", "coastline"),
    "river": ("stream",),
    "park": ("playground",),
    "grass": ("park", "pitch"),
    "forest": (),
    "tree": ("forest",),
    "rail_station": ("subway_entrance",),
    "railway": ("tram",),
    "crossing": ("traffic_signals",),
    "street": ("main_road", "motorway", "pedestrian_street", "alley"),
    "main_road": ("motorway",),
    "pedestrian_street": ("square",),
    "square": ("pedestrian_street",),
    "alley": ("footway",),
    "footway": ("pedestrian_street", "steps", "cycleway"),
    "memorial": ("fountain",),
}

# Not the same, but close enough that the one mapped keeps the absence of the other from counting.
_AKIN: tuple[tuple[str, ...], ...] = (
    ("cafe", "restaurant", "fast_food", "bar", "bakery", "ice_cream"),
    ("supermarket", "convenience", "butcher", "market", "alcohol"),
    ("school", "kindergarten", "university"),
    ("clinic", "hospital", "pharmacy"),
    ("church", "mosque", "synagogue", "temple", "cemetery"),
    ("museum", "theatre", "library"),
    ("park", "grass", "forest", "cemetery", "playground", "pitch"),
    ("forest", "tree", "park"),
    ("river", "water", "stream", "coastline"),
    ("coastline", "beach", "water"),
    ("tram", "railway"),
    ("rail_station", "subway_entrance", "tram_stop"),
    ("motorway", "main_road"),
    ("main_road", "street"),
    ("street", "alley", "pedestrian_street", "footway"),
    ("pedestrian_street", "footway", "square"),
    ("post_office", "post_box"),
    ("bank", "atm"),
    ("tower", "church"),
    ("gym", "pitch"),
)


@cache
def satisfying(word: str) -> frozenset[str]:
    """The mapped kinds of which the kind ``word`` is true, itself among them; empty for what is no kind."""
    return frozenset((word, *_TRUE_OF.get(word, ()))) if word in kinds() else frozenset()


@cache
def akin(word: str) -> frozenset[str]:
    """The kinds a witness may mean by ``word``: :func:`satisfying` and what is easily taken for it."""
    near = {kind for group in _AKIN if word in group for kind in group}
    return satisfying(word) | near
