"""A picture under work: fills with patterns and holes, strokes and dashes, at twice the final resolution."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from PIL import Image, ImageChops, ImageDraw

from retriever.draw import geometry
from retriever.draw.style import style

OVER = 2
"""Supersampling: pictures are drawn this much larger and reduced at the end."""

Point = tuple[float, float]
Line = Sequence[Point]


class Canvas:
    """Takes tile coordinates (0..1, y down) and metres."""

    def __init__(self, size_m: float, px: int) -> None:
        self.side = px * OVER
        self.per_m = self.side / size_m
        self.size_m = size_m
        self.image = Image.new("RGB", (self.side, self.side), style()["ground"])
        self.draw = ImageDraw.Draw(self.image)

    def points(self, part: Line) -> list[Point]:
        """Tile coordinates as pixels of the canvas."""
        return [(x * self.side, y * self.side) for x, y in part]

    def metres(self, length: float, least: float = 1.0) -> float:
        return max(length * self.per_m, least)

    def fill(self, parts: Sequence[Line], row: dict[str, str]) -> None:
        """Fill an area by the even-odd rule with a style row's colour and motif, and draw its outline."""
        rings = [self.points(part) for part in parts if len(part) >= 3]
        motif = row.get("motif")
        if motif or _has_holes(rings):
            self._fill_masked(rings, row["fill"], motif, row.get("ink", ""))
        else:
            for ring in rings:
                self.draw.polygon(ring, fill=row["fill"])
        if "outline" in row:
            for ring in rings:
                self.draw.line([*ring, ring[0]], fill=row["outline"], width=round(self.metres(0.45, 2)), joint="curve")

    def _fill_masked(self, rings: list[list[Point]], fill: str, motif: str | None, ink: str) -> None:
        xs, ys = [p[0] for r in rings for p in r], [p[1] for r in rings for p in r]
        if not xs:
            return
        box = (
            max(int(min(xs)), 0),
            max(int(min(ys)), 0),
            min(int(max(xs)) + 2, self.side),
            min(int(max(ys)) + 2, self.side),
        )
        if box[0] >= box[2] or box[1] >= box[3]:
            return
        mask = even_odd_mask(rings, box)
        if motif is None:
            self.image.paste(fill, box, mask)
        else:
            self.image.paste(_pattern(fill, motif, ink, self.side, self.size_m).crop(box), box, mask)

    def stroke(self, part: Line, width: float, colour: str, *, caps: bool = True) -> None:
        """A line ``width`` pixels of the canvas wide, with round joints and, if asked, round ends."""
        points = self.points(part)
        self.draw.line(points, fill=colour, width=max(1, round(width)), joint="curve" if width > 3 else None)
        if caps and width > 3:
            r = width / 2
            for x, y in (points[0], points[-1]):
                self.draw.ellipse([x - r, y - r, x + r, y + r], fill=colour)

    def dash(self, part: Line, width: float, colour: str, on: float, off: float) -> None:
        """A dashed line; ``on`` and ``off`` are metres."""
        for piece in geometry.dashes(self.points(part), on * self.per_m, off * self.per_m):
            self.draw.line(piece, fill=colour, width=max(1, round(width)))

    def finish(self) -> Image.Image:
        return self.image.reduce(OVER)


def _has_holes(rings: list[list[Point]]) -> bool:
    boxes = [(min(x), min(y), max(x), max(y)) for x, y in ([[p[0] for p in r], [p[1] for p in r]] for r in rings)]
    for i, a in enumerate(boxes):
        if any(a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3] for b in boxes[:i]):
            return True
    return False


def even_odd_mask(rings: Sequence[Line], box: tuple[int, int, int, int]) -> Image.Image:
    """Mode ``1`` mask of the box: set where an odd number of rings cover the pixel."""
    size = (box[2] - box[0], box[3] - box[1])
    mask = Image.new("1", size)
    for ring in rings:
        moved = [(x - box[0], y - box[1]) for x, y in ring]
        layer = mask if ring is rings[0] else Image.new("1", size)
        ImageDraw.Draw(layer).polygon(moved, fill=1)
        if layer is not mask:
            mask = ImageChops.logical_xor(mask, layer)
    return mask


_SPACING = {
    "rows": 3.2, "trees": 6.0, "sand": 4.0, "hatch": 4.0, "grid": 5.0, "crosses": 7.0, "dots": 6.0, "bars": 6.4,
    "rings": 6.0, "waves": 6.0,
}  # fmt: skip


@lru_cache(maxsize=64)
def _pattern(fill: str, motif: str, ink: str, side: int, size_m: float) -> Image.Image:
    """A whole canvas of one motif, spaced in metres."""
    image = Image.new("RGB", (side, side), fill)
    draw = ImageDraw.Draw(image)
    step = _SPACING[motif] * side / size_m
    width = max(1, round(0.55 * side / size_m))
    if motif in ("rows", "bars", "grid", "hatch", "waves"):
        _lines(draw, motif, ink, side, step, width)
        return image
    for j in range(int(side / step) + 2):
        for i in range(int(side / step) + 2):
            _mark(draw, motif, ink, ((i + 0.5 * (j % 2)) * step, (j + 0.3) * step), step, width)
    return image


def _lines(draw: ImageDraw.ImageDraw, motif: str, ink: str, side: int, step: float, width: int) -> None:
    for k in range(-int(side / step) - 2, int(side / step) + 2):
        at = k * step
        if motif == "rows":
            draw.line([(0, at), (side, at)], fill=ink, width=width)
        elif motif == "bars":
            draw.line([(at, 0), (at, side)], fill=ink, width=width + 1)
        elif motif == "grid":
            draw.line([(0, at), (side, at)], fill=ink, width=width)
            draw.line([(at, 0), (at, side)], fill=ink, width=width)
        elif motif == "hatch":
            draw.line([(at, 0), (at + side, side)], fill=ink, width=width + 2)
        else:
            ups = [
                (x * step * 0.5, at + (step * 0.18 if x % 2 else -step * 0.18)) for x in range(int(2 * side / step) + 2)
            ]
            draw.line(ups, fill=ink, width=width, joint="curve")


def _mark(draw: ImageDraw.ImageDraw, motif: str, ink: str, at: Point, step: float, width: int) -> None:
    x, y = at
    r = step * 0.2
    if motif == "trees":
        draw.polygon([(x, y - r * 1.4), (x + r, y + r), (x - r, y + r)], fill=ink)
    elif motif == "crosses":
        draw.line([(x, y - r * 1.3), (x, y + r * 1.3)], fill=ink, width=width + 1)
        draw.line([(x - r * 0.8, y - r * 0.4), (x + r * 0.8, y - r * 0.4)], fill=ink, width=width + 1)
    elif motif == "rings":
        draw.ellipse([x - r, y - r, x + r, y + r], outline=ink, width=width + 1)
    else:
        r *= 0.6
        draw.ellipse([x - r, y - r, x + r, y + r], fill=ink)
