"""Runs the batches of a build, here or in several processes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

from retriever.batch import Plan, run_batch
from retriever.errors import GalleryError
from retriever.painters import Painter, make_painter
from retriever.spool import Spool
from retriever.workfolder import SPOOL, WorkFolder

Progress = Callable[[str, int, int], None]


def run_batches(plan: Plan, spool: Spool, work: WorkFolder, jobs: int, progress: Progress) -> int:
    """Makes every block's part; returns the number of tiles. ``jobs`` processes, one of which is this one if 1."""
    total = sum(cells for _, cells in spool.blocks())
    blocks = ((block, cells, work.part(block)) for block, cells in list(spool.blocks()))
    made = done = 0
    if jobs <= 1:
        painter = make_painter(plan.grid, plan.px, plan.imagery)
        for block, cells, part in blocks:
            made, done = made + run_batch(plan, spool, painter, block, part), done + cells
            progress("drawing tiles", done, total)
        return made
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_start, initargs=(plan,)) as pool:
        waiting: dict[Future[int], int] = {}
        for block, cells, part in blocks:
            waiting[pool.submit(_run, plan, block, part)] = cells
            # A short queue keeps memory flat however many blocks there are.
            while len(waiting) >= 4 * jobs:
                got, finished = _collect(waiting)
                made, done = made + got, done + finished
                progress("drawing tiles", done, total)
        while waiting:
            got, finished = _collect(waiting)
            made, done = made + got, done + finished
            progress("drawing tiles", done, total)
    return made


def _collect(waiting: dict[Future[int], int]) -> tuple[int, int]:
    """Takes the finished batches out; returns their tiles and cells. A batch's error is raised here."""
    ready, _ = wait(waiting, return_when=FIRST_COMPLETED)
    try:
        made = sum(future.result() for future in ready)
    except BrokenProcessPool as error:
        raise GalleryError(
            "a drawing process was killed, perhaps for memory: run the same command again with fewer --jobs"
        ) from error
    return made, sum(waiting.pop(future) for future in ready)


_HERE: dict[Path, tuple[Spool, Painter]] = {}


def _start(plan: Plan) -> None:
    _HERE[plan.work] = (Spool(plan.work / SPOOL, plan.grid), make_painter(plan.grid, plan.px, plan.imagery))


def _run(plan: Plan, block: int, part: Path) -> int:
    spool, painter = _HERE[plan.work]
    return run_batch(plan, spool, painter, block, part)
