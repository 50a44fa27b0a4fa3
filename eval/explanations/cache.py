"""Answers kept by what was asked, so that a run that broke off resumes and asks nothing twice."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from pathlib import Path

from prompts.clients.base import ChatClient, ChatReply, ChatRequest
from retriever.types import sha256_text

PATIENT_S = 600.0
"""Our own judge is waited for this long: on a busy machine the slow answers are the long ones, and to leave those out
would bend every mean."""


class CachedClient:
    """Another client's answers, one file each under ``folder``, named by the hash of model and request.

    A file is written whole or not at all. Failures are not kept. ``asked`` counts the calls that went out, ``kept``
    those that were answered from the folder.
    """

    def __init__(self, inner: ChatClient, folder: Path, *, deadline_s: float | None = None) -> None:
        """``deadline_s``: how long an answer may take that sets no limit of its own; None: the other client's limit."""
        self._inner = inner
        self._deadline_s = deadline_s
        self._folder = folder
        self.asked = 0
        self.kept = 0

    @property
    def name(self) -> str:
        return self._inner.name

    async def complete(self, request: ChatRequest) -> ChatReply:
        key = sha256_text(f"{self.name}\n{request.key}")
        path = self._folder / key[:2] / f"{key}.json"
        kept = _load(path)
        if kept is not None:
            self.kept += 1
            return kept
        self.asked += 1
        limit = request.deadline_s or self._deadline_s
        reply = await self._inner.complete(dataclasses.replace(request, deadline_s=limit))
        _save(path, reply)
        return reply

    async def close(self) -> None:
        await self._inner.close()


def _load(path: Path) -> ChatReply | None:
    """None for a file that is not there or that somebody damaged: it is asked again."""
    try:
        return ChatReply(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _save(path: Path, reply: ChatReply) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            json.dump(dataclasses.asdict(reply), out, ensure_ascii=False)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
