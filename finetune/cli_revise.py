"""``sightline annotate revise`` and ``revise-report``: people decide, and what comes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from retriever.errors import SightlineError

if TYPE_CHECKING:
    from finetune.annotate.revise.agreement import Agreement
    from finetune.annotate.revise.board import Board

Run = Annotated[Path, typer.Argument(help="The run's folder, or a queue file.")]
Out = Annotated[Path | None, typer.Option(help="The SQLite file; else revision.sqlite beside the queue.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output.")]

_err = Console(stderr=True, highlight=False, soft_wrap=True)


def register(group: typer.Typer) -> None:
    """Add the commands to the group ``annotate``."""
    group.command("revise")(revise)
    group.command("revise-report")(revise_report)


def revise(
    run: Run,
    revisers: Annotated[str, typer.Option(help="Names by commas; known ones keep their links.")] = "",
    out: Out = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Loopback port; 0 takes a free one.")] = 8421,
    as_json: AsJson = False,
) -> None:
    """Open the page on which people accept, edit or reject what the annotators disagree on."""
    import sys

    from finetune.annotate.revise.page import revise_app
    from retriever.pages import frame

    board = _board(run, out, make=True)
    board.add_revisers([n.strip() for n in revisers.split(",") if n.strip()])
    if not board.codes:
        raise SightlineError("nobody may revise yet; give --revisers anna,ben")
    _held(board, "")
    listening = frame.bind(port)
    links = frame.links(frame.address(listening), board.codes)
    if as_json:
        typer.echo(json.dumps({"out": str(board.log.path), "links": links, "items": len(board.items)}))
    else:
        for name, link in links.items():
            typer.echo(f"{name}: {link}")
        _err.print(f"{len(board.items)} items; Ctrl+C ends it, and the same command goes on", markup=False)
    sys.stdout.flush()
    frame.serve(revise_app(board), listening)


def revise_report(
    run: Run,
    out: Out = None,
    export: Annotated[Path | None, typer.Option(help="Folder for the revised files and the audit log.")] = None,
    head: Annotated[str, typer.Option(help="COUNT:HASH of an earlier report; the log must still hold it.")] = "",
    seed: Annotated[int, typer.Option(help="Of the resampling.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Agreement of the annotators before and after, what was decided, and the revised files."""
    from finetune.annotate.pairs import AnnotationRow
    from finetune.annotate.revise.agreement import agreement
    from finetune.annotate.revise.export import export as write
    from finetune.annotate.rows import read_rows

    board = _board(run, out, make=False)
    _held(board, head)
    source = board.folder / "annotations.jsonl"
    found = agreement(board, read_rows(source, AnnotationRow) if source.exists() else None, seed=seed)
    count, digest = board.log.head()
    if as_json:
        typer.echo(json.dumps({**found.to_json(), "head": f"{count}:{digest}"}, ensure_ascii=False))
    else:
        _show(found)
        Console(soft_wrap=True, highlight=False).print(f"log head {count}:{digest}")
    if export is not None:
        _err.print(f"wrote {', '.join(path.name for path in write(board, export))} to {export}", markup=False)


def _board(run: Path, out: Path | None, *, make: bool) -> Board:
    from finetune.annotate.revise.board import Board

    queue = run / "queue.jsonl" if run.is_dir() else run
    return Board(queue, out or queue.with_name("revision.sqlite"), make=make)


def _held(board: Board, head: str) -> None:
    """Raises ``SightlineError`` where the log was tampered with."""
    count, _, digest = head.partition(":")
    if head and not (count.isdecimal() and digest):
        raise SightlineError(f"--head {head!r} is not COUNT:HASH, as a report prints it")
    wrong = board.log.verify((int(count), digest) if head else None)
    if wrong:
        raise SightlineError(f"{wrong}; nothing in it can be trusted, go back to a copy")


def _show(found: Agreement) -> None:
    table = Table("", "alpha", "95 % interval", "units", "items", title="Agreement (Krippendorff's alpha, nominal)")
    rows = {
        "verdicts of queued pairs, before": found.verdicts_before,
        "verdicts of queued pairs, after": found.verdicts_after,
        "claims of queued pairs, before": found.claims_before,
        "claims of queued pairs, after": found.claims_after,
        "verdicts of all pairs, before": found.all_pairs_before,
        "verdicts of all pairs, after": found.all_pairs_after,
        **{f"people and {who}": alpha for who, alpha in found.with_people.items()},
    }
    for name, a in rows.items():
        if a is not None:
            value = "–" if a.value is None else f"{a.value:.3f}"
            between = a.why or f"{a.low:.3f} to {a.high:.3f}"
            table.add_row(name, value, between, str(a.units), str(a.items))
    Console().print(table)
    Console(highlight=False).print(
        f"{found.decided} of {found.items} items decided, {found.dropped} dropped; "
        f"{found.overruled} decisions were changed by a second person"
    )
