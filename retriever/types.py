"""The types that cross rooms: frozen, keyword-only, plain JSON on disk.

Coordinates
-----------
* ``lat``/``lon`` are WGS 84 degrees; ``bounds`` are ``(west, south, east, north)`` in degrees.
* Tile coordinates run 0..1, x to the east, y to the *south* (as in an image). Geometry may reach a little
  outside (see ``TILE_MARGIN``) so that strokes and outlines do not stop at the edge.
* Bearings are degrees clockwise from north.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self, cast, get_args, get_origin, get_type_hints

TILE_MARGIN = 0.06
"""How far, in tile widths, a fact's geometry is kept beyond the tile's edge."""

View = Literal["satellite", "map"]
QueryView = Literal["ground", "panorama", "uav", "map"]
Shape = Literal["point", "line", "area"]
Stance = Literal["supports", "contradicts", "unknown"]
Reason = Literal["not_visible", "not_mapped", "out_of_tile"]
Verdict = Literal["match", "no_match", "cannot_tell"]
ClaimKind = Literal["object", "name", "road", "junction", "building"]
RelationType = Literal["near", "bearing", "left", "right", "front", "behind", "here", "between", "across", "along"]
Lang = Literal["en", "zh", "mixed"]
Ring = tuple[tuple[float, float], ...]
Box = tuple[float, float, float, float]


class Record:
    """Mixin: every record goes to plain JSON and back, and refuses what does not fit."""

    def to_json(self) -> dict[str, Any]:
        """This record as JSON-ready dicts, lists, strings and numbers."""
        return cast(dict[str, Any], _plain(self))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The record that :meth:`to_json` wrote. Raises ``KeyError``/``TypeError``/``ValueError`` on anything else."""
        return cast(Self, _build(cls, data))


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value


_HINTS: dict[type, dict[str, Any]] = {}


def _build(cls: Any, data: Mapping[str, Any]) -> Any:
    hints = _HINTS.get(cls)
    if hints is None:
        hints = _HINTS[cls] = get_type_hints(cls)
    unknown = set(data) - set(hints)
    if unknown:
        raise TypeError(f"{cls.__name__} has no field {sorted(unknown)[0]!r}")
    return cls(**{name: _coerce(hints[name], value) for name, value in data.items()})


