"""The frame of a page: NiceGUI on FastAPI, on loopback, everything from this machine, texts only ever as text.

What the page shows as chosen was written before: buttons change when the server says so, never by themselves.
"""

from __future__ import annotations

import base64
import contextlib
import io
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from PIL import Image

from retriever.errors import SightlineError
from retriever.pages.style import CSS
from retriever.pages.words import PAGE_LANGS, Words

if TYPE_CHECKING:
    from fastapi import FastAPI
    from nicegui.element import Element
    from nicegui.events import KeyEventArguments

LOOPBACK = ("127.0.0.1", "localhost", "::1")
# Nothing is ever fetched from elsewhere, whatever a text tries; NiceGUI compiles its templates in the page.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self' ws: wss:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
Handler = Callable[[], Awaitable[None] | None]


def node(tag: str, text: str | None = None, *, classes: str = "", style: str = "", **attributes: str | bool) -> Element:
    """One HTML element inside the one that is open. ``text`` is shown as it is, never read as markup.

    ``_`` in an attribute's name stands for ``-``; False and "" leave it out.
    """
    from nicegui import ui
    from nicegui.elements.mixins.text_element import TextElement

    made: Element = ui.element(tag) if text is None else TextElement(tag=tag, text=text)
    made.classes(classes)
    if style:
        made.style(style)
    for name, value in attributes.items():
        set_attribute(made, name, value)
    return made


def set_attribute(element: Element, name: str, value: str | bool) -> None:
    """Set an attribute, or take it away with False or "". Values are never parsed."""
    key = name.strip("_").replace("_", "-")
    if value is False or value == "":
        element.props.pop(key, None)
    else:
        element.props[key] = value
    element.update()


def button(text: str, key: str, do: Handler, *, classes: str = "", **attributes: str | bool) -> Element:
    """A button that says which key does the same."""
    made = node("button", classes=classes, type="button")
    for name, value in attributes.items():
        set_attribute(made, name, value)
    with made:
        node("span", text)
        if key:
            node("kbd", key, aria_hidden="true")
    made.on("click", lambda _: do())
    return made


def data_url(picture: Image.Image) -> str:
    """The picture for an ``img``, so that no address names what is shown."""
    out = io.BytesIO()
    picture.convert("RGB").save(out, "PNG")
    return png_url(out.getvalue())


def png_url(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def listen(keys: Callable[[str], Awaitable[None] | None]) -> None:
    """Call ``keys`` with the name of each key that is pressed outside text fields, without Ctrl, Alt or Meta."""
    from nicegui import ui

    async def pressed(event: KeyEventArguments) -> None:
        held = event.modifiers
        if not event.action.keydown or event.action.repeat or held.ctrl or held.alt or held.meta:
            return
        name = str(event.key.name)
        done = keys(name.lower() if len(name) == 1 else name)
        if done is not None:
            await done

    # Buttons are not left out: after a click the shortcuts must go on working.
    ui.keyboard(on_key=pressed, ignore=["input", "select", "textarea"], repeating=False)


def key_table(rows: Sequence[tuple[Sequence[str], str]]) -> None:
    """Keys and what they do."""
    with node("dl", classes="keys"):
        for keys, what in rows:
            with node("dt"):
                for key in keys:
                    node("kbd", key)
            node("dd", what)


def make_app(pages: Callable[[], None], *, title: str) -> FastAPI:
    """The application with the pages that ``pages`` registers through ``ui.page``."""
    from fastapi import FastAPI, Request, Response
    from nicegui import ui
    from starlette.middleware.base import RequestResponseEndpoint
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    app = FastAPI(title=title, docs_url=None, redoc_url=None, openapi_url=None)
    # A page elsewhere on the web must not reach this one through a name of its own.
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*LOOPBACK, "[::1]"])

    @app.middleware("http")
    async def guard(request: Request, call_next: RequestResponseEndpoint) -> Response:
        answer = await call_next(request)
        answer.headers["Content-Security-Policy"] = _POLICY
        answer.headers["Referrer-Policy"] = "no-referrer"
        answer.headers["X-Content-Type-Options"] = "nosniff"
        return answer

    ui.add_css(CSS, shared=True)
    pages()
    # Forgets nothing that matters on a short break: what was marked is in the file.
    ui.run_with(app, title=title, dark=None, tailwind=False, show_welcome_message=False, reconnect_timeout=5)
    return app


def coded_app(person: Callable[[str], str | None], build: Callable[[str], None], words: Words) -> FastAPI:
    """A page for each person at ``/<code>``; an address that belongs to nobody says so and shows nothing."""
    from nicegui import ui

    def pages() -> None:
        @ui.page("/{code}", response_timeout=30)
        def page(code: str) -> None:
            who = person(code)
            if who is not None:
                build(who)
                return
            with node("main", classes="sheet"):
                for lang in PAGE_LANGS:
                    node("p", words("wrong_link", lang), classes="card")

    return make_app(pages, title="Sightline")


def bind(port: int) -> socket.socket:
    """A listening socket on loopback; port 0 takes a free one. Raises ``SightlineError`` where it is taken."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((LOOPBACK[0], port))
        # From here on a browser waits for the page instead of being turned away.
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise SightlineError(f"port {port} cannot be used ({error.strerror}); give another --port, or 0") from None
    return listening


def serve(app: FastAPI, listening: socket.socket) -> None:
    """Until interrupted."""
    import uvicorn

    # Open pages must not hold up the end; they come back when the command is given again.
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening])


def address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://{host}:{port}"


def links(base: str, codes: Mapping[str, str]) -> dict[str, str]:
    """Everybody's own address: name -> URL."""
    return {name: f"{base}/{code}" for name, code in codes.items()}
