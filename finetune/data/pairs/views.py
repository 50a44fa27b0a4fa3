"""Queries seen from the ground, all around or from a drone: rendered from the map by seed, beside overhead tiles.

What such a picture shows is rendered, not photographed: the map says what stands where, the rest is made up by seed.
Its claims are those of a generated description of the point; a ground photo keeps what lies in its field of view.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle
from random import Random
from typing import TYPE_CHECKING

from finetune.data.descriptions import describe, standpoints
from finetune.data.pairs.making import Maker
from finetune.data.pairs.maps import absolute
from finetune.data.pairs.picking import Tiles
from finetune.data.pairs.witnesses import Witness
from retriever.geo import angle_between
from retriever.pair_maps import pixels_sha256
from retriever.pairs import Pair, PairError, PairQuery, PairView

if TYPE_CHECKING:
    from PIL import Image

    from finetune.views import RenderedView, Scene

VIEWS: tuple[PairView, ...] = ("ground", "panorama", "uav")
MIN_CLAIMS = 3
_TRIES = 4


def view_pairs(tiles: Tiles, scene: Scene, *, n: int, seed: int, prefix: str) -> Iterator[Pair]:
    """A match and a no-match for up to ``n`` places, the views taking turns."""
    gallery, turn = tiles.gallery, cycle(VIEWS)
    rng, made, view = Random(f"views {seed} {gallery.id}"), 0, next(turn)
    makers = {v: Maker(tiles, seed, f"{prefix}-{v}", view=v) for v in VIEWS}
    for tile_id in rng.sample(gallery.ids, len(gallery.ids)):
        if made == n:
            break
        found = _at(tiles, scene, view, tile_id, Random(f"view {seed} {tile_id}"), seed)
        if found is None:
            continue
        witness, query = found
        pairs = list(makers[view].pairs_of([witness], made))
        if pairs:
            yield from (replace(pair, query=query) for pair in pairs)
            made, view = made + 1, next(turn)


def _at(
    tiles: Tiles, scene: Scene, view: PairView, tile_id: str, rng: Random, seed: int
) -> tuple[Witness, PairQuery] | None:
    gallery, tile = tiles.gallery, tiles.gallery.tile(tile_id)
    points = standpoints(tile, size_m=gallery.size_m, rng=rng, n=_TRIES, cell_m=gallery.stride_m) if tile.facts else []
    points = [p for p in points if not scene.inside_building(p.lat, p.lon) and tiles.matching(p.lat, p.lon)]
    if not points:
        return None
    point = points[0]
    lat, lon = round(point.lat, 7), round(point.lon, 7)
    said = describe(tile, point, size_m=gallery.size_m, seed=seed, named=False, length="long", wrong_share=0.0)
    plain = [
        (absolute(c), b)
        for c, b in zip(said.claims, said.bearings, strict=True)
        if c.polarity and c.kind != "name" and c.relation.anchor is None
    ]
    if len(plain) < MIN_CLAIMS:
        return None
    shot = picture(scene, view, lat, lon, seed)
    claims = tuple(c for c, bearing in plain if _in_sight(bearing, shot))
    if len(claims) < MIN_CLAIMS:
        return None
    query = PairQuery(
        view=view, seed=seed, heading_deg=round(shot.pose.heading_deg, 2), pixels_sha256=pixels_sha256(shot.image)
    )
    witness = Witness(
        place=tile_id, lat=lat, lon=lon, true=tile_id, text="", lang="en", claims=claims, named=False, heading=False
    )
    return witness, query


def picture(scene: Scene, view: PairView, lat: float, lon: float, seed: int) -> RenderedView:
    """The view of a place by its seed, rendered again."""
    from finetune.views import render_set

    return render_set(scene, lat, lon, seed=seed, views=(view,))[view]  # type: ignore[arg-type,index]


def query_view(pair: Pair, scene: Scene, *, exact: bool = True) -> Image.Image:
    """The picture of a rendered query. Raises ``PairError`` where its pixels are not those recorded (if ``exact``)."""
    image = picture(scene, pair.query.view, pair.lat, pair.lon, pair.query.seed or 0).image
    if exact and pixels_sha256(image) != pair.query.pixels_sha256:
        raise PairError(
            f"the {pair.query.view} picture of {pair.id} comes out with other pixels than recorded (another machine, "
            "or rendering code that has changed): --other-pixels takes it as it is"
        )
    return image


def _in_sight(bearing: float | None, shot: RenderedView) -> bool:
    """Whether a thing on this true bearing is in the picture; what has no bearing is all around."""
    if shot.pose.view != "ground" or bearing is None or shot.pose.fov_deg is None:
        return True
    return angle_between(bearing, shot.pose.heading_deg) <= shot.pose.fov_deg / 2
