"""What stands on the query's side of a pair: a text and the claims that it makes, generated or of the ``hand`` ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from finetune.data.descriptions import describe, standpoints
from finetune.data.standpoints import Standpoint
from prompts.claims import extract_claims
from retriever.draw import visible
from retriever.types import Claim, Lang

if TYPE_CHECKING:
    from finetune.data.pairs.picking import Tiles

MIN_CLAIMS, MOST_CLAIMS = 3, 16
_LENGTHS: tuple[Any, ...] = ("short", "medium", "medium", "long")


@dataclass(frozen=True)
class Witness:
    place: str
    lat: float
    lon: float
    true: str
    """The tile with the nearest centre."""
    text: str
    lang: Lang
    claims: tuple[Claim, ...]
    named: bool
    heading: bool
    """Whether the text says which way the witness looks."""
    origin: str = ""
    """Id of a hand-written description; empty for a generated one."""


def generated(tiles: Tiles, *, n: int, seed: int, langs: Sequence[Lang], wrong_share: float) -> list[list[Witness]]:
    """Up to ``n`` places of a gallery, each with one description per language; tiles are drawn without replacement."""
    gallery, found = tiles.gallery, list[list[Witness]]()
    rng = Random(f"pairs {seed} {gallery.id}")
    for tile_id in rng.sample(gallery.ids, len(gallery.ids)):
        if len(found) == n:
            break
        group = _at(tiles, tile_id, len(found), seed, langs, wrong_share)
        if group:
            found.append(group)
    return found


def _at(tiles: Tiles, tile_id: str, number: int, seed: int, langs: Sequence[Lang], wrong_share: float) -> list[Witness]:
    """One place in every language; empty where nobody can stand or there is little to say."""
    gallery = tiles.gallery
    tile, rng = gallery.tile(tile_id), Random(f"place {seed} {tile_id}")
    index, cell = tiles.index(tile_id), gallery.stride_m
    points = standpoints(tile, size_m=gallery.size_m, rng=rng, n=1, index=index, cell_m=cell) if tile.facts else []
    if not points or not tiles.matching(points[0].lat, points[0].lon):
        return []
    length, named = rng.choice(_LENGTHS), number % 2 == 0
    shown = visible(tile.facts or (), size_m=gallery.size_m) if gallery.view == "map" else None
    group = []
    for lang in langs:
        said = describe(
            tile, points[0], size_m=gallery.size_m, seed=seed, lang=lang, named=named, length=length, visible=shown,
            wrong_share=wrong_share,
        )  # fmt: skip
        if not MIN_CLAIMS <= len(said.claims) <= MOST_CLAIMS:
            return []
        group.append(_witness(tile_id, points[0], said.text, lang, said.claims, said.heading_deg is not None))
    return group


def _witness(
    tile_id: str, point: Standpoint, text: str, lang: Lang, claims: tuple[Claim, ...], heading: bool
) -> Witness:
    return Witness(
        place=tile_id,
        lat=point.lat,
        lon=point.lon,
        true=tile_id,
        text=text,
        lang=lang,
        claims=claims,
        named=any(c.kind == "name" for c in claims),
        heading=heading,
    )


def hand_written(tiles: Tiles, rows: Sequence[Mapping[str, Any]]) -> list[Witness]:
    """The ``hand`` descriptions, free prose by a language model that saw map facts and tiles.

    Their claims are those that the extractor reads in them.
    """
    found = []
    for row in rows:
        true = tiles.gallery.nearest(row["lat"], row["lon"])
        claims = tuple(extract_claims(row["text"], lang=row["lang"]))[:MOST_CLAIMS]
        if not claims or not tiles.matching(row["lat"], row["lon"]):
            continue
        found.append(
            Witness(
                place=true,
                lat=row["lat"],
                lon=row["lon"],
                true=true,
                text=row["text"],
                lang=row["lang"],
                claims=claims,
                named=row["named"],
                heading=row.get("heading_deg") is not None,
                origin=row["id"],
            )
        )
    return found
