"""Triangles with what they are made of, gathered object by object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ImageColor

Floats = NDArray[np.float32]

GROUND, WALL, ROOF, CROWN, PLAIN, SIGN = range(6)
"""What a triangle is made of: decides how it is shaded."""


class Wall(NamedTuple):
    """One straight wall. Lengths in metres; ``shop`` is the stretch of the ground floor with shop windows."""

    x: float
    y: float
    dx: float
    dy: float
    length: float
    low: float
    high: float
    floor: float
    bays: float
    wide: float
    tall: float
    style: float
    seed: float
    shop_from: float
    shop_to: float
    trim: float
    red: float
    green: float
    blue: float


WALL_COLUMNS = {name: i for i, name in enumerate(Wall._fields)}


class Board(NamedTuple):
    """A flat sign: its lower left corner as one reads it, its direction to the right, its size and its picture."""

    x: float
    y: float
    z: float
    dx: float
    dy: float
    width: float
    height: float
    picture: float


class Crown(NamedTuple):
    """A tree's crown: middle, radii, how dense its leaves are (0..1), whether it sheds them, its own shade."""

    x: float
    y: float
    z: float
    radius: float
    tall: float
    sheds: float
    seed: float


@dataclass(frozen=True, kw_only=True)
class Mesh:
    """Everything above the ground, in metres from the stage's origin."""

    corners: Floats
    """[T, 3, 3]"""
    material: NDArray[np.uint8]
    row: NDArray[np.int32]
    """Of the wall, board or crown; -1 for the others."""
    colour: Floats
    """[T, 3] linear red, green, blue."""
    owner: NDArray[np.int32]
    """Index of the object in ``owners``, for telling one from the next."""
    since: Floats
    """Years before today since when it stands."""
    owners: tuple[str, ...]
    walls: Floats
    boards: Floats
    crowns: Floats
    pictures: NDArray[np.uint8]
    """[S, h, w, 3] what is on the boards."""

    def standing(self, age: float) -> NDArray[np.bool_]:
        """Which triangles were there so many years ago."""
        return np.asarray(self.since >= age)


class MeshBuilder:
    def __init__(self) -> None:
        self._corners: list[Floats] = []
        self._meta: list[tuple[int, int, int, tuple[float, float, float], int, float]] = []
        self._owner, self._since = -1, 99.0
        self.owners: list[str] = []
        self.walls: list[Wall] = []
        self.boards: list[Board] = []
        self.crowns: list[Crown] = []

    def begin(self, owner: str, since: float) -> None:
        """What follows belongs to this object, which stands since so many years."""
        self.owners.append(owner)
        self._owner, self._since = len(self.owners) - 1, since

    def add(self, corners: Any, material: int, colour: tuple[float, float, float], row: int = -1) -> None:
        """Triangles [T, 3, 3]."""
        tris = np.asarray(corners, np.float32).reshape(-1, 3, 3)
        if len(tris):
            self._corners.append(tris)
            self._meta.append((len(tris), material, row, colour, self._owner, self._since))

    def quad(self, a: Any, b: Any, c: Any, d: Any, material: int, colour: Any, row: int = -1) -> None:
        """Corners in order around it."""
        self.add([(a, b, c), (a, c, d)], material, colour, row)

    def box(self, x: float, y: float, z: float, size: tuple[float, float, float], turn: float, colour: Any) -> None:
        """A plain box standing at z, turned counter-clockwise by radians; size is along, across, up."""
        self.add(box_corners(x, y, z, size, turn), PLAIN, colour)

    def finish(self, pictures: NDArray[np.uint8]) -> Mesh:
        counts = np.array([m[0] for m in self._meta], int)

        def column(i: int, kind: Any) -> Any:
            return np.repeat(np.array([m[i] for m in self._meta], kind), counts, axis=0)

        return Mesh(
            corners=np.concatenate(self._corners) if self._corners else np.zeros((0, 3, 3), np.float32),
            material=column(1, np.uint8),
            row=column(2, np.int32),
            colour=column(3, np.float32).reshape(-1, 3),
            owner=column(4, np.int32),
            since=column(5, np.float32),
            owners=tuple(self.owners),
            walls=np.array(self.walls, np.float32).reshape(-1, len(Wall._fields)),
            boards=np.array(self.boards, np.float32).reshape(-1, len(Board._fields)),
            crowns=np.array(self.crowns, np.float32).reshape(-1, len(Crown._fields)),
            pictures=pictures,
        )


_BOX = np.array(
    [
        [[0, 0, 0], [1, 0, 0], [1, 0, 1], [0, 0, 0], [1, 0, 1], [0, 0, 1]],
        [[1, 0, 0], [1, 1, 0], [1, 1, 1], [1, 0, 0], [1, 1, 1], [1, 0, 1]],
        [[1, 1, 0], [0, 1, 0], [0, 1, 1], [1, 1, 0], [0, 1, 1], [1, 1, 1]],
        [[0, 1, 0], [0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 1], [0, 1, 1]],
        [[0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 0, 1], [1, 1, 1], [0, 1, 1]],
    ],
    np.float64,
).reshape(-1, 3)


def box_corners(x: float, y: float, z: float, size: tuple[float, float, float], turn: float) -> Floats:
    local = (_BOX - [0.5, 0.5, 0.0]) * size
    c, s = np.cos(turn), np.sin(turn)
    turned = local @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    return np.asarray(turned + np.array([x, y, z]), np.float32).reshape(-1, 3, 3)


def linear(colour: str) -> tuple[float, float, float]:
    """A colour's name or ``#rrggbb`` as linear light, 0..1. Raises ``ValueError`` for what is none."""
    r, g, b = (float((c / 255) ** 2.2) for c in ImageColor.getrgb(colour)[:3])
    return r, g, b
