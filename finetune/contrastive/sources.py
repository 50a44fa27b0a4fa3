"""What a run learns from: queries (texts or pictures of any view) and the tile that each of them is of.

The loaders of published layouts say which queries are for training; test queries are never listed here. Validation
places are held out of the training ones by area: a strip, with a buffer in which nothing is used.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetune.contrastive.recipe import SourcePlan
from finetune.formats import cvg_text, setvl, university, vigor
from finetune.formats.foreign import Foreign, read_file
from finetune.splits import cut
from finetune.views.dataset import read_sets
from retriever.errors import SourceError

Rows = NDArray[np.int64]
Read = Callable[[], bytes]
TRAIN, HELD = 0, 1


@dataclass(frozen=True, kw_only=True)
class Tile:
    id: str
    read: Read
    area: str
    place: str
    lat: float = float("nan")
    lon: float = float("nan")


@dataclass(frozen=True, kw_only=True)
class Query:
    id: str
    view: str
    """``text``, ``ground``, ``panorama``, ``uav`` or ``map``."""
    tile: str
    text: str | None = None
    read: Read | None = None
    lat: float = float("nan")
    lon: float = float("nan")
    unsure: tuple[str, ...] = ()
    """Tiles that are neither right nor wrong for it."""
    held: bool = False
    """The data set itself keeps it for validation."""


@dataclass(kw_only=True)
class Pairs:
    """All sources of a run in one numbering; arrays are by query [Q] or by tile [N]."""

    tiles: list[Tile] = field(default_factory=list)
    queries: list[Query] = field(default_factory=list)
    tile: Rows
    """[Q] row of the right tile."""
    split: Rows
    """[Q] TRAIN or HELD."""
    source: NDArray[np.str_]
    view: NDArray[np.str_]
    point: NDArray[np.float64]
    """[Q, 2] latitude and longitude of the query, or of its tile where it has none; NaN where neither is known."""
    centre: NDArray[np.float64]
    """[N, 2]"""
    reach: NDArray[np.float64]
    """[Q] metres within which a tile is no sure negative."""
    unsure: dict[int, frozenset[int]]
    sha256: str

    def rows(self, split: int, sources: Iterable[str] | None = None) -> Rows:
        """Queries of a split, of some sources."""
        chosen = self.split == split
        if sources is not None:
            chosen &= np.isin(self.source, list(sources))
        return np.flatnonzero(chosen)


def load_pairs(plans: Sequence[SourcePlan]) -> Pairs:
    """All sources of a recipe. Raises ``SourceError`` or ``DatasetError`` where one cannot be read or split."""
    parts = []
    for plan in plans:
        tiles, queries = LOADERS[plan.kind](plan)
        if not queries:
            raise SourceError(f"the source {plan.name} ({plan.path}) has no queries for training: check its path")
        parts.append((plan, tiles, queries, _held_out(plan, tiles, queries)))
    return _joined(parts)


def _joined(parts: Sequence[tuple[SourcePlan, list[Tile], list[Query], list[int | None]]]) -> Pairs:
    tiles: list[Tile] = []
    queries: list[Query] = []
    tile, split, source, reach = [], [], [], []
    unsure: dict[int, frozenset[int]] = {}
    digest = hashlib.sha256()
    for plan, own_tiles, own_queries, splits in parts:
        number = {t.id: len(tiles) + i for i, t in enumerate(own_tiles)}
        tiles += own_tiles
        for query, part in zip(own_queries, splits, strict=True):
            if part is None:
                continue
            if query.unsure:
                unsure[len(queries)] = frozenset(number[t] for t in query.unsure if t in number)
            queries.append(query)
            tile.append(number[query.tile])
            split.append(part)
            source.append(plan.name)
            reach.append(plan.ambiguous_m)
            digest.update(json.dumps([plan.name, query.id, query.tile, query.text, part]).encode())
    centre = np.asarray([(t.lat, t.lon) for t in tiles], float).reshape(-1, 2)
    point = np.asarray([(q.lat, q.lon) for q in queries], float).reshape(-1, 2)
    place = np.asarray(tile, np.int64)
    return Pairs(
        tiles=tiles, queries=queries, tile=place, split=np.asarray(split, np.int64), source=np.asarray(source),
        view=np.asarray([q.view for q in queries]), point=np.where(np.isnan(point), centre[place], point),
        centre=centre, reach=np.asarray(reach, float), unsure=unsure, sha256=digest.hexdigest(),
    )  # fmt: skip


def _held_out(plan: SourcePlan, tiles: Sequence[Tile], queries: Sequence[Query]) -> list[int | None]:
    """A split for each query; all queries of one tile have the same one, None is in the buffer."""
    if plan.validation == 0 or any(q.held for q in queries):
        return [HELD if q.held else TRAIN for q in queries]
    asked = {q.tile for q in queries}
    by_area: dict[str, list[Tile]] = defaultdict(list)
    for tile in tiles:
        if tile.id in asked:
            by_area[tile.area].append(tile)
    found: dict[str, int | None] = {}
    for own in by_area.values():
        if any(np.isnan(t.lat) for t in own):
            found |= {t.id: HELD if _part(t.place) < plan.validation else TRAIN for t in own}
            continue
        shares = {"train": 1 - plan.validation, "validation": plan.validation}
        strips = cut([t.lat for t in own], [t.lon for t in own], shares, buffer_m=plan.buffer_m)
        named: dict[str | None, int | None] = {"train": TRAIN, "validation": HELD, None: None}
        found |= {t.id: named[s] for t, s in zip(own, strips, strict=True)}
    return [found[q.tile] for q in queries]


def _part(place: str) -> float:
    """A number in [0, 1) that depends on the place's name alone."""
    return int.from_bytes(hashlib.sha256(place.encode()).digest()[:6]) / 2**48


