"""``sightline index GALLERY``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from retriever.errors import SightlineError


def register(app: typer.Typer) -> None:
    """Add ``index``."""
    app.command("index")(index)


def index(
    gallery: Annotated[Path, typer.Argument(help="A gallery folder.")],
    encoder: Annotated[
        str, typer.Option(help="A shipped model, a bundle's folder, or an open_clip model NAME or NAME:PRETRAINED.")
    ] = "sightline-mini",
    device: Annotated[
        str | None, typer.Option(help="auto, cpu, cuda or cuda:N; else as SIGHTLINE_DEVICE says, else auto.")
    ] = None,
    batch: Annotated[int, typer.Option(help="Pictures per forward pass.", min=1)] = 32,
    force: Annotated[bool, typer.Option("--force", help="Embed again even where a fitting index is there.")] = False,
) -> None:
    """Embed a gallery's tiles and index its names, so that it can be searched."""
    from retriever.encoder import Encoder
    from retriever.gallery import Gallery
    from retriever.retrieve import build_index, index_folder

    console = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)
    tiles, model = Gallery.open(gallery), Encoder.load(encoder, device=device)
    folder = index_folder(tiles.path, encoder)
    if not force and _fits(folder, model.id, tiles.sha256):
        console.print(f"{folder} is up to date: {len(tiles)} tiles")
        return
    columns = (TextColumn("embedding"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("tiles", total=len(tiles))
        skipped = build_index(tiles, model, folder, batch=batch, on_tiles=lambda n: bar.advance(task, n))
    for tile_id, why in skipped.items():
        console.print(Text.assemble(("skipped", "yellow"), f" {tile_id}: {why}"))
    console.print(f"{len(tiles) - len(skipped)} tiles of {tiles.id} indexed with {model.name} in {folder}")


def _fits(folder: Path, encoder: str, gallery: str) -> bool:
    from retriever.index import VectorIndex
    from retriever.names import FILE, NameIndex

    try:
        VectorIndex.load(folder, encoder=encoder, gallery=gallery)
        NameIndex.load(folder / FILE, gallery=gallery)
    except SightlineError:
        return False
    return True
