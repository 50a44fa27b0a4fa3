"""A heat map laid over the picture it explains."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_STOPS = np.array([0.0, 0.35, 0.7, 1.0])
_COLOURS = np.array([(255, 236, 140), (253, 160, 40), (222, 45, 38), (120, 0, 40)], dtype=float)
OPACITY = 0.65


def overlay(image: Image.Image, heat: NDArray[np.floating], *, opacity: float = OPACITY) -> Image.Image:
    """A copy of the picture, RGB, with ``heat`` [rows, columns] from pale yellow through red over it.

    The hottest patch has the full ``opacity`` and no heat is clear, so each picture has its own scale. A map that is
    zero everywhere leaves the picture as it is. Raises ``ValueError`` on heat that is negative, not finite or no
    matrix.
    """
    share = relative(heat)
    # Patches are squares of the picture; smoothing between their middles promises no more than they know.
    strength = Image.fromarray(share.astype(np.float32), mode="F").resize(image.size, Image.Resampling.BILINEAR)
    value = np.asarray(strength, dtype=float)[..., None]
    colour = np.stack([np.interp(value[..., 0], _STOPS, _COLOURS[:, c]) for c in range(3)], axis=-1)
    base = np.asarray(image.convert("RGB"), dtype=float)
    mixed = base + (colour - base) * value * opacity
    return Image.fromarray(mixed.round().clip(0, 255).astype(np.uint8), mode="RGB")


def relative(heat: NDArray[np.floating]) -> NDArray[np.floating]:
    """Heat as shares of its largest value, 0..1. Raises ``ValueError`` as :func:`overlay` does."""
    if heat.ndim != 2 or heat.size == 0 or not np.isfinite(heat).all() or (heat < 0).any():
        raise ValueError(f"heat of shape {heat.shape} is no matrix of finite numbers that are 0 or more")
    top = float(heat.max())
    return heat / top if top > 0 else np.zeros_like(heat)
