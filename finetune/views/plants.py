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


def _lumpy(rng: np.random.Generator, detail: int) -> NDArray[np.float64]:
    """A unit ball with bumps [T, 3, 3]."""
    ball = _ball(detail)
    away = rng.normal(size=(3, 3))
    bumps = np.sin(ball.reshape(-1, 3) @ away.T * 2.0 + rng.uniform(0, 6, 3)).sum(axis=1).reshape(ball.shape[:2])
    return np.asarray(ball * (1.0 + 0.09 * bumps)[..., None])


def _boughs(rng: np.random.Generator, count: int) -> list[tuple[NDArray[np.float64], float]]:
    """Places and sizes of the balls that make a crown, in its radii: one in the middle, the others about it."""
    turns = rng.uniform(0, 2 * np.pi) + np.arange(count - 1) * 2.399
    high = rng.uniform(-0.55, 0.6, count - 1)
    out = 0.55 * np.sqrt(1 - high**2)
    around = np.stack([out * np.cos(turns), out * np.sin(turns), high], axis=1)
    return [(np.zeros(3), 0.68), *((p, float(rng.uniform(0.38, 0.52))) for p in around)]


def plant(out: MeshBuilder, x: float, y: float, key: str, *, needles: bool = False, detail: int = 1) -> None:
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
    middle = np.array([x, y, trunk + tall])
    if needles:
        points = _lumpy(rng, detail)
        points[..., :2] *= np.clip(0.62 - 0.6 * points[..., 2:], 0.04, 1.1)
        out.add(points * [radius, radius, tall] + middle, CROWN, linear(palette()["needle"]), row)
    else:
        for place, size in _boughs(rng, 3 + 2 * detail):
            points = _lumpy(rng, detail) * size + place
            out.add(points * [radius, radius, tall] + middle, CROWN, linear(palette()["needle"]), row)
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
