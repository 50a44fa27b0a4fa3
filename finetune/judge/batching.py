"""Encoded samples as the tensors that the model takes: ids, targets, positions and pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from finetune.judge.encode import IGNORE, Encoded
from finetune.judge.spec import GRID


def batch(items: Sequence[Encoded], pad_id: int, *, grid: int = GRID) -> dict[str, torch.Tensor]:
    """Right-padded tensors: ``ids, labels [B, L]``, ``weights [B, L]``, ``positions [3, B, L]`` (multimodal rotary).

    ``grid``: visual tokens along a picture's side.

    ``others [B, L]`` and ``doubts [B, L]``: a second target and its share, where a verdict is in doubt.

    Attention is causal, so positions after an item's end are never seen by it and need no mask.
    """
    length = max(len(e.ids) for e in items)
    ids = torch.full((len(items), length), pad_id)
    labels = torch.full((len(items), length), IGNORE)
    weights = torch.zeros((len(items), length))
    positions = torch.zeros((3, len(items), length), dtype=torch.long)
    others, doubts = torch.zeros_like(ids), torch.zeros_like(weights)
    for b, e in enumerate(items):
        n = len(e.ids)
        ids[b, :n] = torch.tensor(e.ids)
        labels[b, :n] = torch.tensor(e.labels)
        weights[b, :n] = torch.tensor(e.weights)
        positions[:, b, :n] = rope_positions(n, [e.image_at, e.heat_at], grid)
        if e.verdict_at >= 0:
            others[b, e.verdict_at], doubts[b, e.verdict_at] = e.other, e.doubt
    return {
        "ids": ids,
        "labels": labels,
        "weights": weights,
        "positions": positions,
        "others": others,
        "doubts": doubts,
    }


def rope_positions(length: int, starts: Sequence[int], grid: int = GRID) -> torch.Tensor:
    """``[3, length]``: time, height, width of each token, as the model computes them.

    ``starts``: where pictures begin, in rising order; negative ones are left out.
    """
    found, place, at = [], 0, 0
    rows, cols = torch.meshgrid(torch.arange(grid), torch.arange(grid), indexing="ij")
    for start in (s for s in starts if s >= 0):
        found.append(torch.arange(place, place + start - at).expand(3, -1))
        place += start - at
        found.append(
            torch.stack([torch.zeros(grid * grid, dtype=torch.long), rows.reshape(-1), cols.reshape(-1)]) + place
        )
        place, at = place + grid, start + grid * grid
    found.append(torch.arange(place, place + length - at).expand(3, -1))
    return torch.cat(found, dim=1)


def patches(pictures: np.ndarray) -> torch.Tensor:
    """Pictures ``[B, S, S, 3] uint8`` to ``[B * (S / 16)², 1536] float32``, as the image processor lays them out."""
    side, patch, merge = pictures.shape[1], 16, 2
    g = side // patch // merge
    x = torch.from_numpy(np.ascontiguousarray(pictures)).float().div_(127.5).sub_(1.0)
    x = x.view(len(pictures), g, merge, patch, g, merge, patch, 3).permute(0, 1, 4, 2, 5, 7, 3, 6)
    x = x.unsqueeze(6).expand(-1, -1, -1, -1, -1, -1, 2, -1, -1)
    return x.reshape(len(pictures) * g * g * merge * merge, 3 * 2 * patch * patch)
