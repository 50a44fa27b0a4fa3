"""Pairs and view sets of one area, as rows of the tables."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from itertools import chain
from random import Random
from typing import TYPE_CHECKING, Any

from finetune.data.plan import AreaPlan, Plan
from finetune.data.steps import Workshop, source_of
from retriever.gallery import Gallery, fact_to_json
from retriever.types import Lang, canonical_json

if TYPE_CHECKING:
    from PIL import Image

    from finetune.views.scene import Scene
    from finetune.views.sets import RenderedView, ViewSet
    from retriever.pairs import Pair

PAIR_LANGS: tuple[Lang, ...] = ("en", "zh")
WRONG_SHARE = 0.04
_TRIES = 4
"""Places that are tried for each view set: some have no open ground."""
_TOGETHER = 5
"""View sets of one neighbourhood."""


def png(picture: Image.Image) -> bytes:
    packed = io.BytesIO()
    picture.save(packed, "PNG")
    return packed.getvalue()


def pairs_of(gallery: Gallery, area: AreaPlan, plan: Plan) -> Iterator[Pair]:
    """Match and no-match pairs of a gallery: texts in both languages, and street maps for a third as many places."""
    from finetune.data.pairs.making import Maker
    from finetune.data.pairs.maps import map_pairs
    from finetune.data.pairs.picking import Tiles
    from finetune.data.pairs.witnesses import generated

    tiles = Tiles(gallery)
    groups = generated(tiles, n=plan.pair_places, seed=plan.seed, langs=PAIR_LANGS, wrong_share=WRONG_SHARE)
    texts = Maker(tiles, plan.seed, area.name).pairs(groups)
    return chain(texts, map_pairs(tiles, n=max(1, plan.pair_places // 3), seed=plan.seed, prefix=area.name))


def pair_rows(gallery: Gallery, area: AreaPlan, plan: Plan) -> Iterator[dict[str, Any]]:
    """Pairs with the pictures that they show."""
    from finetune.formats.rows import pair_row
    from retriever.pair_maps import query_map
    from retriever.pairs import shown_tile

    for pair in pairs_of(gallery, area, plan):
        asked = png(query_map(pair, gallery)) if pair.query.view == "map" else None
        yield pair_row(pair, png(shown_tile(pair, gallery)[1]), asked)


def view_rows(shop: Workshop, gallery: Gallery, area: AreaPlan) -> Iterator[dict[str, Any]]:
    """Aligned views of places on walkable streets, rendered from the area's extract."""
    from finetune.views.scene import Scene
    from finetune.views.sets import render_set

    plan = shop.plan
    scene = Scene.from_osm(source_of(shop, area))
    for made, (tile_id, lat, lon) in enumerate(_view_places(scene, gallery, area, plan)):
        views = render_set(scene, lat, lon, seed=plan.seed * 100_000 + made)
        facts = canonical_json([fact_to_json(f) for f in scene.facts(views["map"].pose)])
        yield _view_row(views, f"{area.name}-v{made:04d}", area, tile_id, facts)


def _view_places(scene: Scene, gallery: Gallery, area: AreaPlan, plan: Plan) -> Iterator[tuple[str, float, float]]:
    """Tile and place of every set: neighbourhoods drawn at random, a few places in each one after the other.

    Most of a lonely set's time goes into what stands around it, which neighbours share.
    """
    from finetune.data.descriptions import standpoints

    rng = Random(f"views {plan.seed} {area.name}")
    stages: dict[tuple[int, int], list[str]] = {}
    for tile_id in rng.sample(gallery.ids, len(gallery.ids)):
        tile = gallery.tile(tile_id)
        stages.setdefault(scene.stage_key(*scene.frame.xy(tile.lat, tile.lon)), []).append(tile_id)
    left, tries = plan.view_sets, _TRIES * plan.view_sets
    while left and tries and any(stages.values()):
        for tiles in stages.values():
            here = min(left, _TOGETHER)
            while here and tries and tiles:
                tries -= 1
                tile = gallery.tile(tiles.pop())
                points = standpoints(tile, size_m=gallery.size_m, rng=rng, n=1) if tile.facts else []
                if points and not scene.inside_building(points[0].lat, points[0].lon):
                    left, here = left - 1, here - 1
                    yield tile.id, points[0].lat, points[0].lon


def _view_row(views: ViewSet, name: str, area: AreaPlan, tile_id: str, facts: str) -> dict[str, Any]:
    said = views.to_json()
    return {
        "id": name,
        "area": area.name,
        "lat": views.lat,
        "lon": views.lon,
        "facts": facts,
        "tile_id": tile_id,
        "views": [_view(views, view, f"{name}-{view}", said["views"][view]) for view in views],
    }


def _view(views: ViewSet, view: Any, name: str, said: dict[str, Any]) -> dict[str, Any]:
    shown = views[view]
    return {
        "id": name,
        "view": view,
        "image": _packed(shown, name),
        "lat": shown.pose.lat,
        "lon": shown.pose.lon,
        "heading_deg": shown.pose.heading_deg,
        "camera": json.dumps(said, ensure_ascii=False, sort_keys=True),
    }


def _packed(shown: RenderedView, name: str) -> dict[str, Any]:
    """A drawn map as it is; a rendered picture at its camera's quality, as ``sightline data views`` writes it."""
    if shown.pose.view == "map":
        return {"bytes": png(shown.image), "path": f"{name}.png"}
    packed = io.BytesIO()
    shown.image.save(packed, "JPEG", quality=shown.conditions.jpeg)
    return {"bytes": packed.getvalue(), "path": f"{name}.jpg"}
