"""The conversation at a terminal, or from a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from agent.state import State
from agent.threads import new_thread
from retriever.errors import SightlineError

if TYPE_CHECKING:
    from agent.cli_locate import Room

HELP = (
    "Describe the place, add clues, correct or take back what you said; ask "
    '"why not the second one?", "compare 1 and 3", "what is uncertain?"; '
    'limit the search ("within 300 m of the first"); 用中文再说一遍. /threads, /thread ID, /name TITLE, '
    "/history, /back N, /branch [N], /attach VIEW=FILE; /quit ends, the thread is kept."
)
_END = {"/quit", "/exit", "/q", "quit", "exit", "退出", "再见"}


def converse(room: Room, *, thread: str | None = None, within: str | None = None) -> None:
    """Turns from standard input until its end. What has been answered is kept under the thread's name."""
    name = thread or new_thread()
    out = Console()
    state = _begin(room, name, thread is not None, out)
    for text in _turns(out):
        if text in ("/help", "?"):
            out.print(HELP, style="dim")
            continue
        if text.startswith("/"):
            name, state = _command(room, name, text, state, out)
            continue
        try:
            state = _turn(room, name, text, state, within)
            within = None
        except SightlineError as error:
            out.print(Text(str(error), style="bold red"))
            continue
        except KeyboardInterrupt:
            out.print("stopped; the thread is as it was before", style="yellow")
            room.runner.run(room.desk.undo(name, state))
            continue
        _say(room, state, name, out)
    kept = f"thread {name} is kept: sightline chat --gallery {_gallery(room)} --thread {name}"
    out.print(Text(kept, style="dim"))


def _command(room: Room, name: str, text: str, state: State, out: Console) -> tuple[str, State]:
    """A command about threads; gives the thread that the conversation goes on with."""
    from agent.chat_commands import carry_out

    try:
        chosen, lines = room.runner.run(carry_out(room.desk, name, text))
        out.print(Text("\n".join(lines), style="dim"))
        return chosen, room.runner.run(room.desk.state(chosen))
    except SightlineError as error:
        out.print(Text(str(error), style="bold red"))
        return name, state


def _begin(room: Room, name: str, old: bool, out: Console) -> State:
    out.print(Text(f"thread {name}. {HELP}", style="dim"))
    if not old:
        return {}
    finished = room.runner.run(room.desk.resume(name))
    state = finished or room.runner.run(room.desk.state(name))
    if not state.get("result"):
        raise SightlineError(f"there is no thread {name!r}; leave --thread out to begin a new one")
    if state["result"]["gallery"]["sha256"] != room.desk.context.gallery.sha256:
        raise SightlineError(
            f"the thread {name!r} is about another gallery ({state['result']['gallery']['id']}); open it with that one"
        )
    out.print(Text("\n".join(f"{turn['who']}: {turn['text']}" for turn in state["log"][-4:]), style="dim"))
    return state


def _turn(room: Room, name: str, text: str, before: State, within: str | None) -> State:
    """One turn; a turn that fails leaves the thread as it was."""
    spoken = None if before.get("spoken") else room.settings.lang
    query_id = None if before.get("query_id") else name
    try:
        state: State = room.ask(text, thread=name, query_id=query_id, within=within, spoken=spoken)
    except SightlineError:
        room.runner.run(room.desk.undo(name, before))
        raise
    return state


def _say(room: Room, state: State, name: str, out: Console) -> None:
    from agent.cli_locate import display

    spoken = state.get("spoken") or "both"
    if state["act"]["kind"] == "search":
        display(room, state["result"], thread=name, spoken=spoken)
    words = [state["reply"][lang] for lang in ("en", "zh") if spoken in (lang, "both")]
    out.print(Panel(Text("\n".join(words)), title="Sightline", title_align="left", border_style="cyan"))


def _turns(out: Console) -> Iterator[str]:
    """Non-empty lines typed or piped in. Ctrl-C at the prompt ends the conversation like the end of the input."""
    typed = sys.stdin.isatty()
    while True:
        try:
            text = out.input("[bold cyan]> [/]") if typed else _line()
        except (EOFError, KeyboardInterrupt):
            return
        text = text.strip()
        if text.lower() in _END:
            return
        if text:
            if not typed:
                out.print(Text(f"> {text}", style="bold cyan"))
            yield text


def _line() -> str:
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line


def _gallery(room: Room) -> str:
    return str(room.desk.context.gallery.path)
