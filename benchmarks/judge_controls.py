"""Do the judge's verdicts come from the pixels and the text? Real, wrong and blank tiles, and another's text.

    SIGHTLINE_DATA=... python benchmarks/judge_controls.py [--backend vllm] [--saw facts]
        [--generated 100 --areas moscow]

For every query the judge scores its true tile, two tiles that miss the place (a near one and a far one), a blank map,
and the true tile with another query's claims. Queries are the hand-written ones; with
``--generated N`` also N descriptions per area written from map facts. Nothing is tuned on test areas. With ``--saw
facts`` the judge reads the map's facts about each tile beside its picture; the blank map then has none.
Map data: (c) OpenStreetMap contributors, ODbL.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from rich.console import Console

from eval.controls import KINDS, Control, Trial, summarise
from eval.protocol import LocatedQuery, read_queries
from eval.report import percent
from retriever.build import build_gallery
from retriever.errors import ReplyError, SightlineError
from retriever.gallery import Gallery
from retriever.geo import distance_m
from retriever.types import Claim, Tile

if TYPE_CHECKING:
    from agent.judge import Judge

HERE = Path(__file__).resolve().parent
FILES = {
    "london": "london.osm.pbf",
    "singapore": "bayfront_singapore.osm.pbf",
    "taipei": "taipei_north.osm",
    "moscow": "moscow.osm.pbf",
    "boston": "boston_beacon_hill.osm.pbf",
    "newyork": "nyc_small.osm.pbf",
}
NEAR_M, FAR_M = 30.0, 300.0
NEAREST = 8
"""A near wrong tile is drawn from this many."""
err = Console(stderr=True)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One place: what was said there, and where it is."""

    id: str
    source: str
    gallery: Gallery
    text: str
    claims: tuple[Claim, ...]
    lat: float
    lon: float


def hand_cases(galleries: dict[str, Gallery], queries: Sequence[LocatedQuery]) -> Iterator[Case]:
    """The hand-written queries, with claims extracted as the command line does."""
    from prompts.claims import extract_claims

    for q in queries:
        if q.area in galleries:
            text = q.query.text
            yield Case(
                id=q.query.id,
                source="hand",
                gallery=galleries[q.area],
                text=text,
                claims=tuple(extract_claims(text, lang=q.query.lang)),
                lat=q.lat,
                lon=q.lon,
            )


def options(parser: argparse.ArgumentParser) -> None:
    """Options of every script that asks the judge about the hand-written queries."""
    parser.add_argument("--data", default=os.environ.get("SIGHTLINE_DATA"), help="folder with osm/ ($SIGHTLINE_DATA)")
    parser.add_argument("--backend", default="auto", choices=("auto", "vllm", "transformers"))
    parser.add_argument("--seed", type=int, default=0)


def extracts(data: str | None, areas: Sequence[str]) -> Path | None:
    """The folder of map extracts if it holds all of these areas; else None, and a line that says so."""
    folder = Path(data) if data else None
    if folder is not None and all((folder / "osm" / FILES[a]).is_file() for a in areas):
        return folder
    err.print(f"skipped: the map extracts are not under {folder or '$SIGHTLINE_DATA (unset)'}/osm")
    return None


def read_hand_cases(data: str | None, galleries: str, queries: Sequence[str]) -> list[Case]:
    """The cases of query files, in galleries that are built or reused; none where the map extracts are not there."""
    asked = [q for path in queries for q in read_queries(Path(path))]
    areas = [a for a in FILES if any(q.area == a for q in asked)]
    folder = extracts(data, areas)
    return [] if folder is None else list(hand_cases(open_galleries(areas, folder, Path(galleries)), asked))


