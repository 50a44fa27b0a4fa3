"""``sightline explain-eval``: how good the explanations in a file are, and which scores of them can be trusted."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from eval.explanations.reading import Read
    from eval.explanations.run import Inputs, Options
    from eval.explanations.wiring import Judges


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command("explain-eval")(explain_eval)


def explain_eval(
    files: Annotated[list[Path], typer.Argument(help="Judgements as JSONL; ours or the documented schema.")],
    gallery: Annotated[list[Path] | None, typer.Option(help="Gallery of the judged tiles; may repeat.")] = None,
    testset: Annotated[Path | None, typer.Option(help="Folder of a frozen test set: pairs, tiles, references.")] = None,
    testset_galleries: Annotated[Path, typer.Option(help="Where the test set's galleries lie, or are built.")] = Path(
        "runs/testset/galleries"
    ),
    pairs: Annotated[Path | None, typer.Option(help="JSONL with text, label, references by query and tile.")] = None,
    queries: Annotated[list[Path] | None, typer.Option(help="JSONL with id, text, lang, lat, lon; may repeat.")] = None,
    ratings: Annotated[list[Path] | None, typer.Option(help="People's ratings as JSONL; may repeat.")] = None,
    panel: Annotated[Path | None, typer.Option(help="YAML with the judges' endpoints.")] = None,
    judge: Annotated[bool, typer.Option("--judge", help="The shipped model as one (weak) judge.")] = False,
    judge_cases: Annotated[int, typer.Option(min=1, help="Pairs that judges grade.")] = 40,
    scales: Annotated[str, typer.Option(help="Scales that judges grade, by commas.")] = "correct,complete,clear,useful",
    counterfactuals: Annotated[int, typer.Option(min=0, help="Pairs for the counterfactuals; 0: none.")] = 0,
    rerun: Annotated[str | None, typer.Option(help="module:function that judges a scene, instead of ours.")] = None,
    reader: Annotated[str | None, typer.Option(help="Name of the panel's judge that reads claims back.")] = None,
    encoder: Annotated[str | None, typer.Option(help="For BERTScore and similarity: sightline-mini, st:NAME.")] = None,
    baselines: Annotated[bool, typer.Option("--baselines", help="Add the explanations of known worth.")] = False,
    backend: Annotated[str, typer.Option(help="Of the shipped model: auto, vllm, transformers.")] = "auto",
    cache: Annotated[Path | None, typer.Option(help="Folder for the judges' answers; default OUT/answers.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for report.html, report.md and pictures.")] = Path("explanations"),
    seed: Annotated[int, typer.Option(help="Of resampling and of what is changed.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Paths and tables as JSON on stdout.")] = False,
) -> None:
    """Score explanations by claims, counterfactuals, twin languages, judges and overlap; write HTML and Markdown."""
    from rich.console import Console

    from eval.explanations.baselines import all_baselines
    from eval.explanations.rendering import write
    from eval.explanations.run import build, gather
    from eval.explanations.wiring import open_judges, open_world

    err = Console(stderr=True)
    world = open_world(gallery or [], testset, testset_galleries, pairs, queries or [])
    inputs = gather(files, world, ratings or [])
    if baselines:
        inputs = gather(files, world, ratings or [], all_baselines(list(inputs.cases.values())))
    for problem in inputs.problems:
        err.print(f"left out: {problem.where}: {problem.what}", markup=False, highlight=False, soft_wrap=True)
    judges = open_judges(panel, judge, backend, rerun, counterfactuals > 0, cache or out / "answers", err)
    try:
        inputs, options = _measured(inputs, judges, encoder, reader, judge_cases, scales, counterfactuals, seed)
        report = build(inputs, options, command=shlex.join(["sightline", *sys.argv[1:]]))
    finally:
        judges.stop()
    written = write(report, out)
    if as_json:
        tables = [
            {"title": s.title, "text": list(s.text), "grids": [_grid(g) for g in s.grids]} for s in report.sections
        ]
        typer.echo(json.dumps({"files": [str(p) for p in written], "sections": tables}, ensure_ascii=False))
    else:
        Console().print(f"{len(inputs.cases)} pairs scored: {written[0]} and {written[1]}", highlight=False)


def _measured(
    inputs: Inputs,
    judges: Judges,
    encoder: str | None,
    reader: str | None,
    judge_cases: int,
    scales: str,
    counterfactuals: int,
    seed: int,
) -> tuple[Inputs, Options]:
    """What needs a model before the rest can be scored."""
    import dataclasses

    from eval.explanations.encoders import open_encoder
    from eval.explanations.model_reader import read_all
    from eval.explanations.run import Options, measure_faithfulness

    problems = list(inputs.problems)
    faithful, missing = measure_faithfulness(inputs, judges.judging, counterfactuals, seed=seed)
    problems += missing
    reads: dict[str, Read] = {}
    if reader is not None:
        texts = [text for item in inputs.items for text in item.texts.values()]
        reads, unread = asyncio.run(read_all(judges.client(reader), texts))
        problems += unread
    options = Options(
        encoder=None if encoder is None else open_encoder(encoder),
        judges=judges.members,
        judge_cases=judge_cases,
        scales=_scales(scales),
        faithful=faithful,
        reads=reads,
        seed=seed,
    )
    return dataclasses.replace(inputs, problems=tuple(problems)), options


def _scales(names: str) -> tuple[str, ...]:
    from eval.protocol import EvaluationError
    from prompts.rubric import load_rubric

    found = tuple(name.strip() for name in names.split(",") if name.strip())
    unknown = [name for name in found if name not in load_rubric().scales]
    if unknown or not found:
        raise EvaluationError(f"there is no scale {names!r}; known are {', '.join(load_rubric().scales)}")
    return found


def _grid(grid: object) -> dict[str, object]:
    return {"header": list(getattr(grid, "header")), "rows": [list(row) for row in getattr(grid, "rows")]}  # noqa: B009
