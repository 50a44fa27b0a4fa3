"""What lies where on a tile, as a multi-hot grid: the dense labels that teach the image tower to look.

Channels are the kinds of the table, then four directions of a road's axis. A cell holds a kind where the object lies
in it; lines and areas must cover a part of it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw

from retriever.kinds import kinds
from retriever.types import Fact, Ring

AXES = ("axis:ew", "axis:ne", "axis:ns", "axis:nw")
_FINE = 4
"""Raster cells per label cell and axis."""
_COVER = {"line": 1 / 16, "area": 3 / 16}
"""Part of a cell that must be covered."""


@cache
def channels() -> tuple[str, ...]:
    """Names of the channels, in order."""
    return (*kinds(), *AXES)


def label_grid(facts: Sequence[Fact], shown: Sequence[bool] | None = None, *, cells: int = 14) -> NDArray[np.bool_]:
    """bool [cells, cells, len(channels())], row 0 in the north. Facts whose ``shown`` is false are left out."""
    index = {name: i for i, name in enumerate(channels())}
    grid = np.zeros((cells, cells, len(index)), bool)
    for number, fact in enumerate(facts):
        if shown is not None and not shown[number]:
            continue
        if fact.shape == "point":
            _point(grid[..., index[fact.kind]], fact.parts)
            continue
        grid[..., index[fact.kind]] |= _covered(fact, cells)
        if fact.shape == "line" and kinds()[fact.kind].group == "road":
            _axes(grid[..., -len(AXES) :], fact.parts)
    return grid


def _point(plane: NDArray[np.bool_], parts: Iterable[Ring]) -> None:
    cells = plane.shape[0]
    for x, y in (part[0] for part in parts):
        if 0 <= x < 1 and 0 <= y < 1:
            plane[int(y * cells), int(x * cells)] = True


def _covered(fact: Fact, cells: int) -> NDArray[np.bool_]:
    side = cells * _FINE
    raster = Image.new("1", (side, side))
    for part in fact.parts:
        points = [(x * side - 0.5, y * side - 0.5) for x, y in part]
        if fact.shape == "line":
            ImageDraw.Draw(raster).line(points, fill=1)
        elif len(points) > 2:
            ring = Image.new("1", (side, side))
            ImageDraw.Draw(ring).polygon(points, fill=1)
            raster = ImageChops.logical_xor(raster, ring)
    parts = np.asarray(raster).reshape(cells, _FINE, cells, _FINE).mean((1, 3))
    return np.asarray(parts >= _COVER[fact.shape])


def _axes(planes: NDArray[np.bool_], parts: Iterable[Ring]) -> None:
    """Mark each road segment's direction in the cells it passes, sampled at quarter cells."""
    cells = planes.shape[0]
    for part in parts:
        for (x0, y0), (x1, y1) in itertools.pairwise(part):
            length = math.hypot(x1 - x0, y1 - y0)
            if length * cells < 0.2:
                continue
            axis = round(math.degrees(math.atan2(y0 - y1, x1 - x0)) / 45.0) % 4
            t = np.linspace(0.0, 1.0, max(2, int(length * cells * 4)))
            column, row = ((x0 + t * (x1 - x0)) * cells).astype(int), ((y0 + t * (y1 - y0)) * cells).astype(int)
            inside = (column >= 0) & (column < cells) & (row >= 0) & (row < cells)
            planes[row[inside], column[inside], axis] = True


def pack(grid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Eight labels a byte: [cells * cells, ceil(channels / 8)]."""
    return np.packbits(grid.reshape(-1, grid.shape[-1]), axis=-1)


def unpack(packed: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The inverse of :func:`pack` for any leading axes: [..., cells * cells, channels]."""
    return np.unpackbits(packed, axis=-1, count=len(channels())).astype(bool)
