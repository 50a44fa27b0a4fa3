"""What there is to see from a standing point: sights with bearing and distance, the street, the junction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import NDArray

from retriever.kinds import kinds
from retriever.oracle import FactIndex, streets
from retriever.oracle.generality import akin

SIGHT_M = 68.0
"""Things farther from the witness are left out."""

HIDDEN_M = 14.0
"""A thing is out of sight when more than this much building lies on the line to it (its own house included)."""

ON_M = 14.0
"""The street whose line passes this close is the one the witness stands on."""


@dataclass(frozen=True)
class Sight:
    row: int
    kind: str
    group: str
    distance: float
    bearing: float
    """From the witness to its nearest part."""


@dataclass
class Scene:
    index: FactIndex
    x: float
    y: float
    """The witness, metres from the tile's centre."""
    visible: Sequence[bool] | None = None

    @cached_property
    def _nearest(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Offset from the witness to the nearest part of each fact [F, 2], and its length [F]."""
        here = shapely.Point(self.x, self.y)
        lines = shapely.shortest_line(np.full(len(self.index), here, dtype=object), self.index.geometry)
        ends = np.full((len(self.index), 2), np.inf)
        usable = ~(shapely.is_missing(lines) | shapely.is_empty(lines))
        ends[usable] = shapely.get_coordinates(lines[usable]).reshape(-1, 2, 2)[:, 1]
        offset = ends - np.array([self.x, self.y])
        return offset, np.hypot(offset[:, 0], offset[:, 1])

    @cached_property
    def sights(self) -> list[Sight]:
        """Everything in view within ``SIGHT_M``, nearest first."""
        if not len(self.index):
            return []
        offset, far = self._nearest
        rows = [int(r) for r in np.flatnonzero(far <= SIGHT_M) if self.visible is None or self.visible[int(r)]]
        hidden = self._hidden(rows, offset)
        table = kinds()
        seen = [
            Sight(row, kind, table[kind].group, float(far[row]), _bearing(offset[row]))
            for row, behind in zip(rows, hidden, strict=True)
            if behind <= HIDDEN_M and (kind := self.index.kinds[row]) in table
        ]
        return sorted(seen, key=lambda s: (s.distance, s.row))

    def _hidden(self, rows: list[int], offset: NDArray[np.float64]) -> NDArray[np.float64]:
        """Metres of building on the line of sight to each row [R]."""
        cover = np.zeros(len(rows))
        houses = self.index.of_kinds(frozenset({"building"}))
        if not houses or not rows:
            return cover
        start = np.array([self.x, self.y])
        ends = np.stack([np.broadcast_to(start, (len(rows), 2)), start + offset[rows]], axis=1)
        rays: NDArray[np.object_] = np.asarray(shapely.linestrings(ends))
        hits = self.index.tree.query(rays, predicate="intersects")
        mask = np.isin(hits[1], houses) & (np.asarray(rows)[hits[0]] != hits[1])
        ray, house = hits[0][mask], hits[1][mask]
        np.add.at(cover, ray, shapely.length(shapely.intersection(rays[ray], self.index.geometry[house])))
        return cover

    @cached_property
    def own_street(self) -> Sight | None:
        """The road the witness stands on: roads for vehicles before paths, named before nameless, near before far."""
        near = [s for s in self.sights if s.group == "road" and s.distance <= ON_M]
        if not near:
            return None
        return min(near, key=lambda s: (s.kind not in streets.VEHICLE, s.distance > 6.0, s.distance))

    @cached_property
    def axis(self) -> float | None:
        """Direction 0..180 of the street where the witness stands; None where it bends too much to say."""
        street = self.own_street
        if street is None:
            return None
        best: tuple[float, float] | None = None
        here = np.array([self.x, self.y])
        for line in streets.lines_of(self.index, street.row):
            shifted = line - here
            for a, b in pairwise(shifted):
                gap, length = streets.to_segment(a, b), float(np.hypot(*(b - a)))
                if length >= 12.0 and (best is None or gap < best[0]):
                    best = (gap, float(np.degrees(np.arctan2(*(b - a)))) % 180.0)
        return best[1] if best is not None and best[0] <= ON_M else None

    @cached_property
    def junctions(self) -> list[tuple[str, float, float, tuple[int, ...]]]:
        """(form, distance, bearing, rows) of the meetings of roads within 45 m of the witness, nearest first."""
        found = []
        for j in streets.junctions(self.index):
            offset = np.array([j.x - self.x, j.y - self.y])
            far = float(np.hypot(*offset))
            if far <= 45.0 and max(abs(j.x), abs(j.y)) < self.index.size_m / 2 - 4:
                found.append(("crossroads" if j.arms >= 4 else "t_junction", far, _bearing(offset), j.rows))
        return sorted(found, key=lambda item: item[1])

    @cached_property
    def absent(self) -> list[str]:
        """Complete kinds of which neither one nor anything like one is on the tile."""
        here = set(self.index.kinds)
        if not here:
            return []
        return [k.id for k in kinds().values() if k.complete and not here & akin(k.id)]

    def names(self, row: int) -> dict[str, str]:
        return {lang: text.strip() for lang, text in self.index.facts[row].names.items() if text.strip()}

    def crosses_street(self, sight: Sight) -> bool:
        """Whether a road for vehicles lies between the witness and the thing."""
        offset = self._nearest[0][sight.row]
        if sight.distance < 5.0:
            return False
        ray = shapely.LineString([(self.x, self.y), (self.x + offset[0] * 0.97, self.y + offset[1] * 0.97)])
        return any(
            self._nearest[1][row] > 1.0 and shapely.intersects(ray, self.index.geometry[row])
            for row in self.index.of_kinds(streets.VEHICLE)
        )


def _bearing(offset: NDArray[np.float64]) -> float:
    return float(np.degrees(np.arctan2(offset[0], offset[1])) % 360.0)
