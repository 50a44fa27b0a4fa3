"""Running what costs money from the command line: progress, the dry run's table, the ledger, and why it stopped."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

if TYPE_CHECKING:
    from finetune.annotate.config import Config
    from finetune.annotate.desk import Desk, Planned, PlanRow
    from finetune.annotate.store import Cost

err = Console(stderr=True)


async def shown(total: int, work: Callable[[Callable[[Any], None]], Awaitable[Any]]) -> Any:
    with Progress(console=err, transient=True) as progress:
        task = progress.add_task("asking", total=total)
        return await work(lambda _: progress.advance(task))


def paid(
    store_file: Path,
    config: Config,
    as_json: bool,
    plan: Callable[[Desk], Awaitable[list[Planned]]] | None,
    work: Callable[[Desk], Awaitable[dict[str, Any]]],
) -> None:
    """Plan or work with the run's store, then say what came of it. Raises what stopped the run."""
    from finetune.annotate.desk import Desk, plan_rows
    from finetune.annotate.store import opened

    with opened(store_file) as store:
        desk = Desk(config, store, dry=plan is not None)
        if plan is not None:
            _say_plan(config, plan_rows(config, asyncio.run(_called(plan, desk))), desk.budget.spent, as_json)
            return
        result = asyncio.run(_called(work, desk))
        costs = store.costs()
        if as_json:
            spent = [dataclasses.asdict(row) for row in costs]
            stopped = None if desk.budget.stopped is None else str(desk.budget.stopped)
            print(json.dumps({**result, "answers": dict(desk.counts), "costs": spent, "stopped": stopped}))
        else:
            Console().print({**result, "answers": dict(desk.counts)})
            Console().print(cost_table(costs, config.currency))
        if desk.budget.stopped is not None:
            raise desk.budget.stopped


async def _called(work: Callable[[Desk], Awaitable[Any]], desk: Desk) -> Any:
    return await work(desk)


def _say_plan(config: Config, rows: Sequence[PlanRow], spent: float, as_json: bool) -> None:
    least, most = sum(r.money for r in rows), sum(r.money_at_most for r in rows)
    if as_json:
        plan = [dataclasses.asdict(row) for row in rows]
        print(
            json.dumps({"plan": plan, "money": least, "money_at_most": most, "spent": spent, "budget": config.budget})
        )
        return
    table = Table(
        "stage", "model", "calls", "prompt tokens", "answer tokens", f"{config.currency}", "calls at most", "at most"
    )
    for r in rows:
        table.add_row(
            r.stage, r.model, str(r.calls), str(r.prompt_tokens), str(r.completion_tokens), f"{r.money:.4f}",
            str(r.calls_at_most), f"{r.money_at_most:.4f}",
        )  # fmt: skip
    Console().print(table)
    Console().print(
        f"would spend {least:.4f} {config.currency} if every answer is as long as allowed and none is sent back, "
        f"{most:.4f} at most; {spent:.4f} of {config.budget:g} is spent. Tokens are estimates; nothing was asked."
    )


def cost_table(rows: Sequence[Cost], currency: str) -> Table:
    table = Table(
        "stage", "model", "answered", "prompt tokens", "answer tokens", f"money {currency}", "lost", "refused"
    )
    for r in rows:
        lost = f"{r.lost} (up to {r.lost_money:.4f})" if r.lost else "0"
        table.add_row(
            r.stage, r.model, str(r.answered), str(r.prompt_tokens), str(r.completion_tokens), f"{r.money:.4f}", lost,
            str(r.refused),
        )  # fmt: skip
    return table
