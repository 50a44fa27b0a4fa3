"""What the routes, the tools and the page share: the desks by gallery, and whose thread is whose."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from agent.api.decoder import Decoder
from agent.api.errors import ApiError
from agent.api.keys import LOCAL, Keyring, Principal
from agent.api.limits import Meter
from agent.api.uploads import Uploads
from agent.context import Context
from agent.desk import Desk, open_desk
from agent.threads import NoThread
from agent.turns import Thread
from retriever.errors import SightlineError


@dataclass(frozen=True, kw_only=True)
class Service:
    """The galleries that were opened at the start, each with its desk; threads of all are kept in one place."""

    desks: Mapping[str, Desk]
    """By gallery id; the first is the one that is meant where none is named."""
    keys: Keyring = field(default_factory=Keyring)
    meter: Meter = field(default_factory=Meter)
    decoder: Decoder = field(default_factory=Decoder)
    _locks: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)
    _working: set[asyncio.Task[None]] = field(default_factory=set)

    @cached_property
    def uploads(self) -> Uploads:
        """Everyone's pictures."""
        desk = next(iter(self.desks.values()))
        return Uploads(desk.graph.store, desk.context.image_folder, self.decoder)

    def lock(self, thread: str) -> asyncio.Lock:
        """One turn at a time on a thread, its undoing included."""
        return self._locks.setdefault(thread, asyncio.Lock())

    def begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Starts work that outlives the request which asked for it; :meth:`close` stops what is left."""
        task = asyncio.create_task(work)
        self._working.add(task)
        task.add_done_callback(self._working.discard)
        return task

    async def close(self) -> None:
        for task in self._working:
            task.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)
        await self.decoder.close()

    def principal(self, key: str | None) -> Principal | None:
        """Whose key this is; the local user where no keys are asked for; None for a wrong key or none."""
        if not self.keys:
            return LOCAL
        return self.keys.find(key) if key else None

    def galleries(self, who: Principal) -> list[Desk]:
        """The desks of the galleries that ``who`` may see."""
        return [desk for name, desk in self.desks.items() if who.sees(name)]

    def desk(self, who: Principal, gallery: str | None = None) -> Desk:
        """The desk of a gallery. Raises ``ApiError`` 404, whether it is not served or not for ``who``."""
        seen = self.galleries(who)
        found = next((d for d in seen if gallery in (None, d.context.gallery.id)), None)
        if found is None:
            raise ApiError(404, "no_gallery", "there is no such gallery; list the galleries to see which there are")
        return found

    async def mine(self, who: Principal, thread: str) -> tuple[Desk, Thread]:
        """A thread of ``who`` with its desk. Raises ``NoThread``, the same whether it is another's or nobody's."""
        seen = self.galleries(who)
        entry = await seen[0].book.get(thread) if seen else None
        if entry is not None and entry.owner == who.user:
            for desk in seen:
                if desk.context.gallery.sha256 == entry.gallery:
                    return desk, entry
        raise NoThread("there is no such thread; list the threads to see which there are")

    async def threads(self, who: Principal) -> list[Thread]:
        """``who``'s threads about galleries that are served, the newest first."""
        seen = self.galleries(who)
        served = {desk.context.gallery.sha256 for desk in seen}
        listed = await seen[0].threads(who.user) if seen else []
        return [thread for thread in listed if thread.gallery in served]


@asynccontextmanager
async def open_service(
    contexts: Sequence[Context], database: Path, keys: Keyring | None = None
) -> AsyncIterator[Service]:
    """Desks for all the contexts over one database. Raises ``SightlineError`` where two galleries share an id."""
    names = [context.gallery.id for context in contexts]
    if not names or len(set(names)) < len(names):
        raise SightlineError(f"galleries with ids of their own are needed, but these are {', '.join(names) or 'none'}")
    try:
        async with open_desk(contexts[0], database) as first:
            # The judge that remembers is the same for all; only gallery and retriever differ.
            kit, reranker = first.context.kit, first.context.reranker
            rest = {
                c.gallery.id: dataclasses.replace(first, context=dataclasses.replace(c, kit=kit, reranker=reranker))
                for c in contexts[1:]
            }
            service = Service(desks={names[0]: first, **rest}, keys=keys or Keyring())
            try:
                yield service
            finally:
                await service.close()
    finally:
        for close in {c.close for c in contexts if c.close is not None}:
            await close()
