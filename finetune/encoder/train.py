"""From a recipe to a bundle; ``python -m finetune.encoder.train`` is ``sightline train encoder``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
import yaml

from finetune.encoder.bank import load_bank
from finetune.encoder.learner import Learner
from finetune.encoder.trainer import Recipe, Trainer
from finetune.tokenizer import train_tokenizer
from retriever.encoder import BoxResize, build_model
from retriever.errors import ModelError, SourceError
from retriever.kinds import kinds
from retriever.models import read_json, save_bundle, write_atomic
from retriever.tokenizer import END, PAD, START, OwnTokenizer


def set_threads(threads: int) -> None:
    """0 leaves torch's own choice."""
    if threads:
        torch.set_num_threads(threads)


def read_recipe(path: Path) -> dict[str, Any]:
    """The recipe as a dict, with the model config under ``config``. Raises ``SourceError`` or ``ModelError``."""
    try:
        plan: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        config = path.parent / plan["model"]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise SourceError(f"{path} is not a training recipe ({error!r}): see finetune/encoder/recipes") from error
    plan["config"] = read_json(config.parent, config.name)
    return plan


def prepare(plan: Mapping[str, Any], data: Path, out: Path) -> Trainer:
    """Tokenizer (made once, kept in ``out``), data of both splits, a fresh model, and the trainer for them."""
    config, recipe = plan["config"], Recipe.from_json(plan["train"])
    tokenizer = OwnTokenizer(load_tokenizer(plan, data, out), config["text_cfg"]["context_length"])
    cells = config["vision_cfg"]["image_size"] // config["vision_cfg"]["patch_size"]
    bank, held = (load_bank(data, split, tokenizer, cells=cells) for split in ("train", "validation"))
    torch.manual_seed(recipe.seed)
    learner = Learner.new(build_model(config), cells=cells, seed=recipe.seed)
    return Trainer(learner, bank, held, BoxResize(**config["preprocess"]), recipe, out)


def load_tokenizer(plan: Mapping[str, Any], data: Path, out: Path) -> Any:
    """The run's tokenizer, trained on its texts the first time."""
    from tokenizers import Tokenizer

    path = out / "tokenizer.json"
    if not path.exists():
        out.mkdir(parents=True, exist_ok=True)
        size = plan["config"]["text_cfg"]["vocab_size"]
        made = train_tokenizer(corpus(data), vocab_size=size, special_tokens=(PAD, START, END), lowercase=True)
        write_atomic(path, made.to_str(pretty=False).encode())
    return Tokenizer.from_file(str(path))


def corpus(data: Path) -> Iterable[str]:
    """The training split's texts and every word of the table of kinds."""
    import pandas as pd

    for file in sorted((data / "texts").glob("train-*.parquet")):
        yield from pd.read_parquet(file, columns=["text"])["text"]
    for kind in kinds().values():
        yield from (*kind.en, *kind.zh) * 20


def export(trainer: Trainer, plan: Mapping[str, Any], recipe: str, to: Path) -> dict[str, Any]:
    """Write a run's best checkpoint as a bundle; returns its metrics. Raises ``ModelError`` where there is none."""
    best = trainer.out / "best.pt"
    if not best.exists():
        raise ModelError(f"{trainer.out} holds no best.pt: the run has not come to a validation yet")
    state = torch.load(best, weights_only=True)
    trainer.learner.model.load_state_dict(state["model"])
    bank, metrics = trainer.bank, state["metrics"]
    provenance = {
        "name": to.name,
        "command": f"sightline train encoder --data DATA --out RUN --recipe finetune/encoder/recipes/{recipe}",
        "seed": trainer.recipe.seed,
        "data_sha256": bank.sha256,
        "areas": sorted(set(bank.tiles.table["area"].iloc[bank.rows])),
        "validation_areas": sorted(metrics["areas"]),
        "attribution": "© OpenStreetMap contributors (ODbL)",
        "train_tiles": len(bank),
        "train_texts": len(bank.texts.ids),
        "at": state["at"],
        "metrics": metrics,
        "recipe": plan["train"],
    }
    tokenizer = (trainer.out / "tokenizer.json").read_text(encoding="utf-8")
    save_bundle(to, trainer.learner.model, plan["config"], tokenizer, provenance)
    found: dict[str, Any] = metrics
    return found


if __name__ == "__main__":
    import typer

    from finetune.encoder.cli import encoder

    typer.run(encoder)
