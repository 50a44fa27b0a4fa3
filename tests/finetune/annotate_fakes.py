"""A chat endpoint on loopback that behaves as badly as told, and counts what it served in full."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web
from PIL import Image

from finetune.annotate.config import load_config
from finetune.annotate.describe import DescriptionRow, run_describe
from finetune.annotate.desk import Desk, store_path
from finetune.annotate.ocr import OcrRow, Reading
from finetune.annotate.photos import collect, photos
from finetune.annotate.rows import write_rows
from finetune.annotate.store import opened
from finetune.annotate.vehicles import run_drop

Body = Mapping[str, Any]
PROMPT_TOKENS, COMPLETION_TOKENS = 700, 90
OK = {"ok": True, "why": ""}
GOOD = {
    "produced": {"aspects": [{"aspect": "road", "seen": "cobbles"}], "text": "I see a church on my left."},
    "inspected": {"accuracy": OK, "completeness": OK, "clarity": OK},
    "pair": {
        "agree": [{"en": "a church to the north", "zh": "北边有教堂"}],
        "differ": [],
        "verdict": "match",
        "en": "The first image shows a church, the second shows a church. So they show the same place.",
        "zh": "第一张图显示一座教堂，第二张图显示一座教堂。因此两者是同一地点。",
    },
}


def kind_of(body: Body) -> str:
    """Which part is being played, by the schema of the answer."""
    wanted = body["response_format"]["json_schema"]["schema"]["properties"]
    return {"aspects": "produced", "accuracy": "inspected", "agree": "pair"}.get(next(iter(wanted)), "paraphrase")


def asked(body: Body) -> str:
    """The text of the last message."""
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else "".join(p.get("text", "") for p in content)


class FakeEndpoint:
    """``mood(body, n)`` is the trouble for the n-th request, from 1: None, or one of

    ``("status", code, retry_after)``, ``("drop",)`` half way through the reply, ``("text", words)`` for what the model
    says, ``("raw", bytes)`` for the whole HTTP body. ``say(body)`` is what a model in a good mood answers.
    """

    def __init__(
        self,
        mood: Callable[[Body, int], tuple[Any, ...] | None] = lambda body, n: None,
        say: Callable[[Body], Any] = lambda body: GOOD[kind_of(body)],
        delay_s: float = 0.0,
    ) -> None:
        self.mood, self.say, self.delay_s = mood, say, delay_s
        self.requests: list[Body] = []
        self.times: list[float] = []
        self.sent: Counter[str] = Counter()
        """By the content of the request: replies that were sent in full."""
        self.keys: defaultdict[str, set[str]] = defaultdict(set)
        """By the content of the request: its idempotency keys."""
        self.dropped = 0
        self.hold_after: int | None = None
        """Once so many replies are sent, every further one waits for :meth:`release`."""
        self._free = threading.Event()
        self.url = ""

    @property
    def finished(self) -> int:
        return sum(self.sent.values())

    def release(self) -> None:
        self.hold_after = None
        self._free.set()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.requests.append(body)
        self.times.append(asyncio.get_running_loop().time())
        number, content = len(self.requests), json.dumps(body, sort_keys=True)
        self.keys[content].add(request.headers["Idempotency-Key"])
        await asyncio.sleep(self.delay_s)
        trouble = self.mood(body, number)
        if trouble is not None and trouble[0] == "status":
            headers = {"Retry-After": str(trouble[2])} if trouble[2] is not None else {}
            return web.json_response({"error": {"message": "no"}}, status=trouble[1], headers=headers)
        while self.hold_after is not None and self.finished >= self.hold_after and not self._free.is_set():
            await asyncio.sleep(0.01)
        data = self._data(body, trouble)
        if request.transport is None or request.transport.is_closing():
            raise web.HTTPGone
        response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(data))})
        await response.prepare(request)
        if trouble is not None and trouble[0] == "drop":
            self.dropped += 1
            await response.write(data[: len(data) // 2])
            assert request.transport is not None
            request.transport.abort()
            return response
        self.sent[content] += 1
        await response.write(data)
        await response.write_eof()
        return response

    def _data(self, body: Body, trouble: tuple[Any, ...] | None) -> bytes:
        if trouble is not None and trouble[0] == "raw":
            return bytes(trouble[1])
        text = trouble[1] if trouble is not None and trouble[0] == "text" else json.dumps(self.say(body))
        usage = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": COMPLETION_TOKENS}
        choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return json.dumps({"model": body["model"], "choices": [choice], "usage": usage}).encode()

    @contextmanager
    def running(self) -> Iterator[FakeEndpoint]:
        loop = asyncio.new_event_loop()
        ready, done = threading.Event(), asyncio.Event()

        async def serve() -> None:
            app = web.Application(client_max_size=64 * 1024 * 1024)
            app.router.add_post("/v1/chat/completions", self._answer)
            runner = web.AppRunner(app, shutdown_timeout=0.1)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
            ready.set()
            await done.wait()
            await runner.cleanup()

        thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
        thread.start()
        assert ready.wait(30)
        try:
            yield self
        finally:
            self.release()
            loop.call_soon_threadsafe(done.set)
            thread.join(30)
            loop.close()


def config_file(path: Path, url: str, *, parts: Mapping[str, Mapping[str, Any]] | None = None, **top: Any) -> Path:
    """Every part at one address, each a model of its own, fast enough for tests."""
    names = ("producer", "inspector", "annotator_a", "annotator_b", "paraphraser")
    base = {"base_url": url, "prices": {"prompt": 1000.0, "completion": 10_000.0}}
    limits = {"requests_per_minute": 100_000, "tokens_per_minute": 100_000_000, "timeout_s": 30}
    endpoints = {n: {**base, **limits, "model": f"model-{n}", **(parts or {}).get(n, {})} for n in names}
    path.write_text(yaml.safe_dump({"endpoints": endpoints, "budget": 1e6, **top}), "utf-8")
    return path


def photo_run(folder: Path, n: int, *, readings: Mapping[int, tuple[Reading, ...]] | None = None) -> Path:
    """A run's folder with ``n`` small pictures that were read; by number, what was read on them."""
    source, run = folder / "source", folder / "run"
    source.mkdir(parents=True)
    for i in range(n):
        Image.new("RGB", (60, 40), (i * 7 % 256, i * 31 % 256, i)).save(source / f"{i:03}.png")
    assert all(not problem for _, problem in collect(source, run))
    rows = [
        OcrRow(sha256=photo.sha256, by="test", readings=(readings or {}).get(i, ()))
        for i, photo in enumerate(photos(run))
    ]
    write_rows(run / "ocr.jsonl", rows)
    run_drop(run)
    return run


ONE_CALL = (PROMPT_TOKENS * 1000.0 + COMPLETION_TOKENS * 10_000.0) / 1e6


def describe(run: Path, config: Path, **change: Any) -> tuple[list[DescriptionRow], Desk]:
    with opened(store_path(run)) as store:
        desk = Desk(load_config(config).model_copy(update=change), store)
        return asyncio.run(run_describe(run, desk, "en")), desk
