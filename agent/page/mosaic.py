"""The gallery's own pictures as a map's base layer: Web Mercator tiles of 256 pixels, composed when asked for.

Tile numbers are those of every slippy map (z, x from the west, y from the north; OGC Two Dimensional Tile Matrix Set,
``WebMercatorQuad``). Coarse zooms are made from the four tiles below them, so every picture is opened only for the
few tiles of one zoom; whatever was composed is kept on disk.
"""

from __future__ import annotations

import io
import math
import os
import threading
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from retriever.errors import GalleryError
from retriever.types import Box

if TYPE_CHECKING:
    from retriever.gallery import Gallery

SIDE = 256
_EQUATOR_M_PER_PX = 156_543.033928
"""At zoom 0, tiles of 256 pixels."""
_DEEPER = 2
"""Zooms below the sharpest one at which the pictures themselves are still opened."""
_KEPT = 48
"""Pictures that stay in memory."""


def zoom_of(gsd_m: float, lat: float) -> int:
    """The first zoom that shows a picture of ``gsd_m`` metres per pixel without loss.

    >>> zoom_of(0.268, 0.0)
    20
    """
    return math.ceil(math.log2(_EQUATOR_M_PER_PX * math.cos(math.radians(lat)) / gsd_m))


def tile_bounds(z: int, x: int, y: int) -> Box:
    """West, south, east, north of a tile in degrees."""
    n = 2**z
    north, south = (math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * row / n)))) for row in (y, y + 1))
    return x / n * 360 - 180, south, (x + 1) / n * 360 - 180, north


class Mosaic:
    """Composes the base layer of one gallery. Safe to use from several threads."""

    def __init__(self, gallery: Gallery, folder: Path) -> None:
        self.gallery = gallery
        self.folder = folder
        west, south = gallery.bounds[:, :2].min(axis=0)
        east, north = gallery.bounds[:, 2:].max(axis=0)
        self.bounds: Box = (float(west), float(south), float(east), float(north))
        self.max_zoom = min(22, zoom_of(gallery.size_m / gallery.px, (self.bounds[1] + self.bounds[3]) / 2))
        wide = max(east - west, 1e-9)
        # One zoom out of the one at which everything fits into a single tile's width.
        self.min_zoom = min(max(0, math.floor(math.log2(360 / wide)) - 1), self.max_zoom)
        self._whole = max(1, round(gallery.size_m / gallery.stride_m))
        self._picture = lru_cache(maxsize=_KEPT)(self._open)
        self._turn = threading.Lock()

    def tile(self, z: int, x: int, y: int) -> bytes | None:
        """WebP bytes; None where the gallery has nothing there or the zoom is not offered."""
        if not (self.min_zoom <= z <= self.max_zoom and 0 <= x < 2**z and 0 <= y < 2**z):
            return None
        # One at a time: on a small machine composing must not push everything else aside.
        with self._turn:
            return self._kept(z, x, y)

    def _kept(self, z: int, x: int, y: int) -> bytes | None:
        if not self._touches(tile_bounds(z, x, y)).any():
            return None
        path = self.folder / str(z) / str(x) / f"{y}.webp"
        if path.is_file():
            return path.read_bytes()
        out = io.BytesIO()
        made = self._from_below(z, x, y) if z < self.max_zoom - _DEEPER else self._from_pictures(tile_bounds(z, x, y))
        made.save(out, "WEBP", quality=88, method=2)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_bytes(out.getvalue())
        os.replace(part, path)
        return out.getvalue()

    def _touches(self, box: Box) -> NDArray[np.bool_]:
        """bool [N]: the gallery's tiles that share ground with a box."""
        west, south, east, north = self.gallery.bounds.T
        found: NDArray[np.bool_] = (west < box[2]) & (east > box[0]) & (south < box[3]) & (north > box[1])
        return found

    def _from_below(self, z: int, x: int, y: int) -> Image.Image:
        out = Image.new("RGBA", (2 * SIDE, 2 * SIDE))
        for dx in (0, 1):
            for dy in (0, 1):
                data = self._kept(z + 1, 2 * x + dx, 2 * y + dy)
                if data is not None:
                    with Image.open(io.BytesIO(data), formats=("WEBP",)) as below:
                        out.paste(below.convert("RGBA"), (dx * SIDE, dy * SIDE))
        return out.resize((SIDE, SIDE), Image.Resampling.BOX)

    def _from_pictures(self, box: Box) -> Image.Image:
        """Every second tile where tiles overlap, so that labels are cut as seldom as can be; others fill the gaps."""
        out = Image.new("RGBA", (SIDE, SIDE))
        covered = np.zeros((SIDE, SIDE), dtype=bool)
        rows = [int(row) for row in np.flatnonzero(self._touches(box))]
        for row in sorted(rows, key=lambda r: (not self._first(r), self.gallery.ids[r])):
            left, top, right, bottom = _place(self.gallery.bounds[row], box)
            seen = np.s_[max(top, 0) : min(bottom, SIDE), max(left, 0) : min(right, SIDE)]
            if covered[seen].all():
                continue
            picture = self._picture(row)
            if picture is None:
                continue
            shown = picture.resize((right - left, bottom - top), Image.Resampling.BILINEAR)
            free = Image.fromarray((~covered * np.uint8(255)), mode="L")
            layer = Image.new("RGBA", (SIDE, SIDE))
            layer.paste(shown, (left, top))
            inside = Image.new("L", (SIDE, SIDE))
            inside.paste(255, (left, top, right, bottom))
            out.paste(layer, (0, 0), Image.composite(inside, Image.new("L", (SIDE, SIDE)), free))
            covered[seen] = True
        return out

    def _first(self, row: int) -> bool:
        from retriever.grid import cell_of

        if self.gallery.scattered:
            return True
        return all(part % self._whole == 0 for part in cell_of(self.gallery.ids[row]))

    def _open(self, row: int) -> Image.Image | None:
        """A picture that is missing or damaged leaves its ground empty; the tile's own view says what is wrong."""
        try:
            return self.gallery.image(self.gallery.ids[row])
        except GalleryError:
            return None


def _place(tile: NDArray[np.float64], box: Box) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of a tile [4] in the pixels of a box, at least one pixel each way."""
    west, south, east, north = tile
    across = SIDE / (box[2] - box[0])
    top_m, bottom_m = _mercator(box[3]), _mercator(box[1])
    down = SIDE / (top_m - bottom_m)
    left, right = round((west - box[0]) * across), round((east - box[0]) * across)
    top, bottom = round((top_m - _mercator(north)) * down), round((top_m - _mercator(south)) * down)
    return left, top, max(right, left + 1), max(bottom, top + 1)


def _mercator(lat: float) -> float:
    return math.asinh(math.tan(math.radians(lat)))
