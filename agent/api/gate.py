"""What every request passes before it reaches a route: host, origin, size, and the headers of the answer."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent.api.errors import error_response
from agent.api.limits import MAX_BODY_BYTES, MAX_UPLOAD_BYTES

PREFIX = "/v1/"
UPLOADS = "/v1/uploads"
BODY_S = 60.0
"""How long a client may take to send a body."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


class Gate:
    """Refuses foreign hosts (DNS rebinding), foreign origins (pages of other sites) and bodies that are too large.

    Of the API's bodies all but uploads are read here, up to :data:`MAX_BODY_BYTES`; uploads are read by their route,
    piece by piece. Other paths (the page) pass with host and origin checked.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str] = LOOPBACK, origins: Sequence[str] = ()) -> None:
        self.app, self.hosts, self.origins = app, {h.lower().strip("[]") for h in hosts}, set(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        name = scope["sightline.request_id"] = uuid.uuid4().hex[:16]
        headers = Headers(scope=scope)
        refused = self._refused(headers)
        if refused is None and scope["type"] == "http" and scope["path"].startswith(PREFIX):
            await self._api(scope, receive, send, headers, name)
        elif refused is None:
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": refused[0]})
        else:
            await error_response(403, *refused, name)(scope, receive, send)

    def _refused(self, headers: Headers) -> tuple[str, str] | None:
        host = headers.get("host", "")
        if "*" not in self.hosts and _name_of(f"//{host}") not in self.hosts:
            return "unknown_host", "this desk does not answer under that host name; open it as localhost"
        origin = headers.get("origin")
        if origin is None or origin in self.origins or urlsplit(origin).netloc.lower() == host.lower():
            return None
        return "cross_origin", "pages of other sites may not use this desk; its operator can allow one with --origin"

    async def _api(self, scope: Scope, receive: Receive, send: Send, headers: Headers, name: str) -> None:
        most = MAX_UPLOAD_BYTES if scope["path"] == UPLOADS else MAX_BODY_BYTES
        length = headers.get("content-length", "")
        declared = int(length) if length.isdecimal() else 0

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                for key, value in {**_HEADERS, "X-Request-Id": name}.items():
                    answer[key] = value
                answer.setdefault("Cache-Control", "no-store")
            await send(message)

        if declared > most:
            await _too_large(most, name)(scope, receive, dressed)
        elif scope["path"] == UPLOADS:
            await self.app(scope, receive, dressed)
        else:
            await self._read_first(scope, receive, dressed, most, name)

    async def _read_first(self, scope: Scope, receive: Receive, send: Send, most: int, name: str) -> None:
        body = b""
        try:
            async with asyncio.timeout(BODY_S):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        return
                    body += message.get("body", b"")
                    if len(body) > most:
                        await _too_large(most, name)(scope, receive, send)
                        return
                    if not message.get("more_body"):
                        break
        except TimeoutError:
            await error_response(408, "too_slow", f"the body did not arrive within {BODY_S:g} s", name)(
                scope, receive, send
            )
            return
        waiting = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return waiting.pop() if waiting else await receive()

        await self.app(scope, replay, send)


def _too_large(most: int, name: str) -> Any:
    return error_response(413, "too_large", f"at most {most:,} bytes are read; send less", name)


def _name_of(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""
