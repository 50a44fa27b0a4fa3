"""``sightline gallery``: build one, look at one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from retriever.errors import SourceError
from retriever.types import Box

if TYPE_CHECKING:
    from retriever.build import Progress
    from retriever.gallery import Gallery

gallery_app = typer.Typer(
    name="gallery", help="Build and inspect galleries of map or satellite tiles.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    app.add_typer(gallery_app)


@gallery_app.command()
def build(
    out: Annotated[Path, typer.Argument(help="Folder of the new gallery.")],
    osm: Annotated[
        Path | None, typer.Option(help="Map extract: .osm, .osm.gz, .osm.bz2, .osm.pbf or .geojson.")
    ] = None,
    imagery: Annotated[
        Path | None, typer.Option(help="Folder of GeoTIFFs or x/y/z tiles: builds satellite tiles.")
    ] = None,
    cvg_text: Annotated[
        Path | None, typer.Option(help="Folder of CVG-Text, unpacked or as on the hub; needs --city.")
    ] = None,
    city: Annotated[
        str | None, typer.Option(help="CVG-Text only: NewYork, Brisbane, Tokyo, also with -photos or -mixed.")
    ] = None,
    view: Annotated[str, typer.Option(help="CVG-Text only: satellite or map.")] = "satellite",
    bbox: Annotated[str | None, typer.Option(help="west,south,east,north in degrees.")] = None,
    cover: Annotated[
        str, typer.Option(help="box: the whole area; touched: cells with roads or buildings; auto.")
    ] = "auto",
    size_m: Annotated[float, typer.Option(help="Side of a tile in metres.")] = 120.0,
    stride: Annotated[float, typer.Option(help="Step of the grid as a part of a tile's side.")] = 0.5,
    px: Annotated[int, typer.Option(help="Side of a tile's picture in pixels.")] = 448,
    gallery_id: Annotated[
        str | None, typer.Option("--id", help="Name inside tile ids; from the source by default.")
    ] = None,
    attribution: Annotated[str | None, typer.Option(help="Whom the imagery has to name.")] = None,
    licence: Annotated[str | None, typer.Option(help="The imagery's licence.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that draw tiles.")] = 1,
) -> None:
    """Build a gallery from a map extract, imagery or a copy of CVG-Text. Stopped builds go on where they were."""
    from retriever.build import build_gallery

    if cvg_text is not None:
        if osm or imagery or bbox:
            raise SourceError("--cvg-text is a source of its own: leave out --osm, --imagery and --bbox")
        _build_cvg_text(out, cvg_text, city, view, gallery_id)
        return
    if cover not in ("auto", "box", "touched"):
        raise SourceError(f"--cover {cover} is unknown: give auto, box or touched")
    with _progress() as show:
        gallery = build_gallery(
            out,
            osm=osm,
            imagery=imagery,
            bbox=parse_box(bbox) if bbox else None,
            cover=cover,  # type: ignore[arg-type]
            size_m=size_m,
            stride=stride,
            px=px,
            gallery_id=gallery_id,
            attribution=attribution,
            licence=licence,
            jobs=jobs,
            progress=show,
        )
    said = f"{out}: {len(gallery)} {gallery.view} tiles, gallery {gallery.id}, sha256 {gallery.sha256[:12]}"
    Console().print(said, markup=False, soft_wrap=True)


def _build_cvg_text(out: Path, root: Path, city: str | None, view: str, gallery_id: str | None) -> None:
    from retriever.cvg_gallery import build_cvg_gallery

    if city is None:
        raise SourceError("--cvg-text needs --city: NewYork, Brisbane or Tokyo, also with -photos or -mixed")
    if view not in ("satellite", "map"):
        raise SourceError(f"--view {view} is unknown: give satellite or map")
    with _progress() as show:
        gallery = build_cvg_gallery(
            out,
            root,
            city=city,
            view=view,  # type: ignore[arg-type]
            gallery_id=gallery_id,
            progress=show,
        )
    for line in gallery.manifest["passed_over"]:
        Console(stderr=True).print(line, markup=False, soft_wrap=True)
    said = f"{out}: {len(gallery)} {gallery.view} tiles, gallery {gallery.id}, sha256 {gallery.sha256[:12]}"
    Console().print(said, markup=False, soft_wrap=True)


@gallery_app.command()
def info(
    path: Annotated[Path, typer.Argument(help="Folder of a gallery.")],
    json_: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Also compare every picture with its hash.")] = False,
) -> None:
    """Describe a gallery."""
    from retriever.gallery import Gallery

    gallery = Gallery.open(path)
    if verify:
        gallery.verify()
    if json_:
        typer.echo(json.dumps(gallery.manifest, ensure_ascii=False, indent=1))
        return
    table = Table(title=Text(f"Gallery {gallery.id}"), show_header=False, title_justify="left")
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in _lines(gallery):
        table.add_row(Text(name), Text(value))
    if verify:
        table.add_row("pictures", "all as recorded")
    Console().print(table)


def _lines(gallery: Gallery) -> Iterator[tuple[str, str]]:
    said = gallery.manifest
    west, south, east, north = said["bounds"]
    counts, grid = said["counts"], said["grid"]
    yield "tiles", f"{counts['tiles']:,} {gallery.view} tiles of {gallery.size_m:g} m, {gallery.px} px"
    grid_of = f"{grid['rows']} x {grid['cols']} cells of {gallery.stride_m:g} m"
    yield "grid", "none: every tile lies about a point of its own" if gallery.scattered else grid_of
    yield "facts", f"{counts['facts']:,} on tiles, from {counts['objects']:,} mapped features"
    yield "bounds", f"{west:.6f}, {south:.6f}, {east:.6f}, {north:.6f} (west, south, east, north)"
    for source in said["sources"]:
        files = f", {source['files']} files" if "files" in source else ""
        yield "source", f"{source['name']} ({source['role']}{files}), sha256 {source['sha256'][:12]}"
    yield "attribution", said["attribution"]
    yield "licence", said["licence"]
    for script, font in (said["fonts"] or {}).items():
        yield f"font, {script}", font.split(" sha256:")[0]
    yield "sha256", gallery.sha256


def parse_box(text: str) -> Box:
    """``west,south,east,north``. Raises ``SourceError`` for anything else."""
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError:
        raise SourceError(f"--bbox {text} is not four numbers west,south,east,north: correct it") from None
    return west, south, east, north


@contextmanager
def _progress() -> Iterator[Progress]:
    """A progress bar on stderr, one line for each stage."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        tasks: dict[str, object] = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total or None)
            bar.update(tasks[stage], completed=done, total=total or None)  # type: ignore[arg-type]

        yield show
