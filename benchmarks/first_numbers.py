"""First honest numbers: hand-written descriptions of real places in test areas, full gallery.

    SIGHTLINE_DATA=... python benchmarks/first_numbers.py [--backend vllm|transformers|none] [--out runs/first_numbers]

Builds and indexes the galleries, or reuses them, scores every retrieval row over all tiles, lets ``sightline locate
--batch`` rerank the shortlist, and prints one Markdown table per area, one for both together, and its splits. The
queries were written by someone who saw the map and its facts, never the training descriptions; nothing is tuned here.
Map data: (c) OpenStreetMap contributors, ODbL.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from eval.protocol import EvaluationError, LocatedQuery, read_queries, truth
from eval.rankings import read_rankings
from eval.report import to_json, to_markdown
from eval.run import Measured, Report, measure_all, pool, report
from eval.scorers import Bench, Scored, score
from retriever.build import build_gallery
from retriever.errors import SightlineError
from retriever.gallery import Gallery

HERE = Path(__file__).resolve().parent
QUERIES = HERE / "queries" / "first_numbers.jsonl"
AREAS = {"london": "london.osm.pbf", "singapore": "bayfront_singapore.osm.pbf", "taipei": "taipei_north.osm"}
RETRIEVAL = ("names", "oracle", "dense", "fused")
SAW = {
    "identity": "pixels+names",
    "oracle": "pixels+names, then facts",
    "yesno": "pixels+names, then pixels",
    "posterior": "pixels+names, then pixels+facts",
    "cascade": "pixels+names, then pixels+facts",
}
err = Console(stderr=True)


@dataclass(frozen=True, kw_only=True)
class Area:
    """What was measured in one area."""

    title: str
    queries: list[LocatedQuery]
    clusters: tuple[str, ...]
    measured: list[Measured]
    tiles: int


def sightline(*arguments: str | Path) -> None:
    """Run the command exactly as a user would. Raises ``EvaluationError`` with its exit code."""
    command = [sys.executable, "-m", "retriever.main", *map(str, arguments)]
    err.print(f"[dim]$ sightline {shlex.join(map(str, arguments))}[/]", highlight=False)
    code = subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode
    if code:
        raise EvaluationError(f"`sightline {arguments[0]}` ended with code {code}; its message stands above")


def prepare(area: str, data: Path, out: Path) -> Gallery:
    """The area's gallery, built and indexed once."""
    path = out / "galleries" / area
    path.parent.mkdir(parents=True, exist_ok=True)
    gallery = build_gallery(path, osm=data / "osm" / AREAS[area], cover="touched", gallery_id=area)
    sightline("index", path)
    return gallery


def rerank(gallery: Gallery, queries: Sequence[LocatedQuery], method: str, args: argparse.Namespace) -> Scored:
    """One reranker over the fused shortlist, through ``sightline locate --batch``."""
    folder = Path(args.out) / "rankings"
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{gallery.id}-{len(queries)}"
    asked, ranked = folder / f"{stem}.queries.jsonl", folder / f"{stem}.{method}.{args.backend}.jsonl"
    asked.write_text(
        "".join(json.dumps(q.query.to_json() | {"images": []}, ensure_ascii=False) + "\n" for q in queries),
        encoding="utf-8",
    )
    if args.fresh:
        ranked.unlink(missing_ok=True)
    # No explanations: the order is all that is measured here.
    options = ["--top", "0", "--reranker", method, "--backend", args.backend, "--shortlist", str(args.shortlist)]
    sightline("locate", "--gallery", gallery.path, "--batch", asked, "--out", ranked, *options)
    return read_rankings(ranked, gallery.ids, queries, name=f"reranked: {method}", saw=SAW.get(method, "as its method"))


def measure_area(area: str, queries: list[LocatedQuery], data: Path, args: argparse.Namespace) -> Area:
    """Every row of one area."""
    gallery = prepare(area, data, Path(args.out))
    right = truth(gallery, queries)
    scored = score(Bench(gallery=gallery, queries=queries, seed=args.seed), RETRIEVAL)
    scored += [rerank(gallery, queries, method, args) for method in args.rerankers.split(",") if method]
    return Area(
        title=area.capitalize(),
        queries=queries,
        clusters=right.clusters,
        measured=measure_all(scored, right),
        tiles=len(gallery),
    )


def together(areas: Sequence[Area]) -> Area:
    """All areas as one: each query is still ranked within its own gallery."""
    return Area(
        title=", ".join(a.title for a in areas) + ", each query within its own gallery",
        queries=[q for a in areas for q in a.queries],
        clusters=tuple(c for a in areas for c in a.clusters),
        measured=pool([a.measured for a in areas]),
        tiles=sum(a.tiles for a in areas),
    )


def reported(area: Area, args: argparse.Namespace, *, with_splits: bool) -> Report:
    """The area's tables; only the pooled one is cut further, the single ones are too small for it."""
    return report(
        area.title,
        area.measured,
        area.queries,
        area.clusters,
        protocol="full",
        tiles=area.tiles,
        command=shlex.join(["python", "benchmarks/first_numbers.py", *sys.argv[1:]]),
        seed=args.seed,
        only_all=not with_splits,
    )


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Options of this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("SIGHTLINE_DATA"), help="folder with osm/ ($SIGHTLINE_DATA)")
    parser.add_argument("--out", default="runs/first_numbers", help="galleries, rankings and the report")
    parser.add_argument("--queries", nargs="+", default=[str(QUERIES)], help="one or more files of located queries")
    parser.add_argument("--backend", default="vllm", choices=("auto", "vllm", "transformers", "none"))
    parser.add_argument("--rerankers", default="cascade,yesno", help="by commas; empty for retrieval alone")
    parser.add_argument("--shortlist", type=int, default=10, help="tiles that the judge looks at")
    parser.add_argument("--fresh", action="store_true", help="rank again what an earlier run has ranked")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


def main() -> int:
    """Measure, print Markdown on stdout, keep it with the JSON under ``--out``."""
    args = parse()
    queries = [q for path in args.queries for q in read_queries(Path(path))]
    names = [a for a in AREAS if any(q.area == a for q in queries)]
    data = Path(args.data) if args.data else None
    missing = [AREAS[a] for a in names if data is None or not (data / "osm" / AREAS[a]).is_file()]
    if data is None or missing:
        err.print(f"skipped: no {', '.join(missing)} under {data or '$SIGHTLINE_DATA (unset)'}/osm")
        return 0
    areas = [measure_area(a, [q for q in queries if q.area == a], data, args) for a in names]
    pooled = [reported(together(areas), args, with_splits=True)] if len(areas) > 1 else []
    reports = [*pooled, *(reported(a, args, with_splits=len(areas) == 1) for a in areas)]
    text = "\n".join(to_markdown(r) for r in reports) + "\nMap data (c) OpenStreetMap contributors (ODbL).\n"
    out = Path(args.out)
    (out / "report.md").write_text(text, encoding="utf-8")
    (out / "report.json").write_text(json.dumps([to_json(r) for r in reports], ensure_ascii=False), encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SightlineError as error:
        err.print(f"[bold red]first_numbers:[/] {error}", highlight=False, soft_wrap=True)
        sys.exit(error.exit_code)
