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

        from finetune.judge.run import Recipe, Run
        from retriever.errors import SightlineError

        if stage and stage not in STAGES:
            raise SightlineError(f"There is no stage {stage!r}; the stages are {', '.join(STAGES)}.")
        torch.set_num_threads(threads)
        one = Run(data, run, Recipe.load(recipe), seen=seen, start=start)
        if stage in ("text", "dense", "joint"):
            one.stage(stage)
            return
        model, head = one.base()
        tuned = one.adapter(model, head)
        if stage != "lora":
            from finetune.judge.export import export

            typer.echo(f"wrote {export(one, tuned, out)}")
