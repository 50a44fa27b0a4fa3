"""From a recipe to a bundle: what ``sightline train dual-encoder`` does, in one process of a team."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from finetune.contrastive.batches import Progress, Reader
from finetune.contrastive.bundle import write_bundle
from finetune.contrastive.curves import draw
from finetune.contrastive.estimate import Estimate, estimate, measured_speed
from finetune.contrastive.model import prepare
from finetune.contrastive.pictures import Pictures
from finetune.contrastive.processes import Team
from finetune.contrastive.recipe import Recipe
from finetune.contrastive.sources import HELD, TRAIN, Pairs, load_pairs
from finetune.contrastive.trainer import Trainer
from retriever.models import write_atomic


def make_trainer(recipe: Recipe, out: Path, team: Team) -> tuple[Trainer, Estimate]:
    """Data, model and estimate of a recipe; nothing has been trained yet.

    Raises ``SourceError``, ``DatasetError`` or ``ModelError`` where a part of it cannot be had.
    """
    pairs = load_pairs(recipe.sources)
    dual = prepare(recipe.model, seed=recipe.seed, checkpoint_layers=recipe.checkpoint_layers)
    dual.model.to(team.device)
    bf16 = recipe.precision == "bf16"
    speed = measured_speed(team.device, bf16=bf16)
    guess = estimate(recipe, dual, pairs, processes=team.size, flops_per_s=speed)
    folder = out / "pictures" if recipe.keep_pictures else None
    pictures = Pictures(pairs, dual.preprocess, folder=folder, workers=recipe.workers)
    reader = Reader(pairs, pictures, dual, device=team.device, bf16=bf16, piece=recipe.piece)
    return Trainer(recipe, dual, pairs, reader, out, team), guess


def describe(trainer: Trainer, guess: Estimate) -> list[str]:
    """What is printed before a run starts."""
    pairs, reader = trainer.pairs, trainer.reader
    views = {v: int((pairs.view == v).sum()) for v in sorted(set(pairs.view))}
    said = ", ".join(f"{n:,} {view}" for view, n in views.items())
    lines = [
        f"data: {len(pairs.rows(TRAIN)):,} training and {len(pairs.rows(HELD)):,} validation queries ({said}), "
        f"{len(pairs.tiles):,} tiles",
        *guess.lines(),
    ]
    if reader.cut:
        lines.append(f"{reader.cut:,} texts fill the context of {trainer.dual.tokenizer.context_length} tokens")
    return lines


def train(
    recipe: Recipe, out: Path, *, on_step: Progress | None = None, say: Callable[[Sequence[str]], None] = lambda _: None
) -> Path | None:
    """Run a recipe, or go on with it; the bundle's folder, from the best checkpoint, in the team's first process."""
    team = Team.join()
    try:
        trainer, guess = make_trainer(recipe, out, team)
        if team.rank == 0:
            say(describe(trainer, guess))
        trainer.run(on_step if team.rank == 0 else None)
        return finish(trainer) if team.rank == 0 else None
    finally:
        team.leave()


def finish(trainer: Trainer) -> Path:
    """Curves and the bundle of the best checkpoint; of the last one where nothing was held out for validation."""
    best = trainer.out / "best.pt"
    metrics: dict[str, Any] = {}
    at = trainer.done
    if best.exists():
        state = torch.load(best, weights_only=True, map_location="cpu")
        trainer.dual.model.load_state_dict(state["model"])
        metrics, at = state["metrics"], state["at"]
    provenance = {
        "name": trainer.out.name,
        "command": "sightline train dual-encoder --recipe RECIPE --out RUN",
        "recipe": json.loads(json.dumps(asdict(trainer.recipe))),
        "data_sha256": trainer.pairs.sha256,
        "areas": areas(trainer.pairs, TRAIN),
        "validation_areas": areas(trainer.pairs, HELD),
        "metrics": metrics,
        "at": at,
    }
    folder = write_bundle(trainer.out / "bundle", trainer.dual, provenance)
    write_atomic(trainer.out / "recipe.json", json.dumps(provenance["recipe"], indent=2).encode())
    draw(trainer.out)
    return folder


def areas(pairs: Pairs, split: int) -> list[str]:
    """Source and area of a split's queries."""
    rows = pairs.rows(split)
    return sorted({f"{pairs.source[r]}/{pairs.tiles[int(pairs.tile[r])].area}" for r in rows})
