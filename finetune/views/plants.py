"""Trees: those on the map, rows of them, and those that fill a wood or stand about a park."""

from __future__ import annotations

from functools import cache

import numpy as np
import trimesh
from numpy.typing import NDArray

from finetune.views.houses import palette
from finetune.views.mesh import CROWN, PLAIN, Crown, MeshBuilder, linear
from finetune.views.seeds import generator

BARK = linear("#54463a")


@cache
def _ball(detail: int) -> NDArray[np.float64]:
    """Corners of a unit ball's triangles [T, 3, 3]."""
    ball = trimesh.creation.icosphere(subdivisions=detail)
    return np.asarray(ball.vertices[ball.faces], np.float64)


def plant(out: MeshBuilder, x: float, y: float, key: str, *, needles: bool = False, detail: int = 2) -> None:
    """A tree at a point; its size and lumps come from its key."""
    rng = generator("tree", key)
    height = float(rng.uniform(6.0, 13.0))
    radius = height * float(rng.uniform(0.26, 0.4))
    trunk = height * float(rng.uniform(0.2, 0.3))
    tall = (height - trunk) / 2
    sheds = not needles and rng.random() > 0.06
    if needles:
        radius, trunk, tall = height * 0.22, height * 0.1, height * 0.45
    row = len(out.crowns)
    out.crowns.append(Crown(x, y, trunk + tall, radius, tall, float(sheds), float(rng.random())))
    ball = _ball(detail)
    away = rng.normal(size=(4, 3))
    bumps = np.sin(ball.reshape(-1, 3) @ away.T * 2.0 + rng.uniform(0, 6, 4)).sum(axis=1).reshape(ball.shape[:2])
    points = ball * (1.0 + 0.075 * bumps)[..., None]
    if needles:
        points[..., :2] *= np.clip(0.62 - 0.6 * points[..., 2:], 0.04, 1.1)
    points = points * [radius, radius, tall] + [x, y, trunk + tall]
    out.add(points, CROWN, linear(palette()["needle"]), row)
    wide = 0.13 + 0.02 * height
    out.add(_post(x, y, 0.0, trunk + 0.4 * tall, wide), PLAIN, BARK)


def _post(x: float, y: float, low: float, high: float, radius: float, sides: int = 5) -> NDArray[np.float64]:
    """An upright prism without ends."""
    turns = np.linspace(0, 2 * np.pi, sides + 1)
    ring = np.stack([x + radius * np.cos(turns), y + radius * np.sin(turns)], axis=1)
    a, b = ring[:-1], ring[1:]
    foot, top = np.full((sides, 1), low), np.full((sides, 1), high)
    al, bl, ah, bh = (np.hstack(pair) for pair in ((a, foot), (b, foot), (a, top), (b, top)))
    return np.concatenate([np.stack([al, bl, bh], axis=1), np.stack([al, bh, ah], axis=1)])


post = _post
