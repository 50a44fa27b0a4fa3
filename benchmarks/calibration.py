"""Fit the confidence to the shipped models on validation areas, from map extracts to ``agent/models/confidence.json``.

    SIGHTLINE_DATA=... python benchmarks/calibration.py [--backend vllm] [--queries 120] [--out runs/calibration]

Galleries, indexes and answered queries are reused, so a run that was stopped goes on. The descriptions are generated
from map facts (half of them Chinese, half without names); the areas are those that no model was trained on.
Map data: (c) OpenStreetMap contributors, ODbL.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console

AREAS = {
    "moscow": "moscow.osm.pbf",
    "nyc_small": "nyc_small.osm.pbf",
    "boston_beacon_hill": "boston_beacon_hill.osm.pbf",
}
TOWNS = (2000, 2003)
err = Console(stderr=True)


def sightline(*arguments: object) -> None:
    """One command of the installed Sightline; its failure is ours."""
    err.print(f"[dim]$ sightline {' '.join(map(str, arguments))}[/]", highlight=False)
    subprocess.run([sys.executable, "-m", "retriever.main", *map(str, arguments)], check=True)


def gallery_of(name: str, extract: Path, out: Path, *options: object) -> Path:
    """The area's gallery with its index."""
    gallery = out / name
    if not (gallery / "manifest.json").exists():
        sightline("gallery", "build", gallery, "--osm", extract, "--id", name, *options)
    sightline("index", gallery)
    return gallery


def rank(name: str, gallery: Path, out: Path, args: argparse.Namespace) -> tuple[Path, Path]:
    """The area's queries and their rankings."""
    queries, rankings = out / f"{name}.queries.jsonl", out / f"{name}.{args.backend}.jsonl"
    if not queries.exists():
        sightline(
            "calibrate", "queries", gallery, "--out", queries, "--n", args.queries, "--seed", args.seed, "--area", name
        )
    sightline("locate", "-g", gallery, "--batch", queries, "--out", rankings, "--top", 0, "--backend", args.backend)
    return queries, rankings


def main() -> None:
    """Build, rank and fit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", default="vllm", choices=["vllm", "transformers", "none"])
    parser.add_argument("--queries", type=int, default=120, help="per area")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("runs/calibration"))
    parser.add_argument("--areas", default=",".join([*AREAS, *(f"town-{seed}" for seed in TOWNS)]))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    options: list[object] = []
    for name in args.areas.split(","):
        if name in AREAS:
            extract = Path(os.environ["SIGHTLINE_DATA"]) / "osm" / AREAS[name]
            gallery = gallery_of(name, extract, args.out, "--cover", "touched")
        else:
            gallery = gallery_of(name, town(int(name.removeprefix("town-")), args.out), args.out)
        queries, rankings = rank(name, gallery, args.out, args)
        options += ["--queries", queries, "--rankings", rankings]
    sightline("calibrate", "fit", *options, "--seed", args.seed)


def town(seed: int, out: Path) -> Path:
    """The generated validation town of this seed."""
    from retriever.town import write_town

    path = out / f"town-{seed}.osm"
    return path if path.exists() else write_town(path, seed=seed)


if __name__ == "__main__":
    main()
