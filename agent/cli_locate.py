"""``sightline locate``, ``sightline chat`` and ``sightline demo``."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from retriever.errors import SightlineError

if TYPE_CHECKING:
    from agent.desk import Desk
    from agent.settings import Settings

GalleryOption = Annotated[Path, typer.Option("--gallery", "-g", help="The gallery folder to search.")]
TopOption = Annotated[int | None, typer.Option("--top", "-k", min=0, max=100, help="Candidates shown and explained.")]
ShortlistOption = Annotated[int | None, typer.Option(min=1, max=1000, help="Retrieved tiles that are judged.")]
LangOption = Annotated[str | None, typer.Option(help="Language of the answer: en, zh or both.")]
WithinOption = Annotated[
    str | None, typer.Option(help="Area limit: w,s,e,n or lat,lon,300m or a GeoJSON polygon or its file.")
]
RerankerOption = Annotated[
    str | None, typer.Option(help="cascade (the default), posterior, yesno, verdict, oracle ...")
]
ServerOption = Annotated[str | None, typer.Option(help="URL of an OpenAI-style model server that already runs.")]
BackendOption = Annotated[str | None, typer.Option(help="auto, vllm, transformers or none.")]


def register(app: typer.Typer) -> None:
    """Adds this file's commands to the ``sightline`` command."""
    app.command("locate")(locate)
    app.command("chat")(chat)
    app.command("demo")(demo)


def locate(
    gallery: GalleryOption,
    text: Annotated[str | None, typer.Argument(help="What can be seen from the place.")] = None,
    top: TopOption = None,
    shortlist: ShortlistOption = None,
    lang: LangOption = None,
    image: Annotated[list[str] | None, typer.Option(help="VIEW=FILE; views: map, ground, panorama, uav.")] = None,
    within: WithinOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="The result as JSON on standard output.")] = False,
    reranker: RerankerOption = None,
    server: ServerOption = None,
    backend: BackendOption = None,
    heat: Annotated[Path | None, typer.Option(help="Folder for heat maps of words and tiles, with a page.")] = None,
    batch: Annotated[Path | None, typer.Option(help="Queries, one JSON object per line: id, text, lang.")] = None,
    out: Annotated[Path | None, typer.Option(help="With --batch: the rankings, one JSON object per line.")] = None,
    parallel: Annotated[int, typer.Option(min=1, max=64, help="With --batch: queries under way at once.")] = 4,
) -> None:
    """Find the place that a description is about."""
    settings = settings_with(top=top, shortlist=shortlist, lang=lang, reranker=reranker, server=server, backend=backend)
    if (batch is None) != (out is None) or (batch is None) == (text is None):
        raise SightlineError("give either a description, or --batch with --out")
    if batch is not None:
        _alone({"--image": bool(image), "--json": as_json, "--lang": lang is not None, "--heat": heat is not None})
    kept = keep_images(settings, image or [])
    with opened(gallery, settings, keep=batch is None, images={sha: path for _, sha, path in kept}) as room:
        if batch is not None and out is not None:
            _batch(room, batch, out, within, parallel)
        else:
            _one(room, text or "", kept, within, as_json, heat)


def _alone(given: dict[str, bool]) -> None:
    """Refuses options that a batch would ignore: its lines hold texts only and its file is JSON in both languages."""
    for option in (name for name, there in given.items() if there):
        raise SightlineError(f"--batch and {option} do not go together; leave {option} out")


def chat(
    gallery: GalleryOption,
    thread: Annotated[str | None, typer.Option(help="Go on with this thread.")] = None,
    top: TopOption = None,
    shortlist: ShortlistOption = None,
    lang: LangOption = None,
    within: WithinOption = None,
    reranker: RerankerOption = None,
    server: ServerOption = None,
    backend: BackendOption = None,
) -> None:
    """Describe a place and go on talking about what was found."""
    from agent.chat import converse

    settings = settings_with(top=top, shortlist=shortlist, lang=lang, reranker=reranker, server=server, backend=backend)
    with opened(gallery, settings) as room:
        converse(room, thread=thread, within=within)


def demo(
    server: ServerOption = None,
    backend: BackendOption = None,
    folder: Annotated[Path | None, typer.Option(help="Where the demo's gallery is kept.")] = None,
) -> None:
    """Build the demo town, locate one description in it, and go on as a conversation."""
    from agent.demo import run

    run(settings_with(server=server, backend=backend), folder)


@dataclass(frozen=True, kw_only=True)
class Room:
    """A desk with an event loop to run it in, and a screen."""

    desk: Desk
    settings: Settings
    runner: asyncio.Runner
    screen: Console

    def ask(self, text: str, **options: Any) -> Any:
        """One turn, with the running step shown on the screen."""
        from agent.render import STEPS

        with self.screen.status("thinking", spinner="dots") as status:
            asked = self.desk.ask(text, on_step=lambda step: status.update(STEPS[step]), **options)
            return self.runner.run(asked)


