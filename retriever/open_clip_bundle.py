"""Bundles of open_clip models with open_clip's own tokenizers: what contrastive training and imports write.

``config.json`` holds under ``open_clip`` the model config, with the context as long as the weights have it, and under
``preprocess`` the size, mean and deviation. ``tokenizer.json`` says which tokenizer: CLIP's, which comes with
open_clip, or a Hugging Face one whose files lie in ``tokenizer/``.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from retriever.errors import ModelError
from retriever.models import TOKENIZER, load_weights, read_json
from retriever.tokenizer import OpenClipTokenizer

KEY = "open_clip"
FOLDER = "tokenizer"


class Squash:
    """RGB, resized by antialiased bicubic interpolation to ``size`` pixels square, whatever its shape was, normalised.

    On square pictures this is CLIP's own preprocessing; panoramas keep their sides, which a centre crop would lose.
    """

    def __init__(self, *, size: int, mean: Sequence[float], std: Sequence[float]) -> None:
        self.size = size
        self._mean = torch.tensor(tuple(mean)).view(3, 1, 1)
        self._std = torch.tensor(tuple(std)).view(3, 1, 1)

    def __call__(self, image: Image.Image) -> torch.Tensor:
        """float32 [3, size, size]"""
        return self.normalise(torch.from_numpy(self.pixels(image)))

    def pixels(self, image: Image.Image) -> NDArray[np.uint8]:
        """uint8 [3, size, size]"""
        rgb = image.convert("RGB").resize((self.size, self.size), Image.Resampling.BICUBIC)
        return np.ascontiguousarray(np.asarray(rgb).transpose(2, 0, 1))

    def normalise(self, pixels: torch.Tensor) -> torch.Tensor:
        """uint8 [..., 3, H, W] to float32 of the same shape, on the same device."""
        return (pixels.float() / 255.0 - self._mean.to(pixels.device)) / self._std.to(pixels.device)


def build_open_clip(config: Mapping[str, Any]) -> Any:
    """A model with random weights from open_clip's JSON config. Raises ``ModelError`` on anything else."""
    import open_clip

    fields = copy.deepcopy(dict(config))
    custom = fields.pop("custom_text", False)
    try:
        return (open_clip.CustomTextCLIP if custom else open_clip.CLIP)(**fields)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, AssertionError) as error:
        raise ModelError(f"not an open_clip model config: {error!r}") from error


def open_clip_tokenizer(config: Mapping[str, Any], context: int, *, folder: Path | str | None = None) -> Any:
    """open_clip's tokenizer for a model config; ``folder`` takes the place of the hub's for a Hugging Face one.

    Raises ``ModelError`` where it cannot be loaded.
    """
    import open_clip

    text = config["text_cfg"]
    name, options = folder or text.get("hf_tokenizer_name"), dict(text.get("tokenizer_kwargs") or {})
    if not name:
        return open_clip.SimpleTokenizer(context_length=context, **options)
    try:
        return open_clip.tokenizer.HFTokenizer(str(name), context_length=context, **options)
    except Exception as error:  # hub and file errors have no common base
        raise ModelError(
            f"the tokenizer {name} cannot be loaded ({error}): give its folder as `tokenizer` in the recipe"
        ) from error


def trims(model: Any) -> bool:
    """Whether pads behind a text may be left out: only with causal attention and the end token's vector."""
    causal = getattr(model, "attn_mask", None) is not None
    return causal and hasattr(model, "token_embedding") and model.text_pool_type in ("argmax", "eos")


def load_parts(folder: Path, config: Mapping[str, Any]) -> tuple[Any, OpenClipTokenizer, Squash]:
    """Model, tokenizer and preprocessing of a bundle. Raises ``ModelError`` where any of them does not fit."""
    said = read_json(folder, TOKENIZER)
    try:
        cfg, seen = config[KEY], Squash(**config["preprocess"])
        context = int(cfg["text_cfg"]["context_length"])
        kind = said["kind"]
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{folder} is no complete open_clip bundle ({error!r}): write it again") from error
    model = build_open_clip(cfg)
    load_weights(model, folder / "model.safetensors")
    call = open_clip_tokenizer(cfg, context, folder=folder / FOLDER if kind == FOLDER else None)
    return model, OpenClipTokenizer(call, context, trim=trims(model)), seen


def describe_tokenizer(call: Any, folder: Path) -> str:
    """The text of ``tokenizer.json`` for a tokenizer of open_clip; its files, where it has any, are saved too."""
    inner = getattr(call, "tokenizer", None)
    if inner is None:
        return json.dumps({"kind": "clip"})
    inner.save_pretrained(str(folder / FOLDER))
    return json.dumps({"kind": FOLDER})
