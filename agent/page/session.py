"""One open page's business, without any of its looks: whose it is, which desk and thread, and the turns."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent.page.past import Exchange, exchanges
from agent.threads import new_thread
from agent.turns import Event, Thread, Turn
from retriever.errors import SightlineError

if TYPE_CHECKING:
    from agent.api.keys import Principal
    from agent.api.service import Service
    from agent.desk import Desk
    from agent.state import Json


@dataclass(kw_only=True)
class Session:
    """What a page stands at. Every thread that it opens goes through :meth:`Service.mine`."""

    service: Service
    who: Principal
    desk: Desk
    thread: str | None = None
    """None: nothing was said yet, so there is nothing to list or to export."""
    title: str = ""
    turn: Turn | None = None
    past: list[Exchange] = field(default_factory=list)
    before: dict[str, float] = field(default_factory=dict)
    """Confidence by tile before the last search."""
    busy: bool = False

    @property
    def result(self) -> Json | None:
        found = self.turn.result if self.turn is not None else None
        return None if found is None else dict(found)

    @property
    def candidates(self) -> list[Json]:
        return list(self.result["candidates"]) if self.result else []

    @property
    def claims(self) -> list[Json]:
        return list(self.result["claims"]) if self.result else []

    def candidate(self, tile: str | None) -> Json | None:
        return next((c for c in self.candidates if c["tile_id"] == tile), None)

    def fresh(self) -> None:
        """A new thread, which is not kept before something is said."""
        self.thread, self.title, self.turn, self.past, self.before = None, "", None, [], {}

    async def open(self, thread: str) -> None:
        """Go on with a thread of this user's. Raises ``NoThread``."""
        desk, entry = await self.service.mine(self.who, thread)
        turn = await desk.turn(thread)
        self.desk, self.thread, self.title = desk, thread, entry.title
        self.turn, self.past, self.before = turn, await exchanges(desk, thread), {}

    async def threads(self) -> list[Thread]:
        return await self.service.threads(self.who)

    async def branch(self, after: int) -> None:
        """Go on in a new thread that begins after an earlier turn. Raises ``SightlineError``."""
        entry = await self.desk.branch(self._here(), after=after)
        await self.open(entry.id)

    async def rename(self, thread: str, title: str) -> None:
        """Raises ``NoThread``, and ``SightlineError`` for an empty name."""
        desk, _ = await self.service.mine(self.who, thread)
        entry = await desk.name(thread, title)
        if thread == self.thread:
            self.title = entry.title

    async def forget(self, thread: str) -> None:
        """Delete a thread for good. Raises ``NoThread``."""
        desk, _ = await self.service.mine(self.who, thread)
        await desk.forget(thread)
        if thread == self.thread:
            self.fresh()

    async def export(self) -> Json:
        """What the desk exports. Raises ``SightlineError`` where nothing was said yet."""
        from agent.api.export import exported

        return await exported(self.desk, self._here())

    async def case(self) -> bytes:
        """The thread's case file. Raises ``SightlineError`` where nothing was searched for yet."""
        from agent.casefile import case_bytes

        return await case_bytes(self.desk, self._here())

    async def attached(self, view: str, data: bytes) -> Json:
        """The order that adds a picture to the query, once it is kept. Raises ``SightlineError`` for a bad one."""
        self.service.meter.upload(self.who.bucket, self.who.quota, len(data))
        kept = await self.service.uploads.keep(self.who, view, data)
        return {"do": "attach", "image": [view, kept.sha256]}

    async def run(self, text: str, order: Json | None, spoken: str) -> AsyncGenerator[Event]:
        """One turn as it happens; what the session stands at changes with its last event."""
        if self.busy:
            raise SightlineError("a turn is under way; wait for it or stop it")
        self.busy = True
        thread = self.thread or new_thread()
        try:
            self.service.meter.turn(self.who.bucket, self.who.quota)
            with self.service.meter.at_once(self.who.bucket):
                options: dict[str, Any] = {"owner": self.who.user, "spoken": spoken}
                stream: Any = self.desk.stream(thread, text, order=order, **options)
                # The API's turns on this thread wait for the same lock; a turn that is stopped is undone inside it.
                async with self.service.lock(thread), aclosing(stream):
                    async for event in stream:
                        if event.kind == "turn":
                            await self._stand(thread, Turn.from_json(event.data))
                        yield event
        finally:
            self.busy = False

    async def _stand(self, thread: str, turn: Turn) -> None:
        if turn.kind == "search":
            self.before = {c["tile_id"]: c["confidence"] for c in self.candidates}
        self.thread, self.turn = thread, turn
        said = Exchange(number=turn.number, text=turn.text, en=turn.en, zh=turn.zh, kind=turn.kind)
        self.past = [*(e for e in self.past if e.number != turn.number), said]
        entry = await self.desk.book.get(thread)
        self.title = entry.title if entry else ""

    def _here(self) -> str:
        if self.thread is None:
            raise SightlineError("nothing has been said on this thread yet; describe the place first")
        return self.thread
