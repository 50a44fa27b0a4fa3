"""One desk: the compiled graph with what it works on. Everything that asks questions goes through here.

The verbs, all asynchronous; ``thread`` is a thread's id, and every verb that changes the search gives a
:class:`agent.turns.Turn`. A turn that fails raises ``SightlineError`` and leaves its thread as it was.

=====================================  ==============================================================================
``locate(text, images=, within=)``     a new thread with its first description; the id is in the turn
``say(thread, text)``                  anything in words: clue, correction, question, limit, "go back to turn 2"
``stream(thread, text)``               the same, as :class:`agent.turns.Event` while it happens
``limit(thread, area)``                search inside a drawn GeoJSON polygon, box or circle; None lifts every limit
``strike / restore(thread, claim)``    a claim no longer counts / counts again
``edit(thread, claim, words)``         say a claim anew in words
``reply(thread, answer)``              yes, no or unknown to the question that the desk put
``attach(thread, view, data)``         a photo, panorama, drone image or map crop joins the query
``switch(thread, spoken=, length=)``   language (en, zh, both) and length (short, usual, long) of the replies
``turn(thread)``                       where the thread stands
``history(thread)``                    its turns, :class:`agent.turns.Past`
``back(thread, after)``                make the search what it was after an earlier turn; the thread goes on
``branch(thread, after=)``             a new thread that begins where the other stood after that turn
``threads(owner=)``, ``info(thread)``  the list, one entry of it (:class:`agent.turns.Thread`)
``name(thread, title)``                give it a name
``forget(thread)``                     delete it with all its checkpoints
``export(thread)``                     everything that a case file needs, as JSON
=====================================  ==============================================================================

``order`` carries what a click asks for, so that ``stream(thread, order={"do": "strike", "claim": "c2"})`` streams any
of the verbs above; :mod:`agent.orders` lists them. ``owner`` is kept with a thread and never checked here: whoever
serves several users compares it.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agent.context import Context
from agent.graph import build
from agent.runs import MAX_TEXT as MAX_TEXT
from agent.runs import Runs, config
from agent.state import Json, State
from agent.threads import NoThread, ThreadBook, clean_title, now
from agent.threads import new_thread as new_thread
from agent.turns import Event, Past, Thread, Turn, turn_of
from retriever.errors import SightlineError


class Desk(Runs):
    """Answers turns. Threads are kept by the graph's checkpointer, if it has one."""

    # --- asking -----------------------------------------------------------------------------------------------------

    async def locate(self, text: str, *, thread: str | None = None, **options: Any) -> Turn:
        """A new thread with its first description; ``options`` as for :meth:`ask`, and ``owner``."""
        return await self.say(thread or new_thread(), text, **options)

    async def say(self, thread: str, text: str, **options: Any) -> Turn:
        """One turn in words, undone where it fails. ``options`` as for :meth:`ask`, and ``owner`` for a new thread."""
        return await self._turn(thread, text, None, None, options)

    async def stream(
        self, thread: str, text: str = "", *, order: Json | None = None, **options: Any
    ) -> AsyncIterator[Event]:
        """A turn as it happens: words, or the order that a click gives. The last event is ``turn`` or ``error``."""
        events: asyncio.Queue[Event | None] = asyncio.Queue()
        work = asyncio.create_task(self._told(thread, text, order, options, events))
        try:
            while (event := await events.get()) is not None:
                yield event
        finally:
            # A listener who goes away stops the turn, which is then undone.
            if not work.done():
                work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def do(self, thread: str, order: Json, **options: Any) -> Turn:
        """Any order that a click gives; :mod:`agent.orders` lists them."""
        return await self._turn(thread, "", order, None, options)

    async def limit(self, thread: str, area: str | Json | None) -> Turn:
        """Search inside ``area`` (GeoJSON, box or circle); None lifts every limit."""
        return await self._turn(thread, "", {"do": "limit", "area": area}, None, {})

    async def strike(self, thread: str, claim: str) -> Turn:
        """The claim no longer counts."""
        return await self._turn(thread, "", {"do": "strike", "claim": claim}, None, {})

    async def restore(self, thread: str, claim: str) -> Turn:
        """A struck claim counts again."""
        return await self._turn(thread, "", {"do": "restore", "claim": claim}, None, {})

    async def edit(self, thread: str, claim: str, words: str) -> Turn:
        """The claim is replaced by what ``words`` say."""
        return await self._turn(thread, "", {"do": "edit", "claim": claim, "words": words}, None, {})

    async def reply(self, thread: str, answer: str) -> Turn:
        """``yes``, ``no`` or ``unknown`` to the question that the desk put last."""
        return await self._turn(thread, "", {"do": "answer", "answer": answer}, None, {})

    async def attach(self, thread: str, view: str, data: bytes, **options: Any) -> Turn:
        """A picture joins the query; ``view`` is ground, panorama, uav or map. Begins a thread that is not there."""
        from agent.opening import keep_picture

        if self.context.image_folder is None:
            raise SightlineError("this desk keeps no images; open it with a data folder")
        sha = await asyncio.to_thread(keep_picture, view, data, self.context.image_folder)
        return await self._turn(thread, "", {"do": "attach", "image": [view, sha]}, None, options)

    async def switch(self, thread: str, *, spoken: str | None = None, length: str | None = None) -> Turn:
        """Language and length of the replies from now on; the last reply is said again."""
        return await self._turn(thread, "", {"do": "switch", "spoken": spoken, "length": length}, None, {})

    async def back(self, thread: str, after: int) -> Turn:
        """The search becomes what it was after turn ``after``; what was judged then is not judged again."""
        return await self._turn(thread, "", {"do": "back", "turn": after}, None, {})

    # --- threads ----------------------------------------------------------------------------------------------------

    async def turn(self, thread: str) -> Turn:
        """Where the thread stands. Raises ``NoThread``."""
        state = await self.state(thread)
        if not state.get("turn"):
            raise NoThread(f"there is no thread {thread!r}; list the threads to see which there are")
        return turn_of(thread, state)

    async def history(self, thread: str) -> list[Past]:
        """The turns of a thread that were answered, in order. Raises ``NoThread``."""
        found: dict[int, Past] = {}
        async for snapshot in self.graph.aget_state_history(config(thread)):
            state: State = snapshot.values
            number = state.get("turn") or 0
            # The newest checkpoint of a turn comes first; one with a next node is of a turn that was not finished.
            if number and not snapshot.next and state.get("reply") and number not in found:
                found[number] = _past(state, snapshot.config["configurable"]["checkpoint_id"])
        if not found:
            raise NoThread(f"there is no thread {thread!r}; list the threads to see which there are")
        return [found[number] for number in sorted(found)]

    async def branch(self, thread: str, *, after: int | None = None, title: str | None = None) -> Thread:
        """A new thread that begins as this one stood after turn ``after`` (now, by default). Raises ``NoThread``."""
        past = await self.history(thread)
        chosen = past[-1] if after is None else next((p for p in past if p.number == after), None)
        if chosen is None:
            known = ", ".join(str(p.number) for p in past)
            raise SightlineError(f"thread {thread!r} has no turn {after} to branch from; it has {known}")
        found = await self.graph.aget_state(config(thread, chosen.checkpoint))
        made = new_thread()
        await self.graph.aupdate_state(config(made), dict(found.values), as_node="answer")
        parent = await self.book.get(thread)
        return await self.book.put(
            Thread(
                id=made,
                title=clean_title(title or f"{parent.title if parent else thread} ({chosen.number})"),
                gallery=self.context.gallery.sha256,
                owner=parent.owner if parent else "",
                turns=chosen.number,
                begun=now(),
                changed=now(),
                parent=thread,
                parent_turn=chosen.number,
            )
        )

    async def threads(self, owner: str | None = None) -> list[Thread]:
        """The threads, the newest first; only ``owner``'s where one is given."""
        return await self.book.all(owner)

    async def info(self, thread: str) -> Thread:
        """A thread's entry in the list. Raises ``NoThread``."""
        return await self.book.must(thread)

    async def name(self, thread: str, title: str) -> Thread:
        """Give a thread a name. Raises ``NoThread``."""
        return await self.book.name(thread, title)

    async def forget(self, thread: str) -> None:
        """Delete a thread with all its checkpoints. Raises ``NoThread``."""
        await self.book.must(thread)
        async with self._lock(thread):
            await self.graph.checkpointer.adelete_thread(thread)
            await self.book.forget(thread)

    async def export(self, thread: str) -> Json:
        """Everything that a case file needs: where the thread stands, every turn, and the versions of what answered."""
        state, context = await self.state(thread), self.context
        entry = await self.book.get(thread)
        return {
            "thread": entry.to_json() if entry else {"id": thread},
            "turn": (await self.turn(thread)).to_json(),
            "history": [past.to_json() for past in await self.history(thread)],
            "log": state["log"],
            "claims": state.get("claims", []),
            "words": state.get("words", []),
            "images": state.get("images", []),
            "limits": state.get("limits", []),
            "asked": state.get("asked", []),
            "gallery": {"id": context.gallery.id, "sha256": context.gallery.sha256},
            "judge": {"backend": context.backend, "model": context.model, "label": context.label},
            "encoder": context.encoder,
            "reranker": context.reranker.name,
        }


def _past(state: State, checkpoint: str) -> Past:
    best = (state.get("result") or {}).get("candidates", [{}])[0]
    return Past(
        number=state["turn"],
        checkpoint=checkpoint,
        text=state.get("text") or "",
        said=turn_of("", state).said,
        kind=state["act"]["kind"],
        first=best.get("tile_id"),
        confidence=best.get("confidence"),
        within=state.get("within"),
    )


@asynccontextmanager
async def open_desk(context: Context, database: Path | None) -> AsyncIterator[Desk]:
    """A desk whose threads are kept in ``database`` (or in Postgres, see :mod:`agent.checkpoints`).

    With a database, what the judge answered is kept beside it, so that a turn that is taken up again pays nothing
    twice. With None every turn stands alone and nothing is kept.
    """
    if database is None:
        yield Desk(graph=build(), context=context)
        return
    from agent.checkpoints import open_kept
    from agent.kept import keeping

    with keeping(context, database.with_name("judgements.sqlite")) as careful:
        async with open_kept(database) as kept:
            graph = build(kept.saver, kept.store)
            yield Desk(graph=graph, context=dataclasses.replace(careful), book=ThreadBook(kept.store))
