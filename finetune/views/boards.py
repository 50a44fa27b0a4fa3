"""Signs: a board's picture with the name as it is written there, in scripts for which there is a font."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from retriever.draw.fonts import Fonts
from retriever.draw.icons import badge
from retriever.draw.style import icons

PX = (48, 320)
"""Height and width of every board's picture."""
_DARK = ("#20242c", "#6d1f1f", "#123a5c", "#1f4a2c", "#4a2a5c", "#7a4a12", "#f2efe6", "#f4d35e", "#ffffff", "#0f5c5c")


class Boards:
    """Pictures of boards, each drawn once."""

    def __init__(self, fonts: Fonts) -> None:
        self.fonts = fonts
        self.pictures: list[NDArray[np.uint8]] = []
        self._known: dict[tuple[str, ...], tuple[int, float]] = {}

    def written(self, names: Mapping[str, str]) -> str | None:
        """The name that a sign shows: the plain one, else one that a font covers."""
        options = [names.get("", ""), names.get("en", ""), names.get("zh", ""), *names.values()]
        return next((text for text in options if text and self.fonts.covers(text)), None)

    def shop(self, text: str, kind: str, chance: float) -> tuple[int, float]:
        """A shop's board: the number of its picture and its width as a multiple of its height."""
        own = icons()[kind].fill if kind in icons() and chance < 0.6 else _DARK[int(chance * 997) % len(_DARK)]
        return self._board("shop", text, own, kind)

    def street(self, text: str) -> tuple[int, float]:
        """A street's name plate."""
        return self._board("street", text, "#1c4f9c", "")

    def badge(self, kind: str) -> tuple[int, float]:
        """A square sign with a kind's symbol."""
        return self._board("badge", "", "#ffffff", kind)

    def _board(self, form: str, text: str, fill: str, kind: str) -> tuple[int, float]:
        key = (form, text, fill, kind)
        if key not in self._known:
            picture, shape = self._draw(form, text, fill, kind)
            self.pictures.append(picture)
            self._known[key] = (len(self.pictures) - 1, shape)
        return self._known[key]

    def _draw(self, form: str, text: str, fill: str, kind: str) -> tuple[NDArray[np.uint8], float]:
        high, wide = PX
        if form == "badge":
            image = Image.new("RGB", (high, high), fill)
            picture = badge(kind, high)
            image.paste(picture, (0, 0), picture)
            return np.asarray(image.resize((wide, high))), 1.0
        size = 30
        font = self.fonts.face(text, size)
        left, top, right, bottom = font.getbbox(text)
        pad = 16 if form == "shop" else 10
        across = int(right - left + 2 * pad)
        image = Image.new("RGB", (across, high), fill)
        bright = sum(image.getpixel((0, 0))) > 380  # type: ignore[arg-type]
        pen = ImageDraw.Draw(image)
        ink = "#1b1b1e" if bright else "#ffffff"
        pen.text((pad - left, high / 2 - (top + bottom) / 2), text, font=font, fill=ink)
        if form == "street":
            pen.rectangle([2, 2, across - 3, high - 3], outline=ink, width=2)
        return np.asarray(image.resize((wide, high), Image.Resampling.LANCZOS)), across / high

    def stack(self) -> NDArray[np.uint8]:
        """All pictures [S, height, width, 3]."""
        return np.stack(self.pictures) if self.pictures else np.zeros((1, *PX, 3), np.uint8)
