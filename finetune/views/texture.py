"""Texture that repeats: smooth noise in a table, and the ground's colours at several sharpnesses."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor
from scipy.ndimage import gaussian_filter

from finetune.views.conditions import Conditions
from finetune.views.houses import palette
from finetune.views.sheet import SURFACES

Floats = NDArray[np.float32]
SIDE = 512
TO_LINEAR: Floats = ((np.arange(256) / 255.0) ** 2.2).astype(np.float32)


@cache
def _table() -> Floats:
    """[SIDE, SIDE] smooth noise of mean 0 and deviation 1 that repeats without a seam."""
    rng = np.random.default_rng(20240607)
    layers = (1.0, 0.7), (3.0, 0.9), (9.0, 0.8)
    out = np.zeros((SIDE, SIDE))
    for width, weight in layers:
        layer = gaussian_filter(rng.normal(size=(SIDE, SIDE)), width, mode="wrap")
        out += weight * layer / layer.std()
    return np.asarray(out / out.std(), np.float32)


def noise(x: Any, y: Any, per_metre: float) -> Floats:
    """Noise at points [N]; one cell of the table is ``1 / per_metre`` metres."""
    i = np.floor(np.multiply(y, per_metre)).astype(np.int32) & (SIDE - 1)
    j = np.floor(np.multiply(x, per_metre)).astype(np.int32) & (SIDE - 1)
    return np.asarray(_table().reshape(-1)[i * SIDE + j])


def ground_colours(conditions: Conditions) -> NDArray[np.uint8]:
    """sRGB of every surface [S, 3] in this season."""
    table, turn = palette(), palette()["seasons"][conditions.season]
    rows = []
    for name in SURFACES:
        colour = np.array(ImageColor.getrgb(table["ground"][name]), float)
        if name in table["green"]:
            colour = colour * (1 - turn["part"]) + np.array(ImageColor.getrgb(turn["mix"])) * turn["part"]
        if conditions.snow:
            cover = table["snowed"].get(name, 0.0)
            colour = colour * (1 - cover) + np.array(ImageColor.getrgb(table["snow"])) * cover
        rows.append(colour)
    return np.array(rows).round().astype(np.uint8)


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A window of the ground in colour, at full sharpness and, where that is asked for, reduced by 2, 4 and 8."""

    west: float
    north: float
    metres: float
    codes: NDArray[np.uint8]
    colours: NDArray[np.uint8]
    """sRGB of every surface [S, 3]."""

    @classmethod
    def of(cls, window: tuple[float, float, NDArray[np.uint8]], metres: float, colours: NDArray[np.uint8]) -> Sheet:
        west, north, codes = window
        return cls(west=west, north=north, metres=metres, codes=codes, colours=colours)

    @cached_property
    def _reduced(self) -> tuple[NDArray[np.uint8], ...]:
        """Pictures at a half, a quarter and an eighth of the sharpness: costly, and not every camera looks so far."""
        image = Image.fromarray(self.codes, "P")
        image.putpalette(np.resize(self.colours.reshape(-1), self.colours.size).tolist())
        half = image.convert("RGB").reduce(2)
        quarter = half.reduce(2)
        return tuple(np.asarray(p) for p in (half, quarter, quarter.reduce(2)))

    @cached_property
    def _linear(self) -> Floats:
        return TO_LINEAR[self.colours]

    def inside(self, x: Floats, y: Floats) -> NDArray[np.bool_]:
        side = self.codes.shape[0] * self.metres
        return np.asarray((x > self.west) & (x < self.west + side) & (y < self.north) & (y > self.north - side))

    def colour(self, x: Floats, y: Floats, footprint: Floats) -> tuple[Floats, NDArray[np.uint8]]:
        """Linear colours [N, 3] and surface codes [N] at points inside; ``footprint`` is a pixel's size there."""
        level = np.clip(np.log2(np.maximum(footprint, 1e-6) / self.metres), 0, 3.99).astype(np.int8)
        col, row = (x - self.west) / self.metres, (self.north - y) / self.metres
        size = self.codes.shape[0]
        i, j = np.clip(row.astype(np.int32), 0, size - 1), np.clip(col.astype(np.int32), 0, size - 1)
        codes = self.codes.reshape(-1)[i * size + j]
        out = self._linear[codes]
        for k in range(1, 4):
            chosen = np.flatnonzero(level == k)
            if len(chosen):
                picture = self._reduced[k - 1]
                size = picture.shape[0]
                i = np.clip((row[chosen] / 2**k).astype(np.int32), 0, size - 1)
                j = np.clip((col[chosen] / 2**k).astype(np.int32), 0, size - 1)
                out[chosen] = TO_LINEAR[picture.reshape(-1, 3)[i * size + j]]
        sharp = np.flatnonzero(footprint < 0.7 * self.metres)
        if len(sharp):
            out[sharp] = self._between(col[sharp], row[sharp])
        return out, codes

    def _between(self, col: Floats, row: Floats) -> Floats:
        """Linear colours between the nearest four cells: no stairs where a cell is larger than a pixel."""
        flat, size = self.codes.reshape(-1), self.codes.shape[0]
        x, y = np.clip(col - 0.5, 0, size - 1.001), np.clip(row - 0.5, 0, size - 1.001)
        j, i = x.astype(np.int32), y.astype(np.int32)
        u, v = (x - j)[:, None], (y - i)[:, None]
        at = i * size + j
        top = self._linear[flat[at]] * (1 - u) + self._linear[flat[at + 1]] * u
        low = self._linear[flat[at + size]] * (1 - u) + self._linear[flat[at + size + 1]] * u
        return np.asarray(top * (1 - v) + low * v, np.float32)
