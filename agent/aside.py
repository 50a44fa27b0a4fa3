"""Work that would hold up the event loop, done beside it: one thread, so that many turns at once share two cores fairly
and no two of them read the same open table."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any, TypeVar

T = TypeVar("T")


@cache
def _worker() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="sightline")


async def aside(work: Callable[..., T], *args: Any, **options: Any) -> T:
    """``work(*args, **options)`` in the worker thread."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_worker(), partial(work, *args, **options))
