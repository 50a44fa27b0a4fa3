"""What the dual encoder says about single tokens and single patches, projected into the space of its vectors.

Pooling comes last in CLIP-like models, so the final layer norm and projection can be applied to every token. They were
trained on the pooled vector alone; see :mod:`agent.rerankers.maxsim`.
"""

from __future__ import annotations

from typing import Any

import torch
from PIL import Image
from torch import nn

from retriever.device import home, steady
from retriever.encoder import Encoder, Floats, text_states
from retriever.errors import ModelError


def text_tokens(encoder: Encoder, text: str) -> Floats:
    """float32 [L, D], not normalised: the L tokens of the text itself, without start, end and padding.

    Raises ``ModelError`` for a text without tokens and for a text tower whose tokens cannot be told apart.
    """
    rows, end = all_text_tokens(encoder, text)
    if end < 2:
        raise ModelError("the text has no tokens to compare; describe the place in a sentence or more")
    return rows[1:end]


def all_text_tokens(encoder: Encoder, text: str) -> tuple[Floats, int]:
    """float32 [T, D] with start and end tokens and padding, and the row of the end token."""
    tower = encoder.model if hasattr(encoder.model, "token_embedding") else getattr(encoder.model, "text", None)
    pool = getattr(tower, "text_pool_type", getattr(tower, "pool_type", None))
    if pool not in ("argmax", "eos") or not hasattr(tower, "ln_final"):
        raise ModelError(f"{encoder.name} has no text tower of open_clip's own with an end token: maxsim cannot use it")
    ids = encoder.tokenizer([text]).ids
    with torch.inference_mode(), steady(encoder.device):
        states = text_states(encoder.model, encoder.put(ids))
        rows = project(states, tower.text_projection)[0]  # type: ignore[union-attr]
    end_id: Any = getattr(tower, "text_eos_id", getattr(tower, "eos_id", None))
    end = ids[0].argmax() if pool == "argmax" else torch.eq(ids[0], end_id).int().argmax()
    return home(rows), int(end)


def patches(encoder: Encoder, image: Image.Image) -> Floats:
    """float32 [P, D], not normalised: the patches row by row from the north-west, without the class token.

    Raises ``ModelError`` for an image tower that is no open_clip ``VisionTransformer`` or pools by attention.
    """
    from open_clip.transformer import VisionTransformer

    tower: Any = encoder.model.visual
    if not isinstance(tower, VisionTransformer) or tower.attn_pool is not None:
        raise ModelError(f"{encoder.name} has no plain vision transformer, so it has no patches for maxsim")
    pixels = encoder.preprocess(image)[None]
    with torch.inference_mode(), steady(encoder.device):
        found = tower.forward_intermediates(
            encoder.put(pixels),
            indices=1,
            normalize_intermediates=True,
            intermediates_only=True,
            output_fmt="NLC",
        )["image_intermediates"]
        return home(project(found[-1], tower.proj)[0])


def project(states: torch.Tensor, head: Any) -> torch.Tensor:
    """[..., W] to [..., D] by a projection of either form that open_clip has, or by none."""
    if head is None:
        return states
    projected: torch.Tensor = head(states) if isinstance(head, nn.Linear) else states @ head
    return projected
