"""``sightline eval testset``: any system's predictions scored on the frozen pairs, or a judge put through them."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from retriever.errors import SightlineError

if TYPE_CHECKING:
    from eval.testset.report import System
    from retriever.pair_frozen import FrozenSet
    from retriever.pairs import Pair

JUDGES = ("mini-judge",)
BACKENDS = ("auto", "vllm", "transformers")
SHOWN = {"pixels": "pixels, query", "facts": "pixels, facts with names, query"}
"""What ``--saw`` shows the judge, as a row of the report says it."""

Predictions = Annotated[list[Path] | None, typer.Option(help="Predictions JSONL; may repeat.")]
JudgeName = Annotated[str, typer.Option(help=f"Ask a judge: {', '.join(JUDGES)} (or --server URL).")]
Server = Annotated[str, typer.Option(help="An OpenAI-style /v1 URL to ask instead.")]
Out = Annotated[Path | None, typer.Option(help="Where the judge's predictions go, and go on from.")]
Limit = Annotated[int | None, typer.Option(min=2, help="Only so many pairs, places in a fixed order.")]
View = Annotated[str, typer.Option(help="Only pairs asked with this: text, map ...")]
Saw = Annotated[
    list[str] | None, typer.Option(help=f"What the judge is shown: {', '.join(SHOWN)} (with names); may repeat.")
]
Heat = Annotated[bool, typer.Option(help="A second picture: the shipped encoder's heat on the tile.")]
Views = Annotated[
    Path | None,
    typer.Option(help="Folder of `sightline data testset render`: rendered views are asked too, whatever --limit."),
]
Stances = Annotated[bool, typer.Option(help="Also a stance on every claim, one token each.")]
Evidence = Annotated[bool, typer.Option(help="Also stances and sentences, as the desk explains (slow).")]
Folder = Annotated[Path | None, typer.Option(help="The set's folder; the shipped one without it.")]
Others = Annotated[
    list[Path] | None, typer.Option("--pairs", help="Pairs of `sightline data pairs` in place of the set.")
]
GalleriesFolder = Annotated[Path, typer.Option(help="Galleries of the test areas, built where missing.")]
Data = Annotated[Path | None, typer.Option(envvar="SIGHTLINE_DATA", help="Folder with osm/.")]
Backend = Annotated[str, typer.Option(help="auto, vllm or transformers.")]
AsJson = Annotated[bool, typer.Option("--json", help="The report as JSON on stdout.")]
Seed = Annotated[int, typer.Option(help="Of the random row and the resampling.")]


@dataclass(frozen=True, kw_only=True)
class Asking:
    """How a judge is put through pairs: the command's options. Raises ``EvaluationError`` for names that are none."""

    judge: str
    server: str
    backend: str
    limit: int | None
    reasons: str
    """``stances``, ``explain``, or nothing beside the verdict."""
    heat: bool
    views: Path | None
    galleries: Path
    data: Path | None

    def __post_init__(self) -> None:
        from eval.protocol import EvaluationError

        if self.judge and self.judge not in JUDGES:
            raise EvaluationError(f"there is no judge {self.judge!r}; known: {', '.join(JUDGES)}, or give --server URL")
        if self.backend not in BACKENDS:
            raise EvaluationError(f"--backend {self.backend!r} is none of {', '.join(BACKENDS)}")

    @property
    def name(self) -> str:
        return self.judge or "server"


def register(app: typer.Typer) -> None:
    """Add the command to the group ``eval``."""
    app.command("testset")(frozen)


def frozen(
    predictions: Predictions = None,
    judge: JudgeName = "",
    server: Server = "",
    out: Out = None,
    limit: Limit = None,
    view: View = "",
    saw: Saw = None,
    heat: Heat = False,
    views: Views = None,
    stances: Stances = False,
    evidence: Evidence = False,
    folder: Folder = None,
    others: Others = None,
    galleries: GalleriesFolder = Path("runs/testset/galleries"),
    data: Data = None,
    backend: Backend = "auto",
    as_json: AsJson = False,
    seed: Seed = 0,
) -> None:
    """Accuracy, AUROC, stances and EN/ZH agreement on the frozen match pairs, beside the controls."""
    modes, reasons = _modes(saw), _reasons(stances, evidence)
    asking = Asking(judge=judge, server=server, backend=backend, limit=limit, reasons=reasons,
                    heat=heat, views=views, galleries=galleries, data=data)  # fmt: skip
    test = _set(folder, others)
    systems = [_system(path, test) for path in predictions or []]
    if judge or server:
        systems += _judged(asking, test, view, modes, out)
    _print(test, systems, seed, as_json)


