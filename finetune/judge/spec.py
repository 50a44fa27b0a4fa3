"""The shipped judge's architecture, tokenizer and processor: a Qwen3-VL of ten million parameters.

The class, file layout and chat template are those of the large models, so that one name in a setting swaps them.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

from finetune.tokenizer import train_tokenizer

SIDE = 224
"""Pixels a tile is scaled to; every picture becomes ``VISUAL_TOKENS`` tokens."""
PATCH, MERGE = 16, 2
GRID = SIDE // (PATCH * MERGE)
VISUAL_TOKENS = GRID * GRID
MAX_LENGTH = 1024
SPECIALS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
# The answers' fixed strings as one token each: a quarter of the decoding steps.
FRAGMENTS = (
    '{"evidence":[{"claim":"c', '"},{"claim":"c', '","stance":"', '","at":"', '"}],"en":"', '","zh":"', '"}',
)  # fmt: skip
# Runs of Han, words with inner hyphens, single digits, single marks, white space.
PIECES = r"\p{Han}+| ?(?:(?!\p{Han})[\p{L}\p{M}\-])+| ?\p{N}| ?[^\s\p{L}\p{N}]|\s+"
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message.role + '\\n' -}}"
    "{%- if message.content is string -%}{{- message.content -}}"
    "{%- else -%}{%- for part in message.content -%}"
    "{%- if part.type == 'image' -%}{{- '<|vision_start|><|image_pad|><|vision_end|>' -}}"
    "{%- else -%}{{- part.text -}}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}"
    "{{- '<|im_end|>\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)
LORA_TARGETS = r".*language_model\.layers\.\d+\.(self_attn\.(q|k|v|o)_proj|mlp\.(gate|up|down)_proj)"
"""Text side only: model servers leave out adapters on the vision tower."""


def make_tokenizer(texts: Iterable[str], *, vocab_size: int = 3072) -> Any:
    """A ``PreTrainedTokenizerFast`` in which ``yes`` and ``no`` are one token each."""
    from transformers import PreTrainedTokenizerFast

    corpus = chain(texts, ("yes", "no") * 50)
    inner = train_tokenizer(corpus, vocab_size=vocab_size, special_tokens=SPECIALS, pieces=PIECES, fragments=FRAGMENTS)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=list(SPECIALS[1:]),
        model_max_length=MAX_LENGTH,
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )
    for word in ("yes", "no"):
        if len(tokenizer.encode(word)) != 1:
            raise ValueError(f"the training texts hold {word!r} too rarely for it to become one token")
    return tokenizer


def make_processor(tokenizer: Any) -> Any:
    """Any picture in, ``SIDE`` x ``SIDE`` in the model."""
    from transformers import Qwen2VLImageProcessor, Qwen3VLProcessor, Qwen3VLVideoProcessor

    area = {"shortest_edge": SIDE * SIDE, "longest_edge": SIDE * SIDE}
    shared = {
        "patch_size": PATCH,
        "temporal_patch_size": 2,
        "merge_size": MERGE,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }
    # Servers size a video processor at start, even where no video is allowed.
    return Qwen3VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=area, **shared),
        tokenizer=tokenizer,
        video_processor=Qwen3VLVideoProcessor(size=area, **shared),
        chat_template=CHAT_TEMPLATE,
    )


def make_config(tokenizer: Any, *, width: int = 256, layers: int = 6, vision_width: int = 192, depth: int = 6) -> Any:
    """``Qwen3VLConfig``; the defaults give about 10 M parameters."""
    from transformers import Qwen3VLConfig

    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in SPECIALS}
    return Qwen3VLConfig(
        text_config={
            "vocab_size": -(-len(tokenizer) // 64) * 64,
            "hidden_size": width,
            "intermediate_size": width * 3,
            "num_hidden_layers": layers,
            "num_attention_heads": width // 32,
            "num_key_value_heads": width // 64,
            "head_dim": 32,
            "max_position_embeddings": MAX_LENGTH,
            # Time, height and width; together half of head_dim.
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [6, 5, 5],
                "mrope_interleaved": True,
            },
            "bos_token_id": ids["<|endoftext|>"],
            "eos_token_id": ids["<|im_end|>"],
            "pad_token_id": ids["<|endoftext|>"],
            "tie_word_embeddings": True,
        },
        vision_config={
            "depth": depth,
            "hidden_size": vision_width,
            "intermediate_size": vision_width * 3,
            "num_heads": vision_width // 32,
            "patch_size": PATCH,
            "spatial_merge_size": MERGE,
            "temporal_patch_size": 2,
            "out_hidden_size": width,
            "num_position_embeddings": (SIDE // PATCH) ** 2,
            "deepstack_visual_indexes": [depth // 2],
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
    )
