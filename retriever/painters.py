"""What paints a tile: the drawing of a map's facts, or a cut from overhead imagery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from retriever.grid import Cell, Grid
from retriever.sources.imagery import Mosaic
from retriever.types import Fact

MIN_COVER = 0.95
"""Part of a tile's pixels that imagery must cover; the rest stays black."""


class Painter(Protocol):
    def paint(self, cell: Cell, facts: Sequence[Fact] | None) -> Image.Image | None:
        """The picture of a tile, RGB; None where there is nothing to show, which leaves the tile out."""


@dataclass(frozen=True, kw_only=True)
class MapPainter:
    """Draws facts. Every picture depends on the facts and the recorded fonts alone."""

    size_m: float
    px: int
    fonts: Any

    def paint(self, cell: Cell, facts: Sequence[Fact] | None) -> Image.Image | None:
        from retriever.draw import draw_tile

        return draw_tile(facts or (), size_m=self.size_m, px=self.px, fonts=self.fonts)


class ImageryPainter:
    """Cuts tiles out of a mosaic."""

    def __init__(self, mosaic: Mosaic, grid: Grid, px: int) -> None:
        self.mosaic, self.grid, self.px = mosaic, grid, px

    def paint(self, cell: Cell, facts: Sequence[Fact] | None) -> Image.Image | None:
        box = self.grid.bounds(cell)
        # Boxes of files are cheap to compare, and pixels outside every box are never valid.
        if self.mosaic.covered(box) < MIN_COVER - 1e-9:
            return None
        pixels, valid = self.mosaic.read(box, self.px)
        return Image.fromarray(pixels) if valid.mean() >= MIN_COVER else None


def make_painter(grid: Grid, px: int, imagery: Path | None) -> Painter:
    """The painter of a build; other processes call it too, so that they need no open files from their parent."""
    if imagery is not None:
        return ImageryPainter(Mosaic.scan(imagery), grid, px)
    return MapPainter(size_m=grid.size_m, px=px, fonts=find_fonts())


def find_fonts() -> Any:
    """The fonts that labels are drawn with on this machine."""
    from retriever.draw import Fonts

    return Fonts.find()
