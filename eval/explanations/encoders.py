"""Text encoders for the overlap scores: the shipped text tower, open_clip names, sentence-transformers folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eval.explanations.overlap import Floats32, TextEncoder
from retriever.errors import ModelError


class Tower:
    """A dual encoder's text tower: trained to find tiles, not to compare sentences; its name says so in the report."""

    def __init__(self, name: str) -> None:
        from retriever.encoder import Encoder

        self._encoder = Encoder.load(name)
        self.name = f"text tower of {name}"

    def sentences(self, texts: Sequence[str]) -> Floats32:
        return np.asarray(self._encoder.encode_text(texts), np.float32)

    def tokens(self, text: str) -> Floats32:
        from retriever.late import text_tokens

        try:
            rows = text_tokens(self._encoder, text)
        except ModelError:
            return np.zeros((0, 1), np.float32)
        return _unit(np.asarray(rows, np.float32))


class Sentence:
    """A sentence-transformers model from a folder or, where there is a network, by its hub name."""

    def __init__(self, name: str) -> None:
        from sentence_transformers import SentenceTransformer

        try:
            self._model: Any = SentenceTransformer(name, device="cpu")
        except Exception as error:
            raise ModelError(
                f"{name} is no sentence encoder that can be loaded here ({error}); name a folder"
            ) from error
        self.name = name

    def sentences(self, texts: Sequence[str]) -> Floats32:
        return np.asarray(self._model.encode(list(texts), normalize_embeddings=True), np.float32)

    def tokens(self, text: str) -> Floats32:
        rows = self._model.encode([text], output_value="token_embeddings")[0]
        return _unit(np.asarray(rows.cpu(), np.float32))


def _unit(rows: Floats32) -> Floats32:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9), np.float32)


def open_encoder(name: str) -> TextEncoder:
    """``sightline-mini``, an open_clip name or bundle, or ``st:NAME`` (or a folder with ``modules.json``)."""
    if name.startswith("st:") or (Path(name) / "modules.json").is_file():
        return Sentence(name.removeprefix("st:"))
    return Tower(name)
