"""Pictures that analysts upload: read piece by piece, re-encoded by us, kept for the one user who sent them."""

from __future__ import annotations

import asyncio
import hashlib
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from agent.api.decoder import Decoder
from agent.api.errors import ApiError
from agent.api.gate import BODY_S
from agent.api.keys import Principal
from agent.api.limits import MAX_UPLOAD_BYTES
from agent.api.records import Upload
from agent.opening import VIEWS, keep_picture
from agent.threads import new_thread, now
from retriever.types import QueryView

MOST_READ_AT_ONCE = 8
"""Bodies in memory at the same time, each of at most :data:`MAX_UPLOAD_BYTES`."""
_TYPES = {"image/png": b"\x89PNG", "image/jpeg": b"\xff\xd8\xff", "image/webp": b"RIFF"}


class Uploads:
    """Keeps pictures in ``folder`` and their list in a LangGraph store, a namespace for each user."""

    def __init__(self, store: Any, folder: Path | None, decoder: Decoder) -> None:
        self._store, self._folder, self._decoder = store, folder, decoder
        self._reading = asyncio.Semaphore(MOST_READ_AT_ONCE)

    async def receive(self, who: Principal, view: str, declared: str, pieces: AsyncIterator[bytes]) -> Upload:
        """A picture from the body of a request. Raises ``ApiError`` 408, 413, 415 or 422."""
        async with self._reading:
            return await self.keep(who, view, await _read(pieces), declared)

    async def keep(self, who: Principal, view: str, raw: bytes, declared: str = "") -> Upload:
        """A picture's bytes. ``declared`` is their media type, where one was named. Raises ``ApiError``."""
        if self._folder is None:
            raise ApiError(404, "no_uploads", "this desk keeps no pictures")
        if view not in VIEWS:
            raise ApiError(422, "invalid", f"view must be one of {', '.join(VIEWS)}")
        if len(raw) > MAX_UPLOAD_BYTES:
            raise too_large()
        _check_type(declared, raw)
        # A name of two users may not be told from the hash of what they sent.
        mark = hashlib.sha256(f"upload of {who.user}".encode()).hexdigest()
        png = await self._decoder.reencode(raw, mark)
        width, height = struct.unpack(">II", png[16:24])
        sha = await asyncio.to_thread(keep_picture, view, png, self._folder)
        upload = Upload(id=new_thread(), view=_view(view), sha256=sha, width=width, height=height, made=now())
        await self._store.aput(_space(who), upload.id, upload.to_json(), index=False)
        return upload

    async def get(self, who: Principal, name: str) -> Upload:
        """An upload of ``who``. Raises ``ApiError`` 404, the same whether it is another's or nobody's."""
        item = await self._store.aget(_space(who), name)
        if item is None:
            raise ApiError(404, "no_upload", "there is no such upload; upload the picture first")
        return Upload.from_json(item.value)

    async def png(self, who: Principal, name: str) -> bytes:
        """The picture as it is kept. Raises ``ApiError`` 404."""
        upload = await self.get(who, name)
        if self._folder is None:
            raise ApiError(404, "no_uploads", "this desk keeps no pictures")
        path = self._folder / f"{upload.sha256}.png"
        if not path.is_file():
            raise ApiError(404, "no_upload", "the picture of this upload is gone; upload it again")
        return await asyncio.to_thread(path.read_bytes)


def too_large() -> ApiError:
    return ApiError(413, "too_large", f"a picture may have {MAX_UPLOAD_BYTES:,} bytes; make it smaller")


async def _read(pieces: AsyncIterator[bytes]) -> bytes:
    raw = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for piece in pieces:
                raw += piece
                if len(raw) > MAX_UPLOAD_BYTES:
                    raise too_large()
    except TimeoutError:
        raise ApiError(408, "too_slow", f"the picture did not arrive within {BODY_S:g} s") from None
    return bytes(raw)


def _check_type(declared: str, raw: bytes) -> None:
    """The media type that the sender names must be what the bytes are."""
    kind = declared.partition(";")[0].strip().lower()
    if kind in ("", "application/octet-stream"):
        return
    if kind not in _TYPES:
        raise ApiError(415, "image_unsupported", f"send the picture itself, as {', '.join(_TYPES)}")
    if not raw.startswith(_TYPES[kind]):
        raise ApiError(415, "image_lying", f"the file is not the {kind} that its header names")


def _view(view: str) -> QueryView:
    found: dict[str, QueryView] = {"map": "map", "ground": "ground", "panorama": "panorama", "uav": "uav"}
    return found[view]


def _space(who: Principal) -> tuple[str, ...]:
    # Users' names begin with a letter or digit, so the local user's can be no other's.
    return ("sightline", "uploads", who.user or "-")
