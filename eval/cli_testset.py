"""``sightline eval testset``: any system's predictions scored on the frozen pairs, or a judge put through them."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from retriever.pair_frozen import FrozenSet

JUDGES = ("mini-judge",)
SHOWN = {"pixels": "pixels, query", "facts": "pixels, facts with names, query"}
"""What ``--saw`` shows the judge, as a row of the report says it."""


def register(app: typer.Typer) -> None:
    """Add the command to the group ``eval``."""
    app.command("testset")(frozen)


def frozen(
    predictions: Annotated[list[Path] | None, typer.Option(help="Predictions JSONL; may repeat.")] = None,
    judge: Annotated[str, typer.Option(help=f"Ask a judge: {', '.join(JUDGES)} (or --server URL).")] = "",
    server: Annotated[str, typer.Option(help="An OpenAI-style /v1 URL to ask instead.")] = "",
    out: Annotated[Path | None, typer.Option(help="Where the judge's predictions go, and go on from.")] = None,
    limit: Annotated[int | None, typer.Option(min=2, help="Only so many pairs, places in a fixed order.")] = None,
    view: Annotated[str, typer.Option(help="Only pairs asked with this: text, map ...")] = "",
    saw: Annotated[
        list[str] | None, typer.Option(help=f"What the judge is shown: {', '.join(SHOWN)} (with names); may repeat.")
    ] = None,
    heat: Annotated[bool, typer.Option(help="A second picture: the shipped encoder's heat on the tile.")] = False,
    views: Annotated[
        Path | None,
        typer.Option(help="Folder of `sightline data testset render`: rendered views are asked too, whatever --limit."),
    ] = None,
    stances: Annotated[bool, typer.Option(help="Also a stance on every claim, one token each.")] = False,
    evidence: Annotated[bool, typer.Option(help="Also stances and sentences, as the desk explains (slow).")] = False,
    folder: Annotated[Path | None, typer.Option(help="The set's folder; the shipped one without it.")] = None,
    others: Annotated[
        list[Path] | None, typer.Option("--pairs", help="Pairs of `sightline data pairs` in place of the set.")
    ] = None,
    galleries: Annotated[Path, typer.Option(help="Galleries of the test areas, built where missing.")] = Path(
        "runs/testset/galleries"
    ),
    data: Annotated[Path | None, typer.Option(envvar="SIGHTLINE_DATA", help="Folder with osm/.")] = None,
    backend: Annotated[str, typer.Option(help="auto, vllm or transformers.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON on stdout.")] = False,
    seed: Annotated[int, typer.Option(help="Of the random row and the resampling.")] = 0,
) -> None:
    """Accuracy, AUROC, stances and EN/ZH agreement on the frozen match pairs, beside the controls."""
    from eval.testset import FROZEN
    from eval.testset.predictions import read_predictions
    from eval.testset.report import System, make, to_json, to_markdown
    from retriever.errors import SightlineError
    from retriever.pair_frozen import load_frozen

    modes = list(dict.fromkeys(saw or ["pixels"]))
    if set(modes) - set(SHOWN) or (stances and evidence):
        raise SightlineError(f"--saw is one of {', '.join(SHOWN)}, and of --stances and --evidence there is only one")
    test = _others(others) if others else load_frozen(folder or FROZEN)
    pairs = [p for p in test.pairs if not view or p.query.view == view]
    systems = [_system(path, read_predictions(path, test.pairs)) for path in predictions or []]
    reasons = "stances" if stances else "explain" if evidence else ""
    for mode in modes if judge or server else ():
        path = _file(out, mode, len(modes)) or _answers(judge or "server", f"{mode}-heat" if heat else mode, test)
        asked = _ask(pairs, judge, server, path, limit, mode, reasons, galleries, data, backend, views, heat)
        chosen = {p.id for p in asked}
        said = [p for p in read_predictions(path, test.pairs) if p.pair_id in chosen]
        name = (judge or "server") + (f", {mode}" if len(modes) > 1 else "")
        systems.append(System(name, SHOWN[mode] + (", heat" if heat else ""), {p.pair_id: p for p in said}))
    report = make(test, systems, command=shlex.join(["sightline", *sys.argv[1:]]), seed=seed)
    typer.echo(json.dumps(to_json(report), ensure_ascii=False) if as_json else to_markdown(report))


def _file(out: Path | None, mode: str, modes: int) -> Path | None:
    """Each mode's own file where there are several."""
    return out if out is None or modes == 1 else out.with_name(f"{out.stem}-{mode}{out.suffix}")


