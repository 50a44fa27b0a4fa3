"""Sightline's own records as rows of the tables, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finetune.data.descriptions import Description
from finetune.formats.features import LANGS
from retriever.gallery import fact_to_json
from retriever.pairs import Pair, to_line
from retriever.types import Claim, Relation, Tile, canonical_json

_PLAIN = ("id", "span", "kind", "value", "count", "polarity", "hedge")


def picture(path: Path) -> dict[str, Any]:
    """A picture's file as a cell of a table."""
    return {"bytes": path.read_bytes(), "path": path.name}


def tile_row(tile: Tile, area: str, image: Path) -> dict[str, Any]:
    """One tile with its picture and facts."""
    facts = None if tile.facts is None else canonical_json([fact_to_json(f) for f in tile.facts])
    return {
        "id": tile.id,
        "area": area,
        "view": tile.view,
        "lat": tile.lat,
        "lon": tile.lon,
        "bounds": list(tile.bounds),
        "gsd_m": tile.gsd_m,
        "image": picture(image),
        "image_sha256": tile.image_sha256,
        "facts": facts,
    }


def description_row(
    said: Description,
    *,
    id: str,  # noqa: A002
    area: str,
    tile_id: str,
    named: bool,
    length: str,
    author: str = "generator",
) -> dict[str, Any]:
    """One description with its ledger."""
    return {
        "id": id,
        "area": area,
        "text": said.text,
        "lang": said.lang,
        "named": named,
        "length": length,
        "persona": said.persona,
        "seed": said.seed,
        "tile_id": tile_id,
        "lat": said.lat,
        "lon": said.lon,
        "heading_deg": said.heading_deg,
        "author": author,
        "claims": [_claim(said, i) for i in range(len(said.claims))],
    }


def _claim(said: Description, i: int) -> dict[str, Any]:
    claim = said.claims[i]
    return {
        **claim_cell(claim),
        "true": said.truth[i],
        "osm_ids": list(said.osm_ids[i]),
        "bearing_deg": said.bearings[i],
        "distance_m": said.distances[i],
    }


def claim_cell(claim: Claim) -> dict[str, Any]:
    """A claim as said."""
    plain = {name: getattr(claim, name) for name in _PLAIN}
    return {**plain, "relation": claim.relation.to_json()}


def pair_row(pair: Pair, tile_png: bytes, query_png: bytes | None) -> dict[str, Any]:
    """One match or no-match pair with the pictures that it shows."""
    query = pair.query
    return {
        "id": pair.id,
        "area": pair.area,
        "place": pair.place,
        "lat": pair.lat,
        "lon": pair.lon,
        "query_view": query.view,
        "query_text": query.text or None,
        "query_image": None if query_png is None else {"bytes": query_png, "path": f"{pair.id}-query.png"},
        "lang": query.lang,
        "named": query.named,
        "source": query.source,
        "tile_id": pair.tile.id,
        "tile_image": {"bytes": tile_png, "path": f"{pair.tile.id}.png"},
        "label": pair.label,
        "negative": pair.negative,
        "claims": [claim_cell(c) for c in pair.claims],
        "evidence": [{**e.to_json(), "region": list(e.region or ())} for e in pair.evidence],
        "explanation_en": pair.explanation.en,
        "explanation_zh": pair.explanation.zh,
        "explanation_author": pair.explanation.author,
        "record": to_line(pair).strip(),
    }


def description_from_row(row: Mapping[str, Any]) -> Description:
    """The inverse of :func:`description_row`, from a row of ``datasets`` (the language as label number or word)."""
    lang: Any = LANGS[row["lang"]] if isinstance(row["lang"], int) else row["lang"]
    claims = row["claims"]
    return Description(
        text=row["text"],
        lang=lang,
        claims=tuple(_said(c) for c in claims),
        truth=tuple(c["true"] for c in claims),
        osm_ids=tuple(tuple(c["osm_ids"]) for c in claims),
        bearings=tuple(c["bearing_deg"] for c in claims),
        distances=tuple(c["distance_m"] for c in claims),
        lat=row["lat"],
        lon=row["lon"],
        heading_deg=row["heading_deg"],
        persona=row["persona"],
        seed=row["seed"],
    )


def _said(c: Mapping[str, Any]) -> Claim:
    return Claim(**{name: c[name] for name in _PLAIN}, relation=Relation(**c["relation"]))


def facts_of(row: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """The facts of a tile's row as JSON; None where no map speaks."""
    return None if row["facts"] is None else list(json.loads(row["facts"]))
