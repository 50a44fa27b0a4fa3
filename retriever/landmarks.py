"""What the whole gallery's map holds, object by object: what a limit in words can refer to.

Tiles overlap and cut objects into pieces; here the pieces of one OSM object are one landmark, and landmarks that a
person would call one thing (the tracks of one line, a river's sections, a church and its yard) are one group.
Geometry is in metres of a plane about the gallery's middle, x east, y north.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from retriever.geo import Frame
from retriever.kinds import kinds
from retriever.oracle.generality import satisfying
from retriever.oracle.index import _area
from retriever.oracle.naming import best_rows, normalise
from retriever.types import Fact

if TYPE_CHECKING:
    from retriever.gallery import Gallery

LINE_GAP_M = 80.0
"""Pieces of a line (tracks, a river) nearer than this to each other are one thing."""
PLACE_GAP_M = 30.0
"""The same for places: a church and the yard around it."""
ALIKE_NAME = 4.0
"""Readings of a name that score this close to the best are names of the same worth."""
_COMMON = frozenset({"building", "tree", "wall", "bench", "footway", "crossing", "bicycle_parking"})
"""Kinds of which one is like another: nobody limits a search by one that has no name."""
_LINES = {"rail", "road", "water"}


@dataclass(frozen=True, kw_only=True)
class Landmark:
    """One thing on the map, of one or several OSM objects."""

    ids: tuple[str, ...]
    kind: str
    names: tuple[tuple[str, str], ...]
    """Pairs of language and name, as on the map."""
    shape: BaseGeometry

    def name(self, lang: str) -> str:
        """Its name in that language, else as written on the spot; empty where it has none."""
        known = dict(reversed(self.names))
        return known.get(lang) or known.get("") or next(iter(known.values()), "")


@dataclass(frozen=True, kw_only=True)
class Landmarks:
    """All landmarks of a gallery. Use :meth:`of`, which keeps the last galleries' landmarks."""

    frame: Frame
    all: tuple[Landmark, ...]
    x: NDArray[np.float64]
    """Of the tiles' centres [N]."""
    y: NDArray[np.float64]
    _names: list[tuple[str, int]] = field(default_factory=list)

    @classmethod
    def of(cls, gallery: Gallery) -> Landmarks:
        """Read once per gallery and process: a tenth of a second for a thousand tiles."""
        with _lock:
            found = _kept.get(gallery)
            if found is None:
                found = _kept[gallery] = cls._read(gallery)
            return found

    @classmethod
    def _read(cls, gallery: Gallery) -> Landmarks:
        frame = Frame(lat=float(np.mean(gallery.lat)), lon=float(np.mean(gallery.lon)))
        x, y = frame.xy(gallery.lat, gallery.lon)
        pieces: dict[tuple[str, str], list[BaseGeometry]] = {}
        names: dict[tuple[str, str], dict[str, str]] = {}
        for row, tile_id in enumerate(gallery.ids):
            for fact in gallery.facts(tile_id) or ():
                if fact.kind in _COMMON and not fact.names:
                    continue
                key = (fact.osm_id, fact.kind)
                pieces.setdefault(key, []).append(_placed(fact, float(x[row]), float(y[row]), gallery.size_m))
                names.setdefault(key, {}).update(fact.names)
        found = tuple(
            Landmark(ids=(osm_id,), kind=kind, names=tuple(names[osm_id, kind].items()), shape=_together(shapes))
            for (osm_id, kind), shapes in pieces.items()
        )
        listed = [(normalise(n), i) for i, mark in enumerate(found) for n in dict(mark.names).values() if n]
        return cls(frame=frame, all=found, x=np.asarray(x), y=np.asarray(y), _names=listed)

    def of_kind(self, kind: str, *, broad: bool = False) -> list[Landmark]:
        """The groups of the things of this kind, the largest first.

        What the word is also true of ("tracks" of a tram line) counts where there is nothing of the kind itself, and
        where ``broad``.
        """
        exact = [mark for mark in self.all if mark.kind == kind]
        if exact and not broad:
            return self.groups(exact)
        wanted = satisfying(kind)
        return self.groups(mark for mark in self.all if mark.kind in wanted)

    def named(self, name: str) -> list[Landmark]:
        """The groups of everything of that name, in any language, misspelt or in part; the best readings only."""
        scored = best_rows(name, self._names)
        return self.groups(self.all[row] for score, row in scored if score >= scored[0][0] - ALIKE_NAME)

    def with_ids(self, ids: Iterable[str]) -> Landmark | None:
        """One landmark of all the objects with these OSM ids."""
        wanted = set(ids)
        marks = [mark for mark in self.all if wanted & set(mark.ids)]
        return _joined(marks) if marks else None

    def groups(self, marks: Iterable[Landmark]) -> list[Landmark]:
        """Landmarks that lie together as one, the largest first."""
        chosen = list(marks)
        if not chosen:
            return []
        shapes = np.array([mark.shape for mark in chosen], dtype=object)
        gaps = np.array([_gap(mark) for mark in chosen])
        tree = shapely.STRtree(shapes)
        one, other = tree.query(shapes, predicate="dwithin", distance=gaps)
        parts = _components(len(chosen), one, other)
        found = [_joined([chosen[i] for i in part]) for part in parts]
        return sorted(found, key=lambda mark: (-mark.shape.length, mark.ids))

    def beside(self, mark: Landmark) -> Landmark | None:
        """The nearest named street or place that is not the landmark itself: where it is, for a person."""
        named = [m for m in self.all if m.names and not set(m.ids) & set(mark.ids)]
        return min(named, key=lambda m: (m.shape.distance(mark.shape), m.ids)) if named else None


