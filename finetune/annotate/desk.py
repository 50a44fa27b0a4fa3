"""What the stages that pay share: the clients of a run, its counts, and walking over many items without losing any."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import httpx

from finetune.annotate.config import Config, Endpoint
from finetune.annotate.pace import Budget, Pace, Stopped
from finetune.annotate.paying import PaidClient
from finetune.annotate.store import PaidStore, Tokens

STORE = "paid.sqlite"
I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741


@dataclass
class Desk:
    """Clients of one run; endpoints with the same address share their pace, whatever parts they play."""

    config: Config
    store: PaidStore
    dry: bool = False
    transport: Callable[[], httpx.AsyncBaseTransport] | None = None
    budget: Budget = field(init=False)
    counts: Counter[str] = field(default_factory=Counter)
    _paces: dict[str, Pace] = field(default_factory=dict)
    _clients: dict[str, PaidClient] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.budget = Budget(self.config.budget, self.store.spent())

    def client(self, part: str) -> PaidClient:
        """The endpoint that plays this part. Raises ``SightlineError`` where there is none or its key is not set."""
        if part not in self._clients:
            endpoint = self.config.part(part)
            self._clients[part] = PaidClient(
                endpoint,
                self.store,
                self.budget,
                stage=part,
                pace=self._pace(endpoint),
                dry=self.dry,
                transport=self.transport() if self.transport else None,
            )
        return self._clients[part]

    def _pace(self, endpoint: Endpoint) -> Pace:
        if endpoint.base_url not in self._paces:
            self._paces[endpoint.base_url] = Pace(endpoint.requests_per_minute, endpoint.tokens_per_minute)
        return self._paces[endpoint.base_url]

    @property
    def width(self) -> int:
        """How many items are worked on at once: enough to keep every endpoint busy, few enough to hold in memory."""
        return sum(e.concurrency for e in self.config.endpoints.values()) + 1

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()


async def each(
    desk: Desk, items: Sequence[I], work: Callable[[I], Awaitable[O]], done: Callable[[I], None] | None = None
) -> list[O | None]:
    """``work`` on every item; None for those that a stop left undone. What is under way is finished first.

    An interrupt (Ctrl-C) stops like a reached budget: no further call is sent, replies on the wire are waited for and
    kept. A second one ends the program at once. Other errors of ``work`` stop the others likewise, then are raised.
    """
    results: list[O | None] = [None] * len(items)
    waiting = iter(enumerate(items))

    async def worker() -> None:
        for number, item in waiting:
            if desk.budget.stopped is not None:
                return
            try:
                results[number] = await work(item)
            except Stopped:
                return
            if done is not None:
                done(item)

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, _interrupted, desk, loop)
    try:
        ends = await asyncio.gather(*(_guarded(worker, desk) for _ in range(desk.width)), return_exceptions=True)
    finally:
        loop.remove_signal_handler(signal.SIGINT)
    for end in ends:
        if isinstance(end, BaseException):
            raise end
    return results


async def _guarded(worker: Callable[[], Awaitable[None]], desk: Desk) -> None:
    try:
        await worker()
    except Exception:
        desk.budget.stop(Stopped("stopped by an error elsewhere"))
        raise


def _interrupted(desk: Desk, loop: asyncio.AbstractEventLoop) -> None:
    desk.budget.stop(Stopped("interrupted; what was paid for is kept: run the same command again to go on"))
    loop.remove_signal_handler(signal.SIGINT)


@dataclass(frozen=True, kw_only=True)
class Planned:
    """Calls that a run would make."""

    stage: str
    tokens: Tokens
    certain: bool
    """False: only if an answer is broken or an inspector sends a text back."""


@dataclass(frozen=True, kw_only=True)
class PlanRow:
    stage: str
    model: str
    calls: int
    prompt_tokens: int
    completion_tokens: int
    money: float
    calls_at_most: int
    money_at_most: float


def plan_rows(config: Config, planned: Iterable[Planned]) -> list[PlanRow]:
    """By stage: what is certain, with the longest answers that are allowed, and what it can be at most."""
    stages: dict[str, list[Planned]] = {}
    for one in planned:
        stages.setdefault(one.stage, []).append(one)
    return [_plan_row(config.part(stage), stage, calls) for stage, calls in stages.items()]


def _plan_row(endpoint: Endpoint, stage: str, calls: Sequence[Planned]) -> PlanRow:
    certain = [c.tokens for c in calls if c.certain]
    prompt, completion = sum(t.prompt for t in certain), sum(t.completion for t in certain)
    all_prompt, all_completion = sum(c.tokens.prompt for c in calls), sum(c.tokens.completion for c in calls)
    return PlanRow(
        stage=stage,
        model=endpoint.model,
        calls=len(certain),
        prompt_tokens=prompt,
        completion_tokens=completion,
        money=endpoint.prices.of(prompt, completion),
        calls_at_most=len(calls),
        money_at_most=endpoint.prices.of(all_prompt, all_completion),
    )


def store_path(run: Path) -> Path:
    return run / STORE
