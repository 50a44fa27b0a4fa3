"""Locating, and everything about threads."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from agent.api.access import Serv, Who
from agent.api.answers import ExportOut, HistoryOut, ThreadsOut, TurnOut, problems
from agent.api.errors import json_response
from agent.api.export import exported
from agent.api.keys import Principal
from agent.api.models import AttachOrder, BranchIn, LocateIn, MessageIn, NameIn, order_json
from agent.api.service import Service
from agent.api.turning import answer
from agent.state import Json
from agent.threads import new_thread
from agent.turns import Thread

router = APIRouter(prefix="/v1", tags=["threads"], responses=problems())
ThreadId = Annotated[str, Path(min_length=1, max_length=128, description="A thread's id.", examples=["4f2a9c"])]
_STREAM = (
    'id: 1\nevent: step\ndata: {"name":"claims","phase":"started"}\n\n'
    'id: 9\nevent: sentence\ndata: {"en":"...","zh":"...","cites":["tile:t-a"],"level":0}\n\n'
)
_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_TURN: dict[int | str, dict[str, Any]] = {
    **problems(404, 408, 413),
    200: {
        "description": "The turn; as server-sent events with `Accept: text/event-stream`.",
        "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _STREAM}},
    },
}


@router.post("/locate", response_model=TurnOut, responses=_TURN, operation_id="locate")
async def locate(body: LocateIn, request: Request, who: Who, service: Serv) -> Response:
    """Begin a thread: find the place that the text describes or the pictures show."""
    desk = service.desk(who, body.gallery)
    pictures = [await service.uploads.get(who, name) for name in body.images]
    options: Json = {
        "images": [(p.view, p.sha256) for p in pictures],
        "owner": who.user,
        "within": body.within.area() if body.within else None,
        "lang": body.lang,
        "spoken": body.spoken,
    }
    _check_area(options["within"])
    return await answer(request, service, who, desk, new_thread(), text=body.text or "", options=options)


@router.get("/threads", response_model=ThreadsOut, operation_id="list_threads")
async def threads(who: Who, service: Serv) -> Response:
    """Your threads, the newest first."""
    return json_response({"threads": [t.to_json() for t in await service.threads(who)]})


@router.get("/threads/{thread}", response_model=TurnOut, responses=problems(404), operation_id="get_thread")
async def turn(thread: ThreadId, who: Who, service: Serv) -> Response:
    """Where a thread stands."""
    desk, entry = await service.mine(who, thread)
    return json_response((await desk.turn(entry.id)).to_json())


@router.post(
    "/threads/{thread}/messages", response_model=TurnOut, responses=_TURN,
    operation_id="send_message",
)  # fmt: skip
async def message(thread: ThreadId, body: MessageIn, request: Request, who: Who, service: Serv) -> Response:
    """Say something on a thread, or do what a click does."""
    desk, entry = await service.mine(who, thread)
    order = None if body.order is None else await _order(body.order, who, service)
    return await answer(request, service, who, desk, entry.id, text=body.text or "", order=order)


@router.get("/threads/{thread}/history", response_model=HistoryOut, responses=problems(404), operation_id="history")
async def history(thread: ThreadId, who: Who, service: Serv) -> Response:
    """A thread's turns, in order."""
    desk, entry = await service.mine(who, thread)
    return json_response({"turns": [p.to_json() for p in await desk.history(entry.id)]})


@router.patch(
    "/threads/{thread}", response_model=Thread, responses=problems(404, 408, 413), operation_id="name_thread"
)  # fmt: skip
async def name(thread: ThreadId, body: NameIn, who: Who, service: Serv) -> Response:
    """Give a thread a name."""
    desk, entry = await service.mine(who, thread)
    async with service.lock(entry.id):
        return json_response((await desk.name(entry.id, body.title)).to_json())


@router.delete("/threads/{thread}", status_code=204, responses=problems(404), operation_id="forget_thread")
async def forget(thread: ThreadId, who: Who, service: Serv) -> Response:
    """Delete a thread with everything that was said on it."""
    desk, entry = await service.mine(who, thread)
    async with service.lock(entry.id):
        await desk.forget(entry.id)
    return Response(status_code=204)


@router.post(
    "/threads/{thread}/branches", response_model=Thread, status_code=201, responses=problems(404, 408, 413),
    operation_id="branch_thread",
)  # fmt: skip
async def branch(thread: ThreadId, body: BranchIn, who: Who, service: Serv) -> Response:
    """A new thread that begins where this one stood after a turn."""
    desk, entry = await service.mine(who, thread)
    async with service.lock(entry.id):
        made = await desk.branch(entry.id, after=body.after, title=body.title)
    return json_response(made.to_json(), 201)


@router.get("/threads/{thread}/export", response_model=ExportOut, responses=problems(404), operation_id="export")
async def export(thread: ThreadId, who: Who, service: Serv) -> Response:
    """Everything that the desk has about a thread, as one JSON document."""
    desk, entry = await service.mine(who, thread)
    name = f'attachment; filename="sightline-{entry.id}.json"'
    return json_response(await exported(desk, entry.id), headers={"Content-Disposition": name})


@router.get(
    "/threads/{thread}/case", response_class=Response, operation_id="case_file",
    responses={**problems(404), 200: {"content": {"application/zip": _BINARY}}},
)  # fmt: skip
async def case_file(thread: ThreadId, who: Who, service: Serv) -> Response:
    """The thread as a case file: one archive with evidence, maps, report and hashes. Counts as a turn."""
    from agent.casefile import case_bytes

    desk, entry = await service.mine(who, thread)
    service.meter.turn(who.bucket, who.quota)
    with service.meter.at_once(who.bucket):
        async with service.lock(entry.id):
            data = await case_bytes(desk, entry.id)
    name = f'attachment; filename="sightline-{entry.id}.zip"'
    return Response(data, headers={"Content-Disposition": name}, media_type="application/zip")


async def _order(order: Any, who: Principal, service: Service) -> Json:
    """The order as the desk reads it. An upload's id becomes the picture that it is, if it is the user's own."""
    if isinstance(order, AttachOrder):
        picture = await service.uploads.get(who, order.upload)
        return {"do": "attach", "image": [picture.view, picture.sha256]}
    made = order_json(order)
    if made["do"] == "limit":
        _check_area(made["area"])
    return made


def _check_area(area: str | None) -> None:
    """Raises ``AreaError`` before anything is begun."""
    from retriever.area import Area

    if area is not None:
        Area.parse(area)
