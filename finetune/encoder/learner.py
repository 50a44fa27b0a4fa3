"""What a training run moves: the dual encoder, and the two towers that stay behind."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from finetune.encoder.labels import channels
from finetune.encoder.towers import DenseHead, LabelTower


@dataclass
class Learner:
    """Everything that learns, with its optimiser state: what a checkpoint holds."""

    model: Any
    labels: LabelTower
    dense: DenseHead
    label_scale: nn.Parameter = field(default_factory=lambda: nn.Parameter(torch.tensor(math.log(1 / 0.07))))

    @classmethod
    def new(cls, model: Any, *, cells: int, seed: int) -> Learner:
        torch.manual_seed(seed)
        width, dim = model.visual.transformer.width, model.visual.proj.shape[1]
        count = len(channels())
        labels = LabelTower(cells=cells, channels=count, width=width, dim=dim)
        return cls(model, labels, DenseHead(width=width, channels=count))

    def parameters(self, stage: str) -> list[nn.Parameter]:
        """What one stage moves."""
        image = [*self.model.visual.parameters(), *self.dense.parameters()]
        text = [p for name, p in self.model.named_parameters() if not name.startswith("visual.")]
        if stage == "words":
            text = [p for p in text if p is not self.model.logit_scale]
            return [*text, *self.labels.parameters(), self.label_scale]
        if stage == "read":
            return text
        return image if stage in ("see", "look") else [*image, *text]

    def state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "labels": self.labels.state_dict(),
            "dense": self.dense.state_dict(),
            "label_scale": self.label_scale.detach(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.labels.load_state_dict(state["labels"])
        self.dense.load_state_dict(state["dense"])
        self.label_scale.data.copy_(state["label_scale"])
