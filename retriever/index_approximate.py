"""Search by short codes, rescored from full vectors: for galleries that are too large to be compared tile by tile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retriever.errors import IndexMismatch
from retriever.index_plan import Plan
from retriever.index_store import Store
from retriever.models import write_atomic

CODES = "codes.faiss"
TRAINED_ON = 64
"""Vectors that train each centre of the inverted lists, at most."""
LEAST_TRAINED = 10_240
"""Vectors that train the codes themselves, where there are so many."""
ALLOWED_EXACTLY = 50_000
"""Up to so many allowed rows are compared one by one: an inverted list then holds too few of them to be found."""
Floats = NDArray[np.float32]
Rows = NDArray[np.int64]


class Approximate:
    """An index of codes over a :class:`Store`, both by gallery row."""

    def __init__(self, codes: Any, store: Store, plan: Plan) -> None:
        self.codes, self.store, self.plan = codes, store, plan

    @classmethod
    def build(cls, vectors: Floats, plan: Plan, *, store: Store | None = None) -> Approximate:
        """Codes and store of float32 [N, D]. The same vectors give the same index."""
        import faiss

        codes = faiss.index_factory(vectors.shape[1], plan.factory, faiss.METRIC_INNER_PRODUCT)
        if not codes.is_trained:
            codes.train(_sample(vectors, codes))
        codes.add(vectors)
        return cls(codes, store or Store.of(vectors), plan)

    def save(self, folder: Path) -> None:
        import faiss

        write_atomic(folder / CODES, faiss.serialize_index(self.codes).tobytes())
        self.store.save(folder)

    @classmethod
    def load(cls, folder: Path, plan: Plan) -> Approximate:
        """Raises ``IndexMismatch`` where a file is missing, damaged, or not of the others."""
        import faiss

        try:
            codes = faiss.read_index(str(folder / CODES))
        except RuntimeError as error:
            raise IndexMismatch(f"{folder / CODES} is missing or damaged: run `sightline index` again") from error
        store = Store.load(folder)
        if (codes.ntotal, codes.d) != (len(store), store.half.d):
            raise IndexMismatch(f"{folder / CODES} does not fit the vectors beside it: run `sightline index` again")
        return cls(codes, store, plan)

    def search(self, queries: Floats, k: int, *, allowed: NDArray[np.bool_] | None = None) -> tuple[Rows, Floats]:
        """Rows int64 [Q, k] and products float32 [Q, k] in no promised order among equals; -1 where there are fewer.

        A limit to few rows is searched exactly, and one to many with as many more lists as it leaves rows out.
        """
        import faiss

        queries = np.ascontiguousarray(queries, np.float32)
        if allowed is None:
            return self.among(queries, k, None, effort=self.plan.effort)
        bitmap: Any = faiss.IDSelectorBitmap
        selector = bitmap(np.packbits(allowed, bitorder="little"))
        count = int(allowed.sum())
        if count <= ALLOWED_EXACTLY:
            only: Any = faiss.SearchParameters
            scores, rows = self.store.half.search(queries, k, params=only(sel=selector))
            return rows, scores
        effort = int(np.ceil(self.plan.effort * len(allowed) / count))
        return self.among(queries, k, selector, effort=effort)

    def among(self, queries: Floats, k: int, selector: Any, *, effort: int) -> tuple[Rows, Floats]:
        """The search by codes itself; ``selector`` of FAISS or None."""
        import faiss

        found: Any = self.codes
        params = parameters(self.codes, effort, selector)
        if self.plan.depth:
            found = faiss.IndexRefine(self.codes, self.store.half)
            # The factor is a float: the next one up, so that no depth is cut by rounding.
            factor = float(np.nextafter(np.float32(max(self.plan.depth, k) / k), np.float32(np.inf)))
            refined: Any = faiss.IndexRefineSearchParameters
            params = refined(k_factor=factor, base_index_params=params)
        scores, rows = found.search(queries, k, params=params)
        return rows, scores


def parameters(index: Any, effort: int, selector: Any) -> Any:
    """What a search by ``index`` is told: effort and limit, in the form that its class wants."""
    import faiss

    kind: Any = faiss
    inner = faiss.downcast_index(index)
    if isinstance(inner, faiss.IndexPreTransform):
        return kind.SearchParametersPreTransform(index_params=parameters(inner.index, effort, selector))
    limit = {} if selector is None else {"sel": selector}
    if isinstance(inner, faiss.IndexHNSW):
        return kind.SearchParametersHNSW(efSearch=effort, **limit)
    if isinstance(inner, faiss.IndexIVF):
        return kind.SearchParametersIVF(nprobe=min(effort, inner.nlist), **limit)
    return kind.SearchParameters(**limit)


def _sample(vectors: Floats, codes: Any) -> Floats:
    """The vectors that an index is trained on: no zeros, drawn evenly, the same at every run."""
    import faiss

    centres = 0
    if "IVF" in type(faiss.downcast_index(codes)).__name__ or isinstance(codes, faiss.IndexPreTransform):
        centres = int(faiss.extract_index_ivf(codes).nlist)
    known = np.flatnonzero(vectors.any(axis=1))
    size = max(LEAST_TRAINED, TRAINED_ON * centres)
    if len(known) > size:
        known = np.sort(np.random.default_rng(0).choice(known, size, replace=False))
    return np.ascontiguousarray(vectors[known])
