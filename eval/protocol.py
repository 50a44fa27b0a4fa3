"""What is asked, what counts as right, and among which tiles: the query set, the truth and the two protocols.

``full`` ranks every tile of the gallery. ``nearest100`` ranks only the 100 tiles nearest the *true* place, as the
released CrossText2Loc code does (arXiv 2412.17007); it exists to reprint such numbers and carries a warning.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from retriever.errors import SightlineError
from retriever.geo import distance_m
from retriever.types import Lang, Query

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

PROTOCOLS = ("full", "nearest100")
PRIOR_TILES = 100
TIE_M = 1e-3
"""Distances that differ by less are compared as they were computed, tile by tile."""
PRIOR_WARNING = (
    "protocol nearest100 shows each query only the 100 tiles nearest its TRUE place: random scores get 1 % recall@1 "
    "there whatever the gallery's size; never compare these numbers with full-gallery ones"
)


class EvaluationError(SightlineError):
    """Queries, scores or rankings that cannot be evaluated honestly."""


class Places(Protocol):
    """The part of a gallery that the truth is made from."""

    @property
    def id(self) -> str: ...
    @property
    def ids(self) -> Sequence[str]: ...
    @property
    def lat(self) -> Floats: ...
    @property
    def lon(self) -> Floats: ...
    @property
    def bounds(self) -> Floats: ...


@dataclass(frozen=True, kw_only=True)
class LocatedQuery:
    """A description and the point that it truly describes."""

    query: Query
    lat: float
    lon: float
    named: bool
    """Whether the text names any place, street or sign."""
    source: str
    """Who wrote it: ``hand``, ``generated`` ..."""
    location: str | None = None
    """Queries of one location are resampled together; None: those with the same true tile."""
    heading_deg: float | None = None
    area: str | None = None
    tile_id: str | None = None
    """The one right tile, where the query file names it; None: the tile with the nearest centre."""


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What is right for each query, among the tiles that its protocol shows.

    ``pool`` int64 [Q, M] are rows of the gallery; everything else is aligned with it: ``holds`` bool [Q, M] whether the
    tile contains the point, ``target`` int64 [Q] the column of the tile that the query names, else of the one with the
    nearest centre. Where a query names its tile, ``holds`` is true of that tile alone.
    """

    protocol: str
    pool: Ints
    holds: Bools
    target: Ints
    clusters: tuple[str, ...]
    """Location of each query, for resampling."""
    points: Floats
    """[Q, 2] latitude and longitude of the true points."""
    centres: Floats
    """[N, 2] of the gallery's tiles, all of them."""

    def metres(self, rows: Ints, columns: Ints) -> Floats:
        """From the true points of queries ``rows`` to the centres of the tiles in ``columns``; both are broadcast."""
        point, centre = self.points[rows], self.centres[self.pool[rows, columns]]
        found: Floats = distance_m(point[..., 0], point[..., 1], centre[..., 0], centre[..., 1])
        return found

    @cached_property
    def distance(self) -> Floats:
        """float64 [Q, M]: :meth:`metres` of every pair, computed when first asked for."""
        found = _distances(self.points, self.centres)
        return found if self.whole else np.take_along_axis(found, self.pool, axis=1)

    @property
    def whole(self) -> bool:
        """Whether every tile of the gallery is shown; column i is then row i."""
        return bool(self.pool.shape[1] == len(self.centres))


def read_queries(path: Path) -> list[LocatedQuery]:
    """The queries of a JSONL file; one ``EvaluationError`` naming the line for anything malformed or repeated."""
    try:
        # Not splitlines: a text may hold U+2028, which is no end of a line in JSONL.
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"cannot read queries from {path}: {error}") from error
    found: list[LocatedQuery] = []
    seen: set[str] = set()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            item = _located(json.loads(line))
        except (KeyError, TypeError, ValueError) as error:
            raise EvaluationError(f"{path}:{number}: not a query ({_reason(error)}); correct it") from error
        if item.query.id in seen:
            raise EvaluationError(f"{path}:{number}: query id {item.query.id!r} appears twice; make ids unique")
        seen.add(item.query.id)
        found.append(item)
    if not found:
        raise EvaluationError(f"{path} holds no queries")
    return found


def _reason(error: Exception) -> str:
    return f"field {error} is missing" if isinstance(error, KeyError) else str(error)


def _located(row: Mapping[str, Any]) -> LocatedQuery:
    lat, lon = float(row["lat"]), float(row["lon"])
    if not (-90 <= lat <= 90 and -180 <= lon <= 180):
        raise ValueError(f"lat {lat}, lon {lon} is not on Earth")
    if row["lang"] not in get_args(Lang):
        raise ValueError(f"lang {row['lang']!r} is none of {', '.join(get_args(Lang))}")
    if not isinstance(row["named"], bool):
        raise TypeError("named must be true or false")
    text = str(row["text"]).strip()
    if not text:
        raise ValueError("text is empty")
    heading = row.get("heading_deg")
    return LocatedQuery(
        query=Query(id=str(row["id"]), text=text, lang=row["lang"]),
        lat=lat,
        lon=lon,
        named=row["named"],
        source=str(row.get("source") or row.get("author") or "unknown"),
        location=row.get("location"),
        heading_deg=None if heading is None else float(heading),
        area=row.get("area"),
        tile_id=_tile_id(row),
    )


