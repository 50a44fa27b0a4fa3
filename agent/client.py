"""The API in Python: :class:`Client` and :class:`AsyncClient`, with the desk's own records as answers.

>>> from agent.client import Client
>>> with Client("http://127.0.0.1:8377") as desk:  # doctest: +SKIP
...     turn = desk.locate("A church to the north, and a café across the street.")
...     turn = desk.say(turn.thread, "No, the café was on the right.")
...     print(turn.en, turn.result["candidates"][0]["lat"])
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from httpx_sse import ServerSentEvent, aconnect_sse, connect_sse

from agent import client_calls as calls
from agent.api.records import GalleryInfo, Upload
from agent.client_calls import ApiRefused, Call
from agent.state import Json
from agent.turns import Event, Past, Thread, Turn
from retriever.errors import ServerUnavailable
from retriever.types import Tile

T = TypeVar("T")
KEY = "SIGHTLINE_API_KEY"
TIMEOUT = httpx.Timeout(10.0, read=300.0)
"""A turn may wait for a slow model; a stream says every 15 seconds that it is alive."""


class _Base:
    """What both clients share."""

    def __init__(self, url: str, key: str | None) -> None:
        self.url = url.rstrip("/")
        key = key if key is not None else os.environ.get(KEY)
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}

    def _read(self, call: Call[T], response: httpx.Response) -> T:
        if not response.is_success:
            raise calls.problem(response.status_code, _json(response))
        return call.read(response.content if call.raw else response.json())

    def _lost(self, error: httpx.HTTPError) -> ServerUnavailable:
        return ServerUnavailable(f"{self.url} does not answer ({type(error).__name__}); is sightline serve running?")


class Client(_Base):
    """Blocking. ``key`` may come from the variable SIGHTLINE_API_KEY.

    Every method raises :class:`ApiRefused` with the API's reason, or ``ServerUnavailable``.
    """

    def __init__(self, url: str = "http://127.0.0.1:8377", key: str | None = None) -> None:
        super().__init__(url, key)
        self._http = httpx.Client(base_url=self.url, headers=self.headers, timeout=TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def _do(self, call: Call[T]) -> T:
        try:
            return self._read(call, self._http.request(call.method, call.path, **call.request()))
        except httpx.HTTPError as error:
            raise self._lost(error) from None

    def _events(self, call: Call[Turn]) -> Iterator[Event]:
        given = call.request()
        given["headers"] = {**call.headers, **calls.EVENTS}
        try:
            with connect_sse(self._http, call.method, call.path, **given) as source:
                if not source.response.is_success:
                    source.response.read()
                    raise calls.problem(source.response.status_code, _json(source.response))
                for sent in source.iter_sse():
                    yield _event(sent)
        except httpx.HTTPError as error:
            raise self._lost(error) from None

    def locate(
        self, text: str | None = None, *, gallery: str | None = None, images: Sequence[str] = (),
        within: Json | None = None, spoken: str | None = None,
    ) -> Turn:  # fmt: skip
        """A new thread. ``images`` are ids of uploads, ``within`` a box, a circle or a GeoJSON polygon."""
        return self._do(calls.locate(text, gallery, images, within, spoken))

    def locate_events(self, text: str | None = None, **options: Any) -> Iterator[Event]:
        """The same while it happens; options as for :meth:`locate`."""
        return self._events(_locating(text, **options))

    def say(self, thread: str, text: str) -> Turn:
        return self._do(calls.message(thread, text, None))

    def order(self, thread: str, **order: Any) -> Turn:
        """What a click does: ``order(thread, do="strike", claim="c2")``; the OpenAPI document lists all."""
        return self._do(calls.message(thread, None, order))

    def events(self, thread: str, text: str | None = None, order: Json | None = None) -> Iterator[Event]:
        """A turn while it happens; the last event is ``turn`` or ``error``."""
        return self._events(calls.message(thread, text, order))

    def turn(self, thread: str) -> Turn:
        return self._do(calls.turn(thread))

    def history(self, thread: str) -> list[Past]:
        return self._do(calls.history(thread))

    def threads(self) -> list[Thread]:
        return self._do(calls.threads())

    def name(self, thread: str, title: str) -> Thread:
        return self._do(calls.name(thread, title))

    def branch(self, thread: str, *, after: int | None = None, title: str | None = None) -> Thread:
        return self._do(calls.branch(thread, after, title))

    def forget(self, thread: str) -> None:
        self._do(calls.forget(thread))

    def export(self, thread: str) -> Json:
        return self._do(calls.export(thread))

    def case(self, thread: str) -> bytes:
        """The case file, an archive."""
        return self._do(calls.case(thread))

    def galleries(self) -> list[GalleryInfo]:
        return self._do(calls.galleries())

    def tile(self, gallery: str, tile_id: str) -> Tile:
        return self._do(calls.tile(gallery, tile_id))

    def tile_png(self, gallery: str, tile_id: str) -> bytes:
        return self._do(calls.tile_png(gallery, tile_id))

    def upload(self, view: str, picture: bytes | Path) -> Upload:
        """``view`` is ground, panorama, uav or map."""
        return self._do(calls.upload(view, _bytes(picture)))


class AsyncClient(_Base):
    """The same for asyncio; every method is as :class:`Client`'s."""

    def __init__(self, url: str = "http://127.0.0.1:8377", key: str | None = None) -> None:
        super().__init__(url, key)
        self._http = httpx.AsyncClient(base_url=self.url, headers=self.headers, timeout=TIMEOUT)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def _do(self, call: Call[T]) -> T:
        try:
            return self._read(call, await self._http.request(call.method, call.path, **call.request()))
        except httpx.HTTPError as error:
            raise self._lost(error) from None

    async def _events(self, call: Call[Turn]) -> AsyncIterator[Event]:
        given = call.request()
        given["headers"] = {**call.headers, **calls.EVENTS}
        try:
            async with aconnect_sse(self._http, call.method, call.path, **given) as source:
                if not source.response.is_success:
                    await source.response.aread()
                    raise calls.problem(source.response.status_code, _json(source.response))
                async for sent in source.aiter_sse():
                    yield _event(sent)
        except httpx.HTTPError as error:
            raise self._lost(error) from None

    async def locate(
        self, text: str | None = None, *, gallery: str | None = None, images: Sequence[str] = (),
        within: Json | None = None, spoken: str | None = None,
    ) -> Turn:  # fmt: skip
        return await self._do(calls.locate(text, gallery, images, within, spoken))

    def locate_events(self, text: str | None = None, **options: Any) -> AsyncIterator[Event]:
        return self._events(_locating(text, **options))

    async def say(self, thread: str, text: str) -> Turn:
        return await self._do(calls.message(thread, text, None))

    async def order(self, thread: str, **order: Any) -> Turn:
        return await self._do(calls.message(thread, None, order))

    def events(self, thread: str, text: str | None = None, order: Json | None = None) -> AsyncIterator[Event]:
        return self._events(calls.message(thread, text, order))

    async def turn(self, thread: str) -> Turn:
        return await self._do(calls.turn(thread))

    async def history(self, thread: str) -> list[Past]:
        return await self._do(calls.history(thread))

    async def threads(self) -> list[Thread]:
        return await self._do(calls.threads())

    async def name(self, thread: str, title: str) -> Thread:
        return await self._do(calls.name(thread, title))

    async def branch(self, thread: str, *, after: int | None = None, title: str | None = None) -> Thread:
        return await self._do(calls.branch(thread, after, title))

    async def forget(self, thread: str) -> None:
        await self._do(calls.forget(thread))

    async def export(self, thread: str) -> Json:
        return await self._do(calls.export(thread))

    async def case(self, thread: str) -> bytes:
        return await self._do(calls.case(thread))

    async def galleries(self) -> list[GalleryInfo]:
        return await self._do(calls.galleries())

    async def tile(self, gallery: str, tile_id: str) -> Tile:
        return await self._do(calls.tile(gallery, tile_id))

    async def tile_png(self, gallery: str, tile_id: str) -> bytes:
        return await self._do(calls.tile_png(gallery, tile_id))

    async def upload(self, view: str, picture: bytes | Path) -> Upload:
        return await self._do(calls.upload(view, _bytes(picture)))


def _locating(
    text: str | None, *, gallery: str | None = None, images: Sequence[str] = (), within: Json | None = None,
    spoken: str | None = None,
) -> Call[Turn]:  # fmt: skip
    return calls.locate(text, gallery, images, within, spoken)


def _event(sent: ServerSentEvent) -> Event:
    data = json.loads(sent.data)
    return calls.event(sent.event, str(data.get("thread", "")), data)


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None


def _bytes(picture: bytes | Path) -> bytes:
    return picture.read_bytes() if isinstance(picture, Path) else picture


__all__ = ["ApiRefused", "AsyncClient", "Client"]
