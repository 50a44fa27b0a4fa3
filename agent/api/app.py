"""The app factory: ``create_app(contexts, database)`` gives a FastAPI app that a page can be mounted on.

``app.state.service`` is the :class:`agent.api.service.Service` from start-up to shutdown: its desks, keys and threads.
A page that shares the app asks ``service.principal(key)`` who is there, ``service.desk(who)`` for the desk and
``service.mine(who, thread)`` before it opens a thread. The API lives under ``/v1``; every other path is the page's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.openapi.utils import get_openapi
from starlette.routing import Match

from agent.api import errors, routes_galleries, routes_threads
from agent.api.gate import LOOPBACK, Gate
from agent.api.keys import Keyring
from agent.api.service import open_service
from agent.context import Context

ABOUT = """Finds the place that a person describes, and says why. Every error has the form
`{"error": {"code", "message", "request_id"}}`. Pictures are uploaded, never fetched from an address."""

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"]
HEADERS = ["Authorization", "X-API-Key", "Content-Type", "Accept"]


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

    app = FastAPI(
        title="Sightline",
        version="1",
        description=ABOUT,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    for router in (routes_galleries.open_router, routes_galleries.router, routes_threads.router):
        app.include_router(router)
    app.add_api_route("/v1/{rest:path}", _nowhere, methods=METHODS, include_in_schema=False)
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]
    errors.install(app)
    if origins:
        methods = ["GET", "POST", "PATCH", "DELETE"]
        app.add_middleware(CORSMiddleware, allow_origins=list(origins), allow_methods=methods, allow_headers=HEADERS)
    app.add_middleware(Gate, hosts=hosts, origins=origins)
    return app


async def _nowhere(request: Request) -> None:
    """What is under ``/v1`` and no route of ours. It would be the page's otherwise. Raises ``HTTPException``."""
    known = (route for route in request.app.routes if getattr(route, "endpoint", None) is not _nowhere)
    partly = [route for route in known if route.matches(request.scope)[0] is Match.PARTIAL]
    allowed = sorted({method for route in partly for method in route.methods})
    if allowed:
        raise HTTPException(405, headers={"Allow": ", ".join(allowed)})
    raise HTTPException(404, "the API has no such path; /openapi.json lists all")


def _document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, made once."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        app.openapi_schema = _plain(made)
    return app.openapi_schema


def _plain(schema: Any) -> Any:
    """Tuples whose members are all alike become arrays of fixed length, which every generator of clients reads."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    members = schema.get("prefixItems") or []
    if members and all(item == members[0] for item in members):
        schema = {key: value for key, value in schema.items() if key != "prefixItems"} | {"items": members[0]}
    return {key: _plain(value) for key, value in schema.items()}
