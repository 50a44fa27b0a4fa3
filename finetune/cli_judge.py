"""``sightline train judge``: every stage that is not done yet, then the export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RECIPE = Path(__file__).with_name("judge") / "recipe.yaml"
STAGES = ("text", "dense", "joint", "lora", "export")


def register(app: typer.Typer) -> None:
    """Add the judge's command to the group ``train``."""

    @app.command("judge")
    def judge(
        data: Annotated[Path, typer.Option(help="Folder with tiles.npy, tiles.parquet and witnesses.jsonl.")],
        run: Annotated[Path, typer.Option(help="Folder of checkpoints and the log; an interrupted run goes on.")],
        out: Annotated[Path, typer.Option(help="Where the finished bundle goes.")] = Path("agent/models/mini-judge"),
        recipe: Annotated[Path, typer.Option()] = RECIPE,
        stage: Annotated[str, typer.Option(help=f"One of {', '.join(STAGES)}; default: all that are left.")] = "",
        threads: Annotated[int, typer.Option(min=1)] = 2,
        start: Annotated[
            Path | None,
            typer.Option(help="Checkpoint look.pt of an earlier run to go on from; its tokenizer lies beside it."),
        ] = None,
        seen: Annotated[Path | None, typer.Option(help="That run's data folder, whose tiles are shown again.")] = None,
    ) -> None:
        """Train the mini judge and its adapter, stage by stage."""
        import torch

        from finetune.judge.large import is_large
        from finetune.judge.run import Recipe, Run
        from retriever.errors import SightlineError

        if is_large(recipe):
            torch.set_num_threads(threads)
            _large(data, run, recipe, out, stage)
            return
        if stage and stage not in STAGES:
            raise SightlineError(f"There is no stage {stage!r}; the stages are {', '.join(STAGES)}.")
        torch.set_num_threads(threads)
        plan = Recipe.load(recipe)
        if plan.order != "verdict_first" and stage != "lora":
            raise SightlineError(
                f"The judge looks, then asks for the verdict first: train {plan.order} with --stage lora, to compare."
            )
        one = Run(data, run, plan, seen=seen, start=start)
        if stage in ("text", "dense", "joint"):
            one.stage(stage)
            return
        model, head = one.base()
        tuned = one.adapter(model, head)
        if stage != "lora":
            from finetune.judge.export import export
            from finetune.judge.rewards import reward_stage

            if "rewards" in plan.stages:
                tuned = reward_stage(one, tuned, head)

            typer.echo(f"wrote {export(one, tuned, out)}")


def _large(data: Path, folder: Path, path: Path, out: Path, stage: str) -> None:
    """A recipe that names a base: what it takes is said first, and what does not fit is not begun."""
    from finetune.judge.estimate import estimate
    from finetune.judge.export_large import export_large
    from finetune.judge.large import LargeRecipe, LargeRun, default_device
    from retriever.errors import SightlineError

    if stage not in ("", "look", "lora", "export", "estimate"):
        raise SightlineError(
            f"There is no stage {stage!r} of a large judge; there are look, lora, export and estimate."
        )
    recipe = LargeRecipe.load(path)
    found = estimate(recipe, recipe.base, device=default_device())
    for line in found.lines():
        typer.echo(line, err=True)
    if stage == "estimate":
        return
    if not found.fits:
        raise SightlineError(
            f"{path.name} needs about {found.gigabytes:.0f} GB and {found.device} has {found.available_gb:.0f}: "
            "take a smaller base, batch_size or side"
        )
    one = LargeRun(data, folder, recipe)
    model, head = one.base()
    if stage != "look":
        tuned = one.adapter(model, head)
        if stage != "lora":
            typer.echo(f"wrote {export_large(one, tuned, out)}")
