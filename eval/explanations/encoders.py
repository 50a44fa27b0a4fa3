"""Text encoders for the overlap scores: a dual encoder's text tower, or a sentence-transformers model from a folder.

Each says which languages it reads. An English-only model gives Chinese sentences a high likeness all the same (most of
their characters are one and the same unknown token), so texts in a language that it does not read are not scored.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from eval.explanations.overlap import Floats32, TextEncoder
from eval.explanations.schema import LANGS
from retriever.errors import ModelError

SHIPPED = "sightline-mini"
KEPT = 512
"""Texts whose token vectors are kept, about 0.2 MB each."""
UNKNOWN = 0.2
"""A tokenizer that knows less than the rest of a plain sentence does not read its language."""
_PROBES = {
    "en": "Description and tile agree on the cafe to the north and the pharmacy.",
    "zh": "描述与图块一致：北侧的咖啡馆和药店。因此两者很可能是同一地点。",
}


class Tower:
    """A dual encoder's text tower: trained to find tiles, not to compare sentences; its name says so in the report."""

    def __init__(self, name: str, languages: Sequence[str] = ()) -> None:
        from retriever.encoder import Encoder

        self._encoder = Encoder.load(name)
        self.name = f"text tower of {name}"
        # Of other towers nothing says what they read; most are English.
        self.languages = frozenset(languages or (LANGS if name == SHIPPED else ("en",)))

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
    """A sentence-transformers model from a folder; nothing is fetched.

    ``languages``: what it reads; else what its model card says. Raises ``ModelError`` where the folder cannot be
    loaded, where nobody says what it reads, and where its tokenizer does not know the language it is said to read.
    """

    def __init__(self, folder: Path, languages: Sequence[str] = ()) -> None:
        self._model = _load(folder)
        self._tokenizer: Any = self._model.tokenizer
        # Every system is compared with the same references.
        self._vectors: dict[str, Floats32] = {}
        self._kept = lru_cache(maxsize=KEPT)(self._tokens)
        self.languages = frozenset(languages or card_languages(folder))
        if not self.languages & set(LANGS):
            raise ModelError(
                f"the model card of {folder} names none of {', '.join(LANGS)}; say what it reads with "
                "--encoder-languages"
            )
        for lang in sorted(self.languages & set(LANGS)):
            if (share := self.unknown(_PROBES[lang])) > UNKNOWN:
                raise ModelError(f"{folder} does not read {lang}: {100 * share:.0f} % of a plain sentence is unknown")
        self.name = f"{_title(folder)} (sentence-transformers, weights sha256 {weights_hash(folder)[:12]})"

    def unknown(self, text: str) -> float:
        """Share of a text's tokens that the tokenizer does not know."""
        ids = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return float(np.mean([i == self._tokenizer.unk_token_id for i in ids] or [0.0]))

    def sentences(self, texts: Sequence[str]) -> Floats32:
        new = [t for t in dict.fromkeys(texts) if t not in self._vectors]
        if new:
            rows = self._model.encode(new, normalize_embeddings=True, show_progress_bar=False)
            self._vectors |= dict(zip(new, np.asarray(rows, np.float32), strict=True))
        return np.stack([self._vectors[t] for t in texts])

    def tokens(self, text: str) -> Floats32:
        """Without the marks of beginning and end, as BERTScore counts them: they would match in any two texts."""
        return self._kept(text)

    def _tokens(self, text: str) -> Floats32:
        rows = self._model.encode([text], output_value="token_embeddings", show_progress_bar=False)[0]
        rows = np.asarray(rows.cpu(), np.float32)
        ids = self._tokenizer(text, truncation=True, max_length=len(rows))["input_ids"]
        marks = {self._tokenizer.cls_token_id, self._tokenizer.sep_token_id, self._tokenizer.pad_token_id}
        return _unit(rows[[i not in marks for i in ids]])


def _load(folder: Path) -> Any:
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    logging.disable_progress_bar()
    if not (folder / "modules.json").is_file():
        raise ModelError(f"{folder} is no folder of a sentence-transformers model: it has no modules.json")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    except Exception as error:
        raise ModelError(f"the sentence encoder in {folder} cannot be loaded ({error}); copy it again") from error


def card_languages(folder: Path) -> tuple[str, ...]:
    """What the model card (``README.md``, YAML between ``---``) names of our languages; empty where it names none."""
    try:
        _, head, _ = (folder / "README.md").read_text(encoding="utf-8").split("---", 2)
        named = (yaml.safe_load(head) or {}).get("language") or ()
    except (OSError, ValueError, AttributeError, yaml.YAMLError):
        return ()
    codes = {str(code).lower() for code in ([named] if isinstance(named, str) else named)}
    return tuple(lang for lang in LANGS if lang in codes or "multilingual" in codes)


def weights_hash(folder: Path) -> str:
    """SHA-256 of the folder's weight file; of several, that of their hashes in the order of their names."""
    found = []
    for path in sorted([*folder.rglob("*.safetensors"), *folder.rglob("*.bin")]):
        with path.open("rb") as file:
            found.append(hashlib.file_digest(file, "sha256"))
    return found[0].hexdigest() if len(found) == 1 else hashlib.sha256(b"".join(d.digest() for d in found)).hexdigest()


def _title(folder: Path) -> str:
    """The model's own name where its folder is only called ``model``."""
    try:
        text = (folder / "README.md").read_text(encoding="utf-8")
        return next(line[2:].strip() for line in text.splitlines() if line.startswith("# "))
    except (OSError, UnicodeDecodeError, StopIteration):
        return folder.resolve().name


def _unit(rows: Floats32) -> Floats32:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9), np.float32)


def open_encoder(name: str, languages: Sequence[str] = ()) -> TextEncoder:
    """``sightline-mini``, an open_clip name or bundle, or a sentence-transformers folder (``st:FOLDER``, or any that
    has a ``modules.json``). ``languages``: what it reads, where its card does not say."""
    if unheard := sorted(set(languages) - set(LANGS)):
        raise ModelError(f"{', '.join(unheard)} is none of the languages that are scored: {', '.join(LANGS)}")
    if name.startswith("st:") or (Path(name) / "modules.json").is_file():
        return Sentence(Path(name.removeprefix("st:")), languages)
    return Tower(name, languages)
