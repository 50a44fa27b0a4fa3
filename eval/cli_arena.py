"""``sightline arena``: every kind of reranker over the same frozen candidates, and the report."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from retriever.errors import SightlineError

arena_app = typer.Typer(name="arena", help="Compare rerankers over the same frozen candidates.", no_args_is_help=True)
_err = Console(stderr=True, highlight=False, soft_wrap=True)
RunFolder = Annotated[Path, typer.Argument(help="The folder that the run's configuration names as `out`.")]
SetName = Annotated[str | None, typer.Option("--set", help="Which set of the run; not needed where there is one.")]
FormatName = Annotated[str, typer.Option("--format", help="trec or rank_llm.")]


def register(app: typer.Typer) -> None:
    """Add the commands to ``sightline``."""
    app.add_typer(arena_app)


@arena_app.command("run")
def run(
    config: Annotated[Path, typer.Argument(help="YAML: sets, candidates, methods; see docs/arena.md.")],
    only: Annotated[str, typer.Option(help="Only these methods, by commas.")] = "",
    sets: Annotated[str, typer.Option(help="Only these sets, by commas.")] = "",
    retry: Annotated[bool, typer.Option("--retry", help="Ask again what failed before.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Counts as JSON on standard output.")] = False,
) -> None:
    """Rank what is not ranked yet. Stopped at any moment, the same command goes on where it was."""
    import dataclasses

    from eval.arena.config import read_config
    from eval.arena.run import run as start

    read = read_config(config)
    done = start(read, only=_names(only), sets=_names(sets), retry=retry, say=_say)
    if as_json:
        typer.echo(json.dumps({**dataclasses.asdict(done), "out": str(read.out)}))
    else:
        words = f"{done.judged} queries ranked ({done.failed} failed), {done.kept} were there already"
        Console(highlight=False, soft_wrap=True).print(f"{words}; now: sightline arena report {read.out}", markup=False)


@arena_app.command("freeze")
def freeze(
    config: Annotated[Path, typer.Argument(help="YAML: sets, candidates, methods; see docs/arena.md.")],
    sets: Annotated[str, typer.Option(help="Only these sets, by commas.")] = "",
) -> None:
    """Make the candidates of a run and no more; no judge is needed."""
    from eval.arena.config import read_config
    from eval.arena.run import freeze_only

    for frozen in freeze_only(read_config(config), sets=_names(sets), say=_say):
        words = f"{frozen.name}: {len(frozen.asked)} queries, candidates {frozen.sha256[:10]}"
        Console(highlight=False, soft_wrap=True).print(words, markup=False)


def _names(listed: str) -> list[str]:
    return [name.strip() for name in listed.split(",") if name.strip()]


def _say(line: str) -> None:
    _err.print(line, style="dim", markup=False)


@arena_app.command("report")
def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders; several only over the same candidates.")],
    out: Annotated[Path | None, typer.Option(help="Folder for the report; default: report/ in the first run.")] = None,
    browse: Annotated[int, typer.Option(min=0, help="Query pages per set.")] = 40,
    seed: Annotated[int, typer.Option(help="Of resampling and the random row.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Paths and tables as JSON on standard output.")] = False,
) -> None:
    """HTML and Markdown with plots and query pages, out of what lies on the disk; nothing is judged."""
    from eval.arena.report import write_report

    command = shlex.join(["sightline", *sys.argv[1:]])
    written = write_report(runs, out or runs[0] / "report", command=command, browse=browse, seed=seed)
    if as_json:
        paths = {"html": str(written.html), "markdown": str(written.markdown), "pages": written.pages}
        typer.echo(json.dumps(paths))
    else:
        Console(highlight=False, soft_wrap=True).print(f"{written.html} and {written.markdown}", markup=False)


@arena_app.command("import")
def bring_in(
    file: Annotated[Path, typer.Argument(help="A TREC run or rank_llm's JSON.")],
    run_folder: Annotated[Path, typer.Option("--run", help="Run folder whose candidates were ranked.")],
    label: Annotated[str, typer.Option(help="Name of the row.")],
    set_name: SetName = None,
    format_: FormatName = "trec",
    saw: Annotated[str, typer.Option(help="What the method looked at: pixels, facts, names.")] = "",
    partial: Annotated[bool, typer.Option("--partial", help="Tiles that it left out come last, as errors.")] = False,
) -> None:
    """Others' rankings of the frozen candidates as a row of the run."""
    from eval.arena.exchange import bring_in as take
    from eval.arena.exchange import read_ranked

    frozen, folder = _set(run_folder, set_name)
    ranked = read_ranked(file, _format(format_))
    counts = take(frozen, ranked, label, folder, source=file.name, saw=saw, partial=partial)
    _err.print(f"{counts['queries']} queries taken in as {label}; {counts['missing']} not ranked", markup=False)


@arena_app.command("export")
def send_out(
    run_folder: RunFolder,
    out: Annotated[Path, typer.Option(help="The file to write.")],
    method: Annotated[str, typer.Option(help="A row of the run, or `candidates`: what all are given.")] = "candidates",
    set_name: SetName = None,
    format_: FormatName = "trec",
) -> None:
    """A method's rankings, or the frozen candidates, as a TREC run or rank_llm's JSON."""
    from eval.arena.exchange import send_out as text_of
    from eval.arena.records import read_lines
    from eval.arena.run import file_of
    from retriever.models import write_atomic

    frozen, folder = _set(run_folder, set_name)
    lines = None
    if method != "candidates":
        path = file_of(folder, method, 0)
        if not path.exists():
            known = sorted(p.name.removesuffix(".rankings.jsonl") for p in folder.glob("*.rankings.jsonl"))
            raise SightlineError(f"the run has no method {method!r}; it has candidates, {', '.join(known)}")
        _, lines = read_lines(path)
    text = text_of(frozen, lines, method, _format(format_))
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(out, text.encode())
    _err.print(f"{method} of {frozen.name} in {out}", markup=False)


def _format(name: str) -> Any:
    if name not in ("trec", "rank_llm"):
        raise SightlineError(f"the format {name!r} is not known; known are trec and rank_llm")
    return name


def _set(run_folder: Path, name: str | None) -> tuple[Any, Path]:
    """The set called ``name``, or the only one, with its folder."""
    from eval.arena.frozen import frozen_sets

    found = {frozen.name: frozen for frozen in frozen_sets(run_folder)}
    if not found:
        raise SightlineError(f"{run_folder} holds no frozen candidates; run `sightline arena run` first")
    if name is None and len(found) == 1:
        name = next(iter(found))
    if name not in found:
        raise SightlineError(f"give --set: the run has {', '.join(sorted(found))}")
    return found[name], run_folder / "sets" / name
