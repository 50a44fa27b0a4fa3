"""Trains the small cross-encoder through sentence-transformers: a BERT of a million weights with our tokenizer.

Its word vectors begin as those of the shipped dual encoder, turned to their main directions. It learns single clues
against short listings first (:mod:`finetune.crossencoder.single`), then to tell a description's tile from others.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from finetune.crossencoder.controls import beaten, by_place, shared_words
from finetune.crossencoder.pairs import Ground, Group, data_hash, groups, load
from finetune.crossencoder.single import single_clues
from retriever.errors import SourceError
from retriever.models import PROVENANCE, TOKENIZER, find_model, write_atomic

MAX_BYTES = 5_000_000


@dataclass(frozen=True, kw_only=True)
class Recipe:
    width: int = 64
    layers: int = 2
    heads: int = 2
    inner: int = 128
    max_length: int = 192
    """Tokens of a pair together; the longer part loses its end first."""
    clues: int = 120_000
    """Single clues of the first lesson, in three parts with longer and longer listings."""
    entries: tuple[int, ...] = (3, 6, 14)
    texts: int = 8_000
    longest: int = 480
    """Characters of the clues and the longest listing; longer ones cost more than they teach."""
    negatives: int = 5
    epochs: float = 4.0
    batch: int = 16
    """Descriptions to a step, each with all its tiles; in the first lesson six times as many pairs."""
    lr: float = 2e-3
    lr_descriptions: float = 5e-4
    """Lower than of the first lesson: at its rate what was learned there was lost within 50 steps."""
    minutes: float = 25.0
    """Wall time after which training ends with what it has learned; the first lesson has at most half of it."""
    seed: int = 1


def train(data: Path, out: Path, recipe: Recipe, *, command: str) -> dict[str, Any]:
    """A finished model in ``out`` (float16 safetensors) with its provenance, which is returned.

    Raises ``SourceError`` for data that cannot be used and where the model comes out larger than 5 MB.
    """
    import torch

    torch.manual_seed(recipe.seed)
    ground, held = load(data, "train"), load(data, "validation")
    taught = groups(ground, n=recipe.texts, negatives=recipe.negatives, seed=recipe.seed, longest=recipe.longest)
    asked = groups(held, n=600, negatives=9, seed=recipe.seed)
    model = blank(out / "start", recipe)
    started = time.time()
    steps = _lessons(model, taught, ground, out / "run", recipe)
    note = {
        "name": out.name, "command": command, "seed": recipe.seed, "recipe": asdict(recipe), "steps": steps,
        "minutes": round((time.time() - started) / 60, 1), "data_sha256": data_hash(taught, ground),
        "areas": sorted(set(ground.area)), "validation_areas": sorted(set(held.area)),
        "attribution": "© OpenStreetMap contributors (ODbL)", "metrics": evaluate(model, asked, held),
        "parameters": sum(p.numel() for p in model.parameters()),
    }  # fmt: skip
    save(model, out / "model", note)
    return note


def _lessons(model: Any, taught: list[Group], ground: Ground, folder: Path, recipe: Recipe) -> dict[str, int]:
    """Single clues, then descriptions; returns the steps of each."""
    from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss, ListNetLoss

    begun, steps = time.time(), {}
    each = recipe.clues // len(recipe.entries)
    for turn, most in enumerate(recipe.entries, 1):
        rows = single_clues(ground.listing, n=each, most=most, seed=recipe.seed)
        until = begun + 60 * recipe.minutes * 0.5 * turn / len(recipe.entries)
        steps[f"clues in {most} entries"] = fit(
            model, rows, BinaryCrossEntropyLoss(model), folder, recipe,
            batch=6 * recipe.batch, epochs=1.0, until=until, falling=False, lr=recipe.lr,
        )  # fmt: skip
    steps["descriptions"] = fit(
        model, listed(taught, ground), ListNetLoss(model, mini_batch_size=-1), folder, recipe,
        batch=recipe.batch, epochs=recipe.epochs, until=begun + 60 * recipe.minutes, falling=True,
        lr=recipe.lr_descriptions,
    )  # fmt: skip
    return steps


def blank(folder: Path, recipe: Recipe) -> Any:
    """An untrained cross-encoder, kept in ``folder``, whose word vectors are the dual encoder's."""
    import torch
    from sentence_transformers import CrossEncoder
    from transformers import BertConfig, BertForSequenceClassification

    tokenizer = tokenizer_of(find_model("sightline-mini") / TOKENIZER, recipe.max_length)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=recipe.width, num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads, intermediate_size=recipe.inner, max_position_embeddings=recipe.max_length,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, num_labels=1, pad_token_id=0,
    )  # fmt: skip
    model = BertForSequenceClassification(config)
    with torch.no_grad():
        words = torch.from_numpy(_word_vectors(len(tokenizer), recipe.width))
        model.bert.embeddings.word_embeddings.weight.copy_(words)
        # Attention begins by looking for what is alike (mimetic initialisation, Trockman and Kolter 2023).
        for layer in model.bert.encoder.layer:
            for part in (layer.attention.self.query, layer.attention.self.key):
                part.weight.add_(0.7 * torch.eye(recipe.width))
            for part in (layer.attention.self.value, layer.attention.output.dense):
                part.weight.add_(0.4 * torch.eye(recipe.width))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return CrossEncoder(str(folder), num_labels=1, max_length=recipe.max_length, device="cpu", local_files_only=True)


