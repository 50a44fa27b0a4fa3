"""One kind of index at one size: build time, bytes a tile, recall@10 against exact search, queries a second."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from benchmarks.search_vectors import Made
from retriever.index_approximate import Approximate, parameters
from retriever.index_plan import Plan, lists

K = 10
Rows = NDArray[np.int64]
Search = Callable[[Any], Any]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A FAISS description, with ``{d}`` for the dimension and ``{n}`` for the number of lists, and what to try."""

    factory: str
    efforts: tuple[int, ...] = (0,)
    depths: tuple[int, ...] = (0,)

    def named(self, count: int, dim: int) -> str:
        return self.factory.format(d=dim, n=lists(count))


PROBES = (8, 16, 32, 64, 128)
KINDS = {
    "exact": Kind(factory="Flat"),
    "exact, 16 bits": Kind(factory="SQfp16"),
    "HNSW": Kind(factory="HNSW32", efforts=(32, 64, 128, 256, 512)),
    "IVF-PQ": Kind(factory="RR{d},IVF{n},PQ32", efforts=PROBES, depths=(100, 400)),
    "IVF-PQ, 4 bits": Kind(factory="RR{d},IVF{n},PQ64x4fs", efforts=PROBES, depths=(100, 400)),
    "IVF-RaBitQ": Kind(factory="RR{d},IVF{n},RaBitQ", efforts=PROBES, depths=(100, 400)),
    "IVF-RaBitQ, fast scan": Kind(factory="RR{d},IVF{n},RaBitQfs", efforts=PROBES, depths=(100, 400)),
}


def measure(kind: Kind, made: Made, truth: dict[str, Rows], exact: Any, threads: Sequence[int]) -> dict[str, Any]:
    """All points of a kind; the exact index is timed again beside each of them, so that ratios are of one moment."""
    dim = made.vectors.shape[1]
    faiss.omp_set_num_threads(max(threads))
    began = time.perf_counter()
    plan = Plan(factory=kind.named(len(made.vectors), dim))
    index = Approximate.build(made.vectors, plan)
    built = time.perf_counter() - began
    size = len(faiss.serialize_index(index.codes)) / len(made.vectors)
    points = list(_points(kind, index, made, truth, exact, threads))
    return {
        "factory": plan.factory, "build_s": built, "build_threads": max(threads), "bytes_per_tile": size,
        "store_bytes_per_tile": 2 * dim if max(kind.depths) else 0, "points": points,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }  # fmt: skip


def _points(
    kind: Kind, index: Approximate, made: Made, truth: dict[str, Rows], exact: Any, threads: Sequence[int]
) -> Iterator[dict[str, Any]]:
    for effort in kind.efforts:
        for depth in kind.depths:
            way = Approximate(index.codes, index.store, Plan(factory=index.plan.factory, effort=effort, depth=depth))
            point: dict[str, Any] = {"effort": effort, "depth": depth}
            rows, _ = way.among(made.queries, K, None, effort=effort)
            point["recall"] = {"none": recall(rows, truth["none"])}
            for name, allowed in made.limits.items():
                rows, _ = way.search(made.queries, K, allowed=allowed)
                point["recall"][name] = recall(rows, truth[name])
                # The same effort as without a limit shows what the shipped rule for limits is there for.
                rows, _ = way.among(made.queries, K, bitmap(allowed), effort=effort)
                point["recall"][f"{name}, by a selector alone"] = recall(rows, truth[name])
            point["speed"] = {str(n): speeds(way, made, exact, n) for n in threads}
            yield point


def exactly(exact: Any, made: Made) -> dict[str, Rows]:
    """The true best rows [Q, K], by limit."""
    found = {"none": exact.search(made.queries, K)[1]}
    for name, allowed in made.limits.items():
        found[name] = exact.search(made.queries, K, params=parameters(exact, 0, bitmap(allowed)))[1]
    return found


def bitmap(allowed: NDArray[np.bool_]) -> Any:
    made: Any = faiss.IDSelectorBitmap
    return made(np.packbits(allowed, bitorder="little"))


def recall(found: Rows, right: Rows) -> float:
    """Part of the true best that was found, mean over queries; where a limit allows fewer than K, part of those."""
    parts = [len(set(f) & set(r[r >= 0])) / max(1, int((r >= 0).sum())) for f, r in zip(found, right, strict=True)]
    return float(np.mean(parts))


def speeds(way: Approximate, made: Made, exact: Any, threads: int) -> dict[str, float]:
    """Queries a second, all in one call and one by one, of this search and of the exact one in turn.

    The least of three rounds counts: other programs only ever make a round slower.
    """
    faiss.omp_set_num_threads(threads)
    effort, queries = way.plan.effort, made.queries
    limit = made.limits["10%"]
    few, limited = max(2, min(20, 2_000_000 // len(made.vectors))), parameters(exact, 0, bitmap(limit))
    runs: dict[str, tuple[Callable[[Any], Any], Any, int]] = {
        "exact, batch": (lambda q: exact.search(q, K), queries[:100], 1),
        "exact, single": (lambda q: exact.search(q, K), queries[:few], few),
        "exact, single, 10%": (lambda q: exact.search(q, K, params=limited), queries[:few], few),
        "batch": (lambda q: way.among(q, K, None, effort=effort), queries, 1),
        "single": (lambda q: way.among(q, K, None, effort=effort), queries[:100], 100),
        "single, 10%": (lambda q: way.search(q, K, allowed=limit), queries[:100], 100),
    }
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(3):
        for name, (search, asked, calls) in runs.items():
            began = time.perf_counter()
            for part in np.array_split(asked, calls):
                search(part)
            best[name] = min(best[name], (time.perf_counter() - began) / len(asked))
    return {name: 1 / seconds for name, seconds in best.items()}
