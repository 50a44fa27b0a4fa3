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

    from finetune.views.sets import ViewSet
    from retriever.pairs import Pair

PAIR_LANGS: tuple[Lang, ...] = ("en", "zh")
WRONG_SHARE = 0.04
_TRIES = 4
"""Places that are tried for each view set: some have no open ground."""


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
    from finetune.data.descriptions import standpoints
    from finetune.views.scene import Scene
    from finetune.views.sets import render_set

    plan, made = shop.plan, 0
    scene = Scene.from_osm(source_of(shop, area))
    rng = Random(f"views {plan.seed} {area.name}")
    for tile_id in rng.sample(gallery.ids, min(len(gallery.ids), _TRIES * plan.view_sets)):
        tile = gallery.tile(tile_id)
        points = standpoints(tile, size_m=gallery.size_m, rng=rng, n=1) if tile.facts else []
        if made == plan.view_sets:
            return
        if points and not scene.inside_building(points[0].lat, points[0].lon):
            views = render_set(scene, points[0].lat, points[0].lon, seed=plan.seed * 100_000 + made)
            facts = canonical_json([fact_to_json(f) for f in scene.facts(views["map"].pose)])
            yield _view_row(views, f"{area.name}-v{made:04d}", area, tile_id, facts)
            made += 1


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
        "image": {"bytes": png(shown.image), "path": f"{name}.png"},
        "lat": shown.pose.lat,
        "lon": shown.pose.lon,
        "heading_deg": shown.pose.heading_deg,
        "camera": json.dumps(said, ensure_ascii=False, sort_keys=True),
    }
