"""A raster of ground surfaces that is drawn on in metres."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from finetune.views.houses import palette

SURFACES: tuple[str, ...] = tuple(palette()["ground"])
CODE = {name: i for i, name in enumerate(SURFACES)}
XY = tuple[float, float]


class Sheet:
    """A raster that is drawn on in metres."""

    def __init__(self, west: float, north: float, pixels: int, metres: float, base: NDArray[np.uint8]) -> None:
        self.west, self.north, self.metres = west, north, metres
        self.image = Image.fromarray(base)
        self.draw = ImageDraw.Draw(self.image)

    def _points(self, line: Iterable[Sequence[float]]) -> list[XY]:
        return [((x - self.west) / self.metres, (self.north - y) / self.metres) for x, y, *_ in line]

    def fill(self, shape: BaseGeometry, surface: str) -> None:
        for piece in shapely.get_parts(shape):
            if not isinstance(piece, Polygon) or piece.is_empty:
                continue
            if not piece.interiors:
                self.draw.polygon(self._points(piece.exterior.coords), fill=CODE[surface])
                continue
            mask = Image.new("1", self.image.size)
            pen = ImageDraw.Draw(mask)
            pen.polygon(self._points(piece.exterior.coords), fill=1)
            for hole in piece.interiors:
                pen.polygon(self._points(hole.coords), fill=0)
            self.image.paste(CODE[surface], mask=mask)

    def stroke(self, line: Sequence[XY], width: float, surface: str, *, round_ends: bool = True) -> None:
        points, wide = self._points(line), max(1, round(width / self.metres))
        if len(points) < 2:
            return
        self.draw.line(points, fill=CODE[surface], width=wide, joint="curve" if wide > 3 else None)
        if round_ends and wide > 3:
            for x, y in (points[0], points[-1]):
                r = wide / 2
                self.draw.ellipse([x - r, y - r, x + r, y + r], fill=CODE[surface])

    def array(self) -> NDArray[np.uint8]:
        return np.asarray(self.image)
