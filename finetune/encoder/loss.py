"""Symmetric InfoNCE with false negatives masked, and the dense loss."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

Gather = Callable[[torch.Tensor], torch.Tensor]
"""Local rows to the rows of all processes, with gradients. With one process the rows are already all."""

AMBIGUOUS_M = 150.0
"""A tile of 120 m whose centre is nearer than this to the witness (60 m + 30 m, and as much again for what lies at the
witness's own tile's edge) is no sure negative."""


def alone(rows: torch.Tensor) -> torch.Tensor:
    """The gather of a single process."""
    return rows


def excluded_pairs(
    point: torch.Tensor, centre: torch.Tensor, area: torch.Tensor, *, within_m: float = AMBIGUOUS_M
) -> torch.Tensor:
    """bool [B, B]: text i and tile j are neither a pair nor a sure negative.

    ``point`` [B, 2] is where the witness of text i stands, ``centre`` [B, 2] the middle of tile j, both in metres of
    their area's frame; ``area`` [B] tells frames apart. The pairs themselves (the diagonal) are never excluded.
    """
    near = (point[:, None] - centre[None, :]).abs().amax(-1) < within_m
    same = area[:, None] == area[None, :]
    return near & same & ~torch.eye(len(point), dtype=torch.bool, device=point.device)


def contrastive_loss(
    text: torch.Tensor,
    tile: torch.Tensor,
    scale: torch.Tensor,
    excluded: torch.Tensor | None = None,
    *,
    smoothing: float = 0.0,
    gather: Gather = alone,
) -> torch.Tensor:
    """Mean of text-to-tile and tile-to-text cross-entropy.

    ``text`` and ``tile`` [B, D] are normalised here; pair i is row i of both. ``scale`` multiplies the cosines.
    ``excluded`` [B, B] (text, tile; of the gathered batch) takes pairs out of the denominators. ``smoothing`` spreads
    that much of the target over the pairs that are left.
    """
    text, tile = gather(F.normalize(text.float(), dim=-1)), gather(F.normalize(tile.float(), dim=-1))
    logits = scale * text @ tile.T
    if excluded is None:
        excluded = torch.zeros_like(logits, dtype=torch.bool)
    return (_cross_entropy(logits, excluded, smoothing) + _cross_entropy(logits.T, excluded.T, smoothing)) / 2


def _cross_entropy(logits: torch.Tensor, excluded: torch.Tensor, smoothing: float) -> torch.Tensor:
    log_p = logits.masked_fill(excluded, float("-inf")).log_softmax(-1)
    loss = -log_p.diagonal().mean()
    if smoothing:
        kept = ~excluded
        spread = -(log_p.masked_fill(excluded, 0.0).sum(-1) / kept.sum(-1)).mean()
        loss = (1 - smoothing) * loss + smoothing * spread
    return loss


def token_loss(tokens: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean squared error of patch tokens [B, P, W] against targets brought to unit size over the batch."""
    scaled = target.float() / target.float().pow(2).mean().sqrt().clamp(min=1e-6)
    return F.mse_loss(tokens.float(), scaled)


def dense_loss(logits: torch.Tensor, labels: torch.Tensor, positive_weight: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy per patch and channel, summed over channels and averaged over patches.

    ``logits`` and ``labels`` [B, P, C]; ``positive_weight`` [C] lifts rare kinds.
    """
    loss = F.binary_cross_entropy_with_logits(
        logits.float(), labels.float(), pos_weight=positive_weight, reduction="none"
    )
    return loss.sum(-1).mean()
