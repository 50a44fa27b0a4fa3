"""How much one key may ask: requests, turns and uploaded bytes in a moving window, and turns at the same time."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from agent.api.errors import ApiError
from retriever.errors import SightlineError

MAX_UPLOAD_BYTES = 20_000_000
"""Of one image file."""
MAX_BODY_BYTES = 256_000
"""Of any other request's body."""
MOST_AT_ONCE = 4
"""Turns of one key under way at the same time."""
FAILED_KEYS = "20/minute"
"""Wrong keys from one address before it is told to wait."""


@dataclass(frozen=True, kw_only=True)
class Quota:
    """What one key may use; rates in the words of the ``limits`` library, such as ``120/minute``."""

    requests: str = "240/minute"
    turns: str = "30/minute"
    upload_mb: int = 200
    """Megabytes of images an hour."""

    @classmethod
    def of(cls, given: Mapping[str, Any], where: str) -> Quota:
        """Raises ``SightlineError`` for a rate that cannot be read."""
        quota = cls(**given)
        try:
            items = [parse(str(quota.requests)), parse(str(quota.turns))]
        except ValueError:
            raise SightlineError(f'the rates of {where} must read like "120/minute"') from None
        wrong = not isinstance(quota.upload_mb, int) or isinstance(quota.upload_mb, bool) or quota.upload_mb < 0
        if wrong or not all(isinstance(item, RateLimitItem) for item in items):
            raise SightlineError(f"upload_mb of {where} must be a whole number of megabytes an hour")
        return quota


class Meter:
    """Counts in this process; a restart forgets. Raises ``ApiError`` 429 with the seconds to wait."""

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._running: Counter[str] = Counter()

    def request(self, bucket: str, quota: Quota) -> None:
        self._hit(parse(quota.requests), "requests", bucket)

    def turn(self, bucket: str, quota: Quota) -> None:
        self._hit(parse(quota.turns), "turns", bucket)

    def upload(self, bucket: str, quota: Quota, size: int) -> None:
        """Counts kilobytes, because the window remembers every unit."""
        self._hit(parse(f"{max(quota.upload_mb * 10, 1)}/hour"), "upload", bucket, math.ceil(size / 100_000))

    def failed_key(self, address: str) -> None:
        self._hit(parse(FAILED_KEYS), "failed keys", address)

    @contextmanager
    def at_once(self, bucket: str) -> Iterator[None]:
        """One turn under way."""
        if self._running[bucket] >= MOST_AT_ONCE:
            raise ApiError(429, "too_many_at_once", f"{MOST_AT_ONCE} turns of this key are under way; wait for one")
        self._running[bucket] += 1
        try:
            yield
        finally:
            self._running[bucket] -= 1
            if not self._running[bucket]:
                del self._running[bucket]

    def _hit(self, item: RateLimitItem, what: str, bucket: str, cost: int = 1) -> None:
        if self._limiter.hit(item, what, bucket, cost=cost):
            return
        wait = max(1, math.ceil(self._limiter.get_window_stats(item, what, bucket).reset_time - time.time()))
        raise ApiError(
            429, "rate_limited", f"the limit of {item} for {what} is reached; wait {wait} s", retry_after_s=wait
        )
