"""``sightline eval``: how good it is, honestly."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

DEFAULT_METHODS = "random,constant,names,oracle,dense,fused"

eval_app = typer.Typer(name="eval", help="Measure retrieval against known places.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add this room's commands."""
    from eval import cli_arena, cli_explanations, cli_rate

    cli_arena.register(app)
    cli_explanations.register(app)
    cli_rate.register(app)
    from eval.cli_testset import register as testset

    testset(eval_app)
    app.add_typer(eval_app)


@eval_app.callback()
def _group() -> None:
    """Measure retrieval against known places."""


@eval_app.command("retrieval")
def retrieval(
    gallery: Annotated[Path, typer.Option(help="Gallery folder.")],
    queries: Annotated[Path, typer.Option(help="JSONL with id, text, lang, lat, lon, named, source.")],
    protocol: Annotated[str, typer.Option(help="full, or nearest100 (flattering; for old numbers only).")] = "full",
    methods: Annotated[
        str, typer.Option(help="Rows, by commas; random and constant always come along.")
    ] = DEFAULT_METHODS,
    rankings: Annotated[list[Path] | None, typer.Option(help="Rankings JSONL of locate --batch; may repeat.")] = None,
    seed: Annotated[int, typer.Option(help="Of the random row and the resampling.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON on stdout.")] = False,
    markdown: Annotated[bool, typer.Option(help="The report as Markdown on stdout.")] = False,
) -> None:
    """Recall, containment and distance with intervals by location, over the full gallery by default."""
    from rich.console import Console

    from eval.protocol import read_queries, truth
    from eval.rankings import read_rankings
    from eval.report import show, to_json, to_markdown
    from eval.run import measure_all, report
    from eval.scorers import Bench, score
    from retriever.gallery import Gallery

    places = Gallery.open(gallery)
    asked = read_queries(queries)
    right = truth(places, asked, protocol)
    bench = Bench(gallery=places, queries=asked, seed=seed)
    scored = score(bench, [name.strip() for name in methods.split(",") if name.strip()])
    scored += [read_rankings(path, places.ids, asked, sha256=places.sha256) for path in rankings or []]
    result = report(
        f"Retrieval in {places.id}",
        measure_all(scored, right),
        asked,
        right.clusters,
        protocol=protocol,
        tiles=len(places.ids),
        command=shlex.join(["sightline", *sys.argv[1:]]),
        seed=seed,
    )
    if as_json:
        for warning in result.warnings:
            Console(stderr=True).print(f"[bold yellow]warning:[/] {warning}")
        typer.echo(json.dumps(to_json(result), ensure_ascii=False))
    elif markdown:
        typer.echo(to_markdown(result))
    else:
        show(result, Console())
