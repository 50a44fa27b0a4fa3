"""From tokens to words: where each token stands in the text, and how much heat each word holds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retriever.errors import ModelError
from retriever.tokenizer import OpenClipTokenizer, OwnTokenizer

Span = tuple[int, int]
"""Of characters, the end excluded."""
_RUN = re.compile(r"[㐀-䶿一-鿿豈-﫿]+|[^\W_]+(?:['’-][^\W_]+)*")
_HAN = re.compile(r"[㐀-䶿一-鿿豈-﫿]")


@dataclass(frozen=True, kw_only=True)
class Word:
    text: str
    start: int
    """Of its first character in :attr:`retriever.heat.Heat.text`."""
    heat: float
    """Relevance of its tokens together, 0 or more."""
    read: bool = True
    """False: beyond the encoder's context."""


def words(text: str) -> list[Span]:
    """The words of a text: Chinese by jieba, others by letters and digits.

    >>> [("a café, 7-Eleven")[s:e] for s, e in words("a café, 7-Eleven")]
    ['a', 'café', '7-Eleven']
    """
    found: list[Span] = []
    for run in _RUN.finditer(text):
        found += _chinese(run.group(), run.start()) if _HAN.match(run.group()) else [run.span()]
    return found


def _chinese(text: str, offset: int) -> list[Span]:
    import logging

    import jieba

    jieba.setLogLevel(logging.WARNING)
    return [(offset + start, offset + end) for _, start, end in jieba.tokenize(text)]


def word_heat(text: str, spans: Sequence[Span], heat: NDArray[np.float32]) -> tuple[Word, ...]:
    """``heat[i]`` belongs to the characters ``spans[i]``; a token over two words gives each its share by length.

    Nothing is lost: the words hold all the heat but that of tokens that are no part of a word (punctuation).
    """
    per_char, seen = np.zeros(len(text)), np.zeros(len(text), bool)
    letters = np.zeros(len(text), bool)
    places = words(text)
    for start, end in places:
        letters[start:end] = True
    for (start, end), value in zip(spans, heat, strict=True):
        inside = np.flatnonzero(letters[start:end]) + start
        per_char[inside] += float(value) / max(len(inside), 1)
        seen[start:end] = True
    return tuple(
        Word(text=text[s:e], start=s, heat=float(per_char[s:e].sum()), read=bool(seen[s:e].all())) for s, e in places
    )


def token_spans(tokenizer: Any, text: str) -> tuple[str, list[Span]]:
    """The text as the tokenizer reads it, and where in it each position of its ids stands; (0, 0) for special tokens.

    Raises ``ModelError`` for a tokenizer that cannot tell.
    """
    if isinstance(tokenizer, OwnTokenizer):
        return tokenizer.spans(text)
    if isinstance(tokenizer, OpenClipTokenizer):
        call: Any = tokenizer.call
        if hasattr(call, "byte_decoder"):
            return _byte_pairs(call, text, tokenizer.context_length)
        inner: Any = getattr(call, "tokenizer", None)
        if getattr(inner, "is_fast", False):
            clean = call.clean_fn(text)
            told = inner(clean, return_offsets_mapping=True, truncation=True, max_length=tokenizer.context_length)
            return clean, [(int(s), int(e)) for s, e in told["offset_mapping"]]
    raise ModelError(f"the tokenizer {type(tokenizer).__name__} does not tell where its tokens stand in the text")


def _byte_pairs(call: Any, text: str, context: int) -> tuple[str, list[Span]]:
    """open_clip's own BPE: its tokens are the bytes of the cleaned text without blanks, in order."""
    clean = call.clean_fn(text)
    owner = [i for i, letter in enumerate(clean) if not letter.isspace() for _ in letter.encode()]
    spans, at = [(0, 0)], 0
    for token in call.encode(text):
        size = len(call.decoder[token].removesuffix("</w>"))
        spans.append((owner[at], owner[at + size - 1] + 1))
        at += size
    return clean, spans[: context - 1]
