"""``sightline train dual-encoder`` and its companions. torch is imported only when one runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

RECIPES = Path(__file__).parent / "contrastive" / "recipes"


def register(train: typer.Typer) -> None:
    """Add the commands to ``sightline train``."""
    train.command("dual-encoder")(dual_encoder)
    train.command("curves")(curves)
    train.command("import-crosstext2loc")(import_crosstext2loc)


def dual_encoder(
    recipe: Annotated[
        str, typer.Option(help="A YAML file, or the name of a shipped recipe: crosstext2loc, gleam-c ...")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the run; the same command goes on with a stopped one.")],
    data: Annotated[list[str] | None, typer.Option(help="SOURCE=PATH: where a source of the recipe lies here.")] = None,
    pretrained: Annotated[str | None, typer.Option(help="Weights: an open_clip tag, a file, a bundle.")] = None,
    dry_run: Annotated[bool, typer.Option(help="Print the estimate of memory and time, and stop.")] = False,
    threads: Annotated[int, typer.Option(help="CPU threads; 0 takes what torch takes.", min=0)] = 0,
) -> None:
    """Train any open_clip model to find tiles. Several GPUs: torchrun --nproc-per-node N -m retriever.main train ..."""
    from dataclasses import replace

    import torch
    from rich.console import Console

    from finetune.contrastive.processes import Team
    from finetune.contrastive.recipe import read_recipe
    from finetune.contrastive.run import describe, make_trainer, train

    if threads:
        torch.set_num_threads(threads)
    plan = read_recipe(_file(recipe), dict(_pair(p) for p in data or []))
    if pretrained:
        plan = replace(plan, model=replace(plan.model, pretrained=pretrained))
    screen = Console(stderr=True)

    def say(lines: Sequence[str]) -> None:
        for line in lines:
            screen.print(line, highlight=False, markup=False, soft_wrap=True)

    if dry_run:
        say(describe(*make_trainer(plan, out, Team.join())))
        return
    bundle = _watched(lambda on_step: train(plan, out, on_step=on_step, say=say))
    if bundle is not None:
        typer.echo(str(bundle))


def curves(run: Annotated[Path, typer.Argument(help="Folder of a run, finished or not.")]) -> None:
    """Draw a run's loss and validation recall: curves.png and curves.html in its folder."""
    from finetune.contrastive.curves import draw

    for path in draw(run):
        typer.echo(str(path))


def import_crosstext2loc(
    file: Annotated[Path, typer.Argument(help="The released .pth, or any weights in OpenAI's layout.")],
    to: Annotated[Path, typer.Option(help="The bundle's folder.")],
) -> None:
    """Make a bundle of released weights: every key accounted for, nothing in the file is run."""
    from finetune.contrastive.bundle import write_bundle
    from finetune.contrastive.model import prepare
    from finetune.contrastive.recipe import ModelPlan
    from retriever.build import file_sha256
    from retriever.errors import ModelError

    if not file.is_file():
        raise ModelError(f"there is no file {file}: give the downloaded weights")
    dual = prepare(ModelPlan(open_clip="ViT-L-14-336-quickgelu", pretrained=str(file)))
    said = {"name": to.name, "command": "sightline train import-crosstext2loc FILE", "source": file.name}
    write_bundle(to, dual, {**said, "source_sha256": file_sha256(file)})
    typer.echo(f"{to}: {dual.config['text_cfg']['context_length']} text positions, {dual.preprocess.size} pixels")


def _file(recipe: str) -> Path:
    shipped = RECIPES / f"{recipe}.yaml"
    return shipped if shipped.is_file() else Path(recipe)


def _pair(said: str) -> tuple[str, str]:
    name, found, path = said.partition("=")
    if not found or not name or not path:
        raise typer.BadParameter(f"{said!r} is not SOURCE=PATH", param_hint="--data")
    return name, path


def _watched(work: Callable[[Callable[[str, int, int, float], None]], Path | None]) -> Path | None:
    """Run with a progress bar on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("reading")

        def on_step(phase: str, done: int, steps: int, loss: float) -> None:
            bar.update(task, completed=done, total=steps, description=f"{phase} {loss:.3f}")

        return work(on_step)
