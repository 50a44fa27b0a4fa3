"""Draws a map tile from its facts, and nothing but its facts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PIL import Image

from retriever.draw import ground, ways
from retriever.draw.canvas import Canvas
from retriever.draw.fonts import Fonts
from retriever.draw.icons import badge
from retriever.draw.labels import Labels
from retriever.draw.layout import REFERENCE_PX, Layout, dots, plan
from retriever.draw.style import style
from retriever.types import Fact


def draw_tile(
    facts: Sequence[Fact], *, size_m: float = 120.0, px: int = REFERENCE_PX, fonts: Fonts | None = None
) -> Image.Image:
    """The picture of a tile: RGB, ``px`` by ``px``. A pure function: without ``fonts`` no system font is used.

    Facts are in tile coordinates; their order does not matter except between facts that tie in every other respect.
    """
    layout = plan(facts)
    shown = [fact for fact, keep in zip(facts, layout.shown, strict=True) if keep]
    canvas = Canvas(size_m, px)
    ground.draw(canvas, shown)
    ways.draw(canvas, shown)
    _small(canvas, facts, layout)
    image = canvas.finish()
    _icons(image, layout)
    Labels(image, facts, layout, fonts or Fonts.none_cjk()).draw()
    return image


def labelled(facts: Sequence[Fact], *, px: int = REFERENCE_PX, fonts: Fonts | None = None) -> list[bool]:
    """Per fact, whether its name is written on the tile that :func:`draw_tile` draws."""
    layout = plan(facts)
    labels = Labels(Image.new("RGB", (px, px)), facts, layout, fonts or Fonts.none_cjk())
    labels.draw()
    return [i in labels.written for i in range(len(facts))]


def _icons(image: Image.Image, layout: Layout) -> None:
    scale = image.width / REFERENCE_PX
    for icon in reversed(layout.icons):
        picture = badge(icon.kind, max(3, round(icon.size * scale)))
        half = picture.width / 2
        image.paste(picture, (round(icon.x * scale - half), round(icon.y * scale - half)), picture)


def _small(canvas: Canvas, facts: Sequence[Fact], layout: Layout) -> None:
    """Crossings lie on the road, trees and benches stand beside it."""
    makers: dict[str, Callable[[Canvas, tuple[float, float]], None]] = {"bench": _bench, "tree": _tree}
    roads = [fact for fact in facts if fact.kind in ways.CARRIAGEWAYS and fact.shape == "line"]
    for kind in ("crossing", "bench", "tree"):
        for fact in facts:
            if fact.kind != kind:
                continue
            for point in dots(fact, layout.icons):
                if kind == "crossing":
                    _zebra(canvas, point, roads)
                else:
                    makers[kind](canvas, point)


def _unit(canvas: Canvas) -> float:
    """One pixel of a reference tile on this canvas."""
    return canvas.side / REFERENCE_PX


def _tree(canvas: Canvas, point: tuple[float, float]) -> None:
    row, (x, y) = style()["small"]["tree"], canvas.points([point])[0]
    r = row["size"] / 2 * _unit(canvas)
    canvas.draw.ellipse([x - r, y - r, x + r, y + r], fill=row["fill"], outline=row["rim"], width=max(1, round(r / 5)))
    r *= 0.28
    canvas.draw.ellipse([x - r, y - r, x + r, y + r], fill=row["rim"])


def _bench(canvas: Canvas, point: tuple[float, float]) -> None:
    row, (x, y) = style()["small"]["bench"], canvas.points([point])[0]
    w = row["size"] / 2 * _unit(canvas)
    canvas.draw.rectangle([x - w, y - w * 0.7, x + w, y + w * 0.7], fill=row["rim"])
    for low, high in ((-0.55, -0.1), (0.1, 0.55)):
        canvas.draw.rectangle([x - w * 0.85, y + w * low, x + w * 0.85, y + w * high], fill=row["fill"])


def _zebra(canvas: Canvas, point: tuple[float, float], roads: Sequence[Fact]) -> None:
    """White stripes along the nearest road, side by side across it."""
    row = style()["small"]["crossing"]
    (ux, uy), width = ways.road_at(point, roads, canvas.size_m)
    x, y = canvas.points([point])[0]
    half, depth = canvas.metres(width / 2), canvas.metres(row["depth"] / 2)

    def corner(side: float, ahead: float) -> tuple[float, float]:
        return x - uy * side + ux * ahead, y + ux * side + uy * ahead

    def patch(low: float, high: float, reach: float, colour: str) -> None:
        corners = [corner(low, -reach), corner(high, -reach), corner(high, reach), corner(low, reach)]
        canvas.draw.polygon(corners, fill=colour)

    patch(-half, half, depth, row["rim"])
    count = max(3, int(width / (2 * row["stripe"])))
    for i in range(count):
        low = -half + (i + 0.25) * 2 * half / count
        patch(low, low + half / count, depth * 0.92, row["fill"])
