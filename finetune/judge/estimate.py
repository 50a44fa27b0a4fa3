"""What tuning a large judge takes, from its configuration alone: memory and time, before any weight is loaded.

Rules of thumb, stated so that they can be checked: bf16 weights stand once; adapter weights with gradients and Adam's
two moments take 16 bytes each; with checkpointing each layer keeps its input and one layer its insides (about 34 times
the width per token); the logits stand in fp32 for the answer's tokens, three times. One step costs 6 floating-point
operations per parameter and token (8 with checkpointing) and runs at a third of the device's peak.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import torch

from finetune.judge.large import LargeRecipe
from finetune.judge.spec import LORA_TARGETS
from retriever.errors import ModelError

PEAK = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12, "A10": 125e12, "T4": 65e12}
"""Dense bf16 (T4: fp16) operations per second by a part of the device's name."""
CPU_PEAK = 50e9
"""Per core, assumed."""
SHARE = 1 / 3
ANSWER_SHARE = 0.4
INSIDES = 34


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a run would take on one device: parameters by number, memory in gigabytes, time in hours."""

    parameters: int
    adapter: int
    gigabytes: float
    available_gb: float
    hours: float
    """Of both stages, at most what their limits in minutes allow."""
    device: str

    @property
    def fits(self) -> bool:
        return self.gigabytes <= self.available_gb

    def lines(self) -> list[str]:
        """For the screen."""
        return [
            f"base {self.parameters / 1e9:.3g} billion parameters, adapter {self.adapter / 1e6:.3g} million",
            f"memory about {self.gigabytes:.1f} GB of {self.available_gb:.0f} GB on {self.device}",
            f"time about {self.hours:.1f} hours (both stages, within their limits), at a third of the device's peak",
        ]


def estimate(recipe: LargeRecipe, source: str | Path, *, device: str) -> Estimate:
    """From the base's configuration; the model is only made on torch's ``meta`` device."""
    from transformers import AutoConfig, AutoModelForImageTextToText

    try:
        config = AutoConfig.from_pretrained(source, revision=recipe.revision)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"the configuration of {source} cannot be read ({type(error).__name__}): name its folder as base"
        ) from None
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    parameters = sum(p.numel() for p in model.parameters())
    targets = re.compile(LORA_TARGETS)
    adapter = sum(
        recipe.lora["r"] * (m.in_features + m.out_features)
        for name, m in model.named_modules()
        if isinstance(m, torch.nn.Linear) and targets.fullmatch(name)
    )
    text = config.get_text_config()
    width, layers, vocab = text.hidden_size, text.num_hidden_layers, text.vocab_size
    per_weight = torch.finfo(getattr(torch, recipe.dtype)).bits // 8
    most = max(s["batch_size"] * s["max_tokens"] for s in recipe.stages.values())
    kept = (layers + INSIDES) if recipe.checkpointing else layers * INSIDES
    memory = parameters * per_weight + adapter * 16 + most * width * kept * per_weight
    memory += int(most * ANSWER_SHARE) * vocab * 4 * 3
    name, peak, room = _device(device)
    factor = 8 if recipe.checkpointing else 6
    hours = 0.0
    for stage in recipe.stages.values():
        work = stage["samples"] * stage["max_tokens"] * 0.6 * factor * parameters
        hours += min(work / (peak * SHARE) / 3600, stage["minutes"] / 60)
    return Estimate(
        parameters=parameters,
        adapter=adapter,
        gigabytes=memory / 1e9,
        available_gb=room / 1e9,
        hours=hours,
        device=name,
    )


def _device(device: str) -> tuple[str, float, float]:
    """Name, operations per second, bytes."""
    if device.startswith("cuda"):
        found = torch.cuda.get_device_properties(0)
        peak = next((v for k, v in PEAK.items() if k in found.name), 100e12)
        return found.name, peak, float(found.total_memory)
    cores = torch.get_num_threads()
    return f"{cores} CPU cores", CPU_PEAK * cores, float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
