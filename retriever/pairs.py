"""Match and no-match pairs: the record that builders write and scorers read, and the tile that a pair really shows.

A pair puts a query (a text, or a picture that is rendered again from its seed) beside one tile and says whether both
are the same place, which claim is borne out by the tile, and why, in English and Chinese (the GLEAM-X task, arXiv
2509.07450). The tile may be *changed*: drawn again with one thing moved, removed, replaced or added.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import lzma
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from retriever.errors import SightlineError
from retriever.kinds import kinds
from retriever.types import (
    TILE_MARGIN,
    Box,
    Claim,
    Evidence,
    Explanation,
    Fact,
    Lang,
    Record,
    Stance,
    Tile,
    canonical_json,
)

if TYPE_CHECKING:
    from PIL import Image

    from retriever.gallery import Gallery

PairView = Literal["text", "map", "ground", "panorama", "uav"]
Label = Literal["match", "no_match"]
Negative = Literal["neighbour", "lookalike", "counterfactual_text", "counterfactual_tile", "random"]
NEGATIVES: tuple[Negative, ...] = ("neighbour", "lookalike", "counterfactual_text", "counterfactual_tile", "random")
What = Literal["direction", "axis", "kind", "moved", "removed", "replaced", "added"]

MATCH_M = 42.4
"""A tile whose centre lies within stride / sqrt(2) of the point matches (60 m stride)."""
OUTSIDE_M = 30.0
"""A tile that misses the point by at least this does not match; between the two it is ambiguous and never used."""


_OCTAGON = (
    (0.1, 0.04),
    (0.04, 0.1),
    (-0.04, 0.1),
    (-0.1, 0.04),
    (-0.1, -0.04),
    (-0.04, -0.1),
    (0.04, -0.1),
    (0.1, -0.04),
)
"""Outline of an area put on a tile, in tile widths: 24 m across on a tile of 120 m."""


class PairError(SightlineError):
    """Pairs that cannot be read, or a tile that is not the one a pair was made on."""


@dataclass(frozen=True, kw_only=True)
class Change(Record):
    """The one thing that makes a counterfactual."""

    what: What
    """direction, axis and kind change the text; the rest change the tile."""
    claim_id: str
    before: str
    """Words of the text, or the kind of the object on the tile."""
    after: str
    osm_id: str | None = None
    """Tile: the object moved, removed or replaced; ``added/1`` for one that no map has."""
    xy: tuple[float, float] | None = None
    """Tile coordinates of what was moved or added."""


@dataclass(frozen=True, kw_only=True)
class PairQuery(Record):
    view: PairView
    lang: Lang | None = None
    """None for pictures."""
    text: str = ""
    named: bool = False
    """Whether a proper name is in it."""
    source: Literal["hand", "generated"] = "generated"
    origin: str = ""
    """Id of the hand-written description."""
    seed: int | None = None
    """Pictures: what they are rendered from again, with view and pose."""
    heading_deg: float | None = None
    size_m: float | None = None
    """Map pictures: how much ground they show."""
    offset_m: tuple[float, float] | None = None
    """Map pictures: where their centre lies, metres east and north of the nearest tile's centre."""
    pixels_sha256: str = ""
    """Of the RGB bytes."""


@dataclass(frozen=True, kw_only=True)
class ShownTile(Record):
    gallery: str
    id: str
    lat: float
    lon: float
    bounds: Box
    size_m: float
    facts_sha256: str
    """Of the facts that the tile shows, after the change; empty where the gallery has none."""
    change: Change | None = None


@dataclass(frozen=True, kw_only=True)
class WrongReason(Record):
    """An explanation that gives one reason that is not so."""

    claim_id: str
    said: Stance
    true: Stance
    verdict: Label
    """What it concludes: right more often than not, which is what makes the reason worth checking."""
    en: str
    zh: str


@dataclass(frozen=True, kw_only=True)
class Pair(Record):
    id: str
    area: str
    place: str
    """Location: pairs of one place are resampled together."""
    lat: float
    """Where the witness stands."""
    lon: float
    query: PairQuery
    tile: ShownTile
    label: Label
    negative: Negative | None = None
    changed: Change | None = None
    """What was changed in the text or on the tile; None unless the pair is a counterfactual."""
    claims: tuple[Claim, ...]
    evidence: tuple[Evidence, ...]
    """One for each claim, from the map facts of the tile as shown, by geometry."""
    explanation: Explanation
    wrong_reason: WrongReason | None = None


@cache
def _defaults(cls: type) -> dict[str, Any]:
    return {f.name: f.default for f in dataclasses.fields(cls) if f.default is not dataclasses.MISSING}


