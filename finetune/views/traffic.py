"""Parked cars: other ones in every picture, because no map tells of them and none stays."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from embreex.mesh_construction import TriangleMesh  # type: ignore[import-untyped]
from embreex.rtcore_scene import EmbreeScene  # type: ignore[import-untyped]
from numpy.typing import NDArray

from finetune.views.ground import lines_of, road_width
from finetune.views.houses import palette
from finetune.views.mesh import box_corners, linear
from finetune.views.seeds import generator, number, part
from retriever.draw import geometry
from retriever.sources.facts import Feature

Floats = NDArray[np.float32]
STEP_M = 5.9
SEEN_M = 150.0
CLEAR_M = 5.0
"""No car stands this close to a camera in the street: it would hide everything else."""
_BUSY = {"street": 0.75, "main_road": 0.25, "alley": 0.35}
"""The fullest kerb of a class: how many of its places are taken."""


class Kerbs:
    """Where cars may stand along the streets of a stage."""

    def __init__(self, roads: Sequence[Feature]) -> None:
        rows = [row for road in roads if road.kind in _BUSY for row in _places(road)]
        self.table = np.array(rows, np.float64).reshape(-1, 5)
        """[K, 5]: x, y, direction in radians, how busy, a number of its own."""


def _places(road: Feature) -> list[tuple[float, float, float, float, float]]:
    busy = _BUSY[road.kind] * part("busy", road.osm_id)
    aside = road_width(road) / 2 - 1.05
    return [
        (x - uy * side * aside, y + ux * side * aside, float(np.arctan2(uy, ux)), busy, number(road.osm_id) % 2**31)
        for line in lines_of(road.geometry)
        for side in (-1.0, 1.0)
        for (x, y), (ux, uy) in geometry.along(line, STEP_M, 9.0)
    ]


@cache
def _template(van: bool) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """Triangles [T, 3, 3] of a car of unit length, other sizes in metres, and of what each is: body, dark, glass."""
    tall, cabin, roof, back = (0.8, 0.8, 0.8, -0.04) if van else (0.55, 0.52, 0.44, -0.06)
    parts = (
        (box_corners(0, 0, 0.28, (1.0, 1.75, tall), 0), 0),
        (box_corners(0, 0, 0.0, (0.82, 1.6, 0.3), 0), 1),
        (box_corners(back, 0, 0.28 + tall, (cabin, 1.5, 0.5), 0), 2),
        (box_corners(back, 0, 0.78 + tall, (roof, 1.4, 0.08), 0), 0),
    )
    corners = np.concatenate([tris for tris, _ in parts]).astype(np.float64)
    # A sloping cabin: its upper corners move in.
    top = (corners[..., 2] > 0.7 + tall) & (np.abs(corners[..., 0] - back) > 0.2)
    corners[..., 0] = np.where(top & ~van, back + (corners[..., 0] - back) * 0.82, corners[..., 0])
    return corners, np.concatenate([np.full(len(tris), kind, np.int8) for tris, kind in parts])


class Traffic:
    """The cars of one picture."""

    def __init__(self, kerbs: Kerbs, seed: int, about: tuple[float, float], clear: bool) -> None:
        rng = generator("traffic", seed)
        table = kerbs.table
        taken = rng.random(len(table)) < table[:, 3] if len(table) else np.zeros(0, bool)
        away = np.hypot(table[:, 0] - about[0], table[:, 1] - about[1])
        taken &= (away < SEEN_M) & ((away > CLEAR_M) | (not clear))
        places = table[taken]
        self.colour, corners = _cars(places, rng)
        self.scene: EmbreeScene | None = None
        if len(corners):
            self.scene = EmbreeScene()
            TriangleMesh(self.scene, np.ascontiguousarray(corners))


def _cars(places: NDArray[np.float64], rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Colours [T, 3] and triangles [T, 3, 3] of a car at every place."""
    paints = np.array([linear(c) for c in palette()["cars"]], np.float32)
    fixed = np.array([linear("#1b1c1e"), linear("#2e363c")], np.float32)
    long = rng.uniform(3.9, 4.8, len(places))
    vans = rng.random(len(places)) < 0.12
    bodies = paints[rng.integers(len(paints), size=len(places))]
    colours, corners = [np.zeros((0, 3), np.float32)], [np.zeros((0, 3, 3))]
    for van in (False, True):
        shape, kind = _template(van)
        rows = np.flatnonzero(vans == van)
        if not len(rows):
            continue
        local = np.broadcast_to(shape, (len(rows), *shape.shape)).copy()
        local[..., 0] *= long[rows, None, None]
        c, s = (f(places[rows, 2])[:, None, None] for f in (np.cos, np.sin))
        x = local[..., 0] * c - local[..., 1] * s + places[rows, 0, None, None]
        y = local[..., 0] * s + local[..., 1] * c + places[rows, 1, None, None]
        corners.append(np.stack([x, y, local[..., 2]], axis=-1).reshape(-1, 3, 3))
        tints = np.stack([bodies[rows], *(np.broadcast_to(f, (len(rows), 3)) for f in fixed)], axis=1)
        colours.append(tints[:, kind].reshape(-1, 3))
    return np.concatenate(colours).astype(np.float32), np.concatenate(corners).astype(np.float32)