def _answers(name: str, saw: str, test: FrozenSet) -> Path:
    """Where answers go without ``--out``: pairs that are not the set's have a file of their own."""
    parts = [name, *([saw] if saw != "pixels" else []), *([] if test.version else [test.sha256[:10]])]
    return Path("runs/testset") / f"{'-'.join(parts)}.jsonl"


def _others(paths: list[Path]) -> FrozenSet:
    """Other pairs in the form of the set, without a version."""
    import hashlib

    from retriever.pair_frozen import FrozenSet
    from retriever.pairs import read_bytes, read_pairs

    pairs = tuple(pair for path in paths for pair in read_pairs(path))
    digest = hashlib.sha256("".join(hashlib.sha256(read_bytes(p)).hexdigest() for p in paths).encode()).hexdigest()
    part = {p.id: "towns" if p.area.startswith("town-") else "areas" for p in pairs}
    return FrozenSet(version="", sha256=digest, pairs=pairs, part=part, town_seeds=())


def _system(path: Path, found: list[Any]) -> Any:
    from eval.testset.report import System

    return System(path.stem, "as its author says", {p.pair_id: p for p in found})


def _ask(
    pairs: list[Any],
    name: str,
    server: str,
    out: Path,
    limit: int | None,
    saw: str,
    reasons: str,
    galleries: Path,
    data: Path | None,
    backend: str,
    views: Path | None,
    heat: bool,
) -> list[Any]:
    """The pairs asked about, all answered in ``out``."""
    import asyncio

    from rich.console import Console
    from rich.progress import Progress

    from agent.judge import Judge
    from agent.serving_open import open_judge
    from eval.protocol import EvaluationError
    from eval.testset.judging import RENDERED, Galleries, QueryPictures, in_order, run

    if name and name not in JUDGES:
        raise EvaluationError(f"there is no judge {name!r}; known: {', '.join(JUDGES)}, or give --server URL")
    pictures = None if views is None else QueryPictures(views)
    chosen, err = in_order(pairs, limit), Console(stderr=True)
    if pictures is not None:
        chosen += [p for p in in_order(pairs, None)[len(chosen) :] if p.query.view in RENDERED]
    opened = open_judge(backend=backend, url=server or None, say=lambda line: err.print(line, highlight=False))  # type: ignore[arg-type]
    try:
        shown = {"template": "judge_heat", "heat": _heater()} if heat else {}
        judge = Judge(opened.client, saw=saw, **shown)  # type: ignore[arg-type]  # checked when the command was read
        with Progress(console=err) as bar:
            task = bar.add_task("judging", total=len(chosen))
            asyncio.run(
                _run_closed(
                    run(
                        judge, chosen, Galleries(galleries, data), out, reasons=reasons, views=pictures,  # type: ignore[arg-type]
                        say=lambda done, total: bar.update(task, completed=done),
                    ),
                    judge,
                )
            )  # fmt: skip
    finally:
        opened.stop()
    return chosen


def _heater() -> Any:
    from prompts.heating import Heater
    from retriever.encoder import Encoder

    return Heater(Encoder.load())


async def _run_closed(work: Any, judge: Any) -> None:
    try:
        await work
    finally:
        await judge.client.close()