_kept: WeakKeyDictionary[Gallery, Landmarks] = WeakKeyDictionary()
_lock = threading.Lock()


def _gap(mark: Landmark) -> float:
    return LINE_GAP_M if kinds()[mark.kind].group in _LINES else PLACE_GAP_M


def _placed(fact: Fact, x: float, y: float, size_m: float) -> BaseGeometry:
    """A fact's geometry in the gallery's plane, for a tile whose centre is at ``x``, ``y``."""
    parts = [np.asarray(part, dtype=np.float64) for part in fact.parts]
    placed = [np.stack([x + (p[:, 0] - 0.5) * size_m, y + (0.5 - p[:, 1]) * size_m], axis=1) for p in parts]
    if fact.shape == "point":
        return shapely.Point(placed[0][0])
    if fact.shape == "line":
        return shapely.MultiLineString([p for p in placed if len(p) > 1])
    return _area(placed)


def _together(shapes: Sequence[BaseGeometry]) -> BaseGeometry:
    """The pieces of one thing. They overlap where tiles do, which distances do not mind and a union would cost."""
    whole: BaseGeometry = shapes[0] if len(shapes) == 1 else shapely.GeometryCollection(list(shapes))
    return whole


def _joined(marks: Sequence[Landmark]) -> Landmark:
    """Several landmarks as one, named and of the kind of its largest part."""
    first = max(marks, key=lambda m: (bool(m.names), m.shape.length, m.ids))
    ids = tuple(dict.fromkeys(i for m in (first, *marks) for i in m.ids))
    return Landmark(ids=ids, kind=first.kind, names=first.names, shape=_together([m.shape for m in marks]))


def _components(n: int, one: NDArray[np.int64], other: NDArray[np.int64]) -> list[list[int]]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(one)), (one, other)), shape=(n, n))
    count, labels = connected_components(links, directed=False)
    return [list(np.flatnonzero(labels == part)) for part in range(count)]


# --- where a place lies from a landmark -----------------------------------------------------------------------------

SIDE_DEG = 80.0
"""Said "north of the tracks", a place lies within this angle of due north of the nearest part of them: a full half
plane would call "north" what lies beside the end of a line that runs north-south."""
DETOUR = 1.3
"""Between two things is where going by way of it is at most this much longer than going straight."""


def within(shape: BaseGeometry, x: NDArray[np.float64], y: NDArray[np.float64], metres: float) -> NDArray[np.bool_]:
    """bool [N]: no farther than ``metres`` from the nearest part."""
    return np.asarray(shapely.distance(shape, shapely.points(x, y)) <= metres)


def side(shape: BaseGeometry, x: NDArray[np.float64], y: NDArray[np.float64], bearing: float) -> NDArray[np.bool_]:
    """bool [N]: on that side of the nearest part; what stands on the thing itself is on no side."""
    points = shapely.points(x, y)
    lines = shapely.shortest_line(shape, points)
    ends = shapely.get_coordinates(lines).reshape(-1, 2, 2)
    dx, dy = (ends[:, 1] - ends[:, 0]).T
    along = dx * np.sin(np.radians(bearing)) + dy * np.cos(np.radians(bearing))
    length = np.hypot(dx, dy)
    return np.asarray((length > 0) & (along >= length * np.cos(np.radians(SIDE_DEG))))


def between(a: BaseGeometry, b: BaseGeometry, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    """bool [N]: between two things, both ends included."""
    points = shapely.points(x, y)
    straight = max(float(shapely.distance(a, b)), PLACE_GAP_M)
    return np.asarray(shapely.distance(a, points) + shapely.distance(b, points) <= DETOUR * straight)
