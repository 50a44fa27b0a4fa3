"""Runs conversations that are killed by kill -9 at a node's beginning or end, one forked process each.

    python killed_desk.py FOLDER

For every node and both ends, ``FOLDER/<node>-<end>/`` then holds the threads' database, ``calls`` with one line for
each call that the judge was paid for, and ``acknowledged`` with the turns that were answered before the kill.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from desk_fakes import FakeGallery, FakeJudge, FakeRetriever

from agent import nodes
from agent.context import Context
from agent.desk import open_desk
from agent.graph import STEPS
from agent.rerankers import Kit, create

TURNS = ("There is a church here.", "There is also a cafe.")
ENDS = ("begins", "ends")


class PaidJudge(FakeJudge):
    """Notes every call in a file before it answers."""

    def __init__(self, calls: Path) -> None:
        super().__init__()
        self._file = calls

    def _paid(self, what: str) -> None:
        with self._file.open("a") as out:
            out.write(what + "\n")
            out.flush()
            os.fsync(out.fileno())

    async def score(self, tile: Any, png: bytes, claims: Any) -> Any:
        self._paid(f"score {tile.id} {[c.value for c in claims]}")
        return await super().score(tile, png, claims)

    async def explain(self, tile: Any, png: bytes, claims: Any, verdict_p: float) -> Any:
        self._paid(f"explain {tile.id} {[c.value for c in claims]}")
        return await super().explain(tile, png, claims, verdict_p)


def context_in(folder: Path) -> Context:
    (folder / "toy").mkdir(exist_ok=True)
    gallery = FakeGallery(folder / "toy")
    kit = Kit(judge=PaidJudge(folder / "calls"))
    return Context(
        gallery=gallery,  # type: ignore[arg-type]
        retriever=FakeRetriever(gallery),
        kit=kit,
        reranker=create("posterior", kit),
        shortlist=4,
        top=2,
    )


async def converse(folder: Path, arm: Any = lambda: None) -> None:
    """Both turns; ``arm`` is called before the second."""
    async with open_desk(context_in(folder), folder / "threads.sqlite") as desk:
        await desk.say("t", TURNS[0])
        (folder / "acknowledged").write_text("1")
        arm()
        await desk.say("t", TURNS[1])
        (folder / "acknowledged").write_text("2")


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _killed(folder: Path, name: str, end: str) -> None:
    armed: list[bool] = []
    whole = getattr(nodes, name)

    async def wrapped(state: Any, runtime: Any) -> Any:
        if armed and end == "begins":
            _die()
        change = await whole(state, runtime)
        if armed:
            _die()
        return change

    wrapped.__name__ = name
    setattr(nodes, name, wrapped)
    asyncio.run(converse(folder, lambda: armed.append(True)))


def main() -> None:
    for name in STEPS:
        for end in ENDS:
            folder = Path(sys.argv[1]) / f"{name}-{end}"
            folder.mkdir()
            child = os.fork()
            if child == 0:
                _killed(folder, name, end)
                os._exit(0)
            _, status = os.waitpid(child, 0)
            assert os.WIFSIGNALED(status), f"{name} {end}: the process was not killed"
            assert os.WTERMSIG(status) == signal.SIGKILL


if __name__ == "__main__":
    main()
