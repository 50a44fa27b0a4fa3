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
    )  # fmt: skip
    model = BertForSequenceClassification(config)
    with torch.no_grad():
        model.bert.embeddings.word_embeddings.weight.copy_(torch.from_numpy(_word_vectors(tokenizer, width, seed)))
        # A word's place in the text says nothing here: the listing's words stand in a fixed order of kinds.
        model.bert.embeddings.position_embeddings.weight.zero_()
        # Which side a word stands on is to weigh as much as which word it is.
        model.bert.embeddings.token_type_embeddings.weight.normal_(std=SPREAD)
        # Attention begins by looking for what is alike (mimetic initialisation, Trockman and Kolter 2023).
        for layer in model.bert.encoder.layer:
            for part in (layer.attention.self.query, layer.attention.self.key):
                part.weight.add_(0.7 * torch.eye(width))
            for part in (layer.attention.self.value, layer.attention.output.dense):
                part.weight.add_(0.4 * torch.eye(width))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return opened(folder)


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
    """float32 [words, width]: things at random, the compass as a circle, and a word with a part as the sum of both."""
    rng = np.random.default_rng(seed)
    found: dict[str, np.ndarray] = {}
    east, north = rng.normal(size=(2, width))
    for at, point in enumerate(POINTS_SHORT):
        angle = math.radians(45.0 * at)
        found[f".{point}"] = math.sin(angle) * east + math.cos(angle) * north
    rows = np.zeros((len(tokenizer), width))
    for word, at in sorted(tokenizer.get_vocab().items(), key=lambda pair: pair[1]):
        thing, dot, part = word.partition(".")
        for piece in (thing, dot + part):
            if piece and piece not in found:
                found[piece] = rng.normal(size=width)
            rows[at] += found[piece] if piece else 0.0
    rows[0] = 0.0
    return (SPREAD * rows).astype(np.float32)
