"""Which process renders which sets: neighbours go to one process, in an order in which what it built serves again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from multiprocessing import get_context
from typing import Any, TypeVar

from finetune.views.places import Place
from finetune.views.scene import Scene
from retriever.errors import SourceError

BATCH = 12
"""Sets that a process is given at once; at the end the others wait at most for one such batch."""
Batch = list[tuple[int, Place]]
T = TypeVar("T")
_ORDER = 16


def curve(x: int, y: int) -> int:
    """Place of a square on Hilbert's curve over squares -32768 to 32767: near numbers are near squares."""
    x, y, found = x + (1 << _ORDER - 1), y + (1 << _ORDER - 1), 0
    for bit in reversed(range(_ORDER)):
        right, up = x >> bit & 1, y >> bit & 1
        found += (3 * right ^ up) << 2 * bit
        if not up:
            if right:
                x, y = (1 << _ORDER) - 1 - x, (1 << _ORDER) - 1 - y
            x, y = y, x
    return found


def batches(scene: Scene, todo: Sequence[tuple[int, Place]]) -> list[Batch]:
    """Sets that share a stage together, stages along a curve that leaves no neighbourhood before it is done."""
    groups: dict[tuple[int, int], Batch] = {}
    for index, place in todo:
        groups.setdefault(scene.stage_key(*scene.frame.xy(place.lat, place.lon)), []).append((index, place))
    ordered = sorted(groups, key=lambda key: curve(*key))
    return [groups[key][i : i + BATCH] for key in ordered for i in range(0, len(groups[key]), BATCH)]


def shares(work: Sequence[Batch], jobs: int) -> list[deque[Batch]]:
    """The batches cut into ``jobs`` stretches of about as many sets each; no stretch is empty."""
    total, seen, parts = sum(map(len, work)), 0, [deque[Batch]() for _ in range(jobs)]
    for batch in work:
        parts[min(jobs - 1, seen * jobs // total)].append(batch)
        seen += len(batch)
    return [part for part in parts if part]


def in_processes(
    parts: Sequence[deque[Batch]], job: Callable[[Batch], T], start: Callable[..., None], initargs: tuple[Any, ...]
) -> Iterator[T]:
    """Runs ``job`` on every batch, one process to a stretch; whoever is done helps from the far end of the longest.

    Raises:
        SourceError: a process was killed.
    """
    with ExitStack() as open_:
        pools = [
            open_.enter_context(
                ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=start, initargs=initargs)
            )
            for _ in parts
        ]
        waiting = {pool.submit(job, parts[number].popleft()): number for number, pool in enumerate(pools)}
        while waiting:
            ready, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for future in ready:
                number = waiting.pop(future)
                batch = _next(parts, number)
                done = _result(future)
                if batch is not None:
                    waiting[pools[number].submit(job, batch)] = number
                yield done


def _next(parts: Sequence[deque[Batch]], number: int) -> Batch | None:
    if parts[number]:
        return parts[number].popleft()
    longest = max(parts, key=len)
    return longest.pop() if longest else None


def _result(future: Future[T]) -> T:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise SourceError(
            "a rendering process was killed, perhaps for memory: run the same command again with fewer --jobs"
        ) from error
