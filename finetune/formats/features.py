"""The typed columns of every table that Sightline writes, for the ``datasets`` library.

Four tables (configurations of one data set): ``tiles``, ``descriptions``, ``pairs`` and ``view_sets``; data sets of
other layouts come as ``tiles``, ``queries`` and ``links``. Closed vocabularies are class labels, so a word that is
none of them is refused when a row is written.
"""

from __future__ import annotations

from typing import Any

from datasets import ClassLabel, Features, Image, List, Value

VIEWS = ["satellite", "map", "uav", "ground", "panorama"]
LANGS = ["en", "zh", "mixed"]
LABELS = ["match", "ambiguous", "no_match"]
"""``ambiguous``: the tile holds the place, but off its middle (VIGOR's semi-positives); never a training label."""
STANCES = ["supports", "contradicts", "unknown"]
QUERY_VIEWS = ["text", "ground", "panorama", "uav", "map"]

_S, _F, _B, _I = Value("string"), Value("float64"), Value("bool"), Value("int32")

TILES = Features(
    {
        "id": _S,
        "area": _S,
        "view": ClassLabel(names=VIEWS),
        "lat": _F,
        "lon": _F,
        "bounds": List(_F),
        "gsd_m": _F,
        "image": Image(),
        "image_sha256": _S,
        "facts": _S,
    }
)
"""``bounds``: west, south, east, north in degrees, empty where unknown. ``facts``: JSON, null where no map speaks."""

RELATION: dict[str, Any] = {"type": _S, "bearing_deg": _F, "distance_m": _F, "anchor": _S}
CLAIM: dict[str, Any] = {
    "id": _S,
    "span": _S,
    "kind": _S,
    "value": _S,
    "relation": RELATION,
    "count": _I,
    "polarity": _B,
    "hedge": _B,
}
"""A claim as said."""
ENTRY: dict[str, Any] = {**CLAIM, "true": _B, "osm_ids": List(_S), "bearing_deg": _F, "distance_m": _F}
"""One entry of a ledger: a claim, and what is so."""

DESCRIPTIONS = Features(
    {
        "id": _S,
        "area": _S,
        "text": _S,
        "lang": ClassLabel(names=LANGS),
        "named": _B,
        "length": _S,
        "persona": _S,
        "seed": Value("int64"),
        "tile_id": _S,
        "lat": _F,
        "lon": _F,
        "heading_deg": _F,
        "author": _S,
        "claims": List(ENTRY),
    }
)

EVIDENCE: dict[str, Any] = {
    "claim_id": _S,
    "stance": ClassLabel(names=STANCES),
    "reason": _S,
    "region": List(_F),
    "osm_ids": List(_S),
    "by": _S,
}

PAIRS = Features(
    {
        "id": _S,
        "area": _S,
        "place": _S,
        "lat": _F,
        "lon": _F,
        "query_view": ClassLabel(names=QUERY_VIEWS),
        "query_text": _S,
        "query_image": Image(),
        "lang": ClassLabel(names=LANGS),
        "named": _B,
        "source": _S,
        "tile_id": _S,
        "tile_image": Image(),
        "label": ClassLabel(names=["match", "no_match"]),
        "negative": _S,
        "claims": List(CLAIM),
        "evidence": List(EVIDENCE),
        "explanation_en": _S,
        "explanation_zh": _S,
        "explanation_author": _S,
        "record": _S,
    }
)
"""``negative`` says how a tile that is no match was found, null for matches. ``record``: the whole
:class:`retriever.pairs.Pair` as JSON, with what was changed in a counterfactual and the labelled wrong reason."""

VIEW: dict[str, Any] = {
    "id": _S,
    "view": ClassLabel(names=VIEWS),
    "image": Image(),
    "lat": _F,
    "lon": _F,
    "heading_deg": _F,
    "camera": _S,
}
"""One picture of a place. ``camera``: JSON with pose, lens, sun and season, as far as they are known."""

VIEW_SETS = Features({"id": _S, "area": _S, "lat": _F, "lon": _F, "tile_id": _S, "views": List(VIEW), "facts": _S})
"""Aligned pictures of one place. ``tile_id``: the tile on whose cell it lies, null in converted data sets."""

QUERIES = Features(
    {
        "id": _S,
        "area": _S,
        "view": ClassLabel(names=QUERY_VIEWS),
        "place": _S,
        "image": Image(),
        "text": _S,
        "lang": ClassLabel(names=LANGS),
        "lat": _F,
        "lon": _F,
        "heading_deg": _F,
    }
)

LINKS = Features({"query_id": _S, "tile_id": _S, "label": ClassLabel(names=LABELS), "dx_px": _F, "dy_px": _F})
"""Which tile is right for which query. ``dx_px``, ``dy_px``: where a data set says the query lies on the tile."""

TABLES: dict[str, Features] = {
    "descriptions": DESCRIPTIONS,
    "tiles": TILES,
    "pairs": PAIRS,
    "view_sets": VIEW_SETS,
    "queries": QUERIES,
    "links": LINKS,
}
