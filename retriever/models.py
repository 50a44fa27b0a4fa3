"""Where models lie, and the bundle that one is kept in: config, tokenizer, weights and what they came from.

A bundle is a folder::

    config.json        open_clip model config plus "preprocess" (size, mean, std)
    tokenizer.json     `tokenizers` file
    model.safetensors  weights
    bundle.json        provenance: command, seed, data hash, areas, metrics, parameter count
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retriever.errors import ModelError

if TYPE_CHECKING:
    import torch
    from torch import nn

SHIPPED = {
    "sightline-mini": "retriever/models/sightline-mini",
    "mini-judge": "agent/models/mini-judge",
    "mini-crossencoder": "agent/models/mini-crossencoder",
}
"""Name and place, relative to the folder that holds the rooms."""

CONFIG, TOKENIZER, WEIGHTS, PROVENANCE = "config.json", "tokenizer.json", "model.safetensors", "bundle.json"


def find_model(name: str | Path) -> Path:
    """The folder of a shipped model, of ``$SIGHTLINE_MODELS/<name>`` (which comes first), or of a path.

    Raises ``ModelError`` where there is no such folder.
    """
    override = os.environ.get("SIGHTLINE_MODELS")
    places = [Path(override) / name] if override else []
    if str(name) in SHIPPED:
        places.append(Path(__file__).parent.parent / SHIPPED[str(name)])
    places.append(Path(name))
    for place in places:
        if place.is_dir():
            return place
    known = ", ".join(sorted(SHIPPED))
    raise ModelError(
        f"no model {str(name)!r}: give a folder or one of {known}; looked in {', '.join(map(str, places))}"
    )


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """A bundle's JSON file as a dict. Raises ``ModelError`` where it is missing or no JSON object."""
    path = folder / name
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}): is {folder} a model bundle?") from error
    except ValueError as error:
        raise ModelError(f"{path} is not valid JSON ({error}): copy the bundle again") from error
    if not isinstance(data, dict):
        raise ModelError(f"{path} should hold a JSON object: copy the bundle again")
    return data


def load_weights(model: nn.Module, path: Path) -> None:
    """Fill ``model`` in place from a safetensors file.

    Every key on either side must be accounted for, every shape must agree and every number must be finite.
    Raises ``ModelError`` otherwise.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} cannot be read as safetensors ({error}): copy or export the model again") from error
    own = model.state_dict()
    strange = sorted(set(own) ^ set(state)) or sorted(k for k in own if own[k].shape != state[k].shape)
    if strange:
        raise ModelError(f"{path} does not fit its config: {len(strange)} tensors differ, the first is {strange[0]!r}")
    check_finite(state, path)
    model.load_state_dict({k: v.to(own[k].dtype) for k, v in state.items()})


def check_finite(state: Mapping[str, torch.Tensor], where: object) -> None:
    """Raises ``ModelError`` where any floating-point tensor holds NaN or infinity."""
    import torch

    for key in sorted(state):
        if state[key].is_floating_point() and not bool(torch.isfinite(state[key]).all()):
            raise ModelError(f"{where}: tensor {key!r} holds NaN or infinite numbers, so its training or copy failed")


def save_bundle(
    folder: Path, model: nn.Module, config: Mapping[str, Any], tokenizer_json: str, provenance: Mapping[str, Any]
) -> Path:
    """Write a bundle with bf16 weights; each file appears whole or not at all. Raises ``ModelError`` on NaN weights."""
    import torch
    from safetensors.torch import save

    state = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    check_finite(state, folder)
    half = {k: v.to(torch.bfloat16) if v.is_floating_point() else v for k, v in state.items()}
    folder.mkdir(parents=True, exist_ok=True)
    counted = {**provenance, "parameters": sum(p.numel() for p in model.parameters())}
    write_atomic(folder / CONFIG, json.dumps(config, indent=2, ensure_ascii=False).encode() + b"\n")
    write_atomic(folder / TOKENIZER, tokenizer_json.encode())
    write_atomic(folder / WEIGHTS, save(half))
    write_atomic(folder / PROVENANCE, json.dumps(counted, indent=2, ensure_ascii=False).encode() + b"\n")
    return folder


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old or the new content and never a part."""
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as f:
            f.write(data)
        os.chmod(part, 0o644)
        os.replace(part, path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise
