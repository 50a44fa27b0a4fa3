"""What the methods of a run are given: encoder, confidence, and the judge, once for every query that is under way."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent import confidence as conf
from agent.judge import Judge
from agent.listings import ListingStore, MemoryListings
from agent.rerankers import Kit
from agent.rerankers.base import picture
from eval.arena.asking import CountingClient, NothingKept, Replies, patch_pixels
from eval.arena.config import UNJUDGED, Config, Method
from eval.arena.judging import Bench
from eval.protocol import EvaluationError
from retriever.errors import SightlineError

if TYPE_CHECKING:
    from agent.opening import Bench as Opened
    from retriever.encoder import Encoder
    from retriever.gallery import Gallery

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Slot:
    """One query at a time: a judge with a count of its own."""

    kit: Kit
    client: CountingClient | None = None


@dataclass(frozen=True, kw_only=True)
class Models:
    """What the methods of a run share."""

    slots: tuple[Slot, ...]
    """As many as queries may be under way together; they share models, answers and listings."""
    judge: str
    adapter: str
    encoder: str

    @property
    def kit(self) -> Kit:
        return self.slots[0].kit

    def benches(self, gallery: Gallery, *, judged: bool) -> list[Bench]:
        """One for each query that may be under way. Without ``judged`` the confidence is that of no judge."""
        plain = conf.load("none", self.encoder)
        return [
            Bench(
                gallery=gallery, client=s.client, kit=s.kit if judged else dataclasses.replace(s.kit, confidence=plain)
            )
            for s in self.slots
        ]

    async def close(self) -> None:
        """Of the client, which all slots share."""
        if self.slots[0].client is not None:
            await self.slots[0].client.close()


@contextmanager
def opened(config: Config, methods: Iterable[Method], encoder: Encoder, say: Say) -> Iterator[Models]:
    """The judge only where a method or an explanation asks one; without one each line says why.

    Raises ``EvaluationError`` where one is needed and cannot be had.
    """
    from agent.opening import open_bench
    from agent.settings import Settings

    needed = any(m.name not in UNJUDGED or m.explained(config.explain.top) for m in methods)
    if not needed or (config.judge.backend == "none" and config.judge.server is None):
        kit = Kit(encoder=encoder, confidence=conf.load("none", encoder.id))
        yield Models(slots=(Slot(kit=kit),), judge="none", adapter="", encoder=encoder.id)
        return
    bench = open_bench(Settings(backend=config.judge.backend, server=config.judge.server), say=say)
    if bench.judge is None:
        raise EvaluationError(f"the run's methods need a judge, and there is none: {bench.why}")
    kept = config.judge.replies or config.out / "replies.sqlite"
    replies = Replies(kept) if config.judge.reuse else None
    try:
        yield Models(
            slots=_slots(config, bench, encoder, replies),
            judge=bench.model,
            adapter=_adapter(bench.backend),
            encoder=encoder.id,
        )
    finally:
        if replies is not None:
            replies.close()
        bench.stop()


def _slots(config: Config, bench: Opened, encoder: Encoder, replies: Replies | None) -> tuple[Slot, ...]:
    assert bench.judge is not None
    patch = _patch(bench.backend)
    store: ListingStore = MemoryListings() if config.judge.looks == "once" else NothingKept()
    found = []
    for _ in range(config.judge.at_once):
        client = CountingClient(bench.judge.client, replies, patch_px=patch)
        judge = Judge(client, store=store, saw=bench.judge.saw)
        kit = Kit(judge=judge, encoder=encoder, confidence=conf.load(bench.model, encoder.id))
        found.append(Slot(kit=kit, client=client))
    return tuple(found)


async def look_ahead(bench: Bench, tiles: Iterable[str]) -> None:
    """Every tile looked at, as in a desk that has been in use; a failure is left to the method that asks again."""
    look = getattr(bench.kit.judge, "look", None)
    if look is None:
        return

    async def one(tile_id: str) -> None:
        try:
            await look(bench.gallery.tile(tile_id), picture(bench.gallery, tile_id))
        except SightlineError:
            # Without a listing kept, whoever needs it asks for it and says what is wrong.
            return

    await asyncio.gather(*(one(t) for t in dict.fromkeys(tiles)))


def _patch(backend: str) -> int:
    from agent.serving_bundle import JudgeBundle

    if backend == "url":
        return 0
    return patch_pixels(json.loads((JudgeBundle.find().base / "config.json").read_text(encoding="utf-8")))


def _adapter(backend: str) -> str:
    from agent.serving_bundle import JudgeBundle

    if backend == "url":
        return "not known"
    bundle = JudgeBundle.find()
    return f"{bundle.name}@{bundle.adapter_hash[:10]}" if bundle.adapter is not None else "none"
