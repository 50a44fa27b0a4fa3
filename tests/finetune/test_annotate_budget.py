"""What an annotation run may spend, and what stops it: budgets, refusals, pauses, rates, and the plan beforehand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from annotate_fakes import FakeEndpoint, config_file, describe, photo_run

from finetune.annotate.config import load_config
from finetune.annotate.describe import Writer, jobs
from finetune.annotate.desk import Desk, plan_rows, store_path
from finetune.annotate.pace import Pace, Stopped
from finetune.annotate.store import ledger, opened
from retriever.errors import SightlineError


def test_the_budget_stops_before_it_is_passed_and_a_larger_one_goes_on(
    tmp_path: Path, endpoint: Callable[..., FakeEndpoint]
) -> None:
    server, run = endpoint(), photo_run(tmp_path, 10)
    config = config_file(tmp_path / "c.yaml", server.url)
    budget = 20.0
    rows, desk = describe(run, config, budget=budget)
    spent = sum(c.money for c in ledger(store_path(run)))
    assert isinstance(desk.budget.stopped, Stopped)
    assert 0 < spent <= budget
    assert 0 < server.finished < 20
    assert len(rows) < 10
    rows, desk = describe(run, config)
    assert desk.budget.stopped is None
    assert len(rows) == 10
    assert server.finished == 20
    assert max(server.sent.values()) == 1


def test_lost_calls_count_against_the_budget(tmp_path: Path, endpoint: Callable[..., FakeEndpoint]) -> None:
    server, run = endpoint(mood=lambda body, n: ("drop",)), photo_run(tmp_path, 4)
    rows, desk = describe(run, config_file(tmp_path / "c.yaml", server.url), budget=60.0)
    assert rows == []
    assert 0 < desk.budget.spent <= 60.0
    assert sum(c.lost_money for c in ledger(store_path(run))) == pytest.approx(desk.budget.spent)


def test_a_server_that_only_refuses_ends_the_run_with_a_sentence(
    tmp_path: Path, endpoint: Callable[..., FakeEndpoint]
) -> None:
    server, run = endpoint(mood=lambda body, n: ("status", 503, 0)), photo_run(tmp_path, 30)
    parts = {"producer": {"retries": 2}}
    rows, desk = describe(run, config_file(tmp_path / "c.yaml", server.url, parts=parts))
    assert rows == []
    assert "3 times in a row" in str(desk.budget.stopped)
    assert len(server.requests) < 30
    assert desk.budget.spent == 0


def test_nothing_is_sent_before_the_time_that_the_server_asked_for(
    tmp_path: Path, endpoint: Callable[..., FakeEndpoint]
) -> None:
    server = endpoint(mood=lambda body, n: ("status", 429, 0.4) if n == 2 else None)
    parts = {"producer": {"concurrency": 1}, "inspector": {"concurrency": 1}}
    run = photo_run(tmp_path, 1)
    describe(run, config_file(tmp_path / "c.yaml", server.url, parts=parts))
    assert server.times[2] - server.times[1] >= 0.4


def test_a_pause_longer_than_a_run_waits_stops_it(tmp_path: Path, endpoint: Callable[..., FakeEndpoint]) -> None:
    server, run = endpoint(mood=lambda body, n: ("status", 429, 86_400)), photo_run(tmp_path, 2)
    rows, desk = describe(run, config_file(tmp_path / "c.yaml", server.url))
    assert rows == []
    assert "86400 s" in str(desk.budget.stopped)


def test_a_refused_request_is_unanswered_and_costs_nothing(
    tmp_path: Path, endpoint: Callable[..., FakeEndpoint]
) -> None:
    server, run = endpoint(mood=lambda body, n: ("status", 400, None)), photo_run(tmp_path, 1)
    rows, desk = describe(run, config_file(tmp_path / "c.yaml", server.url))
    assert rows[0].reasons[0].startswith("unanswered: ")
    assert desk.budget.spent == 0


def test_no_window_holds_more_requests_or_tokens_than_allowed() -> None:
    async def grants(pace: Pace, n: int, tokens: int) -> list[float]:
        times: list[float] = []

        async def one() -> None:
            await pace.turn(tokens)
            times.append(time.time())

        await asyncio.gather(*(one() for _ in range(n)))
        return times

    for pace, tokens in ((Pace(4, 10_000, window_s=1), 1), (Pace(1000, 4000, window_s=1), 1000)):
        times = asyncio.run(grants(pace, 9, tokens))
        assert all(later - first >= 0.95 for first, later in zip(times, times[4:], strict=False))


def test_a_dry_run_asks_nothing_and_foresees_no_less_than_is_spent(
    tmp_path: Path, endpoint: Callable[..., FakeEndpoint]
) -> None:
    server, run = endpoint(), photo_run(tmp_path, 4)
    config = load_config(config_file(tmp_path / "c.yaml", server.url))

    async def plan(desk: Desk) -> list[Any]:
        writer = Writer(run, desk, "en")
        return [call for job in jobs(run) for call in await writer.plan(job)]

    with opened(store_path(run)) as store:
        rows = plan_rows(config, asyncio.run(plan(Desk(config, store, dry=True))))
    assert server.requests == []
    assert {(r.stage, r.calls, r.calls_at_most) for r in rows} == {("producer", 4, 16), ("inspector", 4, 16)}
    describe(run, tmp_path / "c.yaml")
    assert sum(r.money for r in rows) >= sum(c.money for c in ledger(store_path(run)))
    with opened(store_path(run)) as store:
        assert asyncio.run(plan(Desk(config, store, dry=True))) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"endpoints": {"prodcer": {}}}, "endpoints"),
        ({"budget": -1}, "budget"),
        ({"sample": 2}, "sample"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_configuration_names_the_field(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = config_file(tmp_path / "c.yaml", "http://127.0.0.1:9/v1", **change)
    with pytest.raises(SightlineError, match=message):
        load_config(path)


def test_the_example_configuration_is_one(tmp_path: Path) -> None:
    from finetune.annotate.config import EXAMPLE, PARTS

    assert set(load_config(EXAMPLE).endpoints) == set(PARTS)
    with pytest.raises(SightlineError, match="cannot be read"):
        load_config(tmp_path / "none.yaml")
