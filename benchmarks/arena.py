"""Galleries and generated descriptions for the shipped arena runs; then `sightline arena run` and `report` do the rest.

    SIGHTLINE_DATA=... python benchmarks/arena.py [--queries 300] [--out runs/arena]

London, Singapore and Taipei are test areas, as are the towns of seeds 3000 to 3099: no model was trained on them and
nothing is tuned against them. Half of the descriptions are English, half Chinese, half of each without any name; one
per place. They are made from map facts and written into files, so that the arena reads files alone.
Map data: (c) OpenStreetMap contributors, ODbL.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from finetune.calibrate_queries import write_queries
from retriever.build import build_gallery
from retriever.gallery import Gallery
from retriever.town import write_town

AREAS = {"london": "london.osm.pbf", "singapore": "bayfront_singapore.osm.pbf", "taipei": "taipei_north.osm"}
TOWNS = (3000, 3001)
ROUNDS = 12
"""How often a small gallery is gone over before fewer descriptions are taken."""
err = Console(stderr=True)


def gallery_of(name: str, out: Path) -> Gallery:
    """The area's gallery with its index, built once."""
    path = out / "galleries" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if name in AREAS:
        gallery = build_gallery(
            path, osm=Path(os.environ["SIGHTLINE_DATA"]) / "osm" / AREAS[name], cover="touched", gallery_id=name
        )
    else:
        town = out / f"{name}.osm"
        if not town.exists():
            write_town(town, seed=int(name.removeprefix("town-")))
        gallery = build_gallery(path, osm=town, gallery_id=name)
    subprocess.run([sys.executable, "-m", "retriever.main", "index", str(path)], check=True, stdout=subprocess.DEVNULL)
    return gallery


def described(gallery: Gallery, out: Path, *, n: int, seed: int) -> Path:
    """Generated descriptions of ``n`` places, each marked with its source.

    A gallery with fewer tiles than that is gone over again, each tile from another standpoint and in other words; the
    report resamples by tile, so its intervals know that the places are few.
    """
    path = out / "queries" / f"{gallery.id}.jsonl"
    if path.exists():
        return path
    rows: list[dict[str, Any]] = []
    for turn in range(ROUNDS):
        raw = path.with_suffix(".raw")
        write_queries(gallery, raw, n=n - len(rows), seed=seed + 1000 * turn, area=gallery.id)
        said = {row["text"] for row in rows}
        found = [json.loads(line) for line in raw.read_text(encoding="utf-8").split("\n") if line]
        rows += [row for row in found if row["text"] not in said]
        raw.unlink()
        if len(rows) >= n or not found:
            break
    lines = ({**row, "id": f"{gallery.id}-{i:04d}", "source": "generated"} for i, row in enumerate(rows))
    path.write_text("".join(json.dumps(x, ensure_ascii=False) + "\n" for x in lines), encoding="utf-8")
    return path


def main() -> None:
    """Build what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=300, help="per generated set")
    parser.add_argument("--areas", default=",".join([*AREAS, *(f"town-{seed}" for seed in TOWNS)]))
    parser.add_argument("--seed", type=int, default=77)
    parser.add_argument("--out", type=Path, default=Path("runs/arena"))
    args = parser.parse_args()
    for name in args.areas.split(","):
        gallery = gallery_of(name, args.out)
        path = described(gallery, args.out, n=args.queries, seed=args.seed)
        count = len(path.read_text(encoding="utf-8").splitlines())
        err.print(f"{count} descriptions in {path}")
        err.print(f"{len(gallery)} tiles in {gallery.path}")


if __name__ == "__main__":
    main()