# --- loaders ---------------------------------------------------------------------------------------------------------


def _texts(plan: SourcePlan) -> tuple[list[Tile], list[Query]]:
    """CVG-Text: captions to satellite or map tiles."""
    loaded = cvg_text.load(Path(plan.path), plan.set)
    names = {t.id for t in loaded.tiles if t.view == plan.tile}
    queries = [
        Query(id=q.id, view="text", tile=f"{plan.tile}/{q.id}", text=q.text, **_at(q))
        for q in loaded.queries
        if q.split == "train" and q.text and f"{plan.tile}/{q.id}" in names
    ]
    return _tiles(loaded, plan.tile), queries


def _maps(plan: SourcePlan) -> tuple[list[Tile], list[Query]]:
    """CVG-Text: street map tiles of the training places to the satellite tiles of the same name."""
    loaded = cvg_text.load(Path(plan.path), plan.set)
    wanted = {q.id for q in loaded.queries if q.split == "train"}
    above = {t.place for t in loaded.tiles if t.view == "satellite"}
    queries = [
        Query(id=t.id, view="map", tile=f"satellite/{t.place}", read=_reader(loaded, t.source), **_at(t))
        for t in loaded.tiles
        if t.view == "map" and t.place in wanted & above
    ]
    return _tiles(loaded, "satellite"), queries


def _pictures(load: Callable[[Path], Foreign]) -> Callable[[SourcePlan], tuple[list[Tile], list[Query]]]:
    def loader(plan: SourcePlan) -> tuple[list[Tile], list[Query]]:
        loaded = load(Path(plan.path))
        right: dict[str, str] = {}
        unsure: dict[str, list[str]] = defaultdict(list)
        for link in loaded.links:
            if link.label == "match" and link.query_id not in right:
                right[link.query_id] = link.tile_id
            elif link.label != "no_match":
                unsure[link.query_id].append(link.tile_id)
        queries = [
            Query(
                id=q.id,
                view=q.picture.view,
                tile=right[q.id],
                read=_reader(loaded, q.picture.source),
                unsure=tuple(unsure[q.id]),
                held=q.split == "validation",
                **_at(q),
            )
            for q in loaded.queries
            if q.picture and q.split in ("train", "validation") and q.id in right
        ]
        return _tiles(loaded, "satellite"), queries

    return loader


def _views(plan: SourcePlan) -> tuple[list[Tile], list[Query]]:
    """Rendered sets: every view of a place to its satellite picture."""
    tiles, queries = [], []
    for row in read_sets(plan.path):
        views = row["views"]
        if "satellite" not in views:
            raise SourceError(f"the set {row['id']} of {plan.path} has no satellite view: render all views")
        above = views["satellite"]
        at = {"lat": float(above["pose"]["lat"]), "lon": float(above["pose"]["lon"])}
        tiles.append(Tile(id=row["id"], read=_file(plan, above), area=str(row["scene"]), place=row["id"], **at))
        queries += [
            Query(
                id=f"{row['id']}/{view}",
                view=view,
                tile=row["id"],
                read=_file(plan, said),
                lat=float(row["lat"]),
                lon=float(row["lon"]),
            )
            for view, said in views.items()
            if view != "satellite"
        ]
    return tiles, queries


def _file(plan: SourcePlan, said: Any) -> Read:
    return lambda: read_file(Path(plan.path) / said["file"])


def _tiles(loaded: Foreign, view: str) -> list[Tile]:
    return [
        Tile(id=t.id, read=_reader(loaded, t.source), area=t.area, place=t.place, **_at(t))
        for t in loaded.tiles
        if t.view == view
    ]


def _reader(loaded: Foreign, source: Any) -> Read:
    return lambda: loaded.read(source)


def _at(said: Any) -> dict[str, Any]:
    return {} if said.lat is None or said.lon is None else {"lat": said.lat, "lon": said.lon}


LOADERS: dict[str, Callable[[SourcePlan], tuple[list[Tile], list[Query]]]] = {
    "cvg-text": _texts,
    "cvg-maps": _maps,
    "vigor": _pictures(vigor.load),
    "university-1652": _pictures(university.load),
    "setvl-480k": _pictures(setvl.load),
    "views": _views,
}
