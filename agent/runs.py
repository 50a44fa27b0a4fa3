"""One turn through the graph: run, told step by step, taken up again after a kill, undone after a failure."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakValueDictionary

from agent.context import Context
from agent.state import Json, State
from agent.threads import ThreadBook, clean_title
from agent.turns import Event, Turn, turn_of
from retriever.errors import SightlineError

OnStep = Callable[[str], None]
OnEvent = Callable[[Event], None]
MAX_TEXT = 20_000


@dataclass(frozen=True, kw_only=True)
class Runs:
    """The graph with what it works on; :class:`agent.desk.Desk` has the verbs."""

    graph: Any
    context: Context
    book: ThreadBook = field(default_factory=lambda: ThreadBook(None))
    _locks: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)
    """One turn at a time on each thread."""

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
        order: Json | None = None,
        owner: str = "",
        on_step: OnStep | None = None,
        on_event: OnEvent | None = None,
    ) -> State:
        """One turn of ``thread``, not undone where it fails; the verbs above are built on it.

        ``on_step`` hears the name of every step that begins, ``on_event`` everything. Raises ``SightlineError``.
        """
        turn: State = {"text": "" if order else _checked(text, bool(images)), "lang": lang, "order": order}
        if spoken is not None:
            turn["spoken"] = spoken
        if query_id is not None:
            turn["query_id"] = query_id
        if within is not None:
            turn["within"] = within
        if images:
            turn["images"] = [list(pair) for pair in images]
        async with self._lock(thread):
            state = await self._run(turn, thread, on_step, on_event)
            await self.book.touched(
                thread,
                title=clean_title(state["text"] or "untitled"),
                turns=state["turn"],
                gallery=self.context.gallery.sha256,
                owner=owner,
            )
        return state

    async def resume(self, thread: str, on_step: OnStep | None = None) -> State | None:
        """Finish a turn that was cut off, from the last node that ended; None when nothing is open."""
        found = await self.graph.aget_state(config(thread))
        return await self._run(None, thread, on_step, None) if found.next else None

    async def state(self, thread: str) -> State:
        """What the thread remembers; empty for a new one."""
        found = await self.graph.aget_state(config(thread))
        values: State = found.values
        return values

    async def undo(self, thread: str, before: State) -> None:
        """Make ``before`` the thread's state again, after a turn that failed or was stopped.

        The failed turn's checkpoints stay in the database; the thread goes on from a new one.
        """
        found = await self.graph.aget_state(config(thread))
        if not found.values:
            return
        kept: Any = {key: before.get(key) for key in found.values if key != "log"}
        await self.graph.aupdate_state(config(thread), kept, as_node="answer")

    async def _turn(
        self, thread: str, text: str, order: Json | None, on_event: OnEvent | None, options: dict[str, Any]
    ) -> Turn:
        """A turn that either happens or leaves no trace; one that a crash cut off is finished first."""
        before: State = {}
        if self.graph.checkpointer:
            await self.resume(thread)
            before = await self.state(thread)
        if not before.get("query_id"):
            options = {"query_id": thread, **options}
        try:
            state = await self.ask(text, thread=thread, order=order, on_event=on_event, **options)
        except (Exception, asyncio.CancelledError):
            # Also after a defect: a turn that is left open would be taken up, and fail, before every later one.
            if self.graph.checkpointer:
                await asyncio.shield(self.undo(thread, before))
            raise
        return turn_of(thread, state)

    async def _told(
        self, thread: str, text: str, order: Json | None, options: dict[str, Any], events: asyncio.Queue[Event | None]
    ) -> None:
        try:
            turn = await self._turn(thread, text, order, events.put_nowait, options)
            for sentence in turn.sentences:
                events.put_nowait(Event(kind="sentence", thread=thread, data=sentence.to_json()))
            events.put_nowait(Event(kind="turn", thread=thread, data=turn.to_json()))
        except SightlineError as error:
            data = {"message": str(error), "kind": type(error).__name__}
            events.put_nowait(Event(kind="error", thread=thread, data=data))
        finally:
            events.put_nowait(None)

    async def _run(self, turn: State | None, thread: str, on_step: OnStep | None, on_event: OnEvent | None) -> State:
        last: State = {}
        # Without a checkpointer there is nothing to be durable about, and langgraph refuses the option.
        durable = {"durability": "sync"} if self.graph.checkpointer else {}
        modes = ["tasks", "values", "custom"]
        events = self.graph.astream(turn, config(thread), context=self.context, stream_mode=modes, **durable)
        async for mode, event in events:
            if mode == "values":
                last = event
            elif mode == "custom":
                _tell(on_event, event["kind"], thread, event["data"])
            else:
                phase = "started" if "triggers" in event else "finished"
                if on_step is not None and phase == "started":
                    on_step(event["name"])
                _tell(on_event, "step", thread, {"name": event["name"], "phase": phase})
        return last

    def _lock(self, thread: str) -> asyncio.Lock:
        return self._locks.setdefault(thread, asyncio.Lock())


def _tell(on_event: OnEvent | None, kind: Any, thread: str, data: Json) -> None:
    if on_event is not None:
        on_event(Event(kind=kind, thread=thread, data=data))


def _checked(text: str, with_image: bool) -> str:
    words = text.replace("\x00", " ").strip()
    if not words and not with_image:
        raise SightlineError("the description is empty; say in a sentence or two what can be seen from the place")
    if len(words) > MAX_TEXT:
        raise SightlineError(f"the description has {len(words)} characters; at most {MAX_TEXT} are read, so shorten it")
    return words


def config(thread: str, checkpoint: str | None = None) -> Json:
    return {"configurable": {"thread_id": thread} | ({"checkpoint_id": checkpoint} if checkpoint else {})}
