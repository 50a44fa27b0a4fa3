"""Answers without a model: read from a record of earlier calls, or given by a function. For tests and replays."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from prompts.clients.base import ChatClient, ChatReply, ChatRequest
from retriever.errors import ReplyError

Answer = ChatReply | Exception


class RecordedClient:
    """``answers`` maps :attr:`ChatRequest.key` to replies, or is a function of the request.

    An ``Exception`` as an answer is raised. ``requests`` keeps what was asked, in order.
    """

    def __init__(
        self, answers: Mapping[str, Answer] | Callable[[ChatRequest], Answer], *, name: str = "recorded"
    ) -> None:
        self._answers = answers
        self._name = name
        self.requests: list[ChatRequest] = []

    @classmethod
    def load(cls, path: Path) -> RecordedClient:
        """From the file that :class:`Recorder` wrote."""
        answers: dict[str, Answer] = {}
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            try:
                row = json.loads(line)
                answers[row["key"]] = ChatReply(**row["reply"])
            except (ValueError, KeyError, TypeError):
                raise ReplyError(f"line {number} of {path} is no recorded answer; record it again") from None
        return cls(answers, name=f"recorded:{path.name}")

    @property
    def name(self) -> str:
        return self._name

    async def complete(self, request: ChatRequest) -> ChatReply:
        self.requests.append(request)
        answer = self._answers(request) if callable(self._answers) else self._answers.get(request.key)
        if answer is None:
            raise ReplyError(f"no answer was recorded for this request ({request.key[:12]}); record it first")
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self) -> None:
        return None


class Recorder:
    """Passes calls on to another client and appends every answer to a JSON-lines file."""

    def __init__(self, inner: ChatClient, path: Path) -> None:
        self._inner = inner
        self._path = path

    @property
    def name(self) -> str:
        return self._inner.name

    async def complete(self, request: ChatRequest) -> ChatReply:
        reply = await self._inner.complete(request)
        line = json.dumps({"key": request.key, "reply": dataclasses.asdict(reply)}, ensure_ascii=False)
        with self._path.open("a", encoding="utf-8") as out:
            out.write(line + "\n")
        return reply

    async def close(self) -> None:
        await self._inner.close()
