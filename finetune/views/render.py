"""Renders a pose: casts rays, shades what they meet, looks again where neighbours differ, develops the picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finetune.views.conditions import Conditions
from finetune.views.light import develop
from finetune.views.poses import Pose
from finetune.views.shade import Shader
from finetune.views.stage import Stage
from retriever.geo import Frame

Floats = NDArray[np.float32]
_AGAIN = ((-0.125, -0.375), (0.375, -0.125), (-0.375, 0.125), (0.125, 0.375))
"""Where in a pixel it is looked again (a turned square)."""
EDGE = 0.06
"""Neighbours that differ by more than this (of full scale) are looked at again."""


def render(stage: Stage, pose: Pose, conditions: Conditions, frame: Frame) -> Image.Image:
    """The photograph of a pose, RGB; ``frame`` has its origin where the stage has it."""
    shader = Shader(stage, pose, conditions, frame)
    rows, cols = np.mgrid[0 : pose.height, 0 : pose.width].astype(np.float32) + np.float32(0.5)
    light = shader.light(cols.reshape(-1), rows.reshape(-1)).reshape(pose.height, pose.width, 3)
    again = np.flatnonzero(_edges(light))
    if len(again):
        y, x = rows.reshape(-1)[again], cols.reshape(-1)[again]
        looks = shader.light(
            np.concatenate([x + np.float32(dx) for dx, _ in _AGAIN]),
            np.concatenate([y + np.float32(dy) for _, dy in _AGAIN]),
        )
        light.reshape(-1, 3)[again] = _squash(looks).reshape(len(_AGAIN), -1, 3).mean(axis=0)
    return develop(light, conditions)


def _squash(light: Floats) -> Floats:
    """Very bright samples must not outshine the rest of their pixel."""
    return np.minimum(light, 2.0)


def _edges(light: Floats) -> NDArray[np.bool_]:
    """Pixels [H, W] that differ from the next one to the right or below, on either side of the edge."""
    tone = np.sqrt(np.clip(light @ np.array([0.3, 0.6, 0.1], np.float32), 0, 1.5))
    out = np.zeros(tone.shape, bool)
    right, below = np.abs(np.diff(tone, axis=1)) > EDGE, np.abs(np.diff(tone, axis=0)) > EDGE
    out[:, 1:] |= right
    out[:, :-1] |= right
    out[1:] |= below
    out[:-1] |= below
    return out
