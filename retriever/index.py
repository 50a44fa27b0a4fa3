"""The vector index: FAISS in a file, tied to one encoder and one gallery."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retriever.errors import IndexMismatch
from retriever.models import write_atomic

VECTORS, SIDECAR = "vectors.faiss", "index.json"
Floats = NDArray[np.float32]
Rows = NDArray[np.int64]


class VectorIndex:
    """Inner products of unit vectors, exact by default. Row i is tile i of the gallery's ``ids``."""

    def __init__(self, index: Any, sidecar: Mapping[str, Any]) -> None:
        self._index = index
        self._lock = threading.Lock()
        self._matrix: Floats | None = None
        self.sidecar = dict(sidecar)

    @classmethod
    def build(
        cls,
        vectors: Floats,
        *,
        encoder: str,
        gallery: str,
        skipped: Mapping[str, str] | None = None,
        factory: str = "Flat",
    ) -> VectorIndex:
        """An index of ``vectors`` [N, D].

        ``encoder`` and ``gallery`` are what later queries must bring: ``Encoder.id`` and ``Gallery.sha256``.
        ``skipped`` tells by tile id why a tile has no vector; such rows hold NaN or zeros here and are never found.
        ``factory`` is a FAISS index description.
        """
        import faiss

        vectors = np.nan_to_num(np.ascontiguousarray(vectors, np.float32))
        index = faiss.index_factory(vectors.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
        if not index.is_trained:
            index.train(vectors)
        index.add(vectors)
        sidecar = {
            "encoder": encoder,
            "gallery": gallery,
            "factory": factory,
            "tiles": len(vectors),
            "dim": int(vectors.shape[1]),
            "skipped": dict(skipped or {}),
        }
        return cls(index, sidecar)

    def save(self, folder: Path) -> None:
        """Write both files; the sidecar comes last, so that a folder with one is whole."""
        import faiss

        folder.mkdir(parents=True, exist_ok=True)
        (folder / SIDECAR).unlink(missing_ok=True)
        write_atomic(folder / VECTORS, faiss.serialize_index(self._index).tobytes())
        write_atomic(folder / SIDECAR, json.dumps(self.sidecar, indent=2).encode())

    @classmethod
    def load(cls, folder: Path, *, encoder: str, gallery: str) -> VectorIndex:
        """Raises ``IndexMismatch`` where there is no whole index or it belongs to another encoder or gallery."""
        import faiss

        sidecar = read_sidecar(folder)
        for what, mine in (("encoder", encoder), ("gallery", gallery)):
            if sidecar[what] != mine:
                raise IndexMismatch(
                    f"the index {folder} was made with another {what} ({str(sidecar[what])[:12]}, not {mine[:12]}): "
                    "run `sightline index` again"
                )
        try:
            index = faiss.read_index(str(folder / VECTORS))
        except RuntimeError as error:
            raise IndexMismatch(f"{folder / VECTORS} is missing or damaged: run `sightline index` again") from error
        if (index.ntotal, index.d) != (sidecar["tiles"], sidecar["dim"]):
            raise IndexMismatch(f"{folder / VECTORS} does not fit its {SIDECAR}: run `sightline index` again")
        return cls(index, sidecar)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def search(self, queries: Floats, k: int, *, rows: NDArray[np.bool_] | None = None) -> tuple[Rows, Floats]:
        """Rows int64 [Q, k] and scores float32 [Q, k], best first; -1 and -inf where fewer than ``k`` are allowed.

        ``rows`` bool [N] is applied before ranking. Ties go by row, so by tile id.
        """
        import faiss

        if queries.ndim != 2 or queries.shape[1] != self._index.d:
            raise IndexMismatch(
                f"queries of {queries.shape[-1]} numbers do not fit an index of {self._index.d}: use the same encoder"
            )
        allowed = None if rows is None else np.flatnonzero(rows)
        if allowed is None:
            scores, found = self._index.search(np.ascontiguousarray(queries, np.float32), k)
        else:
            only: Any = faiss.SearchParameters
            limit = only(sel=faiss.IDSelectorBatch(allowed))
            scores, found = self._index.search(np.ascontiguousarray(queries, np.float32), k, params=limit)
        scores = np.where(found < 0, -np.inf, scores).astype(np.float32)
        order = np.lexsort((np.where(found < 0, np.iinfo(np.int64).max, found), -scores), axis=-1)
        return np.take_along_axis(found, order, -1), np.take_along_axis(scores, order, -1)

    def scores(self, queries: Floats) -> Floats:
        """Inner products with every row: float32 [Q, N]; -inf for tiles that were skipped (zero vectors)."""
        with self._lock:
            if self._matrix is None:
                self._matrix = self._index.reconstruct_n(0, len(self))
        products: Floats = np.asarray(queries, np.float32) @ self._matrix.T
        products[:, ~self._matrix.any(axis=1)] = -np.inf
        return products


def read_sidecar(folder: Path) -> dict[str, Any]:
    """What an index says about itself. Raises ``IndexMismatch`` where there is none."""
    path = folder / SIDECAR
    try:
        sidecar: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        complete = {"encoder", "gallery", "tiles", "dim"} <= set(sidecar)
    except OSError as error:
        raise IndexMismatch(f"there is no index at {folder}: run `sightline index` on its gallery") from error
    except (ValueError, TypeError) as error:
        raise IndexMismatch(f"{path} is damaged: run `sightline index` again") from error
    if not complete:
        raise IndexMismatch(f"{path} is damaged: run `sightline index` again")
    return sidecar
