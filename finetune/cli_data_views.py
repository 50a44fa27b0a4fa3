"""``sightline data views`` and ``sightline data satellite``: places and whole areas rendered from a map extract."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the commands of rendered views to the group ``data``."""
    app.command("views")(views)
    app.command("satellite")(satellite)


def views(
    osm: Annotated[Path, typer.Option(help="Map extract: .osm, .osm.gz, .osm.bz2, .osm.pbf or .geojson.")],
    out: Annotated[Path, typer.Option(help="Folder of the sets; a run that was stopped goes on.")],
    n: Annotated[int, typer.Option(min=1, help="How many sets.")] = 100,
    seed: Annotated[int, typer.Option(help="Chooses places, weather, cameras.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that render.")] = 2,
    json_: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> None:
    """Render aligned sets: satellite-like, drone, ground photo, panorama and street map of the same places."""
    from rich.console import Console

    from finetune.views.dataset import Order, write_sets
    from finetune.views.report import write_report

    with _bar("rendering sets") as show:
        done = write_sets(Order(osm=_extract(osm), out=out, n=n, seed=seed), jobs=jobs, progress=show)
    report = write_report(out, done)
    if json_:
        typer.echo(json.dumps({"sets": done.sets, "made": done.made, "seconds": round(done.seconds, 1)}))
        return
    Console().print(f"{out}: {done.sets} sets ({done.made} new in {done.seconds:.0f} s); see {report}", markup=False)


def satellite(
    osm: Annotated[Path, typer.Option(help="Map extract: .osm, .osm.gz, .osm.bz2, .osm.pbf or .geojson.")],
    out: Annotated[Path, typer.Option(help="Folder of the new gallery; its imagery goes to OUT.imagery.")],
    seed: Annotated[int, typer.Option(help="Chooses season, sun, haze and age of the imagery.")] = 0,
    age: Annotated[int | None, typer.Option(help="Years since the picture was taken: 0, 3, 8 or 15.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that render.")] = 2,
) -> None:
    """Render a whole area from above and build a gallery of satellite-like tiles, with the ids of the drawn one."""
    from rich.console import Console

    from finetune.views.imagery import Flight, build_satellite_gallery

    flight = Flight(osm=_extract(osm), out=out.with_name(f"{out.name}.imagery"), seed=seed, age_years=age)
    with _bar("rendering imagery") as show:
        gallery = build_satellite_gallery(flight, out, jobs=jobs, progress=show)
    said = f"{out}: {len(gallery)} {gallery.view} tiles (synthetic), gallery {gallery.id}, sha256 {gallery.sha256[:12]}"
    Console().print(said, markup=False, soft_wrap=True)


def _extract(path: Path) -> Path:
    from retriever.errors import SourceError

    if not path.is_file():
        raise SourceError(f"there is no map extract {path}: give a file to --osm")
    return path


@contextmanager
def _bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=None)
        yield lambda made, total: bar.update(task, completed=made, total=total)
