"""Descriptions of random places of a gallery, as a query file with the true places in it."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from finetune.data.descriptions import describe, standpoints
from retriever.draw import visible

if TYPE_CHECKING:
    from retriever.gallery import Gallery

MIN_CLAIMS = 2


def write_queries(gallery: Gallery, out: Path, *, n: int, seed: int, area: str) -> int:
    """Write up to ``n`` lines of ``id, text, lang, lat, lon, named, area``; returns how many there are.

    Tiles are drawn without replacement; those without a walkable street or with little to say are passed over.
    """
    rng = Random(f"calibration queries {seed} {gallery.sha256}")
    ids = list(gallery.ids)
    rng.shuffle(ids)
    rows: list[str] = []
    for tile_id in ids:
        if len(rows) == n:
            break
        row = _query(gallery, tile_id, number=len(rows), seed=seed, area=area)
        if row is not None:
            rows.append(row)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("".join(rows), encoding="utf-8")
    return len(rows)


def _query(gallery: Gallery, tile_id: str, *, number: int, seed: int, area: str) -> str | None:
    tile = gallery.tile(tile_id)
    rng = Random(f"{seed} {tile_id}")
    places = standpoints(tile, size_m=gallery.size_m, rng=rng, n=1) if tile.facts else []
    if not places:
        return None
    named = number % 2 == 0
    said = describe(
        tile,
        places[0],
        size_m=gallery.size_m,
        seed=seed,
        lang="en" if number // 2 % 2 == 0 else "zh",
        named=named,
        length=rng.choice(("short", "medium")),
        visible=visible(tile.facts or (), size_m=gallery.size_m, px=gallery.px),
    )
    if len(said.claims) < MIN_CLAIMS:
        return None
    row = {"id": f"{area}-{number:04d}", "text": said.text, "lang": said.lang, "lat": said.lat, "lon": said.lon}
    return json.dumps({**row, "named": named, "area": area}, ensure_ascii=False) + "\n"
