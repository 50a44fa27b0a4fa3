"""What the two clients send and how they read what comes back: one description of each call for both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from agent.api.records import GalleryInfo, Upload
from agent.state import Json
from agent.turns import Event, Past, Thread, Turn
from retriever.errors import SightlineError
from retriever.types import Tile

T = TypeVar("T")
EVENTS = {"Accept": "text/event-stream"}


class ApiRefused(SightlineError):
    """The API's own words for why not."""

    def __init__(self, status: int, code: str, message: str, request_id: str = "", details: Any = None) -> None:
        super().__init__(message)
        self.status, self.code, self.request_id, self.details = status, code, request_id, details


@dataclass(frozen=True, kw_only=True)
class Call(Generic[T]):
    """One request and the way to read its answer."""

    method: str
    path: str
    read: Callable[[Any], T]
    """From the answer's JSON, or from its bytes where ``raw``."""
    json: Json | None = None
    content: bytes | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bool = False

    def request(self) -> dict[str, Any]:
        """Arguments for httpx."""
        given = {"params": self.params or None, "headers": self.headers, "json": self.json, "content": self.content}
        return {k: v for k, v in given.items() if v is not None}


def problem(status: int, data: Any) -> ApiRefused:
    """The error that an answer tells of."""
    error = data.get("error", {}) if isinstance(data, dict) else {}
    message = error.get("message") or f"the server answered with status {status}; is this the address of Sightline?"
    return ApiRefused(status, error.get("code", ""), message, error.get("request_id", ""), error.get("details"))


def locate(
    text: str | None, gallery: str | None, images: Sequence[str], within: Json | None, spoken: str | None
) -> Call[Turn]:
    body = {"text": text, "gallery": gallery, "images": list(images) or None, "within": within, "spoken": spoken}
    return Call(method="POST", path="/v1/locate", json=_given(body), read=Turn.from_json)


def message(thread: str, text: str | None, order: Json | None) -> Call[Turn]:
    path = f"{_thread(thread)}/messages"
    return Call(method="POST", path=path, json=_given({"text": text, "order": order}), read=Turn.from_json)


def turn(thread: str) -> Call[Turn]:
    return Call(method="GET", path=_thread(thread), read=Turn.from_json)


def history(thread: str) -> Call[list[Past]]:
    return Call(
        method="GET", path=f"{_thread(thread)}/history", read=lambda d: [Past.from_json(p) for p in d["turns"]]
    )  # fmt: skip


def threads() -> Call[list[Thread]]:
    return Call(method="GET", path="/v1/threads", read=lambda d: [Thread.from_json(t) for t in d["threads"]])


def name(thread: str, title: str) -> Call[Thread]:
    return Call(method="PATCH", path=_thread(thread), json={"title": title}, read=Thread.from_json)


def branch(thread: str, after: int | None, title: str | None) -> Call[Thread]:
    body = _given({"after": after, "title": title})
    return Call(method="POST", path=f"{_thread(thread)}/branches", json=body, read=Thread.from_json)


def forget(thread: str) -> Call[None]:
    return Call(method="DELETE", path=_thread(thread), read=lambda _: None, raw=True)


def export(thread: str) -> Call[Json]:
    return Call(method="GET", path=f"{_thread(thread)}/export", read=dict)


def case(thread: str) -> Call[bytes]:
    return Call(method="GET", path=f"{_thread(thread)}/case", read=bytes, raw=True)


def galleries() -> Call[list[GalleryInfo]]:
    return Call(
        method="GET", path="/v1/galleries", read=lambda d: [GalleryInfo.from_json(g) for g in d["galleries"]]
    )  # fmt: skip


def tile(gallery: str, tile_id: str) -> Call[Tile]:
    return Call(method="GET", path=_tile(gallery, tile_id), read=Tile.from_json)


def tile_png(gallery: str, tile_id: str) -> Call[bytes]:
    return Call(method="GET", path=f"{_tile(gallery, tile_id)}/image", read=bytes, raw=True)


def upload(view: str, picture: bytes) -> Call[Upload]:
    kind = {"Content-Type": "application/octet-stream"}
    return Call(
        method="POST", path="/v1/uploads", params={"view": view}, content=picture, headers=kind, read=Upload.from_json
    )  # fmt: skip


def event(kind: str, thread: str, data: Any) -> Event:
    """A server-sent event as the desk's record. Raises ``ValueError`` for a kind that this version does not know."""
    return Event.from_json({"kind": kind, "thread": thread, "data": data})


def _given(body: Json) -> Json:
    return {k: v for k, v in body.items() if v is not None}


def _thread(thread: str) -> str:
    return f"/v1/threads/{quote(thread, safe='')}"


def _tile(gallery: str, tile_id: str) -> str:
    return f"/v1/galleries/{quote(gallery, safe='')}/tiles/{quote(tile_id, safe='')}"
