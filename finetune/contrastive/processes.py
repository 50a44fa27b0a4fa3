"""Several processes that train one model: features gathered with gradients, gradients averaged.

Every process computes the loss of the whole batch from gathered features. The backward pass of the gather adds what all
processes ask of a row, so a process's gradients are ``world`` times its rows' share of the whole, and their mean over
the processes is the gradient that one process with the whole batch would have.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

BUCKET = 16 * 2**20
"""Numbers that travel together when gradients are averaged."""
PATIENCE = timedelta(hours=2)
"""Other processes wait while the first one validates."""


@dataclass(frozen=True, kw_only=True)
class Team:
    """The processes of a run, as one of them sees it."""

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @classmethod
    def join(cls) -> Team:
        """The processes that torchrun started, or this one alone; each takes its own GPU where there are any."""
        rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        cuda = torch.cuda.is_available()
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if cuda else torch.device("cpu")
        if cuda:
            torch.cuda.set_device(device)
        if size > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if cuda else "gloo", timeout=PATIENCE)
        return cls(rank=rank, size=size, device=device)

    def gather(self, rows: torch.Tensor) -> torch.Tensor:
        """[B / size, D] of each process to [B, D] in the order of their ranks, with gradients."""
        return rows if self.size == 1 else _Gather.apply(rows)  # type: ignore[no-untyped-call]

    def share(self, rows: Any) -> Any:
        """The part of a whole batch's rows that this process computes."""
        each = len(rows) // self.size
        return rows[self.rank * each : (self.rank + 1) * each]

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Make the gradients of all processes their mean. One that no process has stays None."""
        if self.size == 1:
            return
        moved = [p for p in parameters if p.requires_grad]
        if not moved:
            return
        used = torch.tensor([p.grad is not None for p in moved], dtype=torch.int32, device=self.device)
        dist.all_reduce(used)
        for bucket in _buckets([p for p, n in zip(moved, used.tolist(), strict=True) if n]):
            flat = torch.cat([_gradient(p).reshape(-1).float() for p in bucket])
            dist.all_reduce(flat)
            flat /= self.size
            pieces = torch.split(flat, [p.numel() for p in bucket])
            for p, piece in zip(bucket, pieces, strict=True):
                p.grad = piece.view_as(p).to(p.dtype)

    def equalise(self, tensors: Iterable[torch.Tensor]) -> None:
        """Give all processes the first one's values, in place."""
        if self.size > 1:
            with torch.no_grad():
                for tensor in tensors:
                    dist.broadcast(tensor, 0)

    def wait(self) -> None:
        if self.size > 1:
            dist.barrier()

    def leave(self) -> None:
        if self.size > 1 and dist.is_initialized():
            dist.destroy_process_group()


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor) -> torch.Tensor:
        parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, rows.contiguous())
        ctx.each = len(rows)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        whole = grads[0].contiguous().clone()
        dist.all_reduce(whole)
        return whole[dist.get_rank() * ctx.each :][: ctx.each]


def _gradient(p: nn.Parameter) -> torch.Tensor:
    return torch.zeros_like(p) if p.grad is None else p.grad


def _buckets(parameters: Iterable[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
    bucket: list[nn.Parameter] = []
    for p in parameters:
        if bucket and sum(q.numel() for q in bucket) + p.numel() > BUCKET:
            yield bucket
            bucket = []
        bucket.append(p)
    if bucket:
        yield bucket