def generated_cases(galleries: dict[str, Gallery], count: int, seed: int) -> Iterator[Case]:
    """Descriptions written from facts at standing points of random tiles, with their own claims; half name nothing."""
    from finetune.data.descriptions import describe
    from finetune.data.standpoints import standpoints

    for area, gallery in galleries.items():
        rng = Random(f"{seed} {area}")
        made = 0
        for tile_id in rng.sample(gallery.ids, len(gallery.ids)):
            tile = gallery.tile(tile_id)
            points = standpoints(tile, size_m=gallery.size_m, rng=rng, n=1, cell_m=gallery.stride_m)
            if made == count or not points:
                continue
            said = describe(
                tile,
                points[0],
                size_m=gallery.size_m,
                seed=rng.getrandbits(31),
                lang="en" if made % 2 else "zh",
                named=made % 4 < 2,
            )
            if said.claims:
                made += 1
                yield Case(
                    id=f"{area}-g{made}",
                    source=area,
                    gallery=gallery,
                    text=said.text,
                    claims=said.claims,
                    lat=said.lat,
                    lon=said.lon,
                )


def outside_m(gallery: Gallery, lat: float, lon: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """How far the point lies outside each tile, in metres; 0 inside."""
    west, south, east, north = gallery.bounds.T
    metres: np.ndarray[tuple[int], np.dtype[np.float64]] = distance_m(
        lat, lon, np.clip(lat, south, north), np.clip(lon, west, east)
    )
    return metres


def questions(case: Case, others: Sequence[Case], seed: int) -> Iterator[tuple[str, str | None, tuple[Claim, ...]]]:
    """``(kind, tile id or None for blank, claims)`` of every control that this place allows."""
    rng = np.random.default_rng([seed, *case.id.encode()])
    gallery, true = case.gallery, case.gallery.nearest(case.lat, case.lon)
    off = outside_m(gallery, case.lat, case.lon)
    yield "true", true, case.claims
    near = [i for i in np.argsort(off, kind="stable") if off[i] >= NEAR_M][:NEAREST]
    far = np.flatnonzero(off >= FAR_M)
    if near:
        yield "neighbour", gallery.ids[rng.choice(near)], case.claims
    if far.size:
        yield "random", gallery.ids[rng.choice(far)], case.claims
    yield "blank", None, case.claims
    strangers = [o for o in others if o.id != case.id and o.source == case.source and o.gallery is gallery]
    away = [o for o in strangers if distance_m(case.lat, case.lon, o.lat, o.lon) >= FAR_M]
    if away:
        yield "other text", true, away[int(rng.integers(len(away)))].claims


def blank(gallery: Gallery) -> Image.Image:
    """A map with nothing on it."""
    from retriever.draw import draw_tile

    return draw_tile((), size_m=gallery.size_m, px=gallery.px)


async def ask(judge: Judge, case: Case, kind: str, tile_id: str | None, claims: Sequence[Claim]) -> Trial:
    """One trial; a reply that is no answer becomes a failed one."""
    from agent.judge import tile_png

    gallery, true = case.gallery, case.gallery.nearest(case.lat, case.lon)
    shown = gallery.tile(tile_id or true)
    tile: Tile = shown if tile_id else replace(shown, facts=())
    png = tile_png(gallery.image(tile_id) if tile_id else blank(gallery))
    try:
        p: float | None = (await judge.score(tile, png, claims)).p_match
    except ReplyError as error:
        err.print(f"{case.id}, {kind}: {error}", highlight=False)
        p = None
    return Trial(query_id=case.id, location=f"{gallery.id}:{true}", kind=kind, p=p)


async def ask_all(judge: Judge, cases: Sequence[Case], seed: int) -> list[Trial]:
    """Every control of every case, a few at a time."""
    gate = asyncio.Semaphore(16)

    async def one(case: Case, kind: str, tile_id: str | None, claims: Sequence[Claim]) -> Trial:
        async with gate:
            return await ask(judge, case, kind, tile_id, claims)

    try:
        return await asyncio.gather(*(one(c, *question) for c in cases for question in questions(c, cases, seed)))
    finally:
        await judge.client.close()


def table(title: str, rows: Sequence[Control]) -> str:
    """Markdown of one source of queries."""
    lines = [
        f"**{title}: N = {rows[0].mean_p.n} queries at {rows[0].mean_p.locations} locations, "
        "percent with the 95 % interval by location**",
        "",
        "| tile | what it is | failed | mean p | accuracy | AUROC of true over it | flips a match |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        shown = [percent(v) if v is not None else "-" for v in (row.mean_p, row.accuracy, row.auroc, row.flipped)]
        lines.append(f"| {row.kind} | {KINDS[row.kind]} | {row.failed} | {' | '.join(shown)} |")
    return "\n".join([*lines, ""])


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Options of this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options(parser)
    parser.add_argument("--saw", default="pixels", choices=("pixels", "facts"), help="what the judge is shown")
    parser.add_argument("--out", default="runs/judge_controls")
    parser.add_argument("--galleries", default="runs/first_numbers/galleries", help="built there, or reused")
    parser.add_argument("--queries", nargs="+", default=[str(HERE / "queries" / "first_numbers.jsonl")])
    parser.add_argument("--generated", type=int, default=0, help="descriptions from facts per area")
    parser.add_argument("--areas", default="", help=f"for --generated, by commas, of {', '.join(FILES)}")
    parser.add_argument("--limit", type=int, help="only so many queries, to try it out")
    return parser.parse_args(arguments)


def open_galleries(names: Sequence[str], data: Path, folder: Path) -> dict[str, Gallery]:
    """Galleries of the named areas, built where they are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    return {
        name: build_gallery(folder / name, osm=data / "osm" / FILES[name], cover="touched", gallery_id=name)
        for name in names
    }


def main() -> int:
    """Ask, print Markdown on stdout, keep it with every trial under ``--out``."""
    from agent.judge import Judge
    from agent.serving_open import open_judge

    args = parse()
    asked = [q for path in args.queries for q in read_queries(Path(path))]
    by_hand = [a for a in FILES if any(q.area == a for q in asked)]
    areas = [a for a in args.areas.split(",") if a]
    data = extracts(args.data, (*by_hand, *areas))
    if data is None:
        return 0
    galleries = open_galleries(list(dict.fromkeys([*by_hand, *areas])), data, Path(args.galleries))
    cases = list(hand_cases(galleries, asked))
    if args.generated:
        cases += generated_cases({a: galleries[a] for a in areas}, args.generated, args.seed)
    cases = cases[: args.limit]
    opened = open_judge(backend=args.backend, say=lambda line: err.print(line, highlight=False))
    try:
        judge = Judge(opened.client, saw=args.saw)
        trials = asyncio.run(ask_all(judge, cases, args.seed))
    finally:
        opened.stop()
    text = report(cases, trials, f"{judge.name} (saw {args.saw}), {opened.label}", args.seed)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.md").write_text(text, encoding="utf-8")
    (out / "trials.jsonl").write_text("".join(json.dumps(asdict(t)) + "\n" for t in trials), encoding="utf-8")
    print(text)
    return 0


def report(cases: Sequence[Case], trials: Sequence[Trial], judge: str, seed: int) -> str:
    """Markdown: one table per source of queries."""
    source = {c.id: c.source for c in cases}
    parts = [f"Judge: {judge}", ""]
    for name in dict.fromkeys(source.values()):
        parts.append(table(name, summarise([t for t in trials if source[t.query_id] == name], seed=seed)))
    command = shlex.join(["python", "benchmarks/judge_controls.py", *sys.argv[1:]])
    return "\n".join([*parts, f"Printed by `{command}`. Map data (c) OpenStreetMap contributors (ODbL).", ""])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SightlineError as error:
        err.print(f"[bold red]judge_controls:[/] {error}", highlight=False, soft_wrap=True)
        sys.exit(error.exit_code)
