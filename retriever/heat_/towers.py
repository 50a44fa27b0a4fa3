"""What the relevance rule must know of a tower: how many attentions it has, what they read and what is pooled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from retriever.errors import ModelError

Start = Callable[[int], Tensor]
"""From a number of tokens to the share each has in the pooled vector: float32 [1 or B, tokens]."""


@dataclass(frozen=True, kw_only=True)
class Tower:
    layers: int
    """Self-attention layers, which come first."""
    pools: tuple[int, ...] = ()
    """The attention calls after them that lead to the pooled vector, in their order."""
    calls: int
    """Attention calls of one forward pass altogether."""
    start: Start
    mean: bool = False
    """The first call after the layers is a mean over the tokens, taken as attention that is the same for all."""
    prefix: int = 0
    """Class and register tokens before the patches; unused for text."""
    grid: tuple[int, int] = (0, 0)
    """Rows and columns of patches; unused for text."""


def image_tower(model: Any, name: str) -> Tower:
    """The image tower of an open_clip model. Raises ``ModelError`` naming it where it is no vision transformer."""
    from open_clip.timm_model import TimmModel
    from open_clip.transformer import VisionTransformer

    visual = getattr(model, "visual", None)
    if isinstance(visual, VisionTransformer):
        return _own(visual, name)
    if isinstance(visual, TimmModel):
        return _timm(visual, name)
    raise ModelError(
        f"the image tower of {name} is a {type(visual).__name__}, which has no plain layers of attention; heat maps "
        "need a vision transformer, such as that of sightline-mini"
    )


def text_tower(model: Any, ids: Tensor, name: str) -> Tower:
    """The text tower for ids int64 [B, L]. Raises ``ModelError`` naming it where there is no rule for it."""
    from open_clip.hf_model import HFTextEncoder
    from open_clip.transformer import TextTransformer

    tower = model if hasattr(model, "token_embedding") else getattr(model, "text", None)
    if isinstance(tower, HFTextEncoder):
        return _hugging_face(tower, ids, name)
    if tower is not model and not isinstance(tower, TextTransformer):
        raise ModelError(
            f"the text tower of {name} is a {type(tower).__name__}, which heat maps do not know; they need a "
            "text transformer of open_clip's own or an encoder of transformers"
        )
    layers = len(tower.transformer.resblocks)
    return Tower(layers=layers, calls=layers, start=_text_start(tower, ids, name))


def _text_start(tower: Any, ids: Tensor, name: str) -> Start:
    pool = getattr(tower, "text_pool_type", getattr(tower, "pool_type", None))
    if getattr(tower, "cls_emb", None) is not None or pool == "last":
        return lambda n: _one_hot(torch.full((len(ids),), n - 1), n)
    if pool == "first":
        return lambda n: _one_hot(torch.zeros(len(ids), dtype=torch.int64), n)
    if pool == "argmax":
        return lambda n: _one_hot(ids.argmax(-1), n)
    if pool == "eos":
        end = getattr(tower, "text_eos_id", getattr(tower, "eos_id", None))
        return lambda n: _one_hot(torch.eq(ids, torch.tensor(end)).int().argmax(-1), n)
    raise ModelError(f"the text tower of {name} pools by {pool!r}, for which there is no rule of relevance")


def _hugging_face(tower: Any, ids: Tensor, name: str) -> Tower:
    pooler, layers = type(tower.pooler).__name__, int(tower.config.num_hidden_layers)
    words = (ids != tower.config.pad_token_id).float()
    starts: dict[str, Start] = {
        "MeanPooler": lambda n: words / words.sum(-1, keepdim=True),
        "ClsPooler": _first,
        "ClsLastHiddenStatePooler": _first,
    }
    if pooler not in starts:
        raise ModelError(f"the text tower of {name} pools by {pooler}, for which there is no rule of relevance")
    return Tower(layers=layers, calls=layers, start=starts[pooler])


def _one_hot(at: Tensor, n: int) -> Tensor:
    return torch.nn.functional.one_hot(at, n).float()


def _first(n: int) -> Tensor:
    return _one_hot(torch.zeros(1, dtype=torch.int64), n)


def _mean_after(prefix: int) -> Start:
    def start(n: int) -> Tensor:
        share = torch.zeros(1, n)
        share[:, prefix:] = 1 / (n - prefix)
        return share

    return start


def _own(visual: Any, name: str) -> Tower:
    layers, grid = len(visual.transformer.resblocks), visual.grid_size
    if visual.attn_pool is None:
        if visual.pool_type not in ("tok", "avg"):
            raise ModelError(f"the image tower of {name} does not pool its tokens, so there is no vector to explain")
        return _pooled(visual.pool_type == "avg", layers, 1, grid)
    if visual.attn_pool_contrastive is not None:
        raise ModelError(
            f"the image tower of {name} pools twice ({visual.attn_pool_type}), which open_clip left undone"
        )
    start = _first if visual.pool_type == "tok" else _mean_after(1)
    return Tower(layers=layers, pools=(layers,), calls=layers + 1, start=start, prefix=1, grid=grid)


def _timm(visual: Any, name: str) -> Tower:
    from timm.models.eva import Eva
    from timm.models.vision_transformer import VisionTransformer

    trunk = visual.trunk
    kind = type(trunk).__name__
    if not isinstance(trunk, (VisionTransformer, Eva)):
        raise ModelError(f"the image tower of {name} is timm's {kind}, which is no plain vision transformer")
    layers, prefix, grid = len(trunk.blocks), int(trunk.num_prefix_tokens), tuple(trunk.patch_embed.grid_size)
    pool = trunk.global_pool
    if getattr(trunk, "attn_pool", None) is not None:
        start = _mean_after(0) if trunk.attn_pool.pool == "avg" else _first
        return Tower(layers=layers, pools=(layers,), calls=layers + 1, start=start, prefix=prefix, grid=grid)
    if pool not in ("token", "avg") or (len(visual.head) and "pool" in dict(visual.head.named_children())):
        raise ModelError(f"the image tower of {name} (timm's {kind}) pools by {pool!r}, which heat maps do not know")
    return _pooled(pool == "avg", layers, prefix, grid)


def _pooled(mean: bool, layers: int, prefix: int, grid: tuple[int, int]) -> Tower:
    if mean:
        return Tower(
            layers=layers, pools=(layers,), calls=layers + 1, start=_first, mean=True, prefix=prefix, grid=grid
        )
    return Tower(layers=layers, calls=layers, start=_first, prefix=prefix, grid=grid)
