"""Light: sky, haze, what the eye of the camera makes of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from finetune.views.conditions import Conditions
from finetune.views.mesh import linear
from finetune.views.seeds import generator
from finetune.views.texture import noise

Floats = NDArray[np.float32]


def _rgb(colour: str) -> Floats:
    return np.array(linear(colour), np.float32)


@dataclass(frozen=True, kw_only=True)
class Light:
    """Colours of a moment; a surface of albedo 1 that faces the whole sky and the sun is about 1."""

    sun: Floats
    sky: Floats
    zenith: Floats
    horizon: Floats
    gain: float

    @classmethod
    def of(cls, c: Conditions) -> Light:
        low = float(np.clip((35 - c.sun_altitude_deg) / 35, 0, 1))
        sun = (np.array([1.0, 0.93, 0.82]) * (1 - low) + np.array([1.0, 0.76, 0.5]) * low) * 1.15 * c.direct
        grey = float(np.clip(c.cloud, 0, 1))
        sky = np.array([0.24, 0.31, 0.42]) * (1 - grey) + np.array([0.62, 0.64, 0.67]) * grey
        zenith = _rgb("#4f83c4") * (1 - grey) + _rgb("#b9bec6") * grey
        horizon = _rgb("#c9d8e6") * (1 - grey) + _rgb("#d4d6d8") * grey
        horizon = horizon * (1 - 0.25 * low * c.direct) + _rgb("#ecd2a8") * 0.25 * low * c.direct
        level = float(sun.mean() * c.sun[2] + sky.mean())
        return cls(
            sun=sun.astype(np.float32), sky=sky.astype(np.float32), zenith=zenith.astype(np.float32),
            horizon=horizon.astype(np.float32), gain=1.35 * c.exposure / level**0.8,
        )  # fmt: skip

    def overhead(self, directions: Floats, c: Conditions) -> Floats:
        """The sky's colour [N, 3], already at the picture's exposure."""
        up = np.clip(directions[:, 2], 0, 1)
        blend = (up**0.45)[:, None]
        out = self.horizon * (1 - blend) + self.zenith * blend
        flat = np.maximum(up, 0.04)
        shift = c.seed % 509
        puff = noise(directions[:, 0] / flat + shift, directions[:, 1] / flat + shift, 22.0)
        puff = puff + noise(directions[:, 0] / flat, directions[:, 1] / flat + shift, 90.0) * 0.35
        cover = np.clip((puff - 1.2 + 2.6 * min(c.cloud, 0.85)) * 0.8, 0, 1) * np.clip(up * 6, 0, 1)
        white = np.array([0.9, 0.91, 0.93], np.float32) * (1 - 0.25 * c.cloud)
        out = out + (white - out) * (cover * 0.85)[:, None]
        near = np.clip(directions @ np.array(c.sun, np.float32), 0, 1)
        return np.asarray(out + (c.direct * (near**6 * 0.12 + near**400 * 3.0))[:, None], np.float32)


def develop(light: Floats, c: Conditions) -> Image.Image:
    """From light [H, W, 3] to a photograph: lens, white balance, tone, noise."""
    h, w, _ = light.shape
    tint = np.array([1 + c.warmth, 1.0, 1 - c.warmth], np.float32)
    if c.vignette > 0:
        y, x = np.mgrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j]
        light = light * (1 - c.vignette * 0.5 * (x * x + y * y))[..., None].astype(np.float32)
    x = np.maximum(light * tint, 0)
    toned = x * (1 + x * np.float32(0.16)) / (1 + x)
    grey = toned @ np.array([0.3, 0.6, 0.1], np.float32)
    toned = grey[..., None] + (toned - grey[..., None]) * np.float32(1.12)
    seen = np.clip(toned * np.float32(1.15), 0, 1) ** np.float32(1 / 2.2)
    image = Image.fromarray((seen * 255 + 0.5).astype(np.uint8))
    if c.blur_px > 0.05:
        image = image.filter(ImageFilter.GaussianBlur(c.blur_px))
    if c.noise <= 0:
        return image
    rng = generator("noise", c.seed)
    speck = rng.standard_normal((h, w, 1), np.float32) * (255 * c.noise)
    speck = speck + rng.standard_normal((h, w, 3), np.float32) * (120 * c.noise)
    return Image.fromarray(np.clip(np.asarray(image, np.float32) + speck, 0, 255).astype(np.uint8))
