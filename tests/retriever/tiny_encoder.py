"""A random encoder bundle of a few thousand weights, made where a test needs one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from finetune.tokenizer import train_tokenizer
from retriever.encoder import build_model
from retriever.models import save_bundle
from retriever.tokenizer import END, PAD, START

CONFIG: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 32, "layers": 2, "head_width": 16, "pool_type": "avg"},
    "text_cfg": {
        "context_length": 24, "vocab_size": 400, "width": 32, "heads": 2, "layers": 2, "pool_type": "eos", "eos_id": 2,
        "pad_id": 0,
    },
    "preprocess": {"size": 32, "mean": [0.8, 0.8, 0.8], "std": [0.2, 0.2, 0.2]},
}  # fmt: skip

CORPUS = ["a pharmacy north of a park", "我的东边有一家便利店", "the street runs east to west"]


def write_bundle(folder: Path, *, seed: int = 0, text_cfg: Mapping[str, Any] | None = None) -> Path:
    """A bundle with weights drawn by ``seed``; ``text_cfg`` changes single fields."""
    config = {**CONFIG, "text_cfg": {**CONFIG["text_cfg"], **(text_cfg or {})}}
    torch.manual_seed(seed)
    tokenizer = train_tokenizer(CORPUS * 5, vocab_size=400, special_tokens=(PAD, START, END), lowercase=True)
    return save_bundle(folder, build_model(config), config, tokenizer.to_str(), {"command": "a test", "seed": seed})
