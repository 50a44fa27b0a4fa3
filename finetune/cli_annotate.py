"""``sightline annotate ...``: photographs to descriptions and pairs to verdicts, by models that cost money."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from retriever.errors import ModelError, SightlineError

if TYPE_CHECKING:
    from finetune.annotate.config import Config
    from finetune.annotate.desk import Desk, Planned, PlanRow
    from finetune.annotate.store import Cost

Run = Annotated[Path, typer.Argument(help="The run's folder.")]
ConfigFile = Annotated[Path, typer.Option("--config", help="Endpoints, prices, limits and budget: a YAML file.")]
Lang = Annotated[str, typer.Option(help="en or zh: the language of the prompts, and of descriptions.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be asked and spent, and ask nothing.")]
BudgetOption = Annotated[float | None, typer.Option(min=0.0, help="In place of the configuration's budget.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output.")]

_err = Console(stderr=True)


def register(app: typer.Typer) -> None:
    """Add the group ``annotate``."""
    group = typer.Typer(no_args_is_help=True, help="Annotate photographs and pairs with models, and queue for people.")
    for command in (photos, ocr, segment, drop, describe, pairs, cost):
        group.command(command.__name__)(command)
    app.add_typer(group, name="annotate")


def photos(
    folder: Annotated[Path, typer.Argument(help="A folder of photographs.")],
    run: Annotated[Path, typer.Option("--out", help="The run's folder.")],
    max_side: Annotated[int, typer.Option(min=64, max=4000, help="Longest side that models get, in pixels.")] = 1600,
) -> None:
    """Take photographs into a run's folder, encoded anew without their metadata."""
    from finetune.annotate.photos import collect

    taken = 0
    for name, problem in collect(folder, run, max_side=max_side):
        taken += not problem
        if problem:
            _err.print(f"left out {name}: {problem}", markup=False)
    _err.print(f"{taken} photographs taken into {run}", markup=False)


def ocr(
    run: Run,
    min_score: Annotated[float, typer.Option(min=0.0, max=1.0, help="Leave out readings less sure than this.")] = 0.5,
    threads: Annotated[int, typer.Option(min=1)] = 1,
) -> None:
    """Read the text in the photographs (rapidocr)."""
    from finetune.annotate.ocr import run_ocr

    for photo, row in run_ocr(run, min_score=min_score, threads=threads):
        read = ", ".join(f"{r.text!r} {r.score:.2f}" for r in row.readings)
        _err.print(f"{photo.name}: {read or 'nothing'}", markup=False)


def segment(
    run: Run,
    detector: Annotated[str, typer.Option(help="Grounding DINO: hub name or folder.")] = "",
    segmenter: Annotated[str, typer.Option(help="SAM: hub name or folder.")] = "",
    labels: Annotated[str, typer.Option(help="What to look for, separated by commas.")] = "",
    download: Annotated[bool, typer.Option(help="Fetch weights that are not here.")] = False,
) -> None:
    """Find objects and their outlines; skipped, with the reason, where the weights are not on this machine."""
    from finetune.annotate import segment as stage

    try:
        model = stage.Segmenter(detector or stage.DETECTOR, segmenter or stage.SEGMENTER, download=download)
    except ModelError as error:
        if detector or segmenter:
            raise
        _err.print(f"skipped: {error}", markup=False)
        return
    chosen = [word.strip() for word in labels.split(",") if word.strip()] or list(stage.LABELS)
    for photo, row in stage.run_segment(run, model, chosen):
        _err.print(f"{photo.name}: {', '.join(s.label for s in row.segments) or 'nothing'}", markup=False)


def drop(
    run: Run, min_share: Annotated[float, typer.Option(min=0.01, max=1.0, help="Share of a text on a vehicle.")] = 0.5
) -> None:
    """Drop text that lies on vehicles."""
    from finetune.annotate.vehicles import run_drop

    rows = run_drop(run, min_share=min_share)
    kept, dropped = sum(len(r.kept) for r in rows), sum(len(r.dropped) for r in rows)
    blind = sum(not r.vehicles_known for r in rows)
    _err.print(f"{kept} readings kept, {dropped} dropped")
    if blind:
        _err.print(f"for {blind} of {len(rows)} photographs nobody looked for vehicles: nothing could be dropped there")


