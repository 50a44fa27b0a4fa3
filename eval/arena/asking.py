"""Questions to the judge: answered once, kept on the disk, and counted for every method as if it had asked alone."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prompts.clients.base import ChatClient, ChatReply, ChatRequest, ImagePart
from retriever.types import Record, sha256_text


@dataclass(frozen=True, kw_only=True)
class Cost(Record):
    """What one query cost one method."""

    calls: int = 0
    kept: int = 0
    """Calls among them that another method, or an earlier start, had made already."""
    pictures: int = 0
    image_tokens: int = 0
    """Part of ``prompt_tokens``; 0 where the model's patch size is not known."""
    prompt_tokens: int = 0
    output_tokens: int = 0
    call_seconds: float = 0.0
    """Sum over the calls, each as it took when it was really made; calls under way together overlap."""

    def __add__(self, other: Cost) -> Cost:
        mine, theirs = dataclasses.asdict(self), dataclasses.asdict(other)
        return Cost(**{name: mine[name] + theirs[name] for name in mine})


class Replies:
    """Replies by question in SQLite: on the disk before they are used."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, timeout=30)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, reply TEXT NOT NULL)")
        self._db.commit()
        self._asking: dict[str, asyncio.Task[ChatReply]] = {}

    async def answer(self, key: str, ask: Callable[[], Awaitable[ChatReply]]) -> tuple[ChatReply, bool]:
        """The reply, and whether another had asked already. Two that ask the same at the same time share one call."""
        kept = self.get(key)
        if kept is not None:
            return kept, True
        task, shared = self._asking.get(key), True
        if task is None:
            task, shared = asyncio.ensure_future(self._made(key, ask)), False
            self._asking[key] = task
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        return await asyncio.shield(task), shared

    async def _made(self, key: str, ask: Callable[[], Awaitable[ChatReply]]) -> ChatReply:
        reply = await ask()
        self.put(key, reply)
        return reply

    def get(self, key: str) -> ChatReply | None:
        row = self._db.execute("SELECT reply FROM replies WHERE key = ?", (key,)).fetchone()
        return None if row is None else ChatReply(**json.loads(row[0]))

    def put(self, key: str, reply: ChatReply) -> None:
        data = json.dumps(dataclasses.asdict(reply), ensure_ascii=False)
        self._db.execute("INSERT OR IGNORE INTO replies VALUES (?, ?)", (key, data))
        self._db.commit()

    def close(self) -> None:
        self._db.close()


class CountingClient:
    """A chat client that asks each question once and counts what is asked since :meth:`begin`."""

    def __init__(self, client: ChatClient, replies: Replies | None, *, patch_px: int = 0) -> None:
        self._client, self._replies, self._patch = client, replies, patch_px
        self.cost = Cost()

    @property
    def name(self) -> str:
        return self._client.name

    def begin(self) -> None:
        """Count from zero."""
        self.cost = Cost()

    async def complete(self, request: ChatRequest) -> ChatReply:
        """As the client's; a failure is never kept."""
        key = sha256_text(f"{self._client.name}\n{request.key}")
        if self._replies is None:
            reply, kept = await self._client.complete(request), False
        else:
            reply, kept = await self._replies.answer(key, lambda: self._client.complete(request))
        pictures = [p for m in request.messages for p in m.parts if isinstance(p, ImagePart)]
        self.cost += Cost(
            calls=1,
            kept=int(kept),
            pictures=len(pictures),
            image_tokens=sum(self._tokens(p) for p in pictures),
            prompt_tokens=reply.prompt_tokens,
            output_tokens=reply.completion_tokens,
            call_seconds=round(reply.seconds, 4),
        )
        return reply

    def _tokens(self, picture: ImagePart) -> int:
        if not self._patch:
            return 0
        # Width and height stand in the PNG's header.
        width, height = (int.from_bytes(picture.png[at : at + 4], "big") for at in (16, 20))
        return (width // self._patch) * (height // self._patch)

    async def close(self) -> None:
        await self._client.close()


class NothingKept:
    """A store of listings that forgets: every query pays for its looks, whatever was asked before it."""

    def get(self, model: str, image_sha256: str) -> str | None:
        return None

    def put(self, model: str, image_sha256: str, listing: str) -> None:
        return None


def patch_pixels(config: Mapping[str, Any]) -> int:
    """Side of the square that becomes one image token, from a vision model's configuration; 0 where it is not said."""
    vision = config.get("vision_config") or {}
    return int(vision.get("patch_size", 0)) * int(vision.get("spatial_merge_size", 1))
