"""``sightline rate``, ``rate-report``, ``rate-import``: people rate explanations, and what comes out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from retriever.errors import SightlineError

if TYPE_CHECKING:
    from eval.rate.study import Study

_err = Console(stderr=True, highlight=False, soft_wrap=True)
StudyFile = Annotated[Path, typer.Argument(help="The study's SQLite file.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output.")]


def register(app: typer.Typer) -> None:
    """Add the commands to ``sightline``."""
    app.command("rate")(rate)
    app.command("rate-report")(rate_report)
    app.command("rate-import")(rate_import)


def rate(
    judgements: Annotated[list[Path] | None, typer.Argument(help="Judgements, JSONL; none resumes --out.")] = None,
    out: Annotated[Path, typer.Option(help="The study's SQLite file; one that is there is resumed.")] = Path(
        "study.sqlite"
    ),
    gallery: Annotated[list[Path] | None, typer.Option(help="Gallery folder of the tiles; may repeat.")] = None,
    queries: Annotated[Path | None, typer.Option(help="JSONL of the descriptions, if not in the judgements.")] = None,
    pairs: Annotated[Path | None, typer.Option(help="JSONL with query_id, tile_id, text, claims, location.")] = None,
    raters: Annotated[str, typer.Option(help="Names by commas; anna:en reads English only.")] = "",
    overlap: Annotated[float, typer.Option(help="Share of the cases that everybody rates.")] = 0.3,
    checks: Annotated[float, typer.Option(help="Attention checks, as a share of each list; 0: none.")] = 0.1,
    langs: Annotated[str, typer.Option(help="Languages of explanations to rate.")] = "en,zh",
    seed: Annotated[int, typer.Option(help="Of assignments and order.")] = 0,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Loopback port; 0 takes a free one.")] = 8420,
    serve: Annotated[bool, typer.Option(help="Open the page; --no-serve only makes the study.")] = True,
    as_json: AsJson = False,
) -> None:
    """People rate explanations in the browser: blind, in random order, claim by claim and on four scales."""
    from eval.rate.study import Study

    if judgements:
        study = _make(out, judgements, gallery or [], queries, pairs, raters, overlap, checks, langs, seed)
    else:
        study = Study.open(out)
    if study.tampered():
        raise SightlineError(f"{study.tampered()}; start from a copy that nobody touched")
    _serve(study, port if serve else None, as_json)


def _make(
    out: Path, files: list[Path], galleries: list[Path], queries: Path | None, pairs: Path | None, raters: str,
    overlap: float, checks: float, langs: str, seed: int,
) -> Study:  # fmt: skip
    import hashlib

    from eval.explanations.cases import World, read_pairs
    from eval.explanations.schema import read_judgements
    from eval.protocol import read_queries
    from eval.rate.items import items_of
    from eval.rate.plan import make_plan, read_raters
    from eval.rate.study import Study
    from retriever.gallery import Gallery

    who = read_raters(raters)
    judged = read_judgements(files)
    world = World(
        tiles=[Gallery.open(path) for path in galleries],
        queries={q.query.id: q for q in read_queries(queries)} if queries else {},
        pairs=read_pairs(pairs) if pairs else {},
    )
    wanted = [w.strip() for w in langs.split(",")]
    if set(wanted) - {"en", "zh"}:
        raise SightlineError(f"--langs {langs!r} is none of en, zh and en,zh")
    items, pictures, cases, problems = items_of(judged.items, world, wanted)
    for problem in [*judged.problems, *problems]:
        _err.print(f"{problem.where}: {problem.what}", markup=False)
    if not items:
        raise SightlineError("there is no explanation to rate in these files; see the messages above")
    plan = make_plan(items, who, cases, pictures, overlap=overlap, checks=checks, seed=seed)
    for note in plan.notes:
        _err.print(note, markup=False)
    spec: dict[str, Any] = {
        "judgements": sorted(hashlib.sha256(f.read_bytes()).hexdigest() for f in files if f.is_file()),
        "raters": raters, "overlap": overlap, "checks": checks, "langs": langs, "seed": seed,
    }  # fmt: skip
    return Study.make(out, items, pictures, who, plan, spec)


def _serve(study: Study, port: int | None, as_json: bool) -> None:
    from retriever.pages import frame

    listening = None if port is None else frame.bind(port)
    base = frame.address(listening) if listening else ""
    links = frame.links(base, study.codes)
    lists = {r: len(study.assignments(r)) for r in study.codes}
    if as_json:
        typer.echo(json.dumps({"study": str(study.log.path), "links": links, "items": lists}))
    else:
        for rater, link in links.items():
            typer.echo(f"{rater}: {lists[rater]} items{', ' + link if base else ''}")
    if listening is not None:
        import sys

        from eval.rate.page import rate_app

        sys.stdout.flush()
        if not as_json:
            _err.print(
                "Ctrl+C ends it; every mark is in the file, and the same command with --out goes on.", markup=False
            )
        frame.serve(rate_app(study), listening)


def rate_report(
    study: StudyFile,
    export: Annotated[Path | None, typer.Option(help="Folder for JSONL, CSV, Label Studio, decisions.")] = None,
    adjudicate: Annotated[bool, typer.Option("--adjudicate", help="Give disputed items to third raters.")] = False,
    adjudicator: Annotated[str | None, typer.Option(help="Give disputed items to this person instead.")] = None,
    without: Annotated[str, typer.Option(help="Raters to leave out, by commas; 'failed': who failed a check.")] = "",
    head: Annotated[str, typer.Option(help="COUNT:HASH of an earlier report; the log must still hold it.")] = "",
    seed: Annotated[int, typer.Option(help="Of the resampling.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Agreement with intervals, the raters, the systems' ranking, disputes; optionally exports and adjudication."""
    from eval.rate.adjudicate import give_out
    from eval.rate.report import report
    from eval.rate.show import show
    from eval.rate.study import Study

    held = Study.open(study)
    found = held.tampered() or held.log.verify(_head(head))
    if found:
        raise SightlineError(f"{found}; nothing in it can be trusted, go back to a copy")
    left = [r.strip() for r in without.split(",") if r.strip()]
    if "failed" in left:
        rows = report(held, seed=seed).raters
        left = [r for r in left if r != "failed"] + [r.rater for r in rows if r.passed < r.checks]
    if unknown := set(left) - set(held.codes):
        raise SightlineError(f"--without names {', '.join(sorted(unknown))}, who is not in this study")
    result = report(held, seed=seed, without=left)
    if as_json:
        typer.echo(json.dumps(result.to_json(), ensure_ascii=False))
    else:
        show(result, Console(highlight=False))
    if adjudicate or adjudicator:
        given = give_out(held, adjudicator)
        _err.print(f"{len(given)} items given out: {', '.join(sorted(set(given.values()))) or 'nobody'}", markup=False)
    if export is not None:
        _export(held, export)


