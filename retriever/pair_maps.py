"""Street maps as queries: a smaller map around the witness, drawn again from a tile's facts."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import shapely

from retriever.pairs import Pair, PairError
from retriever.spool import clip
from retriever.types import TILE_MARGIN, Box, Fact

if TYPE_CHECKING:
    from PIL import Image

    from retriever.gallery import Gallery

QUERY_PX = 224
"""Side of a street map that is a query."""


def map_facts(
    facts: Sequence[Fact], *, size_m: float, centre: tuple[float, float], shows_m: float, names: bool
) -> tuple[Fact, ...]:
    """A tile's facts cut to a smaller map, in that map's own coordinates (0..1).

    ``centre`` is metres east and north of the tile's centre, ``shows_m`` the side of the map; nothing is known beyond
    the tile's edge. ``names=False`` leaves every name out.
    """
    west, north = centre[0] - shows_m / 2, centre[1] + shows_m / 2
    reach = TILE_MARGIN * shows_m
    box = (west - reach, north - shows_m - reach, west + shows_m + reach, north + reach)
    found = []
    for fact in facts:
        parts = tuple(
            tuple((round((x - west) / shows_m, 5), round((north - y) / shows_m, 5)) for x, y in part)
            for ring in fact.parts
            for part in _cut([((x - 0.5) * size_m, (0.5 - y) * size_m) for x, y in ring], fact.shape, box)
        )
        if parts:
            found.append(dataclasses.replace(fact, parts=parts, names=fact.names if names else {}))
    return tuple(found)


def _cut(points: list[tuple[float, float]], shape: str, box: Box) -> list[list[tuple[float, float]]]:
    """The pieces of one point, line or ring inside a box in metres."""
    if shape == "point":
        x, y = points[0]
        return [points] if box[0] <= x <= box[2] and box[1] <= y <= box[3] else []
    geometry = shapely.Polygon(points) if shape == "area" else shapely.LineString(points)
    pieces = shapely.get_parts(clip(geometry, box))
    if shape == "area":
        return [_points(p.exterior) for p in pieces if isinstance(p, shapely.Polygon) and not p.is_empty]
    return [_points(p) for p in pieces if isinstance(p, shapely.LineString) and not p.is_empty]


def _points(line: shapely.LineString) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in shapely.get_coordinates(line)]


def map_picture(facts: Sequence[Fact], *, shows_m: float) -> Image.Image:
    """A street map drawn for a query, ``QUERY_PX`` square, without system fonts: the same pixels everywhere."""
    from retriever.draw import draw_tile

    return draw_tile(facts, size_m=shows_m, px=QUERY_PX)


def query_map(pair: Pair, gallery: Gallery) -> Image.Image:
    """The picture of a street-map query, drawn again. Raises ``PairError`` where its pixels are not those recorded."""
    query, near = pair.query, gallery.facts(gallery.nearest(pair.lat, pair.lon))
    if query.view != "map" or query.size_m is None or query.offset_m is None:
        raise PairError(f"{pair.id} asks with a {query.view}, which is not drawn from the map alone")
    facts = map_facts(near or (), size_m=gallery.size_m, centre=query.offset_m, shows_m=query.size_m, names=query.named)
    picture = map_picture(facts, shows_m=query.size_m)
    if pixels_sha256(picture) != query.pixels_sha256:
        raise PairError(f"the map of {pair.id} comes out with other pixels than recorded: use the locked dependencies")
    return picture


def pixels_sha256(picture: Image.Image) -> str:
    """Of the decoded RGB bytes."""
    return hashlib.sha256(picture.convert("RGB").tobytes()).hexdigest()
