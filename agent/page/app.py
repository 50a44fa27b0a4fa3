"""The page on the API's application: routes, the sign-in, and what every answer of the page carries."""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Form, Request, Response
from fastapi.responses import RedirectResponse

from agent.api.errors import ApiError
from agent.api.limits import MAX_UPLOAD_BYTES
from agent.page.desk_page import DeskPage
from agent.page.mosaic import Mosaic
from agent.page.pictures import Pictures
from agent.page.session import Session
from agent.page.shell import Shell
from agent.page.style import CSS
from retriever.errors import SightlineError
from retriever.pages.frame import node
from retriever.pages.style import CSS as BASE

if TYPE_CHECKING:
    from agent.api.keys import Principal
    from agent.api.service import Service
    from agent.settings import Settings

COOKIE = "sightline_page"
_MOST_SIGNED_IN = 10_000


class House:
    """What all pages of one process share."""

    def __init__(self, app: FastAPI, folder: Path) -> None:
        self.app, self.folder = app, folder
        self._tokens: dict[str, str] = {}
        self.mosaics: dict[str, Mosaic] = {}
        self.pictures: dict[str, Pictures] = {}
        self._signed_in: OrderedDict[str, Principal] = OrderedDict()

    def token(self, gallery: str) -> str:
        """Part of the address of a gallery's base layer: whose page shows the gallery knows it, nobody can guess it."""
        return self._tokens.setdefault(gallery, secrets.token_urlsafe(16))

    @property
    def service(self) -> Service:
        found: Service = self.app.state.service
        return found

    def who(self, request: Request) -> Principal | None:
        """The local user, or whoever signed in; None: a key is asked for."""
        return self.service.principal(None) or self._signed_in.get(request.cookies.get(COOKIE, ""))

    def sign_in(self, key: str, address: str) -> str | None:
        """A ticket for the key's user. None for a wrong key. Raises ``ApiError`` after too many of these."""
        who = self.service.principal(key)
        if who is None:
            self.service.meter.failed_key(address)
            return None
        ticket = secrets.token_urlsafe(32)
        self._signed_in[ticket] = who
        while len(self._signed_in) > _MOST_SIGNED_IN:
            self._signed_in.popitem(last=False)
        return ticket

    def sign_out(self, ticket: str) -> None:
        self._signed_in.pop(ticket, None)

    def mosaic(self, gallery: str) -> Mosaic:
        """The base layer of a gallery that is served. Raises ``KeyError``."""
        if gallery not in self.mosaics:
            tiles = self.service.desks[gallery].context.gallery
            self.mosaics[gallery] = Mosaic(tiles, self.folder / tiles.sha256[:16])
        return self.mosaics[gallery]

    def pictures_of(self, gallery: str) -> Pictures:
        if gallery not in self.pictures:
            self.pictures[gallery] = Pictures(self.service.desks[gallery].context)
        return self.pictures[gallery]


def mount(app: FastAPI, settings: Settings) -> None:
    """Puts the page at ``/`` of the API's application. Call it last: every path that is not the API's is the page's.

    ``app`` is what :func:`agent.api.app.create_app` gave; its ``app.state.service`` says who is there and whose
    threads are whose. The composed base layer is kept in the data folder. One page application per process: NiceGUI
    keeps its routes there.
    """
    from nicegui import ui

    house = House(app, settings.folder("mosaic"))
    _routes(app, house)
    _pages(house, "zh" if settings.lang == "zh" else "en")
    app.add_middleware(Shell, most=MAX_UPLOAD_BYTES)
    ui.run_with(app, title="Sightline", dark=None, tailwind=False, show_welcome_message=False, reconnect_timeout=30)


def _routes(app: FastAPI, house: House) -> None:
    @app.get("/page/base/{token}/{gallery}/{z}/{x}/{y}", include_in_schema=False)
    async def base(token: str, gallery: str, z: int, x: int, y: int) -> Response:
        known = house.token(gallery) if gallery in house.service.desks else ""
        if not known or not secrets.compare_digest(token.encode(), known.encode()):
            return Response(status_code=404)
        data = await asyncio.to_thread(house.mosaic(gallery).tile, z, x, y)
        kept = {"Cache-Control": "private, max-age=86400"}
        return Response(data, 200 if data else 204, kept, media_type="image/webp" if data else None)

    @app.post("/page/enter", include_in_schema=False)
    async def enter(request: Request, key: str = Form("", max_length=400)) -> Response:
        try:
            ticket = house.sign_in(key, request.client.host if request.client else "")
        except ApiError:
            return RedirectResponse("/?wrong=wait", 303)
        answer = RedirectResponse("/" if ticket else "/?wrong=key", 303)
        if ticket:
            secure = request.url.scheme == "https"
            answer.set_cookie(COOKIE, ticket, httponly=True, samesite="strict", secure=secure, path="/")
        return answer

    @app.post("/page/leave", include_in_schema=False)
    async def leave(request: Request) -> Response:
        house.sign_out(request.cookies.get(COOKIE, ""))
        answer = RedirectResponse("/", 303)
        answer.delete_cookie(COOKIE, path="/")
        return answer


def _pages(house: House, default: str) -> None:
    from nicegui import ui

    @ui.page("/", response_timeout=30)
    async def desk_page(request: Request, thread: str = "", gallery: str = "", wrong: str = "") -> None:
        ui.add_css(BASE + CSS)
        lang = _language(request, default)
        who = house.who(request)
        if who is None:
            _sign_in(lang, wrong)
            return
        try:
            session = Session(service=house.service, who=who, desk=house.service.desk(who, gallery or None))
        except SightlineError as error:
            with node("main", classes="sheet"):
                node("p", str(error), classes="card note", role="alert")
            return
        problem = ""
        if thread:
            try:
                await session.open(thread)
            except SightlineError as error:
                problem = str(error)
        page = DeskPage(house, session, lang, request.cookies.get("sightline_theme", "auto"))
        await page.build()
        if problem:
            page.complain(problem, "NoThread")


def _language(request: Any, default: str) -> str:
    """As chosen before, else as the browser asks, else as the desk is set."""
    chosen = request.cookies.get("sightline_lang")
    if chosen in ("en", "zh"):
        return str(chosen)
    wanted = request.headers.get("accept-language", "").lower()
    return "zh" if wanted.startswith("zh") else "en" if wanted.startswith("en") else default


def _sign_in(lang: str, wrong: str) -> None:
    words = DeskPage.words
    with node("main", classes="sheet gate"), node("form", classes="card", method="post", action="/page/enter"):
        node("h1", "Sightline")
        label = node("label", words("key_wanted", lang), for_="key")  # type: ignore[arg-type]
        label.update()
        node("input", id="key", name="key", type="password", autocomplete="current-password", autofocus=True)
        if wrong:
            node("p", words("key_wait" if wrong == "wait" else "key_wrong", lang), classes="note", role="alert")  # type: ignore[arg-type]
        node("button", words("enter", lang), classes="go", type="submit")  # type: ignore[arg-type]
