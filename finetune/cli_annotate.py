"""``sightline annotate ...``: photographs to descriptions and pairs to verdicts, by models that cost money."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from finetune.annotate.screen import cost_table, err, paid, shown
from retriever.errors import ModelError, SightlineError

if TYPE_CHECKING:
    from finetune.annotate.config import Config
    from finetune.annotate.desk import Desk, Planned

Run = Annotated[Path, typer.Argument(help="The run's folder.")]
ConfigFile = Annotated[Path, typer.Option("--config", help="Endpoints, prices, limits and budget: a YAML file.")]
Lang = Annotated[str, typer.Option(help="en or zh: the language of the prompts, and of descriptions.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be asked and spent, and ask nothing.")]
BudgetOption = Annotated[float | None, typer.Option(min=0.0, help="In place of the configuration's budget.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output.")]


def register(app: typer.Typer) -> None:
    """Add the group ``annotate``."""
    group = typer.Typer(no_args_is_help=True, help="Annotate photographs and pairs with models, and queue for people.")
    for command in (photos, ocr, segment, drop, describe, pairs, cost):
        group.command(command.__name__)(command)
    from finetune.cli_revise import register as register_revise

    register_revise(group)
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
            err.print(f"left out {name}: {problem}", markup=False)
    err.print(f"{taken} photographs taken into {run}", markup=False)


def ocr(
    run: Run,
    min_score: Annotated[float, typer.Option(min=0.0, max=1.0, help="Leave out readings less sure than this.")] = 0.5,
    threads: Annotated[int, typer.Option(min=1)] = 1,
) -> None:
    """Read the text in the photographs (rapidocr)."""
    from finetune.annotate.ocr import run_ocr

    for photo, row in run_ocr(run, min_score=min_score, threads=threads):
        read = ", ".join(f"{r.text!r} {r.score:.2f}" for r in row.readings)
        err.print(f"{photo.name}: {read or 'nothing'}", markup=False)


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
        err.print(f"skipped: {error}", markup=False)
        return
    chosen = [word.strip() for word in labels.split(",") if word.strip()] or list(stage.LABELS)
    for photo, row in stage.run_segment(run, model, chosen):
        err.print(f"{photo.name}: {', '.join(s.label for s in row.segments) or 'nothing'}", markup=False)


def drop(
    run: Run, min_share: Annotated[float, typer.Option(min=0.01, max=1.0, help="Share of a text on a vehicle.")] = 0.5
) -> None:
    """Drop text that lies on vehicles."""
    from finetune.annotate.vehicles import run_drop

    rows = run_drop(run, min_share=min_share)
    kept, dropped = sum(len(r.kept) for r in rows), sum(len(r.dropped) for r in rows)
    blind = sum(not r.vehicles_known for r in rows)
    err.print(f"{kept} readings kept, {dropped} dropped")
    if blind:
        err.print(f"for {blind} of {len(rows)} photographs nobody looked for vehicles: nothing could be dropped there")


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
        rows = await shown(len(stage.jobs(run)), lambda tick: stage.run_describe(run, desk, _lang(lang), tick))
        return {
            "described": len(rows),
            "accepted": sum(r.accepted for r in rows),
            "accepted_in_first_round": sum(r.accepted and r.rounds == 1 for r in rows),
            "for_people": sum(not r.accepted or r.sampled for r in rows),
        }

    async def plan(desk: Desk) -> list[Planned]:
        writer = stage.Writer(run, desk, _lang(lang))
        return [call for job in stage.jobs(run) for call in await writer.plan(job)]

    paid(_store(run), _config(config, budget), as_json, plan if dry_run else None, work)


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
        rows = await shown(total, lambda tick: stage.run_pairs(file, run, desk, _lang(lang), tick))
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

    paid(_store(run), _config(config, budget), as_json, plan if dry_run else None, work)


def cost(run: Run, as_json: AsJson = False) -> None:
    """What was spent in this folder so far, by stage and model."""
    from finetune.annotate.desk import store_path
    from finetune.annotate.store import ledger

    rows = ledger(store_path(run))
    if as_json:
        print(json.dumps([dataclasses.asdict(row) for row in rows]))
        return
    Console().print(cost_table(rows, ""))


def _lang(lang: str) -> Any:
    if lang not in ("en", "zh"):
        raise SightlineError(f"there are prompts in en and zh, not in {lang!r}")
    return lang


def _store(run: Path) -> Path:
    from finetune.annotate.desk import store_path

    return store_path(run)


def _config(file: Path, budget: float | None) -> Config:
    from finetune.annotate.config import load_config

    config = load_config(file)
    return config if budget is None else config.model_copy(update={"budget": budget})
