"""One desk: the compiled graph with what it works on. Everything that asks questions goes through here."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.context import Context
from agent.graph import build
from agent.state import Json, State
from retriever.errors import SightlineError

OnStep = Callable[[str], None]
MAX_TEXT = 20_000


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Answers turns. Threads are kept by the graph's checkpointer, if it has one."""

    graph: Any
    context: Context

    async def ask(
        self,
        text: str,
        *,
        thread: str,
        query_id: str | None = None,
        lang: str | None = None,
        within: str | None = None,
        images: Sequence[tuple[str, str]] = (),
        spoken: str | None = None,
        on_step: OnStep | None = None,
    ) -> State:
        """One turn of ``thread``; ``on_step`` hears the name of every step that begins. Raises ``SightlineError``."""
        turn: State = {"text": _checked(text), "lang": lang}
        if spoken is not None:
            turn["spoken"] = spoken
        if query_id is not None:
            turn["query_id"] = query_id
        if within is not None:
            turn["within"] = within
        if images:
            turn["images"] = [list(pair) for pair in images]
        return await self._run(turn, thread, on_step)

    async def resume(self, thread: str, on_step: OnStep | None = None) -> State | None:
        """Finish a turn that was cut off, from the last node that ended; None when nothing is open."""
        found = await self.graph.aget_state(_config(thread))
        return await self._run(None, thread, on_step) if found.next else None

    async def state(self, thread: str) -> State:
        """What the thread remembers; empty for a new one."""
        found = await self.graph.aget_state(_config(thread))
        values: State = found.values
        return values

    async def undo(self, thread: str, before: State) -> None:
        """Make ``before`` the thread's state again, after a turn that failed or was stopped.

        The failed turn's checkpoints stay in the database; the thread goes on from a new one.
        """
        found = await self.graph.aget_state(_config(thread))
        if not found.values:
            return
        kept: Any = {key: before.get(key) for key in found.values if key != "log"}
        await self.graph.aupdate_state(_config(thread), kept, as_node="answer")

    async def _run(self, turn: State | None, thread: str, on_step: OnStep | None) -> State:
        last: State = {}
        # Without a checkpointer there is nothing to be durable about, and langgraph refuses the option.
        durable = {"durability": "sync"} if self.graph.checkpointer else {}
        events = self.graph.astream(
            turn, _config(thread), context=self.context, stream_mode=["tasks", "values"], **durable
        )
        async for mode, event in events:
            if mode == "values":
                last = event
            elif on_step is not None and "triggers" in event:
                on_step(event["name"])
        return last


def _checked(text: str) -> str:
    words = text.replace("\x00", " ").strip()
    if not words:
        raise SightlineError("the description is empty; say in a sentence or two what can be seen from the place")
    if len(words) > MAX_TEXT:
        raise SightlineError(f"the description has {len(words)} characters; at most {MAX_TEXT} are read, so shorten it")
    return words


def _config(thread: str) -> Json:
    return {"configurable": {"thread_id": thread}}


def new_thread() -> str:
    """A short name for a new thread."""
    return uuid.uuid4().hex[:8]


@asynccontextmanager
async def open_desk(context: Context, database: Path | None) -> AsyncIterator[Desk]:
    """A desk whose threads are kept in ``database``; with None every turn stands alone and nothing is kept."""
    if database is None:
        yield Desk(graph=build(), context=context)
        return
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    async with AsyncSqliteSaver.from_conn_string(str(database)) as saver:
        yield Desk(graph=build(saver), context=context)
