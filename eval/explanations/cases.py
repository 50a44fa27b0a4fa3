"""What a judgement is about: the description, its claims, the tile with its facts and picture, and the truth."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from eval.explanations.schema import LANGS, Explained, Key, Problem
from eval.protocol import EvaluationError, LocatedQuery
from prompts.claims import extract_claims
from retriever.errors import SightlineError
from retriever.geo import distance_m
from retriever.oracle import FactIndex, check_all
from retriever.types import Claim, Evidence, Fact, Verdict

MISS_M = 30.0
"""A point this far outside a tile is no match; nearer, but not in its cell, it is no label."""


class Tiles(Protocol):
    """Where tiles come from: a gallery, or anything with these."""

    @property
    def ids(self) -> Sequence[str]: ...
    @property
    def size_m(self) -> float: ...
    def facts(self, id: str, /) -> tuple[Fact, ...] | None: ...  # noqa: A002
    def image(self, id: str, /) -> Image.Image: ...  # noqa: A002


@dataclass(frozen=True, kw_only=True)
class Case:
    """One pair of description and tile, with all that scoring may use."""

    query_id: str
    tile_id: str
    text: str
    claims: tuple[Claim, ...]
    facts: tuple[Fact, ...] | None
    """None: the map knows nothing of this tile, so no claim can be checked on it."""
    size_m: float
    tiles: Tiles
    label: Verdict | None = None
    location: str
    """Judgements of one location are resampled together."""
    references: Mapping[str, str] = field(default_factory=dict)
    """A person's or the data set's explanation by language; for overlap only."""
    wrong_reasons: Mapping[str, str] = field(default_factory=dict)
    """By language: an explanation that concludes rightly for reasons that do not hold; for the judges' control."""

    @property
    def key(self) -> Key:
        return self.query_id, self.tile_id

    @cached_property
    def index(self) -> FactIndex:
        return FactIndex(self.facts, size_m=self.size_m)

    @cached_property
    def checked(self) -> Mapping[str, Evidence]:
        """What the map says about the description's own claims, by claim id."""
        return {e.claim_id: e for e in check_all(self.claims, self.index)}

    def image(self) -> Image.Image:
        """The tile's picture, RGB. Raises ``GalleryError`` where it is missing."""
        return self.tiles.image(self.tile_id)


def png_of(image: Image.Image, side: int) -> bytes:
    """The picture as PNG, at most ``side`` pixels wide."""
    out = io.BytesIO()
    small = image.convert("RGB").resize((side, side), Image.Resampling.BOX) if image.width > side else image
    small.convert("RGB").save(out, "PNG")
    return out.getvalue()


def read_pairs(path: Path) -> dict[Key, Mapping[str, Any]]:
    """A pairs file: JSONL with ``query_id``, ``tile_id``, ``text`` and, where known, ``label``, ``location``,
    ``claims``, ``explanation`` and ``wrong_reason`` (both ``{en, zh}``). Raises ``EvaluationError`` naming the line."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"cannot read the pairs {path}: {error}") from error
    found: dict[Key, Mapping[str, Any]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            found[str(row["query_id"]), str(row["tile_id"])] = row
        except (KeyError, TypeError, ValueError) as error:
            raise EvaluationError(f"{path}:{number}: not a pair ({error}); it needs query_id and tile_id") from error
    return found


@dataclass(frozen=True, kw_only=True)
class World:
    """Everything known about queries and tiles, to put behind the judgements."""

    tiles: Sequence[Tiles] = ()
    queries: Mapping[str, LocatedQuery] = field(default_factory=dict)
    pairs: Mapping[Key, Mapping[str, Any]] = field(default_factory=dict)
    made: Mapping[Key, Callable[[], Case]] = field(default_factory=dict)
    """Cases that a test set makes whole, by query and tile."""

    def case(self, item: Explained) -> Case | Problem:
        """The case of one judgement, or why it cannot be scored."""
        if item.key in self.made:
            try:
                return self.made[item.key]()
            except SightlineError as error:
                return Problem(where=item.where, what=str(error))
        tiles = self._home.get(item.tile_id)
        if tiles is None:
            return Problem(where=item.where, what=f"tile {item.tile_id!r} is in no given gallery; give its --gallery")
        pair, query = self.pairs.get(item.key, {}), self.queries.get(item.query_id)
        text = pair.get("text") or (query.query.text if query else None) or item.query
        if not text:
            return Problem(where=item.where, what=f"query {item.query_id!r} has no text; give --pairs or --queries")
        try:
            facts = tiles.facts(item.tile_id)
            claims = _claims(pair, item, str(text))
        except (SightlineError, KeyError, TypeError, ValueError) as error:
            return Problem(where=item.where, what=str(error))
        return Case(
            query_id=item.query_id,
            tile_id=item.tile_id,
            text=str(text),
            claims=claims,
            facts=facts,
            size_m=tiles.size_m,
            tiles=tiles,
            label=pair.get("label") or _label(tiles, item.tile_id, query) or item.label,
            location=str(pair.get("location") or _location(tiles, query) or item.location or item.query_id),
            references=_both(pair.get("explanation")),
            wrong_reasons=_both(pair.get("wrong_reason")),
        )

    @cached_property
    def _home(self) -> dict[str, Tiles]:
        return {tile_id: tiles for tiles in self.tiles for tile_id in tiles.ids}


def cases_of(items: Iterable[Explained], world: World) -> tuple[dict[Key, Case], list[Problem]]:
    """The cases of all judgements; one per description and tile, however many systems judged it."""
    cases: dict[Key, Case] = {}
    problems: list[Problem] = []
    for item in items:
        if item.key in cases:
            continue
        found = world.case(item)
        if isinstance(found, Problem):
            problems.append(found)
        else:
            cases[item.key] = found
    return cases, problems


def _claims(pair: Mapping[str, Any], item: Explained, text: str) -> tuple[Claim, ...]:
    """The ledger that is checked: the pairs file's, else read out of the text by rule.

    Never the judged system's own: it could leave out what it has no reason for.
    """
    given = pair.get("claims")
    claims = [Claim.from_json(c) for c in given] if given is not None else extract_claims(text)
    return tuple(replace(c, span=c.span) for c in claims if c.status == "active")


def _both(said: Any) -> dict[str, str]:
    if isinstance(said, Mapping):
        return {lang: str(said[lang]) for lang in LANGS if said.get(lang)}
    return {}


def _label(tiles: Tiles, tile_id: str, query: LocatedQuery | None) -> Verdict | None:
    """Match, no match, or None where the point lies too near the tile for either."""
    if query is None or not hasattr(tiles, "bounds"):
        return None
    row = list(tiles.ids).index(tile_id)
    lat, lon = float(tiles.lat[row]), float(tiles.lon[row])  # type: ignore[attr-defined]
    if distance_m(query.lat, query.lon, lat, lon) <= tiles.size_m / 2 / 2**0.5:
        return "match"
    west, south, east, north = (float(v) for v in tiles.bounds[row])
    inside = min(max(query.lat, south), north), min(max(query.lon, west), east)
    return "no_match" if distance_m(query.lat, query.lon, *inside) >= MISS_M else None


def _location(tiles: Tiles, query: LocatedQuery | None) -> str | None:
    if query is None:
        return None
    nearest = getattr(tiles, "nearest", None)
    return query.location or (nearest(query.lat, query.lon) if nearest else None)