def describe(
    run: Run,
    config: ConfigFile,
    lang: Lang = "en",
    budget: BudgetOption = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Producer and inspector write descriptions; refused ones and a sample go to the queue for people."""
    from finetune.annotate import describe as stage

    async def work(desk: Desk) -> dict[str, Any]:
        rows = await _shown(len(stage.jobs(run)), lambda tick: stage.run_describe(run, desk, _lang(lang), tick))
        return {
            "described": len(rows),
            "accepted": sum(r.accepted for r in rows),
            "accepted_in_first_round": sum(r.accepted and r.rounds == 1 for r in rows),
            "for_people": sum(not r.accepted or r.sampled for r in rows),
        }

    async def plan(desk: Desk) -> list[Planned]:
        writer = stage.Writer(run, desk, _lang(lang))
        return [call for job in stage.jobs(run) for call in await writer.plan(job)]

    _paid(run, config, budget, as_json, plan if dry_run else None, work)


def pairs(
    file: Annotated[
        Path, typer.Argument(help="Pairs as JSON lines: id, first, second, first_role, second_role, text.")
    ],
    run: Annotated[Path, typer.Option("--out", help="The run's folder.")],
    config: ConfigFile,
    lang: Lang = "en",
    budget: BudgetOption = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Two models say match or no match and why, in English and Chinese; disagreements go to the queue for people."""
    from finetune.annotate import pairs as stage
    from finetune.annotate.rows import read_rows

    async def work(desk: Desk) -> dict[str, Any]:
        total = len(read_rows(file, stage.PairRow))
        rows = await _shown(total, lambda tick: stage.run_pairs(file, run, desk, _lang(lang), tick))
        why = {w: sum(w in r.why for r in rows) for w in sorted({w for r in rows for w in r.why})}
        agreed = sum(r.verdict is not None for r in rows)
        return {
            "annotated": len(rows),
            "same_verdict": agreed,
            "alpha": stage.alpha(rows),
            "for_people": sum(bool(r.why) for r in rows),
            "why": why,
        }

    async def plan(desk: Desk) -> list[Planned]:
        annotators = stage.Annotators(run, desk, _lang(lang))
        return [call for job in stage.pair_jobs(file, run) for call in await annotators.plan(job)]

    _paid(run, config, budget, as_json, plan if dry_run else None, work)


def cost(run: Run, as_json: AsJson = False) -> None:
    """What was spent in this folder so far, by stage and model."""
    from finetune.annotate.desk import store_path
    from finetune.annotate.store import ledger

    rows = ledger(store_path(run))
    if as_json:
        print(json.dumps([dataclasses.asdict(row) for row in rows]))
        return
    Console().print(_cost_table(rows, ""))


def _lang(lang: str) -> Any:
    if lang not in ("en", "zh"):
        raise SightlineError(f"there are prompts in en and zh, not in {lang!r}")
    return lang


async def _shown(total: int, work: Callable[[Callable[[Any], None]], Awaitable[Any]]) -> Any:
    with Progress(console=_err, transient=True) as progress:
        task = progress.add_task("asking", total=total)
        return await work(lambda _: progress.advance(task))


def _paid(
    run: Path,
    config_file: Path,
    budget: float | None,
    as_json: bool,
    plan: Callable[[Desk], Awaitable[list[Planned]]] | None,
    work: Callable[[Desk], Awaitable[dict[str, Any]]],
) -> None:
    """Plan or work with the run's store, then say what came of it. Raises what stopped the run."""
    from finetune.annotate.config import load_config
    from finetune.annotate.desk import Desk, plan_rows, store_path
    from finetune.annotate.store import opened

    config = load_config(config_file)
    if budget is not None:
        config = config.model_copy(update={"budget": budget})
    with opened(store_path(run)) as store:
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
            Console().print(_cost_table(costs, config.currency))
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


def _cost_table(rows: Sequence[Cost], currency: str) -> Table:
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
