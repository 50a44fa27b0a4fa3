"""The vector index: FAISS in files, tied to one encoder and one gallery."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retriever.errors import IndexMismatch
from retriever.index_approximate import CODES, Approximate
from retriever.index_plan import EXACT, Plan, choose
from retriever.index_store import MOMENTS, STORE
from retriever.models import write_atomic

VECTORS, SIDECAR = "vectors.faiss", "index.json"
Floats = NDArray[np.float32]
Rows = NDArray[np.int64]


class VectorIndex:
    """Inner products of unit vectors. Row i is tile i of the gallery's ``ids``.

    Small galleries are searched exactly, large ones by codes with rescoring (``retriever.index_plan``).
    """

    def __init__(self, index: Any, sidecar: Mapping[str, Any]) -> None:
        """``index``: a flat FAISS index, or an :class:`Approximate`."""
        self._index = index
        self._lock = threading.Lock()
        self._matrix: Floats | None = None
        self._filled: NDArray[np.bool_] | None = None
        self.sidecar = dict(sidecar)

    @classmethod
    def build(
        cls,
        vectors: Floats,
        *,
        encoder: str,
        gallery: str,
        skipped: Mapping[str, str] | None = None,
        plan: Plan | None = None,
    ) -> VectorIndex:
        """An index of ``vectors`` [N, D].

        ``encoder`` and ``gallery`` are what later queries must bring: ``Encoder.id`` and ``Gallery.sha256``.
        ``skipped`` tells by tile id why a tile has no vector; such rows hold NaN or zeros here and are never found.
        ``plan``: none leaves the choice to the number of tiles.
        """
        vectors = np.nan_to_num(np.ascontiguousarray(vectors, np.float32))
        plan = plan or choose(*vectors.shape)
        index = _flat(vectors) if plan.exact else Approximate.build(vectors, plan)
        sidecar = {
            "encoder": encoder,
            "gallery": gallery,
            "factory": plan.factory,
            "tiles": len(vectors),
            "dim": int(vectors.shape[1]),
            "skipped": dict(skipped or {}),
        }
        return cls(index, sidecar if plan.exact else {**sidecar, "effort": plan.effort, "depth": plan.depth})

    def save(self, folder: Path) -> None:
        """Write the files; the sidecar comes last, so that a folder with one is whole."""
        import faiss

        folder.mkdir(parents=True, exist_ok=True)
        (folder / SIDECAR).unlink(missing_ok=True)
        if isinstance(self._index, Approximate):
            (folder / VECTORS).unlink(missing_ok=True)
            self._index.save(folder)
        else:
            for name in (CODES, STORE, MOMENTS):
                (folder / name).unlink(missing_ok=True)
            write_atomic(folder / VECTORS, faiss.serialize_index(self._index).tobytes())
        write_atomic(folder / SIDECAR, json.dumps(self.sidecar, indent=2).encode())

    @classmethod
    def load(cls, folder: Path, *, encoder: str, gallery: str) -> VectorIndex:
        """Raises ``IndexMismatch`` where there is no whole index or it belongs to another encoder or gallery."""
        sidecar = read_sidecar(folder)
        for what, mine in (("encoder", encoder), ("gallery", gallery)):
            if sidecar[what] != mine:
                raise IndexMismatch(
                    f"the index {folder} was made with another {what} ({str(sidecar[what])[:12]}, not {mine[:12]}): "
                    "run `sightline index` again"
                )
        index = cls(_read(folder, sidecar), sidecar)
        if (len(index), index.dim) != (sidecar["tiles"], sidecar["dim"]):
            raise IndexMismatch(f"the vectors of {folder} do not fit its {SIDECAR}: run `sightline index` again")
        return index

    def __len__(self) -> int:
        return len(self._index.store) if isinstance(self._index, Approximate) else int(self._index.ntotal)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self._index.store.half.d if isinstance(self._index, Approximate) else self._index.d)

    @property
    def approximate(self) -> Approximate | None:
        """What a large gallery is searched by; None where the index is exact."""
        return self._index if isinstance(self._index, Approximate) else None

    def search(self, queries: Floats, k: int, *, rows: NDArray[np.bool_] | None = None) -> tuple[Rows, Floats]:
        """Rows int64 [Q, k] and scores float32 [Q, k], best first; -1 and -inf where fewer than ``k`` are allowed.

        ``rows`` bool [N] is applied before ranking. Ties go by row, so by tile id. Skipped tiles are never found.
        """
        self._check_width(queries)
        allowed = rows
        if self.sidecar.get("skipped"):
            allowed = self._known() if rows is None else rows & self._known()
        if isinstance(self._index, Approximate):
            found, scores = self._index.search(queries, k, allowed=allowed)
        else:
            found, scores = _search_flat(self._index, queries, k, allowed)
        scores = np.where(found < 0, -np.inf, scores).astype(np.float32)
        order = np.lexsort((np.where(found < 0, np.iinfo(np.int64).max, found), -scores), axis=-1)
        return np.take_along_axis(found, order, -1), np.take_along_axis(scores, order, -1)

    def scores(self, queries: Floats) -> Floats:
        """Inner products with every row: float32 [Q, N]; -inf for tiles that were skipped (zero vectors).

        Exact whatever the index; of an approximate one the whole store is read.
        """
        self._check_width(queries)
        if isinstance(self._index, Approximate):
            return self._index.store.products(np.asarray(queries, np.float32))
        matrix = self._rows()
        products: Floats = np.asarray(queries, np.float32) @ matrix.T
        products[:, ~matrix.any(axis=1)] = -np.inf
        return products

    def vectors(self) -> Floats:
        """Every row: float32 [N, D], zeros for skipped tiles."""
        if isinstance(self._index, Approximate):
            return np.concatenate([part for _, part in self._index.store.chunks()])
        return self._rows()

    def _rows(self) -> Floats:
        with self._lock:
            if self._matrix is None:
                self._matrix = self._index.reconstruct_n(0, len(self))
        return self._matrix

    def _known(self) -> NDArray[np.bool_]:
        """bool [N]: tiles with a vector."""
        if self._filled is None:
            approximate = self.approximate
            parts = [self._rows()] if approximate is None else [part for _, part in approximate.store.chunks()]
            self._filled = np.concatenate([part.any(axis=1) for part in parts])
        return self._filled

    def _check_width(self, queries: Floats) -> None:
        if queries.ndim != 2 or queries.shape[1] != self.dim:
            raise IndexMismatch(
                f"queries of {queries.shape[-1]} numbers do not fit an index of {self.dim}: use the same encoder"
            )


def _flat(vectors: Floats) -> Any:
    import faiss

    index = faiss.index_factory(vectors.shape[1], EXACT, faiss.METRIC_INNER_PRODUCT)
    index.add(vectors)
    return index


def _search_flat(index: Any, queries: Floats, k: int, rows: NDArray[np.bool_] | None) -> tuple[Rows, Floats]:
    import faiss

    queries = np.ascontiguousarray(queries, np.float32)
    if rows is None:
        scores, found = index.search(queries, k)
    else:
        only: Any = faiss.SearchParameters
        scores, found = index.search(queries, k, params=only(sel=faiss.IDSelectorBatch(np.flatnonzero(rows))))
    return found, scores


def _read(folder: Path, sidecar: Mapping[str, Any]) -> Any:
    import faiss

    if sidecar.get("factory", EXACT) != EXACT:
        plan = Plan(factory=sidecar["factory"], effort=sidecar.get("effort", 1), depth=sidecar.get("depth", 0))
        return Approximate.load(folder, plan)
    try:
        return faiss.read_index(str(folder / VECTORS))
    except RuntimeError as error:
        raise IndexMismatch(f"{folder / VECTORS} is missing or damaged: run `sightline index` again") from error


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
