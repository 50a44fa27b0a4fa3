"""Street-map queries: a smaller map around the witness, at another scale and a little off, beside overhead tiles.

The picture is drawn from the facts of the tile with the nearest centre; its claims are those of a generated
description of the point, as far as their things lie on the picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random

from finetune.data.descriptions import describe
from finetune.data.pairs.making import Maker
from finetune.data.pairs.picking import Tiles
from finetune.data.pairs.witnesses import Witness
from finetune.data.standpoints import standpoints
from retriever.draw import visible
from retriever.pair_maps import map_facts, map_picture, pixels_sha256
from retriever.pairs import Pair, PairQuery
from retriever.types import Claim

SIZES_M = (64.0, 72.0, 80.0)
_OFFSET_M = 6.0
_MIN_CLAIMS = 3


def map_pairs(tiles: Tiles, *, n: int, seed: int, prefix: str) -> Iterator[Pair]:
    """A match and a no-match for up to ``n`` places, other ones than those of the texts where there are enough."""
    gallery = tiles.gallery
    rng, made = Random(f"maps {seed} {gallery.id}"), list[list[Witness]]()
    queries: dict[str, PairQuery] = {}
    for tile_id in rng.sample(gallery.ids, len(gallery.ids)):
        if len(made) == n:
            break
        found = _at(tiles, tile_id, Random(f"map {seed} {tile_id}"), seed)
        if found is not None:
            witness, query = found
            made.append([witness])
            queries[witness.place] = query
    for pair in Maker(tiles, seed, f"{prefix}-map", view="map").pairs(made):
        yield replace(pair, query=queries[pair.place.split(":", 1)[1]])


def _at(tiles: Tiles, tile_id: str, rng: Random, seed: int) -> tuple[Witness, PairQuery] | None:
    gallery, tile = tiles.gallery, tiles.gallery.tile(tile_id)
    points = standpoints(tile, size_m=gallery.size_m, rng=rng, n=1, cell_m=gallery.stride_m / 2) if tile.facts else []
    if not points or not tiles.matching(points[0].lat, points[0].lon):
        return None
    point, size = points[0], rng.choice(SIZES_M)
    offset = (round(rng.uniform(-_OFFSET_M, _OFFSET_M), 1), round(rng.uniform(-_OFFSET_M, _OFFSET_M), 1))
    named = rng.random() < 0.5
    centre = (round(point.x + offset[0], 2), round(point.y + offset[1], 2))
    seen = map_facts(tile.facts or (), size_m=gallery.size_m, centre=centre, shows_m=size, names=named)
    drawn = {f.osm_id for f, shown in zip(seen, visible(seen, size_m=size), strict=True) if shown}
    shown = [f.osm_id in drawn for f in tile.facts or ()]
    said = describe(
        tile, point, size_m=gallery.size_m, seed=seed, named=named, length="medium", visible=shown, wrong_share=0.0
    )
    claims = tuple(absolute(c) for c in said.claims if _on_map(c))
    if len(claims) < _MIN_CLAIMS:
        return None
    query = PairQuery(
        view="map", named=named, seed=seed, size_m=size, offset_m=centre,
        pixels_sha256=pixels_sha256(map_picture(seen, shows_m=size)),
    )  # fmt: skip
    witness = Witness(
        place=tile_id, lat=point.lat, lon=point.lon, true=tile_id, text="", lang="en", claims=claims, named=named,
        heading=False,
    )  # fmt: skip
    return witness, query


def _on_map(claim: Claim) -> bool:
    """Whether a small map can show it: neither storeys nor colours, and nothing about what is absent farther off."""
    relative = claim.relation.type in ("left", "right", "front", "behind") and claim.relation.bearing_deg is None
    return claim.kind != "building" and claim.polarity and not relative and claim.relation.anchor is None


def absolute(claim: Claim) -> Claim:
    """A map has no left and right: the bearing stays, the words go."""
    turned = claim.relation.type in ("left", "right", "front", "behind")
    relation = replace(claim.relation, type="bearing") if turned else claim.relation
    return replace(claim, span="", relation=relation, hedge=False)