def settings_with(**options: Any) -> Settings:
    """Settings from the environment with the given options on top; None means "not given"."""
    from pydantic import ValidationError

    from agent.settings import Settings

    try:
        return Settings(**{name: value for name, value in options.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        raise SightlineError(f"the setting {first['loc'][0]} is not usable: {first['msg']}") from None


@contextmanager
def opened(
    gallery: Path, settings: Settings, *, keep: bool = True, images: dict[str, Path] | None = None
) -> Iterator[Room]:
    """Gallery, models and threads opened for one command, and closed whatever happens."""
    from agent.desk import open_desk
    from agent.opening import open_context

    screen = Console(stderr=True)
    with _told_when_stopped(screen), ExitStack() as outer, asyncio.Runner() as runner:
        with screen.status("opening") as status:
            opening = open_context(gallery, settings, say=lambda line: status.update(Text(line)), images=images)
            context = outer.enter_context(opening)
        stack = AsyncExitStack()
        try:
            if context.label:
                screen.print(Text(f"judge: {context.label}", style="dim"))
            desk = runner.run(stack.enter_async_context(open_desk(context, settings.database() if keep else None)))
            yield Room(desk=desk, settings=settings, runner=runner, screen=screen)
        finally:
            runner.run(stack.aclose())
            if context.close is not None:
                runner.run(context.close())


@contextmanager
def _told_when_stopped(screen: Console) -> Iterator[None]:
    """Ctrl-C ends a command with a word: what was answered before is kept, a model server that runs goes on."""
    try:
        yield
    except KeyboardInterrupt:
        screen.print("stopped; what was answered before is kept", style="yellow")
        raise


def keep_images(settings: Settings, specs: list[str]) -> list[tuple[str, str, Path]]:
    """The ``--image`` options as view, sha256 and file in the content store."""
    from agent.opening import keep_image, rendered_only

    kept = [keep_image(spec, settings.folder("images")) for spec in specs]
    warning = rendered_only([view for view, _, _ in kept])
    if warning:
        Console(stderr=True).print(Text.assemble(("note: ", "yellow"), warning))
    return kept


def _one(
    room: Room, text: str, kept: list[tuple[str, str, Path]], within: str | None, as_json: bool, heat: Path | None
) -> None:
    from agent.desk import new_thread
    from agent.hearing import claims_notes

    thread, images = new_thread(), [(view, sha) for view, sha, _ in kept]
    state = room.ask(text, thread=thread, query_id=thread, within=within, images=images, spoken=room.settings.lang)
    for note in claims_notes(state):
        room.screen.print(Text.assemble(("note: ", "yellow"), note))
    result = {**state["result"], "thread": thread}
    if as_json:
        sys.stdout.write(json.dumps(result, ensure_ascii=False) + "\n")
    else:
        again = f"Go on: sightline chat --gallery {room.desk.context.gallery.path} --thread {thread}"
        display(room, result, thread=thread, hint=again)
    if heat is not None:
        _heat(room, result, [(view, path) for view, _, path in kept], heat, quiet=as_json)


def _heat(room: Room, result: dict[str, Any], images: list[tuple[str, Path]], folder: Path, *, quiet: bool) -> None:
    from agent.heat import show_heat

    lines, missing = show_heat(room.desk.context, result, images, folder)
    if not quiet:
        for line in lines:
            Console().print(line)
    for reason in missing:
        room.screen.print(Text.assemble(("no heat map: ", "yellow"), reason))
    room.screen.print(Text(f"heat maps: {folder / 'index.html'}"))


def display(room: Room, result: dict[str, Any], *, thread: str, hint: str = "", spoken: str | None = None) -> None:
    """The result on standard output, with a picture of the top tile saved beside it."""
    from agent.render import save_picture, show

    folder = room.settings.folder(f"pictures/{thread}")
    picture = None
    try:
        picture = save_picture(room.desk.context.gallery, result["candidates"][0], result["claims"], folder)
    except SightlineError as error:
        room.screen.print(Text.assemble(("no picture of the top tile: ", "yellow"), str(error)))
    show(Console(), result, spoken=spoken or room.settings.lang, picture=picture, hint=hint)


def _batch(room: Room, queries: Path, out: Path, within: str | None, parallel: int) -> None:
    from agent.batch import run

    with room.screen.status("reading the queries") as status:
        answered, failed, before = room.runner.run(
            run(
                room.desk, queries, out, within=within, parallel=parallel,
                on_done=lambda done, of: status.update(f"answered {done} of {of}"),
            )
        )  # fmt: skip
    room.screen.print(Text(f"{answered} answered, {failed} lines in error, {before} were there before: {out}"))
