"""One turn over HTTP: as one JSON answer, or as server-sent events while it happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, aclosing
from typing import Any

from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event
from starlette.requests import Request
from starlette.responses import Response

from agent.api.errors import described, json_bytes, json_response, log, told
from agent.api.keys import Principal
from agent.api.service import Service
from agent.desk import Desk
from agent.state import Json
from agent.turns import Event, Turn
from retriever.errors import SightlineError

ALIVE_S = 15.0
"""A stream in which nothing happens says so this often, for proxies that would close it."""


async def answer(
    request: Request, service: Service, who: Principal, desk: Desk, thread: str, *,
    text: str = "", order: Json | None = None, options: Json | None = None,
) -> Response:  # fmt: skip
    """The turn's response. Raises ``ApiError`` 429 before anything is begun."""
    service.meter.turn(who.bucket, who.quota)
    with ExitStack() as stack:
        stack.enter_context(service.meter.at_once(who.bucket))
        if not streams(request):
            turn = await _turn(service, desk, thread, text, order, options or {})
            return json_response(turn.to_json())
        # From here on the slot belongs to the work, which ends whether or not anybody reads the stream.
        lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        work = _tell(lines, stack.pop_all(), service, desk, thread, text, order, options or {})
        task = service.begin(work)
    return EventSourceResponse(_read(lines, task), headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})


def streams(request: Request) -> bool:
    """Whether the client asks for a stream; JSON otherwise."""
    return "text/event-stream" in request.headers.get("accept", "")


async def _turn(service: Service, desk: Desk, thread: str, text: str, order: Json | None, options: Json) -> Turn:
    async with service.lock(thread):
        return await (desk.do(thread, order, **options) if order else desk.say(thread, text, **options))


async def _tell(
    lines: asyncio.Queue[bytes | None], slot: ExitStack, service: Service, desk: Desk, thread: str, text: str,
    order: Json | None, options: Json,
) -> None:  # fmt: skip
    """Works on the turn and tells of it; a listener who goes away cancels this, and the turn is undone."""
    number, last = 0, ""
    try:
        with slot:
            stream: Any = desk.stream(thread, text, order=order, **options)
            async with service.lock(thread), aclosing(stream):
                async for event in stream:
                    number, last = number + 1, event.kind
                    lines.put_nowait(_event(number, event.kind, _data(event)))
        if last not in ("turn", "error"):
            log.error("a turn of thread %s ended without an answer", thread)
            lines.put_nowait(_event(number + 1, "error", _internal()))
    except SightlineError as error:
        _, code, message = described(error)
        lines.put_nowait(_event(number + 1, "error", {"code": code, "message": message}))
    except Exception:
        log.exception("a turn of thread %s failed", thread)
        lines.put_nowait(_event(number + 1, "error", _internal()))
    finally:
        lines.put_nowait(None)


async def _read(lines: asyncio.Queue[bytes | None], work: asyncio.Task[None]) -> AsyncIterator[bytes]:
    try:
        while True:
            try:
                piece = await asyncio.wait_for(lines.get(), ALIVE_S)
            except TimeoutError:
                yield KEEPALIVE_COMMENT
                continue
            if piece is None:
                return
            yield piece
    finally:
        work.cancel()


def _data(event: Event) -> Any:
    if event.kind != "error":
        return event.data
    _, code, message = told(str(event.data.get("kind", "")), str(event.data.get("message", "")))
    return {"code": code, "message": message}


def _internal() -> Json:
    return {"code": "internal", "message": "this is a defect of Sightline; please report it"}


def _event(number: int, kind: str, data: Any) -> bytes:
    # Escaped, because line ends of other kinds than \n would break a line of the stream.
    text = (
        json_bytes(data).decode().replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").replace("\x85", "\\u0085")
    )
    return format_sse_event(data_str=text, event=kind, id=str(number))
