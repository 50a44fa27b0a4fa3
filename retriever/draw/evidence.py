"""Evidence on a picture: a box for each claim, coloured by stance, with its words."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from retriever.draw.fonts import Fonts, is_cjk
from retriever.types import Box, Stance

COLOURS: dict[Stance, str] = {"supports": "#0f8a34", "contradicts": "#cf1f1f", "unknown": "#6a6a6a"}
_SIZE = 13


def draw_evidence(
    image: Image.Image, boxes: Sequence[tuple[Box, str, Stance]], *, fonts: Fonts | None = None
) -> Image.Image:
    """A copy of the picture with boxes (tile coordinates 0..1), each with its label on a coloured plate.

    Labels that would lie on an earlier one move down. Characters without a font are shown as ``?``.
    """
    fonts = fonts or Fonts.find()
    out = image.convert("RGB").copy()
    draw = ImageDraw.Draw(out)
    frames = [(_pixels(box, out.size), label, COLOURS[stance]) for box, label, stance in boxes]
    for frame, _, colour in frames:
        draw.rectangle(frame, outline="#ffffff", width=5)
        draw.rectangle(_shrink(frame), outline=colour, width=3)
    taken: list[Box] = []
    for frame, label, colour in frames:
        _plate(draw, frame, _drawable(label, fonts), colour, taken, out.size, fonts)
    return out


def _pixels(box: Box, size: tuple[int, int]) -> Box:
    """Within the picture, at least 8 pixels wide and high, whichever way the corners were given."""
    width, height = size
    x0, x1 = sorted((min(max(box[0], 0.0), 1.0) * (width - 1), min(max(box[2], 0.0), 1.0) * (width - 1)))
    y0, y1 = sorted((min(max(box[1], 0.0), 1.0) * (height - 1), min(max(box[3], 0.0), 1.0) * (height - 1)))
    x0, y0 = min(x0, max(width - 9.0, 0)), min(y0, max(height - 9.0, 0))
    return x0, y0, max(x1, x0 + 8), max(y1, y0 + 8)


def _shrink(frame: Box) -> Box:
    return frame[0] + 1, frame[1] + 1, frame[2] - 1, frame[3] - 1


def _drawable(label: str, fonts: Fonts) -> str:
    text = "".join(c if fonts.covers(c) or c == " " else "?" for c in label)
    return text if len(text) <= 40 else text[:39] + "…"


def _plate(
    draw: ImageDraw.ImageDraw,
    frame: Box,
    label: str,
    colour: str,
    taken: list[Box],
    size: tuple[int, int],
    fonts: Fonts,
) -> None:
    if not label.strip():
        return
    font = fonts.face(label if any(is_cjk(c) for c in label) else "A", _SIZE)
    width, height = font.getlength(label) + 8, _SIZE + 6.0
    x = min(max(frame[0], 0.0), max(size[0] - width, 0.0))
    y = frame[1] - height if frame[1] >= height else frame[3]
    y = min(max(y, 0.0), size[1] - height)
    for _ in range(len(taken)):
        clash = next((b for b in taken if x < b[2] and b[0] < x + width and y < b[3] and b[1] < y + height), None)
        if clash is None:
            break
        y = clash[3] if clash[3] + height <= size[1] else 0.0
    draw.rectangle([x, y, x + width, y + height], fill=colour, outline="#ffffff")
    draw.text((x + 4, y + height / 2), label, font=font, fill="#ffffff", anchor="lm")
    taken.append((x, y, x + width, y + height))
