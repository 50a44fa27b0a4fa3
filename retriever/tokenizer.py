"""Text to token ids for the dual encoder, with a count of what did not fit: truncation is reported, never silent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

PAD, START, END = "<pad>", "<start>", "<end>"
"""Special tokens of our own tokenizers, with the ids 0, 1 and 2."""


@dataclass(frozen=True, kw_only=True)
class Tokens:
    ids: torch.Tensor
    """int64 [B, L], padded on the right; L is the longest text of the batch."""
    texts_cut: int
    """How many of the B texts were longer than the context."""
    tokens_cut: int
    """How many tokens were dropped from them together."""


class TextTokenizer(Protocol):
    context_length: int

    def __call__(self, texts: Sequence[str]) -> Tokens: ...


class OwnTokenizer:
    """A `tokenizers` file with start and end tokens round each text."""

    def __init__(self, tokenizer: Any, context_length: int) -> None:
        self.context_length = context_length
        self._tokenizer = tokenizer
        self._pad, self._start, self._end = (tokenizer.token_to_id(t) for t in (PAD, START, END))

    def __call__(self, texts: Sequence[str]) -> Tokens:
        """Encode a batch; what is too long loses its tail and keeps its end token."""
        room = self.context_length - 2
        # Special tokens written out in a text would end it early, so its angle brackets are set apart.
        rows = [e.ids for e in self._tokenizer.encode_batch([_defuse(t) for t in texts], add_special_tokens=False)]
        over = [max(0, len(row) - room) for row in rows]
        framed = [[self._start, *row[:room], self._end] for row in rows]
        return Tokens(ids=_padded(framed, self._pad), texts_cut=sum(n > 0 for n in over), tokens_cut=sum(over))

    def spans(self, text: str) -> tuple[str, list[tuple[int, int]]]:
        """The text as it is read, and which characters of it each id stands for: (0, 0) for the special tokens."""
        read = _defuse(text)
        found = self._tokenizer.encode(read, add_special_tokens=False).offsets[: self.context_length - 2]
        return read, [(0, 0), *found, (0, 0)]


class OpenClipTokenizer:
    """Any tokenizer of open_clip: ``call(list of texts, context_length) -> int64 [B, context_length]``."""

    def __init__(self, call: Callable[..., torch.Tensor], context_length: int, *, trim: bool) -> None:
        self.context_length = context_length
        self.call = call
        self._trim = trim
        """Whether pads may be dropped: not where the model reads a fixed length or its last position."""
        self._pad = int(call([""], 16)[0, -1])

    def __call__(self, texts: Sequence[str]) -> Tokens:
        """Encode a batch, trimmed to its longest text where the model allows."""
        lengths = [self._length(t) for t in texts]
        over = [max(0, n - self.context_length) for n in lengths]
        ids = self.call(list(texts), self.context_length)
        if self._trim:
            ids = ids[:, : max(1, min(self.context_length, max(lengths, default=1)))]
        return Tokens(ids=ids, texts_cut=sum(n > 0 for n in over), tokens_cut=sum(over))

    def _length(self, text: str) -> int:
        # No tokenizer makes more tokens than there are UTF-8 bytes, plus start, end and a possible leading blank.
        row = self.call([text], max(16, len(text.encode()) + 8))[0]
        kept = (row != self._pad).nonzero()
        return int(kept[-1]) + 1 if len(kept) else 1


def _defuse(text: str) -> str:
    for token in (PAD, START, END):
        text = text.replace(token, f"< {token[1:]}")
    return text


def _padded(rows: Sequence[Sequence[int]], pad: int) -> torch.Tensor:
    longest = max((len(row) for row in rows), default=1)
    out = torch.full((len(rows), longest), pad, dtype=torch.int64)
    for i, row in enumerate(rows):
        out[i, : len(row)] = torch.tensor(row, dtype=torch.int64)
    return out
