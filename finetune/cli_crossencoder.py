"""``sightline train cross-encoder``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the cross-encoder's command to the group ``train``."""

    @app.command("cross-encoder")
    def cross_encoder(
        data: Annotated[Path, typer.Option(help="Folder of tiles and texts.")],
        out: Annotated[Path, typer.Option(help="Folder of the run; the finished model is its subfolder model.")],
        tiles: Annotated[int, typer.Option(min=2, help="Training tiles to learn from.")] = 3_000,
        rounds: Annotated[int, typer.Option(min=1, help="How often each description is gone over.")] = 2,
        minutes: Annotated[float, typer.Option(min=0.01, help="Stop after so much wall time.")] = 240.0,
        seed: Annotated[int, typer.Option()] = 1,
        threads: Annotated[int, typer.Option(min=1)] = 1,
    ) -> None:
        """Train the small cross-encoder that reads one clue with a tile's listing; a stopped run goes on."""
        import torch

        from finetune.crossencoder.train import Recipe, train

        torch.set_num_threads(threads)
        command = f"sightline train cross-encoder --data DATA --out RUN --tiles {tiles} --rounds {rounds} --seed {seed}"
        recipe = Recipe(tiles=tiles, rounds=rounds, minutes=minutes, seed=seed)
        note = train(data, out, recipe, command=command)
        sys.stdout.write(json.dumps(note["metrics"]) + "\n")
