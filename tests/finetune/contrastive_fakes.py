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
