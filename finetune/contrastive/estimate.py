"""What a recipe will take, told before it starts: memory by arithmetic, time from the device's measured speed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from finetune.contrastive.model import Dual
from finetune.contrastive.recipe import Recipe, Tower
from finetune.contrastive.sources import TRAIN, Pairs

SAVED = 17
"""Numbers that a layer keeps for its backward pass, per token and unit of width: 34 bytes in half precision
(Korthikanti et al., arXiv 2205.05198), without the attention matrix, which no kernel here keeps."""
USED = 0.4
"""The part of the device's speed at plain products of matrices that a training step is taken to reach."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    parameters: int
    learning: int
    state_bytes: int
    """Weights, gradients and Adam's two moments, in 32 bits: the same in every process."""
    activation_bytes: int
    """Of one process's share of a batch, or of a piece of it."""
    picture_bytes: int
    """The file of decoded pictures, when full."""
    steps: int
    flops: float
    """Of the whole run, all processes together."""
    flops_per_s: float
    """Of one process: measured, times :data:`USED`."""
    processes: int

    @property
    def seconds(self) -> float:
        return self.flops / (self.flops_per_s * self.processes)

    def lines(self) -> list[str]:
        memory = self.state_bytes + self.activation_bytes
        return [
            f"parameters: {self.parameters / 1e6:,.1f} M, of which {self.learning / 1e6:,.1f} M learn",
            f"memory of each process: about {_bytes(memory)} ({_bytes(self.state_bytes)} weights, gradients and "
            f"optimiser; {_bytes(self.activation_bytes)} activations)",
            f"disk: {_bytes(self.picture_bytes)} decoded pictures, {_bytes(self.state_bytes)} checkpoint",
            f"{self.steps:,} steps, {self.flops:.2e} operations: about {_time(self.seconds)} on {self.processes} "
            f"process{'es' if self.processes > 1 else ''} at {self.flops_per_s / 1e12:.2f} T operations a second each "
            f"({USED:.0%} of what this device was just measured to do)",
        ]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A tower as a stack of layers."""

    layers: int
    width: int
    tokens: int
    weights: int
    """Of its layers: embeddings only look up."""


def estimate(recipe: Recipe, dual: Dual, pairs: Pairs, *, processes: int = 1, flops_per_s: float) -> Estimate:
    """``flops_per_s`` as :func:`measured_speed` gives it."""
    shapes: dict[Tower, Shape] = {"image": image_shape(dual.model), "text": text_shape(dual.model)}
    learning = sum(p.numel() for p in dual.moved())
    parameters = sum(p.numel() for p in dual.model.parameters())
    flops, steps, most = 0.0, 0, 0
    for phase in recipe.phases:
        rows = pairs.rows(TRAIN, phase.sources)
        count = len(rows) // phase.batch * phase.epochs
        texts = float((pairs.view[rows] == "text").mean()) if len(rows) else 0.0
        parts: dict[Tower, float] = {"text": texts, "image": 2.0 - texts}
        flops += count * phase.batch * sum(n * _flops(shapes[t], dual, t, recipe) for t, n in parts.items())
        steps += count
        local = min(phase.batch // processes, recipe.piece or phase.batch)
        # In pieces one piece of one side is in memory at a time; else both sides of the batch are.
        one = {t: _activations(shapes[t], dual, t, recipe) for t, n in parts.items() if n}
        row = max(one.values()) if recipe.piece else sum(parts[t] * size for t, size in one.items())
        most = max(most, int(local * row))
    pictures = (len(pairs.tiles) + len(pairs.queries)) * 3 * dual.preprocess.size**2 if recipe.keep_pictures else 0
    return Estimate(
        parameters=parameters, learning=learning, state_bytes=4 * parameters + 12 * learning, activation_bytes=most,
        picture_bytes=pictures, steps=steps, flops=flops, flops_per_s=flops_per_s * USED, processes=processes,
    )  # fmt: skip


def _flops(shape: Shape, dual: Dual, tower: Tower, recipe: Recipe) -> float:
    """Of one row, all passes: 2 for each weight and token forward, twice that backward, and what is run again."""
    attention = 4 * shape.layers * shape.tokens**2 * shape.width
    forward = 2.0 * shape.weights * shape.tokens + attention
    if not dual.learns(tower):
        return forward / max(1, sum(p.epochs for p in recipe.phases))
    return forward * (3 + (recipe.piece is not None) + recipe.checkpoint_layers)


def _activations(shape: Shape, dual: Dual, tower: Tower, recipe: Recipe) -> int:
    if not dual.learns(tower):
        return 0
    size = 2 if recipe.precision == "bf16" else 4
    layer = SAVED * shape.tokens * shape.width * size
    if recipe.checkpoint_layers:
        return shape.layers * shape.tokens * shape.width * size + layer
    return shape.layers * layer


def image_shape(model: Any) -> Shape:
    """Of a ViT of open_clip's own or of timm's."""
    visual = model.visual
    if hasattr(visual, "trunk"):
        trunk = visual.trunk
        return Shape(
            layers=len(trunk.blocks), width=trunk.embed_dim, tokens=trunk.patch_embed.num_patches,
            weights=_weights(trunk.blocks),
        )  # fmt: skip
    grid = visual.grid_size[0] * visual.grid_size[1]
    layers = visual.transformer
    return Shape(layers=layers.layers, width=layers.width, tokens=grid + 1, weights=_weights(layers))


def text_shape(model: Any) -> Shape:
    """At full context: texts are shorter where the model lets them be trimmed."""
    tower = model.text if hasattr(model, "text") else model
    layers = tower.transformer
    weights = _weights(layers)
    return Shape(layers=layers.layers, width=layers.width, tokens=len(tower.positional_embedding), weights=weights)


def _weights(module: nn.Module) -> int:
    return sum(p.numel() for name, p in module.named_parameters() if "lora_" not in name)


def measured_speed(device: torch.device, *, bf16: bool, size: int | None = None) -> float:
    """Operations per second at a product of two square matrices: the best of a few."""
    size = size or (4096 if device.type == "cuda" else 512)
    a = torch.randn(size, size, device=device, dtype=torch.bfloat16 if bf16 else torch.float32)
    best = float("inf")
    for _ in range(4):
        _finish(device)
        began = time.perf_counter()
        a @ a
        _finish(device)
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _bytes(n: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if n < 1000:
            return f"{n:.3g} {unit}"
        n /= 1000
    return f"{n:.3g} TB"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
