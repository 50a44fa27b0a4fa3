"""Fit the cascade's gate to the shipped models on validation areas, duels included.

    python benchmarks/gate.py [--runs runs/calibration] [--backend vllm]

Reads the rankings that `benchmarks/calibration.py` left, has the judge fight the near-ties in which exactly one tile is
right, and calls `sightline calibrate gate`. Duels that were fought already are not fought again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from agent import confidence as conf
from agent.opening import open_bench
from agent.rerankers import Kit
from agent.rerankers.cascade import RIVALS
from agent.rerankers.duels import duels
from agent.settings import Settings
from finetune.calibrate import read_cases
from finetune.calibrate_gate import NEAR, ordered
from retriever.gallery import Gallery
from retriever.gate import near_ties
from retriever.types import Claim

AREAS = ("moscow", "nyc_small", "boston_beacon_hill", "town-2000", "town-2003")
err = Console(stderr=True)


async def fight(kit: Kit, runs: Path, area: str, ranked: Path, sink: Any, known: set[str]) -> None:
    """The area's near-ties with exactly one right tile among the two."""
    gallery = Gallery.open(runs / area)
    cases, _ = read_cases(ranked, runs / f"{area}.queries.jsonl", outside_share=0.0)
    rows = {str(r["query_id"]): r for r in map(json.loads, ranked.read_text(encoding="utf-8").splitlines())}
    for case in cases:
        if case.query_id in known:
            continue
        row, seen = rows[case.query_id], ordered(case, kit.confidence.weights)
        best, *rivals = near_ties(seen.utility, NEAR, RIVALS) or [""]
        tiles = {f"{n:04d}": c["tile_id"] for n, c in enumerate(row["candidates"])}
        telling = [t for t in rivals if seen.right in (best, t)]
        claims = [Claim.from_json(c) for c in row["claims"]]
        odds, _ = await duels(kit, claims, gallery, tiles[best], [tiles[t] for t in telling]) if telling else ({}, None)
        for t in telling:
            if tiles[t] in odds:
                lead = seen.utility[best] - seen.utility[t]
                line = {"query_id": case.query_id, "lead": lead, "odds": odds[tiles[t]], "right": seen.right == best}
                sink.write(json.dumps(line) + "\n")
        sink.flush()


def main() -> None:
    """Fight, then fit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/calibration"))
    parser.add_argument("--backend", default="vllm", choices=["vllm", "transformers", "none"])
    parser.add_argument("--alpha", type=float, default=0.02)
    args = parser.parse_args()
    rankings = {a: args.runs / f"{a}.{args.backend}.jsonl" for a in AREAS}
    options: list[object] = []
    for area, path in rankings.items():
        options += ["--rankings", path, "--queries", args.runs / f"{area}.queries.jsonl"]
    if args.backend != "none":
        fought = args.runs / "duels.jsonl"
        bench = open_bench(Settings(backend=args.backend), say=lambda line: err.print(f"[dim]{line}[/]"))
        if bench.judge is None:
            sys.exit(f"no judge: {bench.why}")
        encoder = json.loads(rankings[AREAS[0]].read_text(encoding="utf-8").splitlines()[0])["encoder"]
        kit = Kit(judge=bench.judge, confidence=conf.load(bench.model, encoder))
        done = [json.loads(x) for x in fought.read_text().splitlines()] if fought.exists() else []

        async def all_areas() -> None:
            with fought.open("a", encoding="utf-8") as sink:
                for area, path in rankings.items():
                    await fight(kit, args.runs, area, path, sink, {d["query_id"] for d in done})
            await bench.judge.client.close()  # type: ignore[union-attr]

        try:
            asyncio.run(all_areas())
        finally:
            bench.stop()
        options += ["--duels", fought]
    command = [sys.executable, "-m", "retriever.main", "calibrate", "gate", "--alpha", args.alpha, *options]
    subprocess.run([str(part) for part in command], check=True)


if __name__ == "__main__":
    main()
