"""What trains beside the encoder and stays behind: a dense head, and a tower that reads map labels for pixels.

The label tower lets the text side learn cheaply what a description says about where things lie; its vectors then guide
the image tower, which has to find the same in the pixels. Small models stay at chance for long without such a start.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


class LabelTower(nn.Module):
    """bool [B, cells * cells, channels] to [B, dim], in the form of the image tower's own head.

    One learned vector per cell and channel; their sum in a cell is that cell's token, and pooling, norm and projection
    are those of an open_clip ViT. So its tokens can be the targets of the image tower's patch tokens, one by one.
    """

    def __init__(self, *, cells: int, channels: int, width: int, dim: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(cells * cells, channels, width) * 0.05)
        self.norm = nn.LayerNorm(width)
        self.proj = nn.Parameter(torch.randn(width, dim) * width**-0.5)

    def tokens(self, labels: torch.Tensor) -> torch.Tensor:
        """[B, cells * cells, width]"""
        per_cell = torch.bmm(labels.to(self.table.dtype).transpose(0, 1), self.table)
        return per_cell.transpose(0, 1)

    def forward(self, labels: torch.Tensor) -> torch.Tensor:
        # The norm makes the scale of the sum irrelevant; this one keeps it clear of the norm's epsilon.
        pooled = self.tokens(labels).sum(1) / labels.shape[1] ** 0.5
        out: torch.Tensor = self.norm(pooled) @ self.proj
        return out

    def hand_over(self, visual: Any) -> None:
        """Start the image tower's head where this tower's head has come to."""
        visual.ln_post.load_state_dict(self.norm.state_dict())
        visual.proj.data.copy_(self.proj.data)


class DenseHead(nn.Module):
    """Patch tokens [B, P, width] to logits [B, P, channels]."""

    def __init__(self, *, width: int, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, channels)
        nn.init.constant_(self.out.bias, -4.0)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.out(self.norm(tokens))
        return logits


@contextmanager
def patch_tokens(model: Any) -> Iterator[list[torch.Tensor]]:
    """Within it, every image pass appends its last patch tokens [B, P, width]: the dense head costs no second pass."""
    seen: list[torch.Tensor] = []

    def keep(_: nn.Module, __: Any, output: torch.Tensor) -> None:
        seen.append(output[:, 1:])

    handle = model.visual.transformer.register_forward_hook(keep)
    try:
        yield seen
    finally:
        handle.remove()
