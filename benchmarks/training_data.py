"""A data set in CVG-Text's layout that a small model learns in minutes: for ``benchmarks.training`` without a recipe.

A tile of 512 x 512 pixels (as published) has three by three fields in four of twelve colours, with speckle; its text
names these four, among sentences that say nothing, about 126 tokens in all (the published mean). Tiles of the same four
colours cannot be told apart by text, so recall stays below 1. Places lie 150 m apart on lines to the north. It is a
task to measure time by, and no picture of a town.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {
    "red": (210, 30, 30), "green": (30, 150, 40), "blue": (40, 70, 220), "yellow": (240, 220, 30),
    "white": (245, 245, 245), "black": (15, 15, 15), "orange": (245, 140, 20), "purple": (130, 40, 170),
    "pink": (250, 150, 200), "brown": (110, 65, 25), "grey": (128, 128, 128), "turquoise": (40, 210, 200),
}  # fmt: skip
FIELDS, NAMED = 9, 4
PLACES = ("on my left", "on my right", "before me", "behind me", "across the street", "at the corner", "further on")
THINGS = ("wall", "door", "roof", "fence", "shop front", "sign", "garage", "awning")
IDLE = (
    "I have been walking for a while and I am not quite sure how I came here.",
    "It is late in the afternoon and not many people are about.",
    "I hear traffic from far away but cannot say where it comes from.",
    "Somebody told me that it looked quite different some years ago.",
)
PX = 512


def write(root: Path, count: int, seed: int = 0) -> Path:
    """``count`` places of the set ``NewYork``, all for training; does nothing where they are there already."""
    said: dict[str, str] = {}
    annotation = root / "annotation/NewYork/train.json"
    if annotation.exists() and len(json.loads(annotation.read_text(encoding="utf-8"))) == count:
        return root
    folder = root / "reference/NewYork-satellite"
    folder.mkdir(parents=True, exist_ok=True)
    annotation.parent.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        rng = np.random.default_rng([seed, i])
        named = rng.choice(list(COLOURS), NAMED, replace=False)
        colours = rng.permutation(np.concatenate([named, rng.choice(named, FIELDS - NAMED)]))
        lat, lon = 40.7 + (i % 40) * 150 / 111_320, -73.99 + (i // 40) * 0.0018
        name = f"{lat:.7f},{lon:.7f}_2019-05_Pano{i}_d0.0_z1.png"
        _picture(colours, rng).save(folder / name)
        said[name] = _text(named, rng)
    annotation.write_text(json.dumps(said), encoding="utf-8")
    (root / "annotation/NewYork/test.json").write_text("{}", encoding="utf-8")
    return root


def _picture(colours: np.ndarray, rng: np.random.Generator) -> Image.Image:
    fields = np.array([COLOURS[c] for c in colours], np.uint8).reshape(3, 3, 3)
    small = np.asarray(Image.fromarray(fields).resize((PX // 4, PX // 4), Image.Resampling.NEAREST), np.int16)
    speckled = np.clip(small + rng.integers(-25, 26, small.shape), 0, 255).astype(np.uint8)
    return Image.fromarray(speckled).resize((PX, PX), Image.Resampling.NEAREST)


def _text(named: np.ndarray, rng: np.random.Generator) -> str:
    parts = [f"There is a {colour} {rng.choice(THINGS)} {rng.choice(PLACES)}." for colour in (*named, *named)]
    parts += list(rng.permutation(IDLE)[: rng.integers(2, 5)])
    return " ".join(rng.permutation(parts))
