"""How galleries of 10 thousand to a million tiles are searched best: the tables of ``docs/scale.md``.

    python -m benchmarks.search --out OUT --galleries GALLERY... --query-gallery GALLERY
        [--sizes 10000 100000 1000000] [--kinds exact HNSW ...] [--threads 1 2] [--queries 500] [--sigma 0.3]

Each kind at each size is a process of its own, whose result is kept in OUT/results/; a run that was cut goes on by the
same command. Recall@10 is against exact search in 32 bits over the same vectors. Speed is timed in turns with exact
search, the best of three rounds, in one call (batch) and query by query (single). How the vectors are made:
``benchmarks/search_vectors.py``. With a limit the shipped rule is measured: few allowed tiles are compared one by one,
of many more lists are looked into. What a selector alone gives at the same effort is in the JSON. faiss-gpu is measured
where this faiss has it and there is a GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from benchmarks.search_measure import KINDS, exactly, measure
from benchmarks.search_vectors import Recipe, embedded
from retriever.models import write_atomic


def one(recipe: Recipe, name: str, count: int, threads: list[int]) -> dict[str, Any]:
    """One kind at one size, in this process."""
    made = recipe.make(count)
    exact = faiss.IndexFlatIP(made.vectors.shape[1])
    exact.add(made.vectors)
    faiss.omp_set_num_threads(max(threads))
    truth = exactly(exact, made)
    allowed = {limit: int(rows.sum()) for limit, rows in made.limits.items()}
    found = measure(KINDS[name], made, truth, exact, threads)
    return {"kind": name, "tiles": count, "allowed": allowed, "load": os.getloadavg()[0], **found}


def on_gpu(recipe: Recipe, count: int) -> str:
    """Exact search on a GPU in a line, or why there is none."""
    gpus = faiss.get_num_gpus() if hasattr(faiss, "StandardGpuResources") else 0
    if not gpus:
        return f"faiss-gpu: skipped: faiss {faiss.__version__} here is built for CPUs or finds no GPU"
    import time

    made = recipe.make(count)
    index: Any = faiss
    flat = index.GpuIndexFlatIP(index.StandardGpuResources(), made.vectors.shape[1])
    flat.add(made.vectors)
    flat.search(made.queries, 10)
    began = time.perf_counter()
    flat.search(made.queries, 10)
    return f"faiss-gpu: exact, {count:,} tiles: {len(made.queries) / (time.perf_counter() - began):,.0f} queries/s"


def table(results: list[dict[str, Any]], threads: list[int]) -> str:
    """Markdown: a line for each point, with its speed over exact search."""
    heads = ["tiles", "kind", "effort", "depth", "recall@10", "recall, 10 % allowed", "recall, 1 % allowed"]
    heads += [f"queries/s, {n} thread{'s' * (n > 1)}: batch, single, 10 % allowed" for n in threads]
    heads += [f"times exact, {n}: batch, single, 10 % allowed" for n in threads]
    heads += ["bytes a tile (+ store)", "build, s", "peak memory, MB"]
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    for found in results:
        for point in found["points"]:
            recall = [f"{point['recall'][limit]:.3f}" for limit in ("none", "10%", "1%")]
            per = [point["speed"][str(n)] for n in threads]
            ways = ("batch", "single", "single, 10%")
            speed = [", ".join(f"{s[w]:,.0f}" for w in ways) for s in per]
            times = [", ".join(f"{s[w] / s['exact, ' + w]:.1f}" for w in ways) for s in per]
            size = f"{found['bytes_per_tile']:.0f} (+ {found['store_bytes_per_tile']})"
            cells = [f"{found['tiles']:,}", found["kind"], point["effort"], point["depth"], *recall, *speed, *times]
            cells += [size, f"{found['build_s']:.1f}", f"{found['peak_memory_mb']:,.0f}"]
            lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--galleries", type=Path, nargs="+", required=True)
    parser.add_argument("--query-gallery", type=Path, required=True, help="tiles that queries are made from")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--sigma", type=float, default=0.3)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    base, held = (
        embedded(asked.galleries, asked.out / "embedded"),
        embedded([asked.query_gallery], asked.out / "embedded"),
    )
    recipe = Recipe(base=base, asked=held, sigma=asked.sigma, queries=asked.queries)
    if asked.one:
        print(json.dumps(one(recipe, asked.one, asked.sizes[0], asked.threads)))
        return
    results = run_all(recipe, asked)
    said = {"recipe": recipe.describe(), "faiss": faiss.__version__, "numpy": np.__version__, "results": results}
    write_atomic(asked.out / "search.json", json.dumps(said, indent=1).encode())
    text = f"{json.dumps(recipe.describe())}\n\n{table(results, asked.threads)}\n\n{on_gpu(recipe, max(asked.sizes))}\n"
    write_atomic(asked.out / "search.md", text.encode())
    print(text)


def run_all(recipe: Recipe, asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Every kind at every size: from what is kept, else by a process of its own."""
    (asked.out / "results").mkdir(parents=True, exist_ok=True)
    results = []
    for count in asked.sizes:
        for name in asked.kinds:
            mine = json.dumps([recipe.describe(), str(KINDS[name]), asked.threads])
            kept = asked.out / "results" / f"{count}-{name.replace(', ', '-').replace(' ', '-')}.json"
            said = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
            if said.get("of") != mine:
                print(f"{count:,} tiles: {name}", file=sys.stderr, flush=True)
                command = [
                    sys.executable,
                    "-m",
                    "benchmarks.search",
                    *sys.argv[1:],
                    "--one",
                    name,
                    "--sizes",
                    str(count),
                ]
                line = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
                said = {"of": mine, "found": json.loads(line)}
                write_atomic(kept, json.dumps(said, indent=1).encode())
            results.append(said["found"])
    return results


if __name__ == "__main__":
    main()
