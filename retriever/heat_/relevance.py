"""The relevance rule itself, batched, for one row of the relevance matrix.

Chefer, Gur and Wolf, Generic Attention-model Explainability (ICCV 2021, arXiv 2103.15679), as CrossText2Loc's
Explainable Retrieval Module uses it: with A_l the attention of layer l and s the similarity,

    A'_l = mean over heads of max(0, ds/dA_l * A_l),    R <- R + A'_l R,    R = I before the first layer.

Only the pooled token's row of R is wanted, so a row vector goes back from the last layer instead of a matrix forward:
the same numbers in O(N^2) per layer instead of O(N^3).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from retriever.errors import ModelError
from retriever.heat_.tape import Tape
from retriever.heat_.towers import Tower

Layers = tuple[int | None, int | None]
"""A range of layers as a slice has it: ``(None, None)`` is all, ``(-1, None)`` the last (CrossText2Loc's choice)."""


def chosen(tower: Tower, layers: Layers, what: str) -> range:
    """The self-attention layers of a range. Raises ``ModelError`` where the range holds none."""
    found = range(tower.layers)[slice(*layers)]
    if not found:
        raise ModelError(f"the {what} tower has {tower.layers} layers of attention, of which {layers} chooses none")
    return found


def tape_for(tower: Tower, layers: range) -> Tape:
    """A tape that keeps these layers and the pools."""
    return Tape(lambda call: call in layers or call in tower.pools, mean_at=tower.layers if tower.mean else None)


def rows(tower: Tower, layers: range, tape: Tape, grads: Mapping[int, Tensor]) -> Tensor:
    """Relevance of every token for the pooled vector: float32 [B, N], 0 or more."""
    last = tape.kept[tower.pools[-1] if tower.pools else layers[-1]]
    start = tower.start(last.shape[-2]).to(last.device).expand(last.shape[0], -1)
    row = start
    for call in reversed(tower.pools):
        row = _times(row, _weigh(tape.kept[call], grads[call]))
    for call in reversed(layers):
        weighed = _weigh(tape.kept[call], grads[call])
        # A pool may leave out the class tokens that the layers carry.
        row = torch.nn.functional.pad(row, (weighed.shape[-1] - row.shape[-1], 0))
        row = row + _times(row, weighed)
    # Without a pool, what a token is by itself (the identity in R) is the same for all and says nothing.
    return row if tower.pools else row - start


def _weigh(attention: Tensor, grad: Tensor) -> Tensor:
    """A' [B, Q, K] from [B, H, Q, K]"""
    return (attention.detach() * grad).clamp(min=0).mean(1).float()


def _times(row: Tensor, matrix: Tensor) -> Tensor:
    return torch.einsum("bq,bqk->bk", row, matrix)