def compact(value: Any) -> Any:
    """JSON-ready, without the fields that hold their default."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        known = _defaults(type(value))
        items = ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value))
        return {k: compact(v) for k, v in items if not (k in known and known[k] == v)}
    return [compact(v) for v in value] if isinstance(value, (list, tuple)) else value


def to_line(pair: Pair) -> str:
    """One line of JSONL, keys sorted; the same pair gives the same bytes."""
    return json.dumps(compact(pair), ensure_ascii=False, sort_keys=True, separators=(",", ":")) + "\n"


def write_pairs(path: Path, pairs: Iterable[Pair]) -> str:
    """Write JSONL, packed where the name ends in ``.xz``; returns the sha256 of the unpacked bytes."""
    data = "".join(to_line(pair) for pair in pairs).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME) if path.suffix == ".xz" else data)
    part.replace(path)
    return hashlib.sha256(data).hexdigest()


def read_bytes(path: Path) -> bytes:
    """The unpacked bytes of a pairs file. Raises ``PairError``."""
    try:
        data = path.read_bytes()
        return lzma.decompress(data) if path.suffix == ".xz" else data
    except (OSError, lzma.LZMAError) as error:
        raise PairError(f"cannot read pairs from {path} ({error}): name a JSONL file of pairs") from error


def parse_pairs(data: bytes, name: str) -> Iterator[Pair]:
    """The pairs of JSONL bytes. Raises ``PairError`` naming the line for anything that is no pair."""
    for number, line in enumerate(data.decode("utf-8", "replace").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            yield Pair.from_json(json.loads(line))
        except (KeyError, TypeError, ValueError) as error:
            raise PairError(f"{name}:{number} is no pair ({error}): build the file again") from error


def read_pairs(path: Path) -> list[Pair]:
    """All pairs of a file. Raises ``PairError``."""
    return list(parse_pairs(read_bytes(path), path.name))


def facts_hash(facts: Sequence[Fact] | None) -> str:
    """Sha256 of facts in canonical JSON; empty for none known."""
    if facts is None:
        return ""
    from retriever.gallery import fact_to_json

    # The gallery's own form, so that a field added to facts one day leaves the hashes of older sets as they are.
    return hashlib.sha256(canonical_json([fact_to_json(f) for f in facts]).encode()).hexdigest()


def apply_change(facts: Sequence[Fact], change: Change) -> tuple[Fact, ...]:
    """The facts of a tile on which one thing is different."""
    if change.what == "added":
        return (*facts, _new(change))
    if change.what == "removed":
        return tuple(f for f in facts if not _is(f, change))
    if change.what == "replaced":
        return tuple(
            dataclasses.replace(f, kind=change.after, names={}, tags={}) if _is(f, change) else f for f in facts
        )
    if change.what == "moved":
        return tuple(_moved(f, change) if _is(f, change) else f for f in facts)
    raise ValueError(f"a change of {change.what} is one of the text, not of the tile")


def _is(fact: Fact, change: Change) -> bool:
    return fact.osm_id == change.osm_id and fact.kind == change.before


def _moved(fact: Fact, change: Change) -> Fact:
    return dataclasses.replace(_point(fact.osm_id, fact.kind, change.xy), names=fact.names, tags=fact.tags)


def _new(change: Change) -> Fact:
    """A thing added: a line across the tile, a small area or a point, as its kind is usually mapped."""
    point = _point(change.osm_id or "added/1", change.after, change.xy)
    group, (x, y) = kinds()[change.after].group, point.parts[0][0]
    if group == "rail" or change.after in ("river", "stream", "coastline"):
        return dataclasses.replace(point, shape="line", parts=(((-TILE_MARGIN, y), (x, y), (1 + TILE_MARGIN, y)),))
    if group in ("area", "water"):
        ring = tuple((round(x + dx, 4), round(y + dy, 4)) for dx, dy in _OCTAGON)
        return dataclasses.replace(point, shape="area", parts=((*ring, ring[0]),))
    return point


def _point(osm_id: str, kind: str, xy: tuple[float, float] | None) -> Fact:
    if xy is None:
        raise ValueError("a change that puts something on a tile needs its place")
    return Fact(osm_id=osm_id, kind=kind, shape="point", parts=((xy,),))


def shown_facts(pair: Pair, gallery: Gallery) -> tuple[Fact, ...] | None:
    """The facts of the tile that a pair shows. Raises ``PairError`` if the gallery is not the one it was made on."""
    facts = gallery.facts(pair.tile.id)
    if facts is not None and pair.tile.change is not None:
        facts = apply_change(facts, pair.tile.change)
    if pair.tile.facts_sha256 and facts_hash(facts) != pair.tile.facts_sha256:
        raise PairError(
            f"tile {pair.tile.id} of {gallery.path} is not the one that {pair.id} was made on: "
            "build the gallery from the extract that the manifest names"
        )
    return facts


def shown_tile(pair: Pair, gallery: Gallery) -> tuple[Tile, Image.Image]:
    """The tile that a pair shows and its picture, drawn again where one thing is changed on it."""
    from retriever.draw import Fonts, draw_tile

    facts = shown_facts(pair, gallery)
    tile = gallery.tile(pair.tile.id)
    if pair.tile.change is None:
        return tile, gallery.image(tile.id)
    picture = draw_tile(facts or (), size_m=gallery.size_m, px=gallery.px, fonts=Fonts.find())
    return dataclasses.replace(tile, facts=facts), picture
