"""``sightline export``, ``sightline replay`` and ``sightline case verify``."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from retriever.errors import SightlineError

if TYPE_CHECKING:
    from agent.casefile.replay import Replay
    from agent.context import Context
    from agent.settings import Settings

CaseArgument = Annotated[Path, typer.Argument(metavar="CASE", help="A case file.")]
KeyOption = Annotated[Path | None, typer.Option(help="Public key (PEM) or secret that must have signed the case.")]
DigestOption = Annotated[str | None, typer.Option(help="The digest that was noted when the case was exported.")]
JsonOption = Annotated[bool, typer.Option("--json", help="The findings as JSON on standard output.")]
_MARKS = {"same": ("same", "green"), "differs": ("differs", "bold red"), "not_done": ("not done", "yellow")}


def register(app: typer.Typer) -> None:
    """Add the commands to ``sightline``."""
    cases = typer.Typer(no_args_is_help=True, help="Case files: a conversation as one archive.")
    cases.command("verify")(verify)
    app.command("export")(export)
    app.command("replay")(replay)
    app.add_typer(cases, name="case")


def export(
    thread: Annotated[str, typer.Argument(metavar="THREAD", help="Id of the thread, as `sightline chat` names it.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The case file to write.")],
    gallery: Annotated[
        Path | None, typer.Option("--gallery", "-g", help="The gallery that the thread is about.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    sign: Annotated[Path | None, typer.Option(help="Ed25519 private key (PEM), or a file with a secret.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a thread's last answer as a case file: what was asked, seen, found and concluded, with a report."""
    from agent.casefile import export_case, verify_case
    from agent.casefile.errors import CaseError
    from agent.cli_locate import settings_with
    from agent.desk import open_desk

    settings, screen = settings_with(), Console(stderr=True)
    if out.exists() and not force:
        raise CaseError(f"{out} is there already; give another name, or --force to replace it")
    context = _quiet(_gallery(gallery, settings), settings)

    async def run() -> Path:
        async with open_desk(context, settings.database()) as desk:
            return await export_case(desk, thread, out, force=force, key=sign)

    with screen.status("writing the case"):
        found = verify_case(asyncio.run(run()))
    if as_json:
        typer.echo(json.dumps(found.to_json(), ensure_ascii=False))
        return
    screen.print(Text(f"{out}: {found.entries} entries, {found.size / 1e6:.1f} MB; {found.signature}"))
    screen.print(Text(f"digest {found.digest}"))


def verify(case: CaseArgument, key: KeyOption = None, digest: DigestOption = None, as_json: JsonOption = False) -> None:
    """Say whether a case file is byte for byte as it was written, and what is known of who wrote it."""
    from agent.casefile import verify_case

    found = verify_case(case, key=key, digest=digest)
    if as_json:
        typer.echo(json.dumps(found.to_json(), ensure_ascii=False))
        return
    out = Console(highlight=False, soft_wrap=True)
    out.print(Text(f"{case} is as it was written: {found.entries} entries; {found.signature}"))
    out.print(Text(f"digest {found.digest}"))


def replay(
    case: CaseArgument,
    gallery: Annotated[Path | None, typer.Option("--gallery", "-g", help="Search this gallery again as well.")] = None,
    backend: Annotated[str | None, typer.Option(help="auto, vllm, transformers, or none to ask no model.")] = None,
    server: Annotated[str | None, typer.Option(help="URL of an OpenAI-style model server that runs.")] = None,
    key: KeyOption = None,
    digest: DigestOption = None,
    as_json: JsonOption = False,
) -> None:
    """Work out a case's verdicts again and say what, if anything, comes out differently, and what changed since.

    Exit code 0 where they come out again, 1 where something differs, 5 for a file that was tampered with.
    """
    from agent.casefile import replay_case, verify_case
    from agent.cli_locate import settings_with

    # Nothing is opened for a file that is not worth it.
    verify_case(case, key=key, digest=digest)
    settings, screen = settings_with(backend=backend, server=server), Console(stderr=True)
    if gallery is not None:
        found = _with_gallery(case, gallery, settings, screen, key)
    else:
        from agent.opening import open_bench
        from agent.rerankers import Kit

        with screen.status("opening") as status:
            bench = open_bench(settings, say=lambda line: status.update(Text(line)))
        try:
            kit = Kit(judge=bench.judge, why_no_judge=bench.why)

            async def run() -> Replay:
                try:
                    return await replay_case(case, kit=kit, model=bench.model, key=key)
                finally:
                    if bench.judge is not None:
                        await bench.judge.client.close()

            found = asyncio.run(run())
        finally:
            bench.stop()
    typer.echo(json.dumps(found.to_json(), ensure_ascii=False)) if as_json else show(found, Console(highlight=False))
    raise typer.Exit(0 if found.reproduced else 1)


def _with_gallery(case: Path, gallery: Path, settings: Settings, screen: Console, key: Path | None) -> Replay:
    from agent.casefile import replay_case
    from agent.opening import open_context

    with screen.status("opening") as status:
        opening = open_context(gallery, settings, say=lambda line: status.update(Text(line)))
        with opening as context:

            async def run() -> Replay:
                try:
                    return await replay_case(case, context=context, key=key)
                finally:
                    if context.close is not None:
                        await context.close()

            return asyncio.run(run())


def _gallery(given: Path | None, settings: Settings) -> Path:
    """The folder given, else ``$SIGHTLINE_GALLERY``, else the demo's."""
    from agent.demo import home

    named = given or (Path(os.environ["SIGHTLINE_GALLERY"]) if os.environ.get("SIGHTLINE_GALLERY") else None)
    if named is not None:
        return named
    demo = home(settings, None) / "gallery"
    if not (demo / "manifest.json").is_file():
        raise SightlineError("say which gallery the thread is about with --gallery")
    return demo


def _quiet(gallery: Path, settings: Settings) -> Context:
    """What an export needs: the gallery and the kept pictures, and no model at all."""
    from agent.context import Context
    from agent.rerankers import Kit, create
    from retriever.gallery import Gallery

    kit = Kit()
    return Context(
        gallery=Gallery.open(gallery), retriever=None, kit=kit, reranker=create("identity", kit),
        image_folder=settings.folder("images"),
    )  # fmt: skip


def show(found: Replay, console: Console) -> None:
    """What a replay found, for a person."""
    console.print(Text(f"{found.path}  digest {found.digest[:16]}; {found.signature}", style="dim"))
    console.print(Text(f"model {found.judge}"))
    table = Table(box=None, show_header=False, pad_edge=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    for step in found.steps:
        words, style = _MARKS[step.state]
        table.add_row(step.name, Text(words, style=style), Text(step.told))
    console.print(table)
    for change in found.changed:
        console.print(Text(f"changed: {change.what}: {change.then or 'absent'}, now {change.now or 'absent'}"))
    for tile in found.tiles:
        if not tile.same_verdict or tile.stances:
            was, now = tile.confidence
            line = f"{tile.tile_id}: {tile.verdict[0]} ({was:.3f}), now {tile.verdict[1]} ({now:.3f}, {now - was:+.3f})"
            console.print(Text("; ".join([line, *tile.stances[:6]])))
    good = "[green]The verdicts come out again.[/]" if found.reproduced else "[bold red]Something differs.[/]"
    console.print(good)
