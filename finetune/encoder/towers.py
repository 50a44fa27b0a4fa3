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
    """bool [B, cells * cells, channels] to [B, dim]: one learned vector per cell and channel, then two layers."""

    def __init__(self, *, cells: int, channels: int, dim: int, hidden: int = 512) -> None:
        super().__init__()
        # A finer grid than 8 x 8 says more than witnesses do, at many times the weights.
        self.cells, self.coarse = cells, min(cells, 8)
        self.table = nn.Linear(self.coarse**2 * channels, hidden)
        nn.init.normal_(self.table.weight, std=0.02)
        self.body = nn.Sequential(
            nn.LayerNorm(hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, dim)
        )

    def forward(self, labels: torch.Tensor) -> torch.Tensor:
        batch, _, channels = labels.shape
        grid = labels.float().view(batch, self.cells, self.cells, channels).permute(0, 3, 1, 2)
        coarse = nn.functional.adaptive_max_pool2d(grid, self.coarse)
        out: torch.Tensor = self.body(self.table(coarse.flatten(1)))
        return out


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
