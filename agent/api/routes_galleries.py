"""Galleries and tiles: only those that were opened at the start, and of these only what the user may see."""

from __future__ import annotations

import io
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Header, Path, Query, Request
from starlette.responses import Response

from agent.api.access import Serv, Who
from agent.api.answers import GalleriesOut, HealthOut, MeOut, TilesOut, problems
from agent.api.errors import ApiError, json_response
from agent.api.records import GalleryInfo, Upload
from agent.aside import aside
from agent.desk import Desk
from agent.state import Json
from retriever.errors import GalleryError
from retriever.types import QueryView, Tile

router = APIRouter(prefix="/v1", responses=problems())
open_router = APIRouter(prefix="/v1")
GalleryId = Annotated[str, Path(min_length=1, max_length=128, description="A gallery's id.", examples=["demo-town"])]
TileId = Annotated[str, Path(min_length=1, max_length=160, description="A tile's id.", examples=["demo-town-r3c4"])]
MOST_TILES = 500


@open_router.get("/health", response_model=HealthOut, tags=["about"], operation_id="health")
async def health() -> Response:
    """Whether the API is up. No key is needed."""
    return json_response({"status": "ok"})


@router.get("/me", response_model=MeOut, tags=["about"], operation_id="me")
async def me(who: Who, service: Serv) -> Response:
    """Who you are here and what your key may use."""
    quota = who.quota
    limits = {"requests": quota.requests, "turns": quota.turns, "upload_mb": quota.upload_mb}
    seen = [desk.context.gallery.id for desk in service.galleries(who)]
    return json_response({"user": who.user, **limits, "galleries": seen})


@router.get("/galleries", response_model=GalleriesOut, tags=["galleries"], operation_id="list_galleries")
async def galleries(who: Who, service: Serv) -> Response:
    """The galleries that you may search."""
    return json_response({"galleries": [_about(desk) for desk in service.galleries(who)]})


@router.get(
    "/galleries/{gallery}", response_model=GalleryInfo, responses=problems(404), tags=["galleries"],
    operation_id="get_gallery",
)  # fmt: skip
async def gallery(gallery: GalleryId, who: Who, service: Serv) -> Response:
    """One gallery."""
    return json_response(_about(service.desk(who, gallery)))


@router.get(
    "/galleries/{gallery}/tiles", response_model=TilesOut, responses=problems(404), tags=["galleries"],
    operation_id="list_tiles",
)  # fmt: skip
async def tiles(
    gallery: GalleryId,
    who: Who,
    service: Serv,
    west: Annotated[float, Query(ge=-180, le=180)] = -180,
    south: Annotated[float, Query(ge=-90, le=90)] = -90,
    east: Annotated[float, Query(ge=-180, le=180)] = 180,
    north: Annotated[float, Query(ge=-90, le=90)] = 90,
    limit: Annotated[int, Query(ge=1, le=MOST_TILES)] = 100,
) -> Response:
    """Tiles whose centres lie in a box, by id."""
    g = service.desk(who, gallery).context.gallery
    inside = np.flatnonzero((g.lat >= south) & (g.lat <= north) & (g.lon >= west) & (g.lon <= east))
    found = [await aside(g.tile, g.ids[int(row)]) for row in inside[:limit]]
    listed = [{"id": t.id, "lat": t.lat, "lon": t.lon, "bounds": list(t.bounds)} for t in found]
    return json_response({"tiles": listed, "more": len(inside) - len(found)})


@router.get(
    "/galleries/{gallery}/tiles/{tile}", response_model=Tile, responses=problems(404), tags=["galleries"],
    operation_id="get_tile",
)  # fmt: skip
async def tile(gallery: GalleryId, tile: TileId, who: Who, service: Serv) -> Response:
    """A tile with what the map says about it; `facts` is null where no map was given."""
    desk = service.desk(who, gallery)
    _must_have(desk, tile)
    return json_response((await aside(desk.context.gallery.tile, tile)).to_json())


@router.get(
    "/galleries/{gallery}/tiles/{tile}/image", response_class=Response, tags=["galleries"], operation_id="tile_image",
    responses={**problems(404), 200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}},
               304: {"description": "Your copy is the same."}},
)  # fmt: skip
async def image(
    gallery: GalleryId, tile: TileId, who: Who, service: Serv,
    if_none_match: Annotated[str | None, Header(max_length=200)] = None,
) -> Response:  # fmt: skip
    """A tile's picture as PNG."""
    desk = service.desk(who, gallery)
    _must_have(desk, tile)
    g = desk.context.gallery
    tag = f'"{(await aside(g.tile, tile)).image_sha256}"'
    headers = {"ETag": tag, "Cache-Control": "private, max-age=3600"}
    if if_none_match == tag:
        return Response(status_code=304, headers=headers)
    return Response(await aside(_png, g, tile), headers=headers, media_type="image/png")


_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}


@router.post(
    "/uploads", response_model=Upload, status_code=201, responses=problems(404, 408, 413, 415), tags=["uploads"],
    operation_id="upload", openapi_extra={"requestBody": {"required": True, "content": {
        "image/jpeg": _BINARY, "image/png": _BINARY, "image/webp": _BINARY}}},
)  # fmt: skip
async def upload(
    request: Request, who: Who, service: Serv,
    view: Annotated[QueryView, Query(description="What kind of picture it is.")],
) -> Response:  # fmt: skip
    """A picture as the request's body: PNG, JPEG or WebP of one frame. It is decoded and written anew by us."""
    length = request.headers.get("content-length", "")
    service.meter.upload(who.bucket, who.quota, int(length) if length.isdecimal() else 20_000_000)
    declared = request.headers.get("content-type", "")
    made = await service.uploads.receive(who, view, declared, request.stream())
    return json_response(made.to_json(), 201)


@router.get(
    "/uploads/{upload}", response_class=Response, tags=["uploads"], operation_id="get_upload",
    responses={**problems(404), 200: {"content": {"image/png": _BINARY}}},
)  # fmt: skip
async def uploaded(
    upload: Annotated[str, Path(min_length=1, max_length=128, description="An upload's id.")], who: Who, service: Serv
) -> Response:
    """Your picture as it is kept, PNG."""
    return Response(await service.uploads.png(who, upload), media_type="image/png")


def _about(desk: Desk) -> Json:
    context, g = desk.context, desk.context.gallery
    return GalleryInfo(
        id=g.id,
        sha256=g.sha256,
        view=g.view,
        tiles=len(g),
        size_m=g.size_m,
        stride_m=g.stride_m,
        bounds=(float(g.lon.min()), float(g.lat.min()), float(g.lon.max()), float(g.lat.max())),
        attribution=str(getattr(g, "manifest", {}).get("attribution", "")),
        judge=context.model,
        encoder=context.encoder,
    ).to_json()


def _must_have(desk: Desk, tile: str) -> None:
    try:
        desk.context.gallery.row(tile)
    except GalleryError:
        raise ApiError(404, "no_tile", "this gallery has no such tile") from None


def _png(gallery: Any, tile: str) -> bytes:
    out = io.BytesIO()
    gallery.image(tile).save(out, format="PNG")
    return out.getvalue()
