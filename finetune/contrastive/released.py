"""Weights as OpenAI's CLIP keeps them, the released CrossText2Loc ``.pth`` among them: read safely, accounted for.

The architecture is read off the shapes, as OpenAI's own loader does: heads are 64 wide, layers are counted, and the
number of text positions (300 there, 77 in CLIP) is what the file has.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from retriever.errors import ModelError
from retriever.models import check_finite
from retriever.open_clip_bundle import build_open_clip

_SCALARS = ("input_resolution", "context_length", "vocab_size")
"""Numbers that OpenAI's archives hold among the weights; they must agree with the shapes."""
_BUFFERS = ("attn_mask",)
"""Follows from the number of positions."""
_PREFIXES = ("module.", "model.", "clip.")
_WRAPPERS = ("state_dict", "model_state_dict", "model")
HEAD = 64


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint; nothing in the file is ever run.

    Raises ``ModelError`` for a file that cannot be read, or holds more than tensors, numbers and text.
    """
    try:
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        first = str(error).split("\n")[0]
        raise ModelError(
            f"{path} cannot be read as plain weights ({first}): it is damaged or not to be trusted"
        ) from error
    for name in _WRAPPERS:
        if isinstance(found, dict) and isinstance(found.get(name), dict):
            found = found[name]
    if not isinstance(found, dict) or not found or not all(isinstance(v, torch.Tensor) for v in found.values()):
        raise ModelError(f"{path} holds no state dict of tensors: give the file of weights")
    state = {str(k): v for k, v in found.items()}
    for prefix in _PREFIXES:
        if all(k.startswith(prefix) for k in state):
            state = {k.removeprefix(prefix): v for k, v in state.items()}
    return state


def config_of(state: Mapping[str, torch.Tensor], where: object = "the weights") -> dict[str, Any]:
    """open_clip's model config for a ViT of OpenAI's layout. Raises ``ModelError`` for any other layout."""
    try:
        patches, (width, _, patch, _) = (
            state["visual.positional_embedding"].shape[0],
            state["visual.conv1.weight"].shape,
        )
        vocabulary, text_width = state["token_embedding.weight"].shape
        positions, dim = state["positional_embedding"].shape[0], state["text_projection"].shape[1]
    except (KeyError, ValueError) as error:
        raise ModelError(f"{where} are not of OpenAI's CLIP with a ViT ({error}): no such import is known") from error
    grid = round((patches - 1) ** 0.5)
    if grid * grid != patches - 1 or width % HEAD or text_width % HEAD:
        raise ModelError(f"{where}: {patches} image positions, widths {width} and {text_width} fit no CLIP")
    vision = {"image_size": grid * patch, "layers": _layers(state, "visual."), "width": width, "patch_size": patch}
    text = {
        "context_length": positions, "vocab_size": vocabulary, "width": text_width, "heads": text_width // HEAD,
        "layers": _layers(state, ""),
    }  # fmt: skip
    return {"embed_dim": dim, "quick_gelu": True, "vision_cfg": vision, "text_cfg": text}


def import_openai(path: Path) -> tuple[Any, dict[str, Any]]:
    """The model of a checkpoint, in 32 bits, and its open_clip config.

    Raises:
        ModelError: what :func:`read_state` and :func:`config_of` refuse; a key too many or too few; a shape that does
            not fit; a number that is not finite.
    """
    state = read_state(path)
    config = config_of(state, path)
    _check_scalars(state, config, path)
    state = {k: v for k, v in state.items() if k not in (*_SCALARS, *_BUFFERS)}
    model = build_open_clip(config)
    own = model.state_dict()
    strange = [f"{k} (not in the file)" for k in sorted(set(own) - set(state))]
    strange += [f"{k} (unknown)" for k in sorted(set(state) - set(own))]
    strange += [f"{k} (shape)" for k in sorted(set(own) & set(state)) if own[k].shape != state[k].shape]
    if strange:
        raise ModelError(f"{path} is not what its shapes say: {len(strange)} keys do not fit, the first: {strange[0]}")
    check_finite(state, path)
    model.load_state_dict({k: v.float() for k, v in state.items()})
    return model, config


def _layers(state: Mapping[str, torch.Tensor], tower: str) -> int:
    found = re.compile(re.escape(tower) + r"transformer\.resblocks\.(\d+)\.")
    return 1 + max((int(m[1]) for k in state if (m := found.match(k))), default=-1)


def _check_scalars(state: Mapping[str, torch.Tensor], config: Mapping[str, Any], path: Path) -> None:
    text = config["text_cfg"]
    # A stretched file may still say 77 here: what its positions say is what counts.
    wanted = {"input_resolution": config["vision_cfg"]["image_size"], "vocab_size": text["vocab_size"]}
    for name, value in wanted.items():
        if name in state and int(state[name]) != value:
            raise ModelError(f"{path}: {name} is {int(state[name])}, but its weights are for {value}")
