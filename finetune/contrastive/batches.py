"""From rows of a batch to the two sides of a step: tokens cut to their length, pixels, the vectors of frozen towers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from finetune.contrastive.cached import Side
from finetune.contrastive.model import Dual
from finetune.contrastive.pictures import Pictures
from finetune.contrastive.sources import Pairs

Rows = NDArray[np.int64]
WHOLE = 1 << 30


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Rows that one tower encodes together."""

    kind: str
    """``text`` or ``image``."""
    rows: Rows
    """Of the queries for texts, of :class:`Pictures` for images."""
    data: torch.Tensor
    """Ids int64 [b, L] or pixels uint8 [b, 3, S, S]; empty where a frozen tower's vectors are known."""

    def __len__(self) -> int:
        return len(self.rows)


class Reader:
    """Reads and encodes rows for a model: everything between the data and the loss."""

    def __init__(
        self, pairs: Pairs, pictures: Pictures, dual: Dual, *, device: torch.device, bf16: bool, piece: int | None
    ) -> None:
        self.pairs, self.pictures, self.dual = pairs, pictures, dual
        self.device, self.bf16, self.piece = device, bf16, piece or WHOLE
        self.ids = _tokenise(pairs, dual)
        self.cut = sum(len(i) >= dual.tokenizer.context_length for i in self.ids.values())
        """Texts that fill the context, so that their ends may be missing."""
        self.learns = {"text": dual.learns("text"), "image": dual.learns("image")}
        self._known: dict[tuple[str, int], torch.Tensor] = {}
        self._ahead = ThreadPoolExecutor(1)

    def batches(
        self, batches: Iterator[Rows], share: Callable[[Rows], Rows]
    ) -> Iterator[tuple[Rows, tuple[Side, Side]]]:
        """Each whole batch of queries with the sides of this process's share; the next one is read meanwhile."""
        waiting: tuple[Rows, Future[tuple[Side, Side]]] | None = None
        for rows in batches:
            coming = rows, self._ahead.submit(self.sides, share(rows))
            if waiting is not None:
                yield waiting[0], waiting[1].result()
            waiting = coming
        if waiting is not None:
            yield waiting[0], waiting[1].result()

    def sides(self, rows: Rows) -> tuple[Side, Side]:
        """Queries and their tiles."""
        return self.query_side(rows), self.tile_side(self.pairs.tile[rows])

    def query_side(self, rows: Rows) -> Side:
        texts = np.flatnonzero(self.pairs.view[rows] == "text")
        seen = np.flatnonzero(self.pairs.view[rows] != "text")
        # Texts of like length go together: a piece is as long as its longest.
        texts = texts[np.argsort([len(self.ids[int(r)]) for r in rows[texts]], kind="stable")]
        pieces = [self._text(rows[part]) for part in _split(texts, self.piece)]
        pieces += [self._image(self.pictures.tiles + rows[part]) for part in _split(seen, self.piece)]
        return self._side(pieces, np.concatenate([texts, seen]))

    def tile_side(self, tiles: Rows) -> Side:
        return self._side([self._image(part) for part in _split(tiles, self.piece)], np.arange(len(tiles)))

    def vectors(self, side: Side) -> torch.Tensor:
        """Unit vectors [B, D] of a side, float32, without a graph."""
        # Not in inference mode: the vectors of frozen towers are kept, and used in training.
        with torch.no_grad():
            return F.normalize(side.features().float(), dim=-1)

    def _side(self, pieces: list[Piece], placed: Rows) -> Side:
        order = torch.from_numpy(np.argsort(placed))
        return Side(pieces=pieces, encode=self.encode, order=order, learns=[self.learns[p.kind] for p in pieces])

    def encode(self, piece: Piece) -> torch.Tensor:
        """A piece to features [b, D]. A frozen tower runs once for each row; its vectors are kept."""
        if self.learns[piece.kind]:
            return self._run(piece)
        if piece.data.numel():
            with torch.no_grad():
                made = self._run(piece).float().cpu()
            self._known.update({(piece.kind, int(r)): v for r, v in zip(piece.rows, made, strict=True)})
        return torch.stack([self._known[piece.kind, int(r)] for r in piece.rows]).to(self.device)

    def _run(self, piece: Piece) -> torch.Tensor:
        data = piece.data.to(self.device, non_blocking=True)
        with torch.autocast(self.device.type, dtype=torch.bfloat16) if self.bf16 else nullcontext():
            return self.dual.texts(data) if piece.kind == "text" else self.dual.pictures(data)

    def _text(self, rows: Rows) -> Piece:
        if self._all_known("text", rows):
            return Piece(kind="text", rows=rows, data=torch.zeros(0))
        found = [self.ids[int(r)] for r in rows]
        # Attention is causal where texts are trimmed, so what stands behind the end token does not matter.
        out = np.zeros((len(rows), max(map(len, found))), np.int64)
        for i, ids in enumerate(found):
            out[i, : len(ids)] = ids
        return Piece(kind="text", rows=rows, data=torch.from_numpy(out))

    def _image(self, rows: Rows) -> Piece:
        known = self._all_known("image", rows)
        return Piece(kind="image", rows=rows, data=torch.zeros(0) if known else self.pictures.get(rows))

    def _all_known(self, kind: str, rows: Rows) -> bool:
        return not self.learns[kind] and all((kind, int(r)) in self._known for r in rows)


def _split(rows: Rows, size: int) -> list[Rows]:
    return [rows[i : i + size] for i in range(0, len(rows), size)]


def _tokenise(pairs: Pairs, dual: Dual) -> dict[int, NDArray[np.int32]]:
    """Ids of every text, once."""
    found: dict[int, NDArray[np.int32]] = {}
    rows = [i for i, q in enumerate(pairs.queries) if q.text is not None]
    for row in rows:
        # One by one, so that each is trimmed to its own length where the model allows.
        found[row] = dual.tokenizer([pairs.queries[row].text or ""]).ids[0].numpy().astype(np.int32)
    return found


Progress = Callable[[str, int, int, float], None]
"""Phase, step of the run, steps of the run, loss."""
