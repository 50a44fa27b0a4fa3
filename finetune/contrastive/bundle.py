"""A trained or imported dual encoder as one folder that ``Encoder.load`` takes."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finetune.contrastive.model import Dual
from retriever.errors import ModelError
from retriever.models import save_bundle
from retriever.open_clip_bundle import KEY, describe_tokenizer


def write_bundle(folder: Path, dual: Dual, provenance: Mapping[str, Any]) -> Path:
    """Config, tokenizer, preprocessing, weights with adapters merged, and where they came from.

    Raises ``ModelError`` for a folder of something else, or weights that are not finite.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / "bundle.json").is_file():
        raise ModelError(f"{folder} is not empty and no model bundle: choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / "tokenizer", ignore_errors=True)
    seen = {"size": dual.preprocess.size, "mean": list(dual.mean), "std": list(dual.std)}
    config = {KEY: dual.config, "preprocess": seen}
    tokenizer = describe_tokenizer(dual.tokenizer.call, folder)
    return save_bundle(folder, dual.merged(), config, tokenizer, provenance)
