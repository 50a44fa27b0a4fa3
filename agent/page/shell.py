"""What every request and answer of the page passes: headers against foreign content, and a bound on bodies."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

API = "/v1"
_ENVELOPE = 64_000
"""What a multipart body may hold besides the file."""
# Nothing is ever fetched from elsewhere, whatever a text tries; NiceGUI compiles its templates in the page.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' ws: wss:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    # Not "no-referrer": a form of our own would then be sent with the origin "null", which is refused.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class TooMuch(Exception):
    """A body went on after its bound."""


class Shell:
    """Leaves the API's paths alone; on all others bodies end at ``most`` bytes and answers get the page's headers."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self.app, self.most = app, most + _ENVELOPE

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http" or path == API or path.startswith(f"{API}/"):
            await self.app(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "0")
        if not length.isdecimal() or int(length) > self.most:
            await PlainTextResponse(f"at most {self.most:,} bytes are read", 413)(scope, receive, send)
            return
        begun, got = False, 0

        async def bounded() -> Message:
            nonlocal got
            message = await receive()
            got += len(message.get("body", b""))
            if got > self.most:
                raise TooMuch
            return message

        async def dressed(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
            await send(message)

        try:
            await self.app(scope, bounded, dressed)
        except TooMuch:
            if not begun:
                await PlainTextResponse(f"at most {self.most:,} bytes are read", 413)(scope, receive, send)
