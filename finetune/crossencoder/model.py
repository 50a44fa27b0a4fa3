"""The cross-encoder before it is trained: a small BERT with one token for each word of a clue or a listing."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from prompts.pairing import vocabulary
from retriever.geo import POINTS_SHORT

PAD, UNKNOWN, START, END = "[PAD]", "[UNK]", "[CLS]", "[SEP]"
SPREAD = 0.05
"""Standard deviation of a fresh word vector."""


def blank(
    folder: Path, *, width: int = 64, layers: int = 2, heads: int = 2, inner: int = 128, max_length: int = 256,
    seed: int = 1,
) -> Any:  # fmt: skip
    """An untrained cross-encoder of sentence-transformers, kept in ``folder``.

    A word's vector begins as that of its thing plus that of its part of the tile, so what is learned of one direction
    is not learned anew for every kind.
    """
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(seed)
    tokenizer = tokenizer_of(max_length)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads,
        intermediate_size=inner, max_position_embeddings=max_length, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0, num_labels=1, pad_token_id=0,
        initializer_range=0.1,
    )  # fmt: skip
    model = BertForSequenceClassification(config)
    with torch.no_grad():
        model.bert.embeddings.word_embeddings.weight.copy_(torch.from_numpy(_word_vectors(tokenizer, width, seed)))
        # A word's place in the text says nothing here: the listing's words stand in a fixed order of kinds.
        model.bert.embeddings.position_embeddings.weight.zero_()
        _look_up(model, width)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return opened(folder)


def _look_up(model: Any, width: int) -> None:
    """Attention begins by looking for what is alike (after Trockman and Kolter's mimetic initialisation, 2023).

    In the first layer, and for the clue's words, that is what is alike on the other side: one side's sign is turned
    into the other's, or every word would find itself first. Without this a model of this size takes hours to find out.
    """
    import torch

    marks = model.bert.embeddings.token_type_embeddings.weight
    marks.normal_(std=1.5 * SPREAD)
    own, other = marks[0], marks[1]
    same = torch.eye(width)
    across = same + torch.outer(other - own, own) / own.dot(own)
    for at, layer in enumerate(model.bert.encoder.layer):
        attention, sharp = layer.attention.self, 1.2 if at == 0 else 0.7
        for part in (attention.query, attention.key, attention.value, layer.attention.output.dense):
            part.weight.normal_(std=0.02)
        attention.query.weight.add_(sharp * (across if at == 0 else same))
        attention.key.weight.add_(sharp * same)
        for part in (attention.value, layer.attention.output.dense):
            part.weight.add_(0.7 * same)


def opened(folder: Path) -> Any:
    """The cross-encoder in a folder, on the CPU, as float32."""
    from sentence_transformers import CrossEncoder

    return CrossEncoder(str(folder), device="cpu", local_files_only=True, model_kwargs={"dtype": "float32"})


def tokenizer_of(max_length: int) -> Any:
    """Splits at spaces; a clue and a listing are told apart by their token types."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    words = (PAD, UNKNOWN, START, END, *vocabulary())
    inner = Tokenizer(WordLevel({word: at for at, word in enumerate(words)}, unk_token=UNKNOWN))
    inner.pre_tokenizer = WhitespaceSplit()
    inner.post_processor = TemplateProcessing(
        single=f"{START} $A {END}",
        pair=f"{START} $A {END} $B:1 {END}:1",
        special_tokens=[(t, inner.token_to_id(t)) for t in (START, END)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token=PAD, unk_token=UNKNOWN, cls_token=START, sep_token=END,
        model_max_length=max_length,
        # Without the second of these the model would not be told where the clue ends and the listing begins.
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )  # fmt: skip


def _word_vectors(tokenizer: Any, width: int, seed: int) -> np.ndarray:
    """float32 [words, width]: things at random, the compass as a circle, and a word with a part as the sum of both.

    The thing weighs twice as much: a cafe in the north is more like one in the south than like a bank in the north.
    """
    rng = np.random.default_rng(seed)
    found: dict[str, np.ndarray] = {}
    east, north = rng.normal(size=(2, width))
    for at, point in enumerate(POINTS_SHORT):
        angle = math.radians(45.0 * at)
        found[f".{point}"] = math.sin(angle) * east + math.cos(angle) * north
    rows = np.zeros((len(tokenizer), width))
    for word, at in sorted(tokenizer.get_vocab().items(), key=lambda pair: pair[1]):
        thing, dot, part = word.partition(".")
        for piece, weight in ((thing, 2.0), (dot + part, 1.0)):
            if piece and piece not in found:
                found[piece] = rng.normal(size=width)
            rows[at] += weight * found[piece] if piece else 0.0
    rows[0] = 0.0
    return (SPREAD * rows).astype(np.float32)
