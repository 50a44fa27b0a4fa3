"""Galleries, generated descriptions and the runs of the shipped arena, in the order of what they are worth.

    SIGHTLINE_DATA=... python benchmarks/arena.py              galleries and descriptions, what is missing of them
    python benchmarks/arena.py --all [--minutes 30]            every run, then the reports; goes on where it stopped
    python benchmarks/arena.py --publish                       the reports as they are into docs/arena

London, Singapore and Taipei are test areas, as are the towns of seeds 3000 to 3099: no model was trained on them and
nothing is tuned against them. Half of the descriptions are English, half Chinese, half of each without any name. They
are made from map facts and written into files, so that the arena reads files alone.
Map data: (c) OpenStreetMap contributors, ODbL.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from finetune.calibrate_queries import write_queries
from retriever.build import build_gallery
from retriever.errors import SightlineError
from retriever.gallery import Gallery
from retriever.town import write_town

AREAS = {"london": "london.osm.pbf", "singapore": "bayfront_singapore.osm.pbf", "taipei": "taipei_north.osm"}
TOWNS = (3000,)
ROUNDS = 12
"""How often a small gallery is gone over before fewer descriptions are taken."""
CONFIGS = Path(__file__).parent / "arena"
QUICK = "identity,shuffle,oracle,yesno,posterior,cascade,cascade-margin-1"
ENCODER = "maxsim,ot"
STEPS: tuple[tuple[str, ...], ...] = (
    ("freeze", "areas"),
    ("freeze", "towns"),
    ("freeze", "hand_written"),
    ("freeze", "cost"),
    ("run", "areas", "--sets", "london", "--only", QUICK),
    ("run", "cost"),
    ("run", "areas", "--sets", "singapore,taipei", "--only", QUICK),
    ("run", "towns", "--only", QUICK),
    ("run", "hand_written", "--only", QUICK),
    ("run", "areas", "--sets", "london", "--only", "pairwise,setwise,listwise"),
    ("run", "areas", "--sets", "london", "--only", "verdict"),
    ("run", "areas", "--only", ENCODER),
    ("run", "towns", "--only", ENCODER),
    ("run", "hand_written", "--only", ENCODER),
    ("run", "areas", "--sets", "london", "--only", "erm"),
)
"""What is run, the most telling first. Each is a command of its own that goes on where it was stopped."""
READERS: tuple[tuple[str, ...], ...] = (
    ("run", "areas", "--only", "crossencoder,crossencoder_look"),
    ("run", "towns", "--only", "crossencoder,crossencoder_look"),
    ("run", "hand_written", "--only", "crossencoder,crossencoder_look"),
)
"""Only where there is a cross-encoder."""
REPORTS = {"areas": "areas", "towns": "towns", "hand_written": "hand", "cost": "cost"}
"""Configuration and the name of its run folder."""
DOCS = Path("docs/arena")
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
    sightline("index", str(path))
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


def sightline(*arguments: str) -> None:
    """One command of the installed Sightline; its failure is ours."""
    err.print(f"[dim]$ sightline {' '.join(arguments)}[/]", highlight=False)
    subprocess.run([sys.executable, "-m", "retriever.main", *arguments], check=True)


def run_all(out: Path, minutes: float) -> None:
    """Every step that can begin within the time; then the reports of what there is."""
    end = time.monotonic() + 60 * minutes
    for verb, name, *options in (*STEPS, *(READERS if has_reader() else ())):
        if time.monotonic() > end:
            err.print(f"time is over before: {verb} {name} {' '.join(options)}", highlight=False)
            break
        begun = time.monotonic()
        sightline("arena", verb, str(CONFIGS / f"{name}.yaml"), *options)
        err.print(f"{time.monotonic() - begun:.0f} s", highlight=False)
    for folder in REPORTS.values():
        if any((out / folder).glob("sets/*/*.rankings.jsonl")):
            sightline("arena", "report", str(out / folder))


def has_reader() -> bool:
    """Whether a cross-encoder is shipped or lies in the models' folder."""
    from retriever.models import find_model

    try:
        find_model("mini-crossencoder")
    except SightlineError:
        return False
    return True


def publish(out: Path) -> None:
    """Reports as Markdown with their pictures, for the documents."""
    for folder in REPORTS.values():
        made = out / folder / "report"
        if (made / "report.md").exists():
            target = DOCS / folder
            shutil.rmtree(target, ignore_errors=True)
            (target / "pictures").mkdir(parents=True)
            shutil.copy(made / "report.md", target / "report.md")
            for picture in sorted((made / "pictures").glob("*.png")):
                shutil.copy(picture, target / "pictures" / picture.name)
            err.print(f"{target / 'report.md'}")


def main() -> None:
    """Build what is missing, or run, or publish."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=300, help="per generated set")
    parser.add_argument("--areas", default=",".join([*AREAS, *(f"town-{seed}" for seed in TOWNS)]))
    parser.add_argument("--seed", type=int, default=77)
    parser.add_argument("--out", type=Path, default=Path("runs/arena"))
    parser.add_argument("--all", action="store_true", help="run everything that has galleries and descriptions")
    parser.add_argument("--minutes", type=float, default=600.0, help="with --all: begin nothing after so long")
    parser.add_argument("--publish", action="store_true", help="put the reports into docs/arena")
    args = parser.parse_args()
    if args.all:
        run_all(args.out, args.minutes)
    if args.publish:
        publish(args.out)
    if args.all or args.publish:
        return
    for name in args.areas.split(","):
        gallery = gallery_of(name, args.out)
        path = described(gallery, args.out, n=args.queries, seed=args.seed)
        count = len(path.read_text(encoding="utf-8").splitlines())
        err.print(f"{count} descriptions in {path}")
        err.print(f"{len(gallery)} tiles in {gallery.path}")


if __name__ == "__main__":
    main()
