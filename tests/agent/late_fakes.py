"""A dual encoder small enough to reason about; apart from the other fakes because it needs torch."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch

from retriever.encoder import BoxResize, Encoder, build_model
from retriever.tokenizer import Tokens


class LetterTokenizer:
    """One token for each character, between a start token (0) and an end token (99)."""

    context_length = 40

    def __call__(self, texts: Sequence[str]) -> Tokens:
        rows = [[0, *(1 + ord(letter) % 97 for letter in text[:38]), 99] for text in texts]
        wide = max(len(row) for row in rows)
        ids = torch.tensor([row + [0] * (wide - len(row)) for row in rows], dtype=torch.int64)
        return Tokens(ids=ids, texts_cut=0, tokens_cut=0)


@functools.cache
def tiny_encoder() -> Encoder:
    """A random open_clip model of a few thousand weights that sees 4 x 4 patches of 8 pixels."""
    torch.manual_seed(0)
    config = {
        "embed_dim": 16,
        "vision_cfg": {
            "image_size": 32, "patch_size": 8, "width": 32, "layers": 2, "head_width": 16, "pool_type": "avg",
        },
        "text_cfg": {"context_length": 40, "vocab_size": 100, "width": 32, "heads": 2, "layers": 2},
    }  # fmt: skip
    look = BoxResize(size=32, mean=[0.5] * 3, std=[0.25] * 3)
    return Encoder(build_model(config), LetterTokenizer(), look, name="tiny", identity="tiny")
