"""The list of threads: names, owners, what branched from what. Kept beside the checkpoints, in the same database."""

from __future__ import annotations

import dataclasses
import uuid
from datetime import UTC, datetime
from typing import Any

from agent.turns import Thread
from retriever.errors import SightlineError

SPACE = ("sightline", "threads")
MOST = 10_000
"""Threads of one owner that are listed; the newest come first."""
LONGEST_TITLE = 120


class NoThread(SightlineError):
    """A thread that is not there, or is another's."""

    status = 404


def new_thread() -> str:
    """An id for a new thread: 80 random bits, so that it cannot be guessed."""
    return uuid.uuid4().hex[:20]


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def clean_title(title: str) -> str:
    """One line of at most :data:`LONGEST_TITLE` characters. Raises ``SightlineError`` where nothing is left."""
    line = " ".join("".join(c if c.isprintable() else " " for c in title).split())[:LONGEST_TITLE].strip()
    if not line:
        raise SightlineError("a thread's name needs at least one letter; give it another name")
    return line


class ThreadBook:
    """Reads and writes the list in a LangGraph store; without one, threads have no names and are not listed."""

    def __init__(self, store: Any) -> None:
        self._store = store

    async def get(self, thread: str) -> Thread | None:
        if self._store is None:
            return None
        item = await self._store.aget(SPACE, thread)
        return None if item is None else Thread.from_json(item.value)

    async def put(self, entry: Thread) -> Thread:
        if self._store is not None:
            await self._store.aput(SPACE, entry.id, entry.to_json(), index=False)
        return entry

    async def forget(self, thread: str) -> None:
        if self._store is not None:
            await self._store.adelete(SPACE, thread)

    async def all(self, owner: str | None = None) -> list[Thread]:
        """The newest first; only ``owner``'s where one is given."""
        if self._store is None:
            return []
        wanted = None if owner is None else {"owner": owner}
        items = await self._store.asearch(SPACE, filter=wanted, limit=MOST)
        found = [Thread.from_json(item.value) for item in items]
        return sorted(found, key=lambda t: (t.changed, t.begun, t.id), reverse=True)

    async def touched(self, thread: str, *, title: str, turns: int, gallery: str, owner: str) -> Thread:
        """The thread's entry after a turn; the first turn makes it, with the first words as its name."""
        known = await self.get(thread)
        if known is None:
            return await self.put(
                Thread(
                    id=thread, title=title, gallery=gallery, owner=owner, turns=turns, begun=now(), changed=now()
                )
            )  # fmt: skip
        return await self.put(dataclasses.replace(known, turns=turns, changed=now()))

    async def name(self, thread: str, title: str) -> Thread:
        """Give a thread another name. Raises ``NoThread``."""
        return await self.put(dataclasses.replace(await self.must(thread), title=clean_title(title), changed=now()))

    async def must(self, thread: str) -> Thread:
        """The entry. Raises ``NoThread``."""
        known = await self.get(thread)
        if known is None:
            raise NoThread(f"there is no thread {thread!r}; list the threads to see which there are")
        return known
