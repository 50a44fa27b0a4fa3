"""Full vectors in 16 bits, in a file that is mapped and not read: what an approximate search is rescored from."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retriever.errors import IndexMismatch
from retriever.models import write_atomic

STORE, MOMENTS = "vectors.f16.faiss", "moments.npy"
CHUNK = 16_384
Floats = NDArray[np.float32]
Rows = NDArray[np.int64]


class Store:
    """Unit vectors [N, D] in 16 bits with their mean and covariance; rows of zeros stand for skipped tiles."""

    def __init__(self, half: Any, moments: NDArray[np.float64]) -> None:
        self.half = half
        self._moments = moments

    @classmethod
    def of(cls, vectors: Floats) -> Store:
        """A store of float32 [N, D], in memory."""
        import faiss

        half: Any = faiss.IndexScalarQuantizer(
            vectors.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
        )
        half.add(vectors)
        return cls(half, moments_of(vectors))

    def save(self, folder: Path) -> None:
        import faiss

        write_atomic(folder / STORE, faiss.serialize_index(self.half).tobytes())
        with (folder / MOMENTS).open("wb") as f:
            np.save(f, self._moments)

    @classmethod
    def load(cls, folder: Path) -> Store:
        """The vectors stay on the disk until they are asked for. Raises ``IndexMismatch`` where a file is damaged."""
        import faiss

        try:
            half: Any = faiss.read_index(str(folder / STORE), faiss.IO_FLAG_MMAP_IFC)
            moments = np.load(folder / MOMENTS, allow_pickle=False)
            if moments.shape != (half.d + 1, half.d) or half.ntotal * half.code_size != half.codes.size():
                raise ValueError("the files do not fit each other")
        except (RuntimeError, OSError, ValueError, EOFError) as error:
            raise IndexMismatch(
                f"{folder / STORE} or {MOMENTS} beside it is missing or damaged: run `sightline index` again"
            ) from error
        return cls(half, moments)

    def __len__(self) -> int:
        return int(self.half.ntotal)

    def chunks(self) -> Iterator[tuple[int, Floats]]:
        """First row and float32 [n, D] of every part of the store, in order."""
        for start in range(0, len(self), CHUNK):
            yield start, self.half.reconstruct_n(start, min(CHUNK, len(self) - start))

    def products(self, queries: Floats) -> Floats:
        """Inner products with every row: float32 [Q, N]; -inf for rows of zeros."""
        out = np.empty((len(queries), len(self)), np.float32)
        for start, part in self.chunks():
            out[:, start : start + len(part)] = queries @ part.T
            out[:, start : start + len(part)][:, ~part.any(axis=1)] = -np.inf
        return out

    def some(self, query: Floats, rows: Rows) -> Floats:
        """Inner products float32 [R] of one query [D] with ``rows`` int64 [R]; -inf for rows of zeros."""
        if not len(rows):
            return np.zeros(0, np.float32)
        part: Floats = self.half.reconstruct_batch(np.ascontiguousarray(rows, np.int64))
        found: Floats = part @ np.asarray(query, np.float32)
        found[~part.any(axis=1)] = -np.inf
        return found

    def spread(self, query: Floats) -> tuple[float, float]:
        """Mean and standard deviation of a query's products with all rows that are not zero."""
        q = np.asarray(query, np.float64)
        variance = float(q @ self._moments[1:] @ q)
        return float(self._moments[0] @ q), math.sqrt(max(variance, 0.0))


def moments_of(vectors: Floats) -> NDArray[np.float64]:
    """Mean, then covariance of the rows that are not zero: float64 [D + 1, D]."""
    total, squares, count = np.zeros(vectors.shape[1]), np.zeros((vectors.shape[1],) * 2), 0
    for start in range(0, len(vectors), CHUNK):
        part = np.asarray(vectors[start : start + CHUNK], np.float64)
        total, squares = total + part.sum(axis=0), squares + part.T @ part
        count += int(part.any(axis=1).sum())
    mean = total / max(count, 1)
    return np.vstack([mean, squares / max(count, 1) - np.outer(mean, mean)])
