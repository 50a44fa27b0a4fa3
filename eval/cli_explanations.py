"""``sightline explain-eval``: how good the explanations in a file are, and which scores of them can be trusted."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from eval.explanations.cases import World
    from eval.explanations.overlap import TextEncoder
    from eval.explanations.reading import Read
    from eval.explanations.run import Inputs, Options
    from eval.explanations.sections import Grid, Report
    from eval.explanations.wiring import Judges

Paths = list[Path] | None
Galleries = Annotated[Paths, typer.Option(help="Gallery of the judged tiles; may repeat.")]
TestSet = Annotated[Path | None, typer.Option(help="Folder of a frozen test set: pairs, tiles, references.")]
SetGalleries = Annotated[Path, typer.Option(help="Where the test set's galleries lie, or are built.")]
PairsFile = Annotated[Path | None, typer.Option(help="JSONL with text, label, references by query and tile.")]
Queries = Annotated[Paths, typer.Option(help="JSONL with id, text, lang, lat, lon; may repeat.")]
Ratings = Annotated[Paths, typer.Option(help="People's ratings as JSONL; may repeat.")]
Scales = Annotated[str, typer.Option(help="Scales that judges grade, by commas.")]
Reruns = Annotated[int, typer.Option(min=0, help="Pairs for the counterfactuals; 0: none.")]
Rerun = Annotated[str | None, typer.Option(help="module:function that judges a scene, instead of ours.")]
Reader = Annotated[str | None, typer.Option(help="Name of the panel's judge that reads claims back.")]
EncoderName = Annotated[str | None, typer.Option(help="For BERTScore and similarity: sightline-mini, or a folder.")]
EncoderSpeaks = Annotated[str, typer.Option(help="en, zh or en,zh: what that encoder reads, if its card is silent.")]
Answers = Annotated[Path | None, typer.Option(help="Folder for the judges' answers; default OUT/answers.")]
Out = Annotated[Path, typer.Option(help="Folder for report.html, report.md and pictures.")]


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command("explain-eval")(explain_eval)


def explain_eval(
    files: Annotated[list[Path], typer.Argument(help="Judgements as JSONL; ours or the documented schema.")],
    gallery: Galleries = None,
    testset: TestSet = None,
    testset_galleries: SetGalleries = Path("runs/testset/galleries"),
    pairs: PairsFile = None,
    queries: Queries = None,
    ratings: Ratings = None,
    panel: Annotated[Path | None, typer.Option(help="YAML with the judges' endpoints.")] = None,
    judge: Annotated[bool, typer.Option("--judge", help="The shipped model as one (weak) judge.")] = False,
    judge_cases: Annotated[int, typer.Option(min=1, help="Pairs that judges grade.")] = 40,
    scales: Scales = "correct,complete,clear,useful",
    counterfactuals: Reruns = 0,
    rerun: Rerun = None,
    reader: Reader = None,
    encoder: EncoderName = None,
    encoder_languages: EncoderSpeaks = "",
    baselines: Annotated[bool, typer.Option("--baselines", help="Add the explanations of known worth.")] = False,
    backend: Annotated[str, typer.Option(help="Of the shipped model: auto, vllm, transformers.")] = "auto",
    saw: Annotated[str, typer.Option(help="What our judge is shown of a scene: pixels, or facts too.")] = "pixels",
    cache: Answers = None,
    out: Out = Path("explanations"),
    seed: Annotated[int, typer.Option(help="Of resampling and of what is changed.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Paths and tables as JSON on stdout.")] = False,
) -> None:
    """Score explanations by claims, counterfactuals, twin languages, judges and overlap; write HTML and Markdown."""
    from rich.console import Console

    from eval.explanations.rendering import write
    from eval.explanations.run import Options, build
    from eval.explanations.wiring import open_judges, open_world

    err = Console(stderr=True)
    similar = _encoder(encoder, encoder_languages)
    wanted = Options(encoder=similar, judge_cases=judge_cases, scales=_scales(scales), seed=seed)
    world = open_world(gallery or [], testset, testset_galleries, pairs, queries or [])
    inputs = _gathered(files, world, ratings or [], baselines, err)
    judges = open_judges(panel, judge, backend, rerun, counterfactuals > 0, cache or out / "answers", err, saw)
    try:
        inputs, options = _measured(inputs, wanted, judges, reader, counterfactuals)
        report = build(inputs, options, command=shlex.join(["sightline", *sys.argv[1:]]))
    finally:
        judges.stop()
    _told(report, write(report, out), len(inputs.cases), as_json)


def _gathered(files: list[Path], world: World, ratings: list[Path], baselines: bool, err: Console) -> Inputs:
    """Everything that can be read; what cannot is told at once."""
    from eval.explanations.baselines import all_baselines
    from eval.explanations.run import gather

    inputs = gather(files, world, ratings)
    if baselines:
        inputs = gather(files, world, ratings, all_baselines(list(inputs.cases.values())))
    for problem in inputs.problems:
        err.print(f"left out: {problem.where}: {problem.what}", markup=False, highlight=False, soft_wrap=True)
    return inputs


def _measured(
    inputs: Inputs, wanted: Options, judges: Judges, reader: str | None, counterfactuals: int
) -> tuple[Inputs, Options]:
    """What needs a model before the rest can be scored."""
    from eval.explanations.model_reader import read_all
    from eval.explanations.run import measure_faithfulness

    faithful, missing = measure_faithfulness(inputs, judges.judging, counterfactuals, seed=wanted.seed)
    reads: dict[str, Read] = {}
    if reader is not None:
        texts = [text for item in inputs.items for text in item.texts.values()]
        reads, unread = asyncio.run(read_all(judges.client(reader), texts))
        missing += unread
    options = replace(wanted, judges=judges.members, faithful=faithful, reads=reads)
    return replace(inputs, problems=(*inputs.problems, *missing)), options


def _told(report: Report, written: list[Path], pairs: int, as_json: bool) -> None:
    from rich.console import Console

    if not as_json:
        Console().print(f"{pairs} pairs scored: {written[0]} and {written[1]}", highlight=False)
        return
    tables = [{"title": s.title, "text": list(s.text), "grids": [_grid(g) for g in s.grids]} for s in report.sections]
    typer.echo(json.dumps({"files": [str(p) for p in written], "sections": tables}, ensure_ascii=False))


def _encoder(name: str | None, languages: str) -> TextEncoder | None:
    from eval.explanations.encoders import open_encoder

    return None if name is None else open_encoder(name, _named(languages))


def _named(names: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in names.split(",") if name.strip())


def _scales(names: str) -> tuple[str, ...]:
    from eval.protocol import EvaluationError
    from prompts.rubric import load_rubric

    found = _named(names)
    unknown = [name for name in found if name not in load_rubric().scales]
    if unknown or not found:
        raise EvaluationError(f"there is no scale {names!r}; known are {', '.join(load_rubric().scales)}")
    return found


def _grid(grid: Grid) -> dict[str, object]:
    return {"header": list(grid.header), "rows": [list(row) for row in grid.rows]}
