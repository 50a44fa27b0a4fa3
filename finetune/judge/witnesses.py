"""Witnesses for the judge's pairs: generated descriptions of tiles, reduced to claims.

Most claims are read back from the text with the extractor that answers real questions, so that the judge meets its
mistakes in training; the rest are the generator's own ledger.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from pathlib import Path

from finetune.data.descriptions import describe, standpoints
from finetune.encoder.texts import tile_of
from finetune.encoder.tiles import SIZE_M, TileSet
from prompts.claims import extract_claims
from retriever.types import Claim

READ_SHARE = 0.7
_LENGTHS = ("short", "medium", "medium", "long")


def build_witnesses(data: Path, rows: Iterable[int], out: Path, *, per_tile: int, seed: int) -> int:
    """Write ``out`` (one JSON object a line: row, lang, claims); returns how many witnesses there are."""
    tiles = TileSet.open(data)
    part, count = out.with_suffix(".part"), 0
    with part.open("w", encoding="utf-8") as lines:
        for row in rows:
            for claims, lang in _witnesses(tiles, int(row), per_tile, seed):
                item = {"row": int(row), "lang": lang, "claims": [c.to_json() for c in claims]}
                lines.write(json.dumps(item, ensure_ascii=False) + "\n")
                count += 1
    part.rename(out)
    return count


def _witnesses(tiles: TileSet, row: int, per_tile: int, seed: int) -> list[tuple[tuple[Claim, ...], str]]:
    tile = tile_of(tiles, row)
    rng = random.Random(f"{seed}/{tile.id}")
    found: list[tuple[tuple[Claim, ...], str]] = []
    for number, point in enumerate(standpoints(tile, size_m=SIZE_M, rng=rng, n=per_tile)):
        lang = "zh" if rng.random() < 0.42 else "en"
        said = describe(
            tile,
            point,
            size_m=SIZE_M,
            seed=seed * 100 + number,
            lang=lang,  # type: ignore[arg-type]
            named=rng.random() < 0.35,
            length=rng.choice(_LENGTHS),  # type: ignore[arg-type]
            visible=tiles.shown(row),
        )
        claims = tuple(extract_claims(said.text)) if rng.random() < READ_SHARE else said.claims
        if claims:
            found.append((claims, lang))
    return found
