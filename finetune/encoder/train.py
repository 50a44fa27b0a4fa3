"""From a recipe to a bundle; ``python -m finetune.encoder.train`` is ``sightline train encoder``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
import yaml

from finetune.encoder.bank import load_bank
from finetune.encoder.learner import Learner
from finetune.encoder.sights import Sights
from finetune.encoder.trainer import Recipe, Trainer
from finetune.tokenizer import train_tokenizer
from retriever.encoder import BoxResize, build_model
from retriever.errors import ModelError, SourceError
from retriever.kinds import kinds
from retriever.models import read_json, save_bundle, write_atomic
from retriever.tokenizer import END, PAD, START, OwnTokenizer

RUN = "run.json"


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


def prepare(
    plan: Mapping[str, Any], data: Path, out: Path, *, start: Path | None = None, sights: Path | None = None
) -> Trainer:
    """Tokenizer (made once, kept in ``out``), data of both splits, a fresh model, and the trainer for them.

    ``start``: folder of an earlier run, whose tokenizer and last weights this one goes on from.
    ``sights``: folder of rendered views (:func:`finetune.encoder.sights.build_sights`).
    """
    config, recipe = plan["config"], Recipe.from_json(plan["train"])
    if start is not None and not (out / "tokenizer.json").exists():
        out.mkdir(parents=True, exist_ok=True)
        write_atomic(out / "tokenizer.json", (start / "tokenizer.json").read_bytes())
    tokenizer = OwnTokenizer(load_tokenizer(plan, data, out), config["text_cfg"]["context_length"])
    cells = config["vision_cfg"]["image_size"] // config["vision_cfg"]["patch_size"]
    bank, held = (load_bank(data, split, tokenizer, cells=cells) for split in ("train", "validation"))
    torch.manual_seed(recipe.seed)
    learner = Learner.new(build_model(config), cells=cells, seed=recipe.seed)
    if start is not None:
        learner.restore(torch.load(start / "last.pt", weights_only=True))
    views = {s: Sights.open(sights, s) for s in ("train", "validation")} if sights is not None else None
    trainer = Trainer(learner, bank, held, BoxResize(**config["preprocess"]), recipe, out, views)
    note(trainer, start)
    return trainer


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


def note(trainer: Trainer, start: Path | None = None) -> None:
    """Write what the run learns from to ``run.json``, so that an export need not read the data again."""
    bank = trainer.bank
    learned = {
        "seed": trainer.recipe.seed,
        "data_sha256": bank.sha256,
        "areas": sorted(set(bank.tiles.table["area"].iloc[bank.rows])),
        "attribution": "© OpenStreetMap contributors (ODbL)",
        "train_tiles": len(bank),
        "train_texts": len(bank.texts.ids),
    }
    if trainer.sights:
        learned["view_sets"] = len(trainer.sights["train"])
        learned["views_sha256"] = trainer.sights["train"].sha256
    if start is not None:
        learned["went_on_from"] = read_json(start, RUN)
    write_atomic(trainer.out / RUN, json.dumps(learned, indent=2, ensure_ascii=False).encode())


def export(plan: Mapping[str, Any], run: Path, recipe: str, to: Path) -> dict[str, Any]:
    """Write a run's best checkpoint as a bundle; returns its metrics. Raises ``ModelError`` where there is none."""
    best = run / "best.pt"
    if not best.exists():
        raise ModelError(f"{run} holds no best.pt: the run has not come to a validation yet")
    state = torch.load(best, weights_only=True)
    model = build_model(plan["config"])
    model.load_state_dict(state["model"])
    metrics: dict[str, Any] = state["metrics"]
    provenance = {
        "name": to.name,
        "command": _command(recipe, read_json(run, RUN)),
        **read_json(run, RUN),
        "validation_areas": sorted(metrics["areas"]),
        "at": state["at"],
        "metrics": metrics,
        "recipe": plan["train"],
    }
    save_bundle(to, model, plan["config"], (run / "tokenizer.json").read_text(encoding="utf-8"), provenance)
    return metrics


def _command(recipe: str, learned: Mapping[str, Any]) -> str:
    onward = " --start EARLIER" if "went_on_from" in learned else ""
    onward += " --sights SIGHTS" if "view_sets" in learned else ""
    return f"sightline train encoder --data DATA --out RUN --recipe finetune/encoder/recipes/{recipe}{onward}"


if __name__ == "__main__":
    import typer

    from finetune.encoder.cli import encoder

    typer.run(encoder)
