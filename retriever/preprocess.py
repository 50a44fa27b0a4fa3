"""What the mini models see of a picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image


class BoxResize:
    """RGB, averaged down to ``size`` pixels square, then normalised: what the mini models see of a tile."""

    def __init__(self, *, size: int, mean: Sequence[float], std: Sequence[float]) -> None:
        self.size = size
        self._mean = torch.tensor(mean).view(3, 1, 1)
        self._std = torch.tensor(std).view(3, 1, 1)

    def __call__(self, image: Image.Image) -> torch.Tensor:
        """float32 [3, size, size]"""
        out = torch.empty(3, self.size, self.size)
        self.fill(image, out)
        return out

    def fill(self, image: Image.Image, out: torch.Tensor) -> None:
        """The same into ``out``, float32 [3, size, size] on the CPU.

        Each step in place: a picture's numbers stay in the cache and no memory is asked for. Bit for bit
        :meth:`normalise`.
        """
        planes: NDArray[np.float32] = out.numpy()
        np.copyto(planes, np.asarray(_shrunk(image, self.size)).transpose(2, 0, 1))
        planes /= 255.0
        planes -= self._mean.numpy()
        planes /= self._std.numpy()

    def normalise(self, pixels: torch.Tensor) -> torch.Tensor:
        """uint8 [..., 3, H, W] to float32 of the same shape."""
        return (pixels.float() / 255.0 - self._mean) / self._std


def shrink(image: Image.Image, size: int) -> NDArray[np.uint8]:
    """uint8 [size, size, 3]: RGB, area-averaged."""
    return np.array(_shrunk(image, size))


def _shrunk(image: Image.Image, size: int) -> Image.Image:
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    if rgb.size == (2 * size, 2 * size):
        # What ``resize`` does for a half: it rounds after each direction, the horizontal one first. Faster this way.
        return rgb.reduce((2, 1)).reduce((1, 2))
    return rgb if rgb.size == (size, size) else rgb.resize((size, size), Image.Resampling.BOX)