def _tile_id(row: Mapping[str, Any]) -> str | None:
    named = row.get("tile_id")
    if named is not None and (not isinstance(named, str) or not named):
        raise TypeError("tile_id must be the id of a tile")
    return named


def truth(gallery: Places, queries: Sequence[LocatedQuery], protocol: str = "full") -> Truth:
    """What is right for ``queries`` in ``gallery``.

    Raises ``EvaluationError`` for an unknown protocol, no queries, a query whose tile the gallery lacks, or one whose
    point lies on no tile or not on its own: it has no right answer and every method alike would miss it.
    """
    if protocol not in PROTOCOLS:
        raise EvaluationError(f"unknown protocol {protocol!r}; known: {', '.join(PROTOCOLS)}")
    if not queries:
        raise EvaluationError("there are no queries to evaluate")
    points = np.array([(q.lat, q.lon) for q in queries])
    centres = np.column_stack([gallery.lat, gallery.lon])
    holds = _holds(gallery.bounds, points)
    target = _targets(gallery, queries, points, centres)
    _refuse_outside(gallery, queries, points, centres, holds, target)
    named = np.array([q.tile_id is not None for q in queries])
    holds[named] = np.arange(len(gallery.ids)) == target[named, None]
    clusters = tuple(q.location or f"{gallery.id}:{gallery.ids[t]}" for q, t in zip(queries, target, strict=True))
    every = np.broadcast_to(np.arange(len(centres)), holds.shape)
    full = Truth(
        protocol=protocol, pool=every, holds=holds, target=target, clusters=clusters, points=points, centres=centres
    )
    return full if protocol == "full" or len(centres) <= PRIOR_TILES else _nearest100(full)


def _distances(points: Floats, centres: Floats) -> Floats:
    """Metres [Q, N]: row by row, which stays in the processor's cache, on every core."""
    distance = np.empty((len(points), len(centres)))

    def fill(rows: range) -> None:
        for row in rows:
            distance[row] = distance_m(*points[row], *centres.T)

    with ThreadPoolExecutor() as pool:
        list(pool.map(fill, (range(len(points))[i : i + 100] for i in range(0, len(points), 100))))
    return distance


def _nearest(points: Floats, centres: Floats) -> Ints:
    """Row [Q] of the nearest centre; the first of those that are equally near."""
    tree = cKDTree(_on_sphere(centres))
    near = np.sort(tree.query(_on_sphere(points), k=min(2, len(centres)))[1].reshape(len(points), -1), axis=1)
    metres = distance_m(points[:, :1], points[:, 1:], centres[near, 0], centres[near, 1])
    found: Ints = np.take_along_axis(near, metres.argmin(axis=1)[:, None], axis=1)[:, 0].astype(np.int64)
    # Where two are as good as equally near, others may be too, and the tree does not say which comes first.
    for row in np.flatnonzero(np.ptp(metres, axis=1) < TIE_M) if len(centres) > 1 else ():
        found[row] = distance_m(*points[row], *centres.T).argmin()
    return found


def _on_sphere(places: Floats) -> Floats:
    lat, lon = np.radians(places).T
    return np.column_stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])


def _targets(gallery: Places, queries: Sequence[LocatedQuery], points: Floats, centres: Floats) -> Ints:
    target = _nearest(points, centres)
    rows = {tile: row for row, tile in enumerate(gallery.ids)}
    for q, query in enumerate(queries):
        if query.tile_id is not None:
            if query.tile_id not in rows:
                raise EvaluationError(
                    f"query {query.query.id!r} names the tile {query.tile_id!r}, which gallery {gallery.id} does not "
                    "hold; use the gallery that the queries were made for"
                )
            target[q] = rows[query.tile_id]
    return target


def _holds(bounds: Floats, points: Floats) -> Bools:
    """[Q, N], row by row."""
    west, south, east, north = np.ascontiguousarray(bounds.T)
    inside = np.empty((len(points), len(bounds)), dtype=bool)
    for row, (lat, lon) in enumerate(points):
        inside[row] = (west <= lon) & (lon <= east) & (south <= lat) & (lat <= north)
    return inside


def _refuse_outside(
    gallery: Places,
    queries: Sequence[LocatedQuery],
    points: Floats,
    centres: Floats,
    holds: Bools,
    target: Ints,
) -> None:
    rows = np.arange(len(queries))
    outside = np.flatnonzero(~holds[rows, target])
    if outside.size:
        first = int(outside[0])
        named = queries[first].tile_id
        metres = float(distance_m(*points[first], *centres[target[first]]))
        kind = "nearest" if named is None else "tile's"
        where = "lies on no tile" if named is None else f"does not lie on its tile {named!r}"
        raise EvaluationError(
            f"query {queries[first].query.id!r} ({outside.size} in all) {where} of gallery {gallery.id}: the "
            f"{kind} centre is {metres:,.0f} m away; use the gallery of that area"
        )


def _nearest100(full: Truth) -> Truth:
    # The target is shown even where it is a tile that the query names, with many at the same distance before it.
    near = np.where(full.pool == full.target[:, None], -1.0, full.distance)
    # Equal distances are broken by row.
    pool = np.argsort(near, axis=1, kind="stable")[:, :PRIOR_TILES]
    target = (pool == full.target[:, None]).argmax(axis=1)
    return replace(full, pool=pool, holds=np.take_along_axis(full.holds, pool, axis=1), target=target)
