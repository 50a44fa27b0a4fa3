"""Trains the small cross-encoder through sentence-transformers: a BERT of a million weights with our tokenizer.

Its word vectors begin as those of the shipped dual encoder, turned to their main directions, so that English and
Chinese words of one thing are near each other before the first step.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from finetune.crossencoder.pairs import Ground, Group, data_hash, groups, load
from retriever.errors import SourceError
from retriever.models import PROVENANCE, TOKENIZER, find_model, write_atomic

MAX_BYTES = 5_000_000


@dataclass(frozen=True, kw_only=True)
class Recipe:
    width: int = 128
    layers: int = 2
    heads: int = 4
    inner: int = 256
    max_length: int = 256
    """Tokens of a pair together; the longer part loses its end first."""
    texts: int = 20_000
    longest: int = 160
    """Characters of a training text (a Chinese one counts thrice); longer ones cost more than they teach."""
    negatives: int = 2
    epochs: float = 1.0
    batch: int = 32
    lr: float = 1e-3
    minutes: float = 25.0
    """Wall time after which training ends with what it has learned."""
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
    steps = _fit(model, _rows(taught, ground), out / "run", recipe)
    metrics = evaluate(model, asked, held)
    note = {
        "name": out.name, "command": command, "seed": recipe.seed, "recipe": asdict(recipe), "steps": steps,
        "minutes": round((time.time() - started) / 60, 1), "data_sha256": data_hash(taught, ground),
        "areas": sorted(set(ground.area)), "validation_areas": sorted(set(held.area)),
        "attribution": "© OpenStreetMap contributors (ODbL)", "metrics": metrics,
        "parameters": sum(p.numel() for p in model.parameters()),
    }  # fmt: skip
    save(model, out / "model", note)
    return note


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
        tokenizer_object=inner, pad_token=PAD, cls_token=START, sep_token=END, model_max_length=max_length
    )


def _word_vectors(rows: int, width: int) -> np.ndarray:
    """The dual encoder's word vectors [rows, width], turned to their main directions and scaled as BERT begins."""
    from retriever.encoder import Encoder

    model: Any = Encoder.load("sightline-mini").model
    words = model.token_embedding.weight.detach().float().numpy()[:rows]
    _, _, axes = np.linalg.svd(words - words.mean(0), full_matrices=False)
    turned = (words - words.mean(0)) @ axes[:width].T
    scaled: np.ndarray = (turned * (0.05 / turned.std())).astype(np.float32)
    return scaled


def _rows(found: list[Group], ground: Ground) -> dict[str, list[Any]]:
    """Columns of the training table: text, listing, label."""
    pairs = [(g.text, ground.listing[t], float(i == 0)) for g in found for i, t in enumerate(g.tiles)]
    texts, listings, labels = (list(column) for column in zip(*pairs, strict=True))
    return {"text": texts, "listing": listings, "label": labels}


def _fit(model: Any, rows: Mapping[str, list[Any]], folder: Path, recipe: Recipe) -> int:
    import torch
    from datasets import Dataset
    from sentence_transformers.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments
    from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss
    from transformers import TrainerCallback

    class Clock(TrainerCallback):  # type: ignore[misc]
        def __init__(self) -> None:
            self.end = time.time() + 60 * recipe.minutes

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
            control.should_training_stop = control.should_training_stop or time.time() > self.end
            return control

    arguments = CrossEncoderTrainingArguments(
        output_dir=str(folder), num_train_epochs=recipe.epochs, per_device_train_batch_size=recipe.batch,
        learning_rate=recipe.lr, warmup_steps=100, weight_decay=0.01, logging_steps=100, save_strategy="no",
        report_to="none", use_cpu=True, seed=recipe.seed, data_seed=recipe.seed, disable_tqdm=True,
        dataloader_num_workers=0,
    )  # fmt: skip
    trainer = CrossEncoderTrainer(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_dict(dict(rows)),
        loss=BinaryCrossEntropyLoss(model, pos_weight=torch.tensor(float(recipe.negatives))),
        callbacks=[Clock()],
    )
    trainer.train()
    return int(trainer.state.global_step)


def evaluate(model: Any, found: list[Group], ground: Ground) -> dict[str, float]:
    """Recall@1 and mean reciprocal rank of the true tile among ten of its area, beside the control that counts words.

    Ties count against the method. The control scores a listing by the share of its words that the description holds.
    """
    from finetune.crossencoder.controls import shared_words

    pairs = [(g.text, ground.listing[t]) for g in found for t in g.tiles]
    scores = np.asarray(model.predict(pairs, batch_size=64, show_progress_bar=False), dtype=float)
    counted = np.array([shared_words(text, listing) for text, listing in pairs])
    width = len(found[0].tiles)
    mine, theirs = (_ranks(s.reshape(-1, width)) for s in (scores, counted))
    return {
        "queries": len(found), "tiles": width,
        "r@1": float((mine == 1).mean()), "mrr": float((1 / mine).mean()),
        "shared words r@1": float((theirs == 1).mean()), "shared words mrr": float((1 / theirs).mean()),
        "chance r@1": 1 / width,
    }  # fmt: skip


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
