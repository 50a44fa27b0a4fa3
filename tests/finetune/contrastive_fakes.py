"""Models of the production architectures with small widths, and data of the published layouts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

CLIP: dict[str, Any] = {
    "embed_dim": 16,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 28, "layers": 2, "width": 64, "patch_size": 14},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2},
}
"""ViT-L-14-336-quickgelu with everything but the vocabulary small."""


def write_config(folder: Path, config: dict[str, Any] = CLIP) -> Path:
    path = folder / "tiny.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    return path


def tiny_clip(seed: int = 0) -> Any:
    import open_clip

    torch.manual_seed(seed)
    return open_clip.CLIP(**{**CLIP, "text_cfg": {**CLIP["text_cfg"], "vocab_size": 50}})


def picture(path: Path, seed: int, size: tuple[int, int] = (32, 32)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    small = np.random.default_rng(seed).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(small).resize(size, Image.Resampling.NEAREST).save(path)


def point(i: int) -> tuple[float, float]:
    """Places of a street that runs north, 150 m apart."""
    return 40.7 + i * 150 / 111_320, -73.99


def cvg_copy(root: Path, train: int = 20, test: int = 3) -> Path:
    """CVG-Text, unpacked: the last points are the test split's."""
    said: dict[str, dict[str, str]] = {"train": {}, "test": {}}
    for i in range(train + test):
        lat, lon = point(i)
        name = f"{lat:.7f},{lon:.7f}_2019-05_Pano{i}_d{i}.5_z1.png"
        picture(root / "reference/NewYork-satellite" / name, i)
        picture(root / "reference/NewYork-OSM" / name, 100 + i)
        said["train" if i < train else "test"][name] = f"I stand before shop {i}, with a bank on my left." * (1 + i % 3)
    for split, captions in said.items():
        path = root / f"annotation/NewYork/{split}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(captions), encoding="utf-8")
    return root


def vigor_copy(root: Path, count: int = 20) -> Path:
    """VIGOR: panorama i lies on tile i; the next three tiles are its semi-positives."""
    lines = []
    tiles = []
    for i in range(count + 3):
        lat, lon = point(i)
        tiles.append(f"satellite_{lat:.6f}_{lon:.6f}.png")
        picture(root / "NewYork/satellite" / tiles[-1], i)
    for i in range(count):
        lat, lon = point(i)
        pano = f"pano{i},{lat:.6f},{lon:.6f},.jpg"
        picture(root / "NewYork/panorama" / pano, 300 + i, (64, 32))
        lines.append(" ".join([pano] + [f"{tiles[j]} 0 0" for j in range(i, i + 4)]))
    path = root / "splits/NewYork/same_area_balanced_train.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines), encoding="utf-8")
    (path.parent / "same_area_balanced_test.txt").write_text("", encoding="utf-8")
    return root


def university_copy(root: Path, count: int = 8) -> Path:
    for i in range(count):
        place = f"{800 + i:04}"
        picture(root / "train/satellite" / place / f"{place}.jpg", i)
        for n in (1, 2):
            picture(root / "train/drone" / place / f"image-0{n}.jpeg", 400 + 2 * i + n)
        picture(root / "train/street" / place / "1.jpg", 500 + i)
    return root


def setvl_copy(root: Path, count: int = 8) -> Path:
    for i in range(count):
        split = "train" if i < count - 2 else "val"
        lat, lon = point(i)
        cell = f"{lat:.6f}_{lon:.6f}_18"
        picture(root / split / "satellite" / f"{cell}.jpg", i)
        for n in range(2):
            picture(root / split / "ground" / cell / f"pano_{n}.jpg", 600 + 2 * i + n)
    return root


def views_copy(root: Path, count: int = 10) -> Path:
    """Rendered sets as ``sightline data views`` leaves them."""
    lines = []
    for i in range(count):
        lat, lon = point(i)
        views = {}
        for n, view in enumerate(("satellite", "uav", "ground", "panorama", "map")):
            file = f"sets/{i:06d}/{view}.png"
            picture(root / file, 10 * i + n)
            views[view] = {"file": file, "pose": {"lat": lat, "lon": lon + 0.0001}}
        lines.append(json.dumps({"id": f"town-{i:06d}", "scene": "town", "lat": lat, "lon": lon, "views": views}))
    (root / "sets.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root
