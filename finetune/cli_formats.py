"""``sightline data import``, ``cvg-text-queries``, ``cvg-text-export``, ``leaks``: data sets in and out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from retriever.errors import SourceError

if TYPE_CHECKING:
    from finetune.formats.foreign import Foreign

KINDS = ("cvg-text", "university-1652", "vigor", "setvl-480k")


def register(data: typer.Typer) -> None:
    """Adds the commands to ``sightline data``."""
    data.command("import")(import_)
    data.command("cvg-text-queries")(cvg_text_queries)
    data.command("cvg-text-export")(cvg_text_export)
    data.command("leaks")(leaks)


def import_(
    kind: Annotated[str, typer.Argument(help=f"The layout: {', '.join(KINDS)}.")],
    path: Annotated[Path, typer.Argument(help="Top folder of a local copy.")],
    out: Annotated[Path | None, typer.Option(help="Data set to write; without it the copy is only checked.")] = None,
    city: Annotated[str | None, typer.Option(help="CVG-Text only: the set, as NewYork or Tokyo-photos.")] = None,
    cross: Annotated[bool, typer.Option("--cross", help="VIGOR only: the cross-area protocol.")] = False,
) -> None:
    """Read a published data set, report what is odd about the copy, and write it as tables with a card."""
    found = _load(kind, path, city, cross)
    say = Console(stderr=True)
    for line in found.report.lines():
        say.print(line, markup=False, highlight=False, soft_wrap=True)
    said = f"{found.name}: {len(found.tiles)} tiles, {len(found.queries)} queries, {len(found.links)} links"
    if out is not None:
        with progress() as show:
            counts = found.write(out, show)
        said += f"; written to {out} ({sum(sum(c.values()) for c in counts.values())} rows)"
    Console().print(said, markup=False, highlight=False, soft_wrap=True)


def _load(kind: str, path: Path, city: str | None, cross: bool) -> Foreign:
    from finetune.formats import cvg_text, setvl, university, vigor

    if kind == "cvg-text":
        if city is None:
            raise SourceError("cvg-text needs --city: NewYork, Brisbane or Tokyo, also with -photos or -mixed")
        return cvg_text.load(path, city)
    if kind == "university-1652":
        return university.load(path)
    if kind == "vigor":
        return vigor.load(path, protocol="cross" if cross else "same")
    if kind == "setvl-480k":
        return setvl.load(path)
    raise SourceError(f"the layout {kind!r} is unknown: known are {', '.join(KINDS)}")


def cvg_text_queries(
    path: Annotated[Path, typer.Argument(help="Top folder of a local copy of CVG-Text.")],
    gallery: Annotated[Path, typer.Option(help="The gallery built from it with `sightline gallery build --cvg-text`.")],
    city: Annotated[str, typer.Option(help="The set, as NewYork or Tokyo-photos.")],
    out: Annotated[Path, typer.Option(help="The query file to write.")],
    split: Annotated[str, typer.Option(help="train or test.")] = "test",
) -> None:
    """Write the captions of a split as a query file, each with its one right tile."""
    from finetune.formats import cvg_text
    from retriever.cvg_gallery import read_names
    from retriever.gallery import Gallery
    from retriever.workfolder import write_whole

    if split not in ("train", "test"):
        raise SourceError(f"--split {split} is unknown: give train or test")
    found = cvg_text.load(path, city)
    lines = list(cvg_text.queries_jsonl(found, read_names(Gallery.open(gallery)), split))
    if not lines:
        raise SourceError(f"{path} has no {split} captions for the tiles of {gallery}: check --city and --split")
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, "".join(lines))
    for line in found.report.lines():
        Console(stderr=True).print(line, markup=False, highlight=False, soft_wrap=True)
    Console().print(f"{out}: {len(lines)} queries", markup=False, highlight=False, soft_wrap=True)


def cvg_text_export(
    gallery: Annotated[Path, typer.Argument(help="A gallery of map or satellite tiles.")],
    queries: Annotated[Path, typer.Argument(help="A query file (JSONL) with texts and their places.")],
    out: Annotated[Path, typer.Argument(help="Folder to write in CVG-Text's layout.")],
    city: Annotated[str, typer.Option(help="Name of the set in the layout.")],
    split: Annotated[str, typer.Option(help="Which annotation file the texts go to: train or test.")] = "test",
) -> None:
    """Write a gallery's tiles and texts in CVG-Text's layout, so that its authors' code can read them."""
    from finetune.formats.cvg_export import points_of
    from finetune.formats.cvg_text import export
    from retriever.gallery import Gallery

    if split not in ("train", "test"):
        raise SourceError(f"--split {split} is unknown: give train or test")
    written = export(out, city, points_of(Gallery.open(gallery), queries, split))
    for folder, n in sorted(written.items()):
        Console().print(f"{n:7} {folder}", markup=False, highlight=False, soft_wrap=True)


def leaks(
    path: Annotated[Path, typer.Argument(help="A data set's folder, as `sightline data build` or `import` wrote it.")],
    buffer: Annotated[float, typer.Option(help="Metres that must lie between places of two splits.")] = 200.0,
) -> None:
    """Check a data set for places, pictures and texts that are in two splits. Exits with an error if there are any."""
    from finetune.data.leakcheck import items_of
    from finetune.leaks import check_leaks

    items = items_of(path)
    check_leaks(items, buffer_m=buffer)
    Console().print(f"{path}: no leak among {len(items)} places, pictures and texts", markup=False, soft_wrap=True)


@contextmanager
def progress() -> Iterator[Any]:
    """A progress bar on stderr: one line for each stage, called with its name, what is done and how much there is."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        tasks: dict[str, Any] = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total or None)
            bar.update(tasks[stage], completed=done, total=total or None)

        yield show
