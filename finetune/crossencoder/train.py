"""Trains the small cross-encoder: drawn clues and the rule first, then what witnesses say and where they say it.

The score of a description is the sum of its clues' log-odds (:mod:`finetune.crossencoder.single` tells why that is
right), so that one clue and one listing is all that the model ever reads.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from finetune.crossencoder.controls import added_up, evaluate
from finetune.crossencoder.lessons import lesson
from finetune.crossencoder.mapped import by_map
from finetune.crossencoder.model import blank
from finetune.crossencoder.pairs import Ground, groups, load, read_texts, witnesses
from finetune.crossencoder.silence import fitted, unsaid
from finetune.crossencoder.single import Rows, as_said, by_rule
from retriever.errors import SourceError
from retriever.models import PROVENANCE, write_atomic

MAX_BYTES = 5_000_000


@dataclass(frozen=True, kw_only=True)
class Recipe:
    width: int = 64
    layers: int = 2
    heads: int = 2
    inner: int = 128
    max_length: int = 256
    """Tokens of a pair together, which is a word each; the longest listings of real tiles have half of them."""
    tiles: int = 3_000
    """Tiles of the training areas that are listed: that takes longer than most of the rest."""
    rule: int = 10_000
    """Drawn clues in each part of the first lesson."""
    entries: tuple[int, ...] = (6, 40)
    """Entries of a listing at most, part by part: the last one takes whole tiles."""
    rounds: int = 2
    """How often every witness is gone over in the second lesson, each time beside other tiles."""
    negatives: int = 4
    asked: int = 650
    """Descriptions of the validation areas that it is measured with, each among ten tiles."""
    batch: int = 64
    lr: float = 3e-3
    lr_said: float = 4e-4
    """Lower than of the first lesson: at its rate what was learned there was lost within 100 steps."""
    less_sure: float = 0.35
    """What the log-odds are multiplied with between the lessons: the rule is sure where witnesses are not, and the
    shock of that undoes a model."""
    minutes: float = 240.0
    """Wall time after which training ends with what it has learned."""
    seed: int = 1


def train(data: Path, out: Path, recipe: Recipe, *, command: str) -> dict[str, Any]:
    """A finished model in ``out``/model (float16 safetensors) with its provenance, which is returned.

    Started again it goes on where it was stopped. Raises ``SourceError`` for data that cannot be used and where the
    model comes out larger than 5 MB.
    """
    begun = time.time()
    kept = out / "kept"
    ground = load(data, "train", kept, most=recipe.tiles, seed=recipe.seed)
    held = load(data, "validation", kept)
    taught = lessons_of(data, ground, kept, recipe)
    model = blank(
        out / "start", width=recipe.width, layers=recipe.layers, heads=recipe.heads, inner=recipe.inner,
        max_length=recipe.max_length, seed=recipe.seed,
    )  # fmt: skip
    steps = {}
    for name, rows in taught.items():
        if name == "said":
            soften(model, recipe.less_sure)
        folder = out / "lessons" / f"{name}-{_mark(rows, recipe)}"
        steps[name] = lesson(
            model, rows, folder, batch=recipe.batch, epochs=1.0, lr=recipe.lr_said if name == "said" else recipe.lr,
            until=begun + 60 * recipe.minutes, seed=recipe.seed,
        )  # fmt: skip
    asked = groups(
        held, read_texts(data, "validation", held, n=recipe.asked, seed=recipe.seed), negatives=9, seed=recipe.seed
    )
    learned = groups(ground, witnesses(data, ground, kept, seed=recipe.seed)[: recipe.asked], negatives=9, seed=0)
    off = fitted(added_up(model, learned, ground), unsaid(learned, ground))
    alone = added_up(model, asked, held)
    beside = {"clues alone": alone, **by_map(data, held, asked)}
    metrics = evaluate(alone - off * unsaid(asked, held), asked, held, beside=beside)
    note = {
        "name": out.name, "command": command, "seed": recipe.seed, "recipe": asdict(recipe), "steps": steps,
        "rows": {name: len(rows["label"]) for name, rows in taught.items()}, "data_sha256": data_hash(taught),
        "areas": sorted(set(ground.area)), "validation_areas": sorted(set(held.area)),
        "unsaid": off, "attribution": "© OpenStreetMap contributors (ODbL)", "metrics": metrics,
        "parameters": sum(p.numel() for p in model.parameters()),
    }  # fmt: skip
    save(model, out / "model", note)
    return note


def lessons_of(data: Path, ground: Ground, kept: Path, recipe: Recipe) -> dict[str, Rows]:
    """The lessons in their order: drawn clues with more and more of a listing, then what was said."""
    taught = {
        f"rule-{most}": by_rule(ground.listing, n=recipe.rule, most=most, seed=recipe.seed) for most in recipe.entries
    }
    said = witnesses(data, ground, kept, seed=recipe.seed)
    rounds = [recipe.seed + turn for turn in range(recipe.rounds)]
    parts = [as_said(ground, groups(ground, said, negatives=recipe.negatives, seed=s), seed=s) for s in rounds]
    taught["said"] = {column: [x for part in parts for x in part[column]] for column in parts[0]}
    return taught


def soften(model: Any, factor: float) -> None:
    """Multiply every log-odds that the model gives with ``factor``."""
    import torch

    with torch.no_grad():
        model.model.classifier.weight.mul_(factor)
        model.model.classifier.bias.mul_(factor)


def _mark(rows: Rows, recipe: Recipe) -> str:
    """Of a lesson and how it is taught, so that no checkpoint of another one is gone on from."""
    how = {key: value for key, value in asdict(recipe).items() if key not in ("minutes", "asked")}
    return hashlib.sha256((data_hash({"": rows}) + json.dumps(how)).encode()).hexdigest()[:12]


def data_hash(taught: Mapping[str, Rows]) -> str:
    """sha256 over every clue, listing and label of the lessons, in their order."""
    digest = hashlib.sha256()
    for rows in taught.values():
        for row in zip(rows["clue"], rows["listing"], rows["label"], strict=True):
            digest.update(json.dumps(row).encode())
    return digest.hexdigest()


def save(model: Any, folder: Path, note: Mapping[str, Any]) -> None:
    """The model as float16 with its provenance. Raises ``SourceError`` where it is larger than 5 MB."""
    import torch

    model.to(torch.float16)
    model.save_pretrained(str(folder), create_model_card=False)
    write_atomic(folder / PROVENANCE, json.dumps(note, indent=2, ensure_ascii=False).encode() + b"\n")
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    if size > MAX_BYTES:
        raise SourceError(f"{folder} came out with {size} bytes; take a smaller width, so that it stays under 5 MB")