def _modes(saw: list[str] | None) -> list[str]:
    modes = list(dict.fromkeys(saw or ["pixels"]))
    if set(modes) - set(SHOWN):
        raise SightlineError(f"--saw is one of {', '.join(SHOWN)}, not {', '.join(sorted(set(modes) - set(SHOWN)))}")
    return modes


def _reasons(stances: bool, evidence: bool) -> str:
    if stances and evidence:
        raise SightlineError("of --stances and --evidence there is only one: --evidence holds stances too")
    return "stances" if stances else "explain" if evidence else ""


def _set(folder: Path | None, others: list[Path] | None) -> FrozenSet:
    from eval.testset import FROZEN
    from retriever.pair_frozen import load_frozen

    return _others(others) if others else load_frozen(folder or FROZEN)


def _system(path: Path, test: FrozenSet) -> System:
    """The predictions of a file, as a row of the report."""
    from eval.testset.predictions import read_predictions
    from eval.testset.report import System

    return System(path.stem, "as its author says", {p.pair_id: p for p in read_predictions(path, test.pairs)})


def _judged(asking: Asking, test: FrozenSet, view: str, modes: list[str], out: Path | None) -> list[System]:
    """The judge in each mode, asked about the pairs that have no answer yet."""
    from eval.testset.predictions import read_predictions
    from eval.testset.report import System

    pairs, systems = [p for p in test.pairs if not view or p.query.view == view], []
    for mode in modes:
        told = f"{mode}-heat" if asking.heat else mode
        path = _file(out, mode, len(modes)) or _answers(asking.name, told, test)
        chosen = {p.id for p in _ask(asking, pairs, mode, path)}
        said = {p.pair_id: p for p in read_predictions(path, test.pairs) if p.pair_id in chosen}
        name = asking.name + (f", {mode}" if len(modes) > 1 else "")
        systems.append(System(name, SHOWN[mode] + (", heat" if asking.heat else ""), said))
    return systems


def _print(test: FrozenSet, systems: list[System], seed: int, as_json: bool) -> None:
    from eval.testset.report import make, to_json, to_markdown

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


def _ask(asking: Asking, pairs: Sequence[Pair], saw: str, out: Path) -> list[Pair]:
    """The pairs asked about, all answered in ``out``."""
    import asyncio

    from rich.console import Console
    from rich.progress import Progress

    from agent.judge import Judge
    from agent.serving_open import open_judge
    from eval.testset.judging import Galleries, QueryPictures, run

    pictures = None if asking.views is None else QueryPictures(asking.views)
    chosen, err = _chosen(pairs, asking), Console(stderr=True)
    opened = open_judge(
        backend=asking.backend,  # type: ignore[arg-type]  # checked when made
        url=asking.server or None,
        say=lambda line: err.print(line, highlight=False),
    )
    try:
        shown = {"template": "judge_heat", "heat": _heater()} if asking.heat else {}
        judge = Judge(opened.client, saw=saw, **shown)  # type: ignore[arg-type]  # checked when the command was read
        with Progress(console=err) as bar:
            task = bar.add_task("judging", total=len(chosen))
            work = run(
                judge, chosen, Galleries(asking.galleries, asking.data), out, reasons=asking.reasons, views=pictures,  # type: ignore[arg-type]
                say=lambda done, total: bar.update(task, completed=done),
            )  # fmt: skip
            asyncio.run(_run_closed(work, judge))
    finally:
        opened.stop()
    return chosen


def _chosen(pairs: Sequence[Pair], asking: Asking) -> list[Pair]:
    """The first pairs of the fixed order, and with ``views`` every rendered one."""
    from eval.testset.judging import RENDERED, in_order

    chosen = in_order(pairs, asking.limit)
    if asking.views is not None:
        chosen += [p for p in in_order(pairs, None)[len(chosen) :] if p.query.view in RENDERED]
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
