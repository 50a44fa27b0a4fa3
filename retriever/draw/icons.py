"""Badges of kinds: drawn large from vector figures once, then reduced and kept."""

from __future__ import annotations

import math
from functools import lru_cache

from PIL import Image, ImageDraw

from retriever.draw.fonts import Fonts
from retriever.draw.style import Icon, icons

_OVER = 8
"""Oversampling: badges are drawn this much larger than they appear."""

Point = tuple[float, float]


@lru_cache(maxsize=1024)
def badge(kind: str, size: int) -> Image.Image:
    """The RGBA badge of a kind, ``size`` pixels square."""
    icon = icons()[kind]
    side = size * _OVER
    image = Image.new("RGBA", (side, side), (255, 255, 255, 0))
    draw = ImageDraw.Draw(image)
    draw.polygon(_outline(icon.shape, side, 0.0), fill="#3a3a3a")
    draw.polygon(_outline(icon.shape, side, 0.03), fill=icon.rim)
    draw.polygon(_outline(icon.shape, side, 0.09 if icon.rim == "#ffffff" else 0.13), fill=icon.fill)
    _glyph(image, icon)
    return image.resize((size, size), Image.Resampling.BOX)


def _outline(shape: str, side: int, inset: float) -> list[Point]:
    """The badge's edge, ``inset`` (as a part of the side) within it."""
    middle = side / 2

    def ring(count: int, radius: float, turn: float) -> list[Point]:
        steps = (math.radians(turn + 360.0 * i / count) for i in range(count))
        r = radius - inset * side
        return [(middle + r * math.cos(a), middle + r * math.sin(a)) for a in steps]

    def box(width: float, height: float) -> list[Point]:
        w, h = width * side / 2 - inset * side, height * side / 2 - inset * side
        return [(middle - w, middle - h), (middle + w, middle - h), (middle + w, middle + h), (middle - w, middle + h)]

    def shrunk(corners: list[Point]) -> list[Point]:
        scale = 1 - 2.2 * inset
        centre = (0.5, 0.62 if shape == "triangle" else 0.54)
        return [
            (side * (centre[0] + (x - centre[0]) * scale), side * (centre[1] + (y - centre[1]) * scale))
            for x, y in corners
        ]

    if shape == "disc":
        return ring(64, middle, 0.0)
    if shape == "hexagon":
        return ring(6, middle, 0.0)
    if shape == "diamond":
        return ring(4, middle, 0.0)
    if shape == "triangle":
        return shrunk([(0.5, 0.0), (1.0, 0.98), (0.0, 0.98)])
    if shape == "house":
        return shrunk([(0.5, 0.0), (0.98, 0.36), (0.98, 1.0), (0.02, 1.0), (0.02, 0.36)])
    width, height = {"square": (0.94, 0.94), "wide": (1.0, 0.66), "tall": (0.6, 1.0)}[shape]
    return box(width, height)


# How much of the badge the 24 x 24 glyph box fills, and how far down its middle lies.
_ROOM = {
    "disc": (0.62, 0.5), "square": (0.74, 0.5), "hexagon": (0.62, 0.5), "diamond": (0.52, 0.5), "triangle": (0.8, 0.5),
    "house": (0.6, 0.6), "wide": (0.52, 0.5), "tall": (0.86, 0.5),
}  # fmt: skip


def _glyph(image: Image.Image, icon: Icon) -> None:
    side = image.width
    part, down = _ROOM[icon.shape]
    scale = side * part / 24.0
    shift = (side * (1 - part) / 2, side * (down - part / 2))
    draw = ImageDraw.Draw(image)
    for figure in icon.glyph.split(";"):
        text, ink = figure.strip(), icon.ink
        if text.startswith("-"):
            text, ink = text[1:], icon.fill
        elif "@" in text:
            ink, text = text.split("@")
        name, *rest = text.split()
        if name == "t":
            _letter(draw, rest[0], ink, side, part)
        else:
            _figure(draw, name, [float(v) for v in rest], ink, scale, shift)


def _letter(draw: ImageDraw.ImageDraw, letter: str, ink: str, side: int, part: float) -> None:
    font = Fonts.none_cjk().face(letter, int(side * part * 1.05))
    draw.text(
        (side / 2, side / 2), letter, fill=ink, font=font, anchor="mm", stroke_width=max(1, side // 40), stroke_fill=ink
    )


def _figure(
    draw: ImageDraw.ImageDraw, name: str, values: list[float], ink: str, scale: float, shift: tuple[float, float]
) -> None:
    def at(x: float, y: float) -> Point:
        return shift[0] + x * scale, shift[1] + y * scale

    if name in ("r", "p", "l"):
        width = values.pop(0) if name == "l" else 0.0
        points = [at(x, y) for x, y in zip(values[::2], values[1::2], strict=True)]
        if name == "r":
            draw.rectangle([*points[0], *points[1]], fill=ink)
        elif name == "p":
            draw.polygon(points, fill=ink)
        else:
            draw.line(points, fill=ink, width=max(1, round(width * scale)), joint="curve")
        return
    x, y, radius, *more = values
    frame = [*at(x - radius, y - radius), *at(x + radius, y + radius)]
    if name == "d":
        draw.ellipse(frame, fill=ink)
    elif name == "o":
        draw.ellipse(frame, outline=ink, width=round(more[0] * scale))
    else:
        draw.arc(frame, more[0], more[1], fill=ink, width=round(more[2] * scale))
