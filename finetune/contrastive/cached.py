"""One step's loss and gradients, the whole batch at once or in pieces of bounded memory.

Gradient caching (Gao et al., arXiv 2101.06983): the features of all pieces are computed without a graph, the loss and
its gradient with respect to the features come from them, and then each piece is run again with a graph and given its
rows of that gradient. The gradients are those of the whole batch; the price is a second forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Features [B, D] of the queries and [B, D] of their tiles to a scalar."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """The queries or the tiles of a batch, in pieces."""

    pieces: Sequence[Any]
    encode: Callable[[Any], torch.Tensor]
    """A piece to its features [b, D]."""
    order: torch.Tensor
    """int64 [B]: where row i of the batch lies in the pieces, one after another."""
    learns: Sequence[bool]
    """For each piece, whether any gradient flows into what encodes it."""

    def features(self) -> torch.Tensor:
        """[B, D], with a graph through the pieces that learn."""
        out = []
        for piece, learns in zip(self.pieces, self.learns, strict=True):
            with torch.set_grad_enabled(learns):
                out.append(self.encode(piece))
        return torch.cat(out)[self.order.to(out[0].device)]


def backward(query: Side, tile: Side, loss: Loss, *, cached: bool) -> float:
    """Add the gradients of ``loss`` to the parameters; returns the loss."""
    if not cached:
        value = loss(query.features(), tile.features())
        if value.requires_grad:
            value.backward()  # type: ignore[no-untyped-call]
        return float(value.detach())
    states: list[list[Any]] = []
    leaves = []
    for side in (query, tile):
        with torch.no_grad():
            parts, seen = zip(*(_noted(side, piece) for piece in side.pieces), strict=True)
        states.append(list(seen))
        leaves.append(torch.cat(parts)[side.order.to(parts[0].device)].detach().requires_grad_())
    value = loss(*leaves)
    value.backward()  # type: ignore[no-untyped-call]
    for side, leaf, state in zip((query, tile), leaves, states, strict=True):
        _again(side, leaf, state)
    return float(value.detach())


def _noted(side: Side, piece: Any) -> tuple[torch.Tensor, Any]:
    """A piece's features and the state of the random numbers (dropout) that they were made with."""
    state = _random_state()
    return side.encode(piece), state


def _again(side: Side, leaf: torch.Tensor, states: Sequence[Any]) -> None:
    assert leaf.grad is not None
    # Row order[i] of the pieces is row i of the batch.
    wanted = torch.empty_like(leaf.grad)
    wanted[side.order.to(leaf.device)] = leaf.grad
    start = 0
    for piece, learns, state in zip(side.pieces, side.learns, states, strict=True):
        size = _rows(piece)
        if learns:
            with _replayed(state):
                features = side.encode(piece)
            torch.autograd.backward(features, wanted[start : start + size].to(features.dtype))
        start += size


def _rows(piece: Any) -> int:
    return len(piece[0] if isinstance(piece, tuple) else piece)


def _random_state() -> Any:
    return torch.get_rng_state(), torch.cuda.get_rng_state() if torch.cuda.is_available() else None


@contextmanager
def _replayed(state: Any) -> Iterator[None]:
    """The random numbers of the first pass again, and afterwards those that were next."""
    with torch.random.fork_rng():
        torch.set_rng_state(state[0])
        if state[1] is not None:
            torch.cuda.set_rng_state(state[1])
        yield
