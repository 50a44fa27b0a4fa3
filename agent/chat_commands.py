"""What begins with a slash in the terminal's conversation: the desk's verbs for threads and images."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from agent.desk import Desk
from retriever.errors import SightlineError

Done = tuple[str, list[str]]
"""The thread to go on with, and what to print."""


async def carry_out(desk: Desk, thread: str, line: str) -> Done:
    """``/name TITLE`` and the like. Raises ``SightlineError`` for an unknown command or one that cannot be done."""
    word, _, rest = line[1:].partition(" ")
    maker = _COMMANDS.get(word)
    if maker is None:
        raise SightlineError(f"there is no command /{word}; there are {', '.join(f'/{name}' for name in _COMMANDS)}")
    return await maker(desk, thread, rest.strip())


async def _threads(desk: Desk, thread: str, rest: str) -> Done:
    listed = [t for t in await desk.threads() if t.gallery == desk.context.gallery.sha256]
    return thread, [f"{'*' if t.id == thread else ' '} {t.id}  {t.turns:3d} turns  {t.title}" for t in listed]


async def _name(desk: Desk, thread: str, rest: str) -> Done:
    return thread, [f"this thread is called {(await desk.name(thread, rest)).title!r}"]


async def _history(desk: Desk, thread: str, rest: str) -> Done:
    past = await desk.history(thread)
    return thread, [f"{p.number:3d}  {p.first or '':24s}  {p.text[:80]}" for p in past]


async def _back(desk: Desk, thread: str, rest: str) -> Done:
    return thread, (await desk.back(thread, _number(rest))).said.splitlines()


async def _branch(desk: Desk, thread: str, rest: str) -> Done:
    made = await desk.branch(thread, after=_number(rest) if rest else None)
    return made.id, [f"on thread {made.id}, {made.title!r}; /thread {thread} goes back to the other"]


async def _thread(desk: Desk, thread: str, rest: str) -> Done:
    entry = await desk.info(rest)
    if entry.gallery != desk.context.gallery.sha256:
        raise SightlineError(f"the thread {rest!r} is about another gallery; open it with that one")
    return entry.id, [f"on thread {entry.id}, {entry.title!r}"]


async def _attach(desk: Desk, thread: str, rest: str) -> Done:
    view, _, name = rest.partition("=")
    try:
        data = Path(name).read_bytes()
    except OSError as error:
        raise SightlineError(f"the image {name!r} cannot be read ({error.strerror}); write /attach VIEW=FILE") from None
    return thread, (await desk.attach(thread, view, data)).said.splitlines()


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise SightlineError(f"{text!r} is no turn's number; /history lists them") from None


_COMMANDS: dict[str, Callable[[Desk, str, str], Awaitable[Done]]] = {
    "threads": _threads, "name": _name, "history": _history, "back": _back, "branch": _branch, "thread": _thread,
    "attach": _attach,
}  # fmt: skip
