"""Keeps the attention of a forward pass as tensors that gradients reach, whichever module computes it.

PyTorch's fused attention returns no weights, and open_clip asks ``nn.MultiheadAttention`` for none. Inside a
:class:`Tape` both entrances (``multi_head_attention_forward`` and ``scaled_dot_product_attention``) are computed in the
open instead. A torch function mode is per thread and touches neither the model nor anyone else's calls.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

_MHA = inspect.signature(F.multi_head_attention_forward)


class Tape(TorchFunctionMode):
    """``kept[n]`` is the attention [B, H, Q, K] of the n-th attention call, for every n that ``wanted`` names.

    Calls before the first wanted one are computed without a graph as long as nothing else needs gradients.
    """

    def __init__(self, wanted: Callable[[int], bool], *, mean_at: int | None = None) -> None:
        """``mean_at``: after how many calls a mean over the tokens pools them, which then is a call like the others."""
        super().__init__()
        self._wanted, self._mean_at = wanted, mean_at
        self.calls = 0
        self.kept: dict[int, Tensor] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func is F.multi_head_attention_forward:
            return self._multi_head(**_MHA.bind(*args, **kwargs).arguments)
        if func is F.scaled_dot_product_attention:
            return self._attend(*args, **kwargs)
        if func is Tensor.mean and self._pools(*args, **kwargs):
            return self._mean(args[0])
        return func(*args, **kwargs)

    def _pools(self, x: Tensor, dim: Any = None, keepdim: bool = False, **_: Any) -> bool:
        """Whether a mean is the one over the tokens that follows the last layer."""
        return self.calls == self._mean_at and x.ndim == 3 and dim in (1, (1,), [1]) and not keepdim

    def _mean(self, tokens: Tensor) -> Tensor:
        """The mean over [B, N, W] as what it is: one query that attends to all tokens alike."""
        batch, length, _ = tokens.shape
        weights = tokens.new_full((batch, 1, 1, length), 1 / length)
        return (self._keep(weights)[:, 0] @ tokens)[:, 0]

    def _keep(self, weights: Tensor) -> Tensor:
        if self._wanted(self.calls):
            if not weights.requires_grad:
                weights.requires_grad_()
            self.kept[self.calls] = weights
        self.calls += 1
        return weights

    def _attend(
        self, q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0,
        is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
    ) -> Tensor:  # fmt: skip
        """Attention in the open over [B, H, Q, d], [B, H, K, d] and [B, H, K, d]; evaluation mode has no dropout."""
        logits = q @ k.transpose(-2, -1) * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
        if is_causal:
            attn_mask = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool, device=q.device).tril()
        if attn_mask is not None:
            logits = logits.masked_fill(~attn_mask, -math.inf) if attn_mask.dtype == torch.bool else logits + attn_mask
        return self._keep(logits.softmax(-1)) @ v

    def _multi_head(self, **given: Any) -> tuple[Tensor, None]:
        """What ``nn.MultiheadAttention`` computes, in the open. Query, key and value are [length, batch, width]."""
        heads, query = given["num_heads"], given["query"]
        q, k, v = (
            _split(F.linear(x, weight, bias), heads)
            for x, (weight, bias) in zip((query, given["key"], given["value"]), _projections(given), strict=True)
        )
        mask = given.get("attn_mask")
        if mask is not None:
            mask = ~mask if mask.dtype == torch.bool else mask
            mask = mask.view(query.shape[1], heads, *mask.shape[-2:]) if mask.ndim == 3 else mask
        mixed = self._attend(q, k, v, mask)
        joined = mixed.permute(2, 0, 1, 3).flatten(2)
        return F.linear(joined, given["out_proj_weight"], given["out_proj_bias"]), None


def _projections(given: Mapping[str, Any]) -> list[tuple[Tensor, Tensor | None]]:
    if given.get("use_separate_proj_weight"):
        weights = [given[f"{name}_proj_weight"] for name in "qkv"]
    else:
        weights = list(given["in_proj_weight"].chunk(3))
    bias = given["in_proj_bias"]
    return list(zip(weights, [None] * 3 if bias is None else bias.chunk(3), strict=True))


def _split(x: Tensor, heads: int) -> Tensor:
    """[length, batch, heads * d] to [batch, heads, length, d]"""
    length, batch, width = x.shape
    return x.view(length, batch, heads, width // heads).permute(1, 2, 0, 3)
