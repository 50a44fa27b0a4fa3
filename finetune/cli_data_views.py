"""``sightline data views``: aligned views of places, rendered from a map extract."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the commands of rendered views to the group ``data``."""
    app.command("views")(views)


def views(
    osm: Annotated[Path, typer.Option(help="Map extract: .osm, .osm.gz, .osm.bz2, .osm.pbf or .geojson.")],
    out: Annotated[Path, typer.Option(help="Folder of the sets; a run that was stopped goes on.")],
    n: Annotated[int, typer.Option(min=1, help="How many sets.")] = 100,
    seed: Annotated[int, typer.Option(help="Chooses places, weather, cameras.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that render.")] = 2,
    json_: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> None:
    """Render aligned sets: satellite-like, drone, ground photo, panorama and street map of the same places."""
    import json

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from finetune.views.dataset import Order, write_sets
    from finetune.views.report import write_report

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("rendering sets", total=n)
        done = write_sets(
            Order(osm=osm, out=out, n=n, seed=seed),
            jobs=jobs,
            progress=lambda made, total: bar.update(task, completed=made, total=total),
        )
    report = write_report(out, done)
    if json_:
        typer.echo(json.dumps({"sets": done.sets, "made": done.made, "seconds": round(done.seconds, 1)}))
        return
    Console().print(f"{out}: {done.sets} sets ({done.made} new in {done.seconds:.0f} s); see {report}", markup=False)
