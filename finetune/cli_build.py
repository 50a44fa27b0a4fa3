"""``sightline data build``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def register(data: typer.Typer) -> None:
    """Adds the command to ``sightline data``."""
    data.command("build")(build)


def build(
    out: Annotated[Path, typer.Option(help="Folder of the build.")],
    config: Annotated[str, typer.Option(help="small, full, or a YAML file.")] = "small",
    osm: Annotated[Path | None, typer.Option(help="Folder of map extracts; $SIGHTLINE_DATA/osm by default.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how much there is to do, and how long.")] = False,
) -> None:
    """Build galleries, descriptions, pairs and views, check them for leaks, and report. Stopped builds go on."""
    from finetune.cli_formats import progress
    from finetune.data.build import build as run
    from finetune.data.estimate import estimate
    from finetune.data.plan import find_plan, read_plan

    plan = read_plan(find_plan(config))
    root = os.environ.get("SIGHTLINE_DATA")
    extracts = osm or (Path(root) / "osm" if root else None)
    if dry_run:
        for line in estimate(plan, out, extracts):
            Console().print(line, markup=False, highlight=False, soft_wrap=True)
        return
    with progress() as show:
        said = run(plan, out, osm=extracts, progress=show)
    for table, splits in said["counts"].items():
        counted = ", ".join(f"{n:,} {split}" for split, n in splits.items())
        Console().print(f"{table}: {counted}", markup=False, highlight=False, soft_wrap=True)
    Console().print(
        f"data set {out / 'dataset'}, report {out / 'report' / 'report.html'}", markup=False, soft_wrap=True
    )
