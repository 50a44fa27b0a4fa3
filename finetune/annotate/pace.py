"""How fast an endpoint may be asked and how much a run may spend: both are asked for leave before a call is sent."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from limits import RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from retriever.errors import SightlineError

LONGEST_PAUSE_S = 600.0
_UNITS = 1000
"""The window of tokens is counted in so many parts: one entry a token would be many entries."""


class Stopped(SightlineError):
    """No further call is sent; what was sent is waited for and kept. Running the same command again goes on."""

    exit_code = 4


class Pace:
    """Requests and tokens per window, and pauses that the server asks for, shared by all calls to one endpoint."""

    def __init__(self, requests: int, tokens: int, *, window_s: int = 60) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._requests = RateLimitItemPerSecond(requests, window_s)
        self._unit = max(1, math.ceil(tokens / _UNITS))
        self._tokens = RateLimitItemPerSecond(max(1, tokens // self._unit), window_s)
        self._turn = asyncio.Lock()
        self._not_before = 0.0

    async def turn(self, tokens: int) -> None:
        """Return when a call of so many tokens may be sent; one larger than a whole window has a window to itself."""
        cost = min(math.ceil(tokens / self._unit), self._tokens.amount)
        async with self._turn:
            while (pause := self._not_before - time.monotonic()) > 0:
                await asyncio.sleep(pause)
            await self._hit(self._requests, "requests", 1)
            await self._hit(self._tokens, "tokens", cost)

    async def _hit(self, item: RateLimitItemPerSecond, what: str, cost: int) -> None:
        while not await self._limiter.hit(item, what, cost=cost):
            await asyncio.sleep(min(0.05 * item.get_expiry(), 0.5))

    def pause(self, seconds: float) -> None:
        """Nothing is sent for so long. Raises :class:`Stopped` if that is longer than a run waits."""
        if seconds > LONGEST_PAUSE_S:
            raise Stopped(f"the server asks to wait {seconds:.0f} s; run the same command again after that")
        self._not_before = max(self._not_before, time.monotonic() + seconds)


class Budget:
    """Spent money and what calls under way may cost at most; together they never pass ``limit``."""

    def __init__(self, limit: float, spent: float) -> None:
        self.limit = limit
        self.spent = spent
        self._reserved: dict[int, float] = {}
        self._number = 0
        self._changed = asyncio.Condition()
        self._stopped: SightlineError | None = None

    def stop(self, why: SightlineError) -> None:
        """From now on every call is refused with this reason; the first reason stays."""
        self._stopped = self._stopped or why

    @property
    def stopped(self) -> SightlineError | None:
        return self._stopped

    @asynccontextmanager
    async def reserved(self, at_most: float) -> AsyncIterator[None]:
        """Room for one call. Raises :class:`Stopped` where it is not there, also when all others are done."""
        number = await self._reserve(at_most)
        try:
            yield
        finally:
            async with self._changed:
                del self._reserved[number]
                self._changed.notify_all()

    async def _reserve(self, at_most: float) -> int:
        async with self._changed:
            while True:
                if self._stopped is not None:
                    raise self._stopped
                if self.spent + sum(self._reserved.values()) + at_most <= self.limit:
                    break
                if not self._reserved:
                    self.stop(
                        Stopped(
                            f"the budget of {self.limit:g} does not hold the next call (up to {at_most:.4g}; spent "
                            f"{self.spent:.4g}); raise it and run the same command again"
                        )
                    )
                    continue
                await self._changed.wait()
            self._number += 1
            self._reserved[self._number] = at_most
            return self._number
