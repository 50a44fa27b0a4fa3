"""The app factory: ``create_app(contexts, database)`` gives a FastAPI app that a page can be mounted on.

``app.state.service`` is the :class:`agent.api.service.Service` from start-up to shutdown: its desks, keys and threads.
A page that shares the app asks ``service.principal(key)`` who is there, ``service.desk(who)`` for the desk and
``service.mine(who, thread)`` before it opens a thread. The API lives under ``/v1``; every other path is the page's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI

from agent.api import errors
from agent.api.gate import LOOPBACK, Gate
from agent.api.keys import Keyring
from agent.api.service import open_service
from agent.context import Context


def create_app(
    contexts: Sequence[Context],
    database: Path,
    *,
    keys: Keyring | None = None,
    hosts: Sequence[str] = LOOPBACK,
    origins: Sequence[str] = (),
) -> FastAPI:
    """The API over these galleries.

    Args:
        contexts: what :func:`agent.opening.open_context` gave, one for each gallery that is served; no other is.
        database: the SQLite file of the threads.
        keys: who may ask; without, everyone who reaches the port is the one local user.
        hosts: names under which the desk answers; ``*`` for any, which is for desks with keys.
        origins: sites whose pages may use the desk from a browser; none by default.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_service(contexts, database, keys) as service:
            app.state.service = service
            yield

    app = FastAPI(title="Sightline", version="1", lifespan=lifespan, docs_url=None, redoc_url=None)
    errors.install(app)
    app.add_middleware(Gate, hosts=hosts, origins=origins)
    return app