def tokenizer_of(file: Path, max_length: int) -> Any:
    """Our tokenizer file as transformers wants it, with start and end tokens round a pair."""
    from tokenizers import Tokenizer
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    from retriever.tokenizer import END, PAD, START

    inner = Tokenizer.from_file(str(file))
    inner.post_processor = TemplateProcessing(
        single=f"{START} $A {END}",
        pair=f"{START} $A {END} $B:1 {END}:1",
        special_tokens=[(t, inner.token_to_id(t)) for t in (START, END)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token=PAD, cls_token=START, sep_token=END, model_max_length=max_length,
        # Without the second of these the model would not be told where the clues end and the listing begins.
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )  # fmt: skip


def _word_vectors(rows: int, width: int) -> np.ndarray:
    """The dual encoder's word vectors [rows, width], turned to their main directions and scaled as BERT begins."""
    from retriever.encoder import Encoder

    model: Any = Encoder.load("sightline-mini").model
    words = model.token_embedding.weight.detach().float().numpy()[:rows]
    _, _, axes = np.linalg.svd(words - words.mean(0), full_matrices=False)
    turned = (words - words.mean(0)) @ axes[:width].T
    scaled: np.ndarray = (turned * (0.05 / turned.std())).astype(np.float32)
    return scaled


def listed(found: list[Group], ground: Ground) -> dict[str, list[Any]]:
    """Columns of the training table: clues, listings of all tiles, and which of them is the true one."""
    docs = [[ground.listing[t] for t in g.tiles] for g in found]
    labels = [[1.0, *[0.0] * (len(g.tiles) - 1)] for g in found]
    return {"text": [g.text for g in found], "docs": docs, "labels": labels}


def fit(
    model: Any, rows: Mapping[str, list[Any]], loss: Any, folder: Path, recipe: Recipe, *,
    batch: int, epochs: float, until: float, falling: bool, lr: float,
) -> int:  # fmt: skip
    """Steps made over the rows before the clock says ``until`` (seconds since the epoch)."""
    from datasets import Dataset
    from sentence_transformers.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments
    from transformers import TrainerCallback

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
            control.should_training_stop = control.should_training_stop or time.time() > until
            return control

    arguments = CrossEncoderTrainingArguments(
        output_dir=str(folder), num_train_epochs=epochs, per_device_train_batch_size=batch,
        learning_rate=lr, lr_scheduler_type="linear" if falling else "constant_with_warmup", warmup_steps=50,
        weight_decay=0.01, logging_steps=50, save_strategy="no", report_to="none", use_cpu=True, seed=recipe.seed,
        data_seed=recipe.seed, disable_tqdm=True, dataloader_num_workers=0,
    )  # fmt: skip
    table = Dataset.from_dict(dict(rows))
    trainer = CrossEncoderTrainer(model=model, args=arguments, train_dataset=table, loss=loss, callbacks=[Clock()])
    trainer.train()
    return int(trainer.state.global_step)


def evaluate(model: Any, found: list[Group], ground: Ground) -> dict[str, Any]:
    """The true tile among ten of its area: recall@1 (ties against it), reciprocal rank and AUROC, each with its 95 %
    interval by tile, beside the control that counts shared words and beside chance."""
    pairs = [(g.text, ground.listing[t]) for g in found for t in g.tiles]
    scores = np.asarray(model.predict(pairs, batch_size=64, show_progress_bar=False), dtype=float)
    counted = np.array([shared_words(text, listing) for text, listing in pairs])
    width, places = len(found[0].tiles), [g.tiles[0] for g in found]
    measured: dict[str, Any] = {"queries": len(found), "tiles": width, "places": len(set(places))}
    for name, values in (("model", scores), ("shared words", counted)):
        table = values.reshape(-1, width)
        ranks = _ranks(table)
        for metric, each in (("r@1", (ranks == 1).astype(float)), ("mrr", 1 / ranks), ("auroc", beaten(table))):
            measured[f"{name} {metric}"] = [round(v, 4) for v in by_place(each, places)]
    return measured | {"chance r@1": 1 / width, "chance auroc": 0.5}


def _ranks(scores: np.ndarray) -> np.ndarray:
    """Rank of the first column among all of its row, ties against it."""
    ranks: np.ndarray = (scores[:, 1:] >= scores[:, :1]).sum(1) + 1
    return ranks


def save(model: Any, folder: Path, note: Mapping[str, Any]) -> None:
    """The model as float16 with its provenance. Raises ``SourceError`` where it is larger than 5 MB."""
    import torch

    model.to(torch.float16)
    model.save_pretrained(str(folder), create_model_card=False)
    write_atomic(folder / PROVENANCE, json.dumps(note, indent=2, ensure_ascii=False).encode() + b"\n")
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    if size > MAX_BYTES:
        raise SourceError(f"{folder} came out with {size} bytes; take a smaller width, so that it stays under 5 MB")