def _coerce(hint: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return _build(hint, value)
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal and value not in args:
        raise ValueError(f"{value!r} is none of {', '.join(map(repr, args))}")
    if origin is tuple and isinstance(value, (list, tuple)):
        inner = args[0] if len(args) == 2 and args[1] is Ellipsis else None
        if inner is not None:
            return tuple(_coerce(inner, v) for v in value)
        return tuple(_coerce(a, v) for a, v in zip(args, value, strict=True))
    if args and type(None) in args:
        if value is None:
            return None
        rest = [a for a in args if a is not type(None)]
        return _coerce(rest[0], value) if len(rest) == 1 else value
    return value


@dataclass(frozen=True, kw_only=True)
class Fact(Record):
    """One mapped object as far as it lies on one tile."""

    osm_id: str
    """``node/1``, ``way/2`` or ``relation/3``. One object may give two facts (a building that is also a cafe)."""
    kind: str
    """A kind of :mod:`retriever.kinds`."""
    shape: Shape
    parts: tuple[Ring, ...]
    """Tile coordinates. ``point``: one part with one point. ``line``: polylines. ``area``: closed rings, even-odd."""
    names: Mapping[str, str] = field(default_factory=dict)
    """By language: ``""`` is the plain ``name`` tag, then ``en``, ``zh``, ``ja`` ..."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """OSM tags that a witness on the spot could see (storeys, colour, material, cuisine, one-way ...)."""


@dataclass(frozen=True, kw_only=True)
class Tile(Record):
    """One geo-tagged overhead picture with what the map says about it."""

    id: str
    view: View
    lat: float
    """Of the tile's centre, which is also the centre of its cell of the stride grid."""
    lon: float
    bounds: Box
    gsd_m: float
    """Ground sample distance: metres per pixel."""
    image: str
    """Path relative to the gallery folder."""
    image_sha256: str
    facts: tuple[Fact, ...] | None = None
    """None: nothing is known about this tile from a map (different from an empty map)."""


@dataclass(frozen=True, kw_only=True)
class Query(Record):
    id: str
    text: str
    lang: Lang = "en"
    images: tuple[tuple[QueryView, str], ...] = ()
    """Pairs of view and sha256 into a content store."""


@dataclass(frozen=True, kw_only=True)
class Candidate(Record):
    tile_id: str
    score: float
    rank: int
    """From 1."""


@dataclass(frozen=True, kw_only=True)
class Relation(Record):
    """Where the witness puts the thing, relative to where the witness stands."""

    type: RelationType = "near"
    bearing_deg: float | None = None
    """Compass bearing from the witness; for left/right/front/behind only set once a heading is known.
    For ``kind="road"`` it is the road's axis, so 90 and 270 mean the same."""
    distance_m: float | None = None
    anchor: str | None = None
    """For ``between``/``across``: the other thing, as a kind id or a name."""


@dataclass(frozen=True, kw_only=True)
class Claim(Record):
    """One atomic, checkable thing that the witness said."""

    id: str
    """``c1``, ``c2`` ... unique within a conversation."""
    span: str
    """The witness's own words."""
    kind: ClaimKind
    value: str
    """object: a kind id. name: the name as read. road: ``straight|curved|dead_end|one_way|wide|narrow|runs`` or a road
    kind id. junction: ``crossroads|t_junction|roundabout``. building: ``storeys:N`` or ``colour:NAME``."""
    relation: Relation = Relation()
    count: int | None = None
    polarity: bool = True
    """False: the witness says it is *not* there."""
    hedge: bool = False
    """True: "I think", "maybe", 好像."""
    turn: int = 0
    status: Literal["active", "struck", "corrected"] = "active"
    asked: bool = False
    """True: the answer to a question that was put, which is firmer than what a witness volunteers."""


@dataclass(frozen=True, kw_only=True)
class Evidence(Record):
    claim_id: str
    stance: Stance
    reason: Reason | None = None
    """Why unknown; None otherwise."""
    region: Box | None = None
    """``(x0, y0, x1, y1)`` in tile coordinates."""
    osm_ids: tuple[str, ...] = ()
    by: Literal["model", "map"] = "model"


@dataclass(frozen=True, kw_only=True)
class Explanation(Record):
    en: str
    zh: str
    author: Literal["model", "template"]


@dataclass(frozen=True, kw_only=True)
class Judgement(Record):
    tile_id: str
    verdict: Verdict | None = None
    """None exactly when ``error`` says why there is none."""
    score: float | None = None
    score_kind: str = ""
    """What ``score`` is: ``p_match``, ``retrieval``, ``oracle`` ..."""
    confidence: float | None = None
    """Posterior probability that this tile's cell is the place."""
    evidence: tuple[Evidence, ...] = ()
    explanation: Explanation | None = None
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Usage(Record):
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Wall seconds by stage."""

    def __add__(self, other: Usage) -> Usage:
        seconds = dict(self.seconds)
        for stage, s in other.seconds.items():
            seconds[stage] = seconds.get(stage, 0.0) + s
        return Usage(
            calls=self.calls + other.calls,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            seconds=seconds,
        )


@dataclass(frozen=True, kw_only=True)
class Ranking(Record):
    """Best first; always a permutation of the candidates it was given."""

    query_id: str
    method: str
    judgements: tuple[Judgement, ...]
    usage: Usage = Usage()
    prompt: str = ""
    """Id and hash of the prompt that the scores come from; empty where no model was asked."""


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: the form that is hashed."""
    return json.dumps(_plain(value), ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def sha256_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
