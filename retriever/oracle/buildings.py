"""Rules for what a witness sees of a building: its storeys and its colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from retriever.oracle.index import FactIndex
from retriever.oracle.placing import Place, found, unknown
from retriever.types import Claim, Evidence

LEVEL_TAGS = ("building:levels", "levels")
COLOUR_TAGS = ("building:colour", "building:facade:colour", "colour", "roof:colour")

_RGB = {
    "white": (245, 245, 245),
    "grey": (128, 128, 128),
    "black": (25, 25, 25),
    "red": (190, 40, 35),
    "pink": (240, 170, 180),
    "orange": (235, 140, 50),
    "yellow": (240, 220, 100),
    "beige": (230, 215, 180),
    "brown": (125, 80, 50),
    "green": (70, 140, 70),
    "blue": (60, 100, 180),
    "purple": (120, 60, 140),
}
_ALIASES = {
    "gray": "grey", "cream": "beige", "ivory": "beige", "tan": "beige", "maroon": "red", "brick": "red",
    "silver": "grey", "gold": "yellow", "navy": "blue", "lime": "green", "violet": "purple", "lightgrey": "grey",
    "lightgray": "grey", "darkgrey": "grey", "darkgray": "grey", "lightyellow": "yellow", "lightblue": "blue",
}  # fmt: skip
_NEXT = {
    frozenset(pair)
    for pair in (
        ("white", "beige"), ("white", "grey"), ("beige", "yellow"), ("beige", "brown"), ("red", "brown"),
        ("red", "pink"), ("red", "orange"), ("orange", "yellow"), ("grey", "black"), ("beige", "grey"),
        ("brown", "orange"), ("pink", "beige"), ("blue", "purple"), ("blue", "grey"),
    )
}  # fmt: skip


def colour_name(value: str) -> str | None:
    """A colour of the short list for an OSM colour (a name or ``#rrggbb``); None if it is neither."""
    text = value.strip().casefold().replace("_", "").replace(" ", "")
    text = _ALIASES.get(text, text)
    if text in _RGB:
        return text
    if text.startswith("#") and len(text) == 4:
        text = "#" + "".join(2 * c for c in text[1:])
    if not (text.startswith("#") and len(text) == 7 and all(c in "0123456789abcdef" for c in text[1:])):
        return None
    rgb = np.array([int(text[i : i + 2], 16) for i in (1, 3, 5)])
    return min(_RGB, key=lambda name: float(np.sum((rgb - np.array(_RGB[name])) ** 2)))


def storeys(tags: Mapping[str, str]) -> int | None:
    """Storeys that the tags give, None if they do not."""
    for tag in LEVEL_TAGS:
        try:
            return round(float(tags[tag]))
        except (KeyError, ValueError):
            continue
    return None


def check_building(claim: Claim, index: FactIndex) -> Evidence:
    """``storeys:N`` within one storey or 15 %, ``colour:NAME`` of the same or a neighbouring colour."""
    what, _, value = claim.value.partition(":")
    place = Place.of(claim, index)
    rows = index.of_kinds(frozenset({"building"}))
    near = index.inside(place.zone, rows)
    if what == "storeys" and value.isdigit():
        said = {row: _storeys_fit(int(value), index.facts[row].tags) for row in near}
    elif what == "colour":
        said = {row: _colour_fit(value, index.facts[row].tags.get) for row in near}
    else:
        return unknown(claim)
    fitting = [row for row in near if said[row]]
    if fitting:
        return found(claim, index, fitting, 1)
    return _against(claim, index, near, [said[row] for row in near])


def _against(claim: Claim, index: FactIndex, near: list[int], said: Sequence[bool | None]) -> Evidence:
    """Only where every building in view is described does the lack of a fitting one count."""
    if near and all(fits is False for fits in said):
        return found(claim, index, near, 1, stance="contradicts")
    return unknown(claim)


def _storeys_fit(number: int, tags: Mapping[str, str]) -> bool | None:
    mapped = storeys(tags)
    return None if mapped is None else abs(mapped - number) <= max(1.0, 0.15 * number)


def _colour_fit(value: str, tag: object) -> bool | None:
    wanted = colour_name(value)
    names = {name for key in COLOUR_TAGS if (text := tag(key)) and (name := colour_name(text))}  # type: ignore[operator]
    if wanted is None or not names:
        return None
    return any(name == wanted or frozenset((name, wanted)) in _NEXT for name in names)
