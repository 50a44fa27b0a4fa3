"""Strangers' pictures are decoded in other processes, which are ended when one takes too long or dies of its work."""

from __future__ import annotations

import asyncio
import json
import os
import struct
import sys
from asyncio.subprocess import PIPE, Process

from agent.api.errors import ApiError
from agent.api.keys import SETTING

WORKERS = 2
WAIT_S = 60.0
"""Wall seconds for one picture; the worker's own limit of processor time is shorter."""
_STATUS = {"unsupported": 415, "too_many_pixels": 413}


class Decoder:
    """Up to :data:`WORKERS` processes, started when first needed; :meth:`close` ends them."""

    def __init__(self) -> None:
        self._idle: asyncio.Queue[Process | None] = asyncio.Queue()
        for _ in range(WORKERS):
            self._idle.put_nowait(None)

    async def reencode(self, raw: bytes, mark: str) -> bytes:
        """As :func:`agent.api.reencode.reencode`. Raises ``ApiError`` with a code such as ``image_damaged``."""
        worker = await self._idle.get()
        try:
            if worker is None or worker.returncode is not None:
                worker = await _start()
            status, answer = await asyncio.wait_for(_ask(worker, raw, mark), WAIT_S)
        except (OSError, EOFError, TimeoutError):
            await _end(worker)
            worker = None
            raise ApiError(422, "image_bomb", "the picture takes more work than one picture may take") from None
        except BaseException:
            await _end(worker)
            worker = None
            raise
        finally:
            self._idle.put_nowait(worker)
        if status == b"k":
            return answer
        problem = json.loads(answer)
        raise ApiError(_STATUS.get(problem["code"], 422), f"image_{problem['code']}", problem["message"])

    async def close(self) -> None:
        """Ends the processes that are idle; none is left where no picture is under way."""
        while not self._idle.empty():
            await _end(self._idle.get_nowait())


async def _start() -> Process:
    env = {name: value for name, value in os.environ.items() if name != SETTING}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent.api.reencode", stdin=PIPE, stdout=PIPE, env=env, limit=1 << 20
    )


async def _ask(worker: Process, raw: bytes, mark: str) -> tuple[bytes, bytes]:
    assert worker.stdin is not None
    assert worker.stdout is not None
    named = mark.encode()
    worker.stdin.write(struct.pack(">II", len(named), len(raw)) + named + raw)
    await worker.stdin.drain()
    head = await worker.stdout.readexactly(5)
    return head[:1], await worker.stdout.readexactly(struct.unpack(">I", head[1:])[0])


async def _end(worker: Process | None) -> None:
    if worker is None:
        return
    if worker.returncode is None:
        worker.kill()
    await worker.wait()