def _head(text: str) -> tuple[int, str] | None:
    count, _, digest = text.partition(":")
    if text and not (count.isdecimal() and digest):
        raise SightlineError(f"--head {text!r} is not COUNT:HASH, as a report prints it")
    return (int(count), digest) if text else None


def _export(study: Study, folder: Path) -> None:
    from eval.rate import export
    from eval.rate.adjudicate import decided
    from retriever.models import write_atomic

    folder.mkdir(parents=True, exist_ok=True)
    tasks = json.dumps(export.to_label_studio(study), ensure_ascii=False, indent=1)
    stands = [{"item": i, **_about(study, i), "decided": d} for i, d in decided(study).items()]
    files = {
        "ratings.jsonl": export.to_jsonl(study),
        "ratings.csv": export.to_csv(study),
        "label_studio.json": tasks,
        "label_studio.xml": export.LABEL_CONFIG,
        "decided.jsonl": "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in stands),
    }
    for name, text in files.items():
        write_atomic(folder / name, text.encode())
    (folder / "tiles").mkdir(exist_ok=True)
    for item in study.items.values():
        if not item.check:
            write_atomic(folder / "tiles" / f"{item.tile_id}.png", study.picture(item.picture))
    count, digest = study.log.head()
    _err.print(f"wrote {', '.join(files)} and tiles/ to {folder}; log head {count}:{digest}", markup=False)


def _about(study: Study, item: str) -> dict[str, Any]:
    of = study.items[item]
    return {k: getattr(of, k) for k in ("system", "query_id", "tile_id", "lang", "check")}


def rate_import(
    study: StudyFile, files: Annotated[list[Path], typer.Argument(help="Ratings, JSONL as exported.")]
) -> None:
    """Take ratings that were made or edited elsewhere; a line that does not fit is named and the rest stands."""
    from eval.rate.bring_in import bring_in
    from eval.rate.study import Study

    written, problems = bring_in(Study.open(study), files)
    for problem in problems:
        _err.print(f"{problem.where}: {problem.what}", markup=False)
    typer.echo(f"{written} marks taken, {len(problems)} lines or ratings left out")
    raise typer.Exit(1 if problems and not written else 0)
