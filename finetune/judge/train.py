"""Training the judge, stage by stage; each stage continues from the last one's checkpoint.

``text``: look claims up in a true listing, no pictures. ``dense``: the vision tower learns what lies in each visual
token. ``joint``: pictures to listings, claims on top, dense labels beside. ``lora``: the adapter learns verdicts and
explanations on listings that the base model wrote itself.

A stage runs for a number of samples or of minutes, writes ``<run>/<stage>.pt`` every few minutes and goes on from it
after an interruption; ``<run>/log.jsonl`` has one line per report.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from finetune.judge.batching import batch, patches
from finetune.judge.encode import IGNORE, STANCE_WEIGHT, VERDICT_WEIGHT, Encoded
from finetune.judge.heat import blank
from finetune.judge.spec import GRID, MERGE, PATCH, SIDE, VISUAL_TOKENS
from finetune.judge.store import Pictures
from finetune.judge.turns import Turned, draw_turn, turn_grid

Draw = Callable[[random.Random], Encoded]
"""Makes one training sample."""


@dataclass(kw_only=True)
class Stage:
    name: str
    samples: int
    minutes: float
    batch_size: int
    lr: float
    dense_weight: float = 0.0
    warmup: int = 100
    max_tokens: int = 420
    """Longer samples are drawn again: rare, and they would cost the whole batch their length."""
    seed: int = 0


@dataclass(kw_only=True)
class Meter:
    """Running means since the last report."""

    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, value: float, n: int = 1) -> None:
        self.sums[name] = self.sums.get(name, 0.0) + value
        self.counts[name] = self.counts.get(name, 0) + n

    def flush(self) -> dict[str, float]:
        out = {k: round(self.sums[k] / max(1, self.counts[k]), 4) for k in self.sums}
        self.sums.clear()
        self.counts.clear()
        return out


class Trainer:
    """One model, one run folder.

    ``model`` is a ``Qwen3VLForConditionalGeneration`` (or its peft wrapper); ``head`` maps a visual token to the
    logits of ``K`` kinds; ``pictures [N, 224, 224, 3]`` and ``dense [N, 49, K]`` are rows of the tile store.
    ``side``: pixels that the model sees a tile at; the dense head fits 224 alone.
    """

    def __init__(
        self,
        model: Any,
        head: nn.Linear,
        pictures: Pictures,
        dense: np.ndarray,
        run: Path,
        pad_id: int,
        *,
        side: int = SIDE,
    ):
        self.side = side
        self.model, self.head, self.pictures, self.dense, self.run, self.pad_id = (
            model,
            head,
            pictures,
            dense,
            run,
            pad_id,
        )
        self.inner = model.get_base_model() if hasattr(model, "get_base_model") else model
        self.meter = Meter()
        self._at = 0
        self._pool: tuple[tuple[str, int], list[list[Encoded]]] | None = None
        run.mkdir(parents=True, exist_ok=True)

    def fit(self, stage: Stage, draw: Draw | None, rows: np.ndarray, evaluate: Callable[[], dict[str, float]]) -> None:
        """Run a stage to its end, or go on with it. ``draw=None`` trains the vision tower on dense labels alone."""
        params = [p for p in (*self.model.parameters(), *self.head.parameters()) if p.requires_grad]
        optimiser = torch.optim.AdamW(params, lr=stage.lr, weight_decay=0.02, betas=(0.9, 0.98))
        seen, spent, ended = self._resume(stage, optimiser)
        if ended:
            return
        total = max(1, stage.samples // stage.batch_size)
        started = reported = saved = time.monotonic()
        while seen < stage.samples and spent + time.monotonic() - started < stage.minutes * 60:
            step = seen // stage.batch_size
            done = max(step / total, (spent + time.monotonic() - started) / (stage.minutes * 60))
            for group in optimiser.param_groups:
                group["lr"] = stage.lr * min(1.0, (step + 1) / stage.warmup) * (0.02 + 0.98 * _cosine(done))
            self._at = step
            self._step(stage, draw, rows, random.Random(f"{stage.name}:{stage.seed}:{step}"))
            torch.nn.utils.clip_grad_norm_(params, 1.0)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            seen += stage.batch_size
            now = time.monotonic()
            if now - reported > 60:
                self._report(stage, seen, spent + now - started, {})
                reported = now
            if now - saved > 300:
                self._save(stage, optimiser, seen, spent + now - started)
                self._report(stage, seen, spent + now - started, evaluate())
                saved = reported = time.monotonic()
        self._save(stage, optimiser, seen, spent + time.monotonic() - started, final=True)
        self._report(stage, seen, spent + time.monotonic() - started, evaluate())

    def _step(self, stage: Stage, draw: Draw | None, rows: np.ndarray, rng: random.Random) -> None:
        if draw is None:
            images = [(int(rows[rng.randrange(len(rows))]), draw_turn(rng)) for _ in range(stage.batch_size)]
            _descend(self._dense_loss(self.see(images).pooler_output, images))
            return
        items = self._next_batch(stage, draw)
        _descend(self.loss(items, dense_weight=stage.dense_weight))

    def _next_batch(self, stage: Stage, draw: Draw) -> list[Encoded]:
        """Batches of like length: eight are drawn at once, sorted and shuffled, always the same at the same step."""
        round_, place = divmod(self._at, _ROUND)
        if self._pool is None or self._pool[0] != (stage.name, round_):
            rng = random.Random(f"{stage.name}:{stage.seed}:round {round_}")
            items = [_short(draw, rng, stage.max_tokens) for _ in range(_ROUND * stage.batch_size)]
            items.sort(key=lambda e: len(e.ids))
            batches = [items[i : i + stage.batch_size] for i in range(0, len(items), stage.batch_size)]
            rng.shuffle(batches)
            self._pool = ((stage.name, round_), batches)
        return self._pool[1][place]

    def see(self, images: list[Turned]) -> Any:
        """The vision tower's output for rows of the tile store, each turned as asked."""
        pixels = patches(self._pictures(images)).to(self.inner.device)
        across = self.side // PATCH
        grid = torch.tensor([[1, across, across]] * len(images), device=pixels.device)
        return self.inner.model.get_image_features(pixels, grid, return_dict=True)

    def _pictures(self, images: list[Turned]) -> np.ndarray:
        """Rows of the store; a negative row is a blank picture of that shade (see ``finetune.judge.heat``)."""
        found = [turn_grid(self.pictures[i], turn) if i >= 0 else blank(i) for i, turn in images]
        return np.stack([scaled(picture, self.side) for picture in found])

    def loss(self, items: list[Encoded], *, dense_weight: float = 0.0) -> torch.Tensor:
        """Weighted next-token loss on the labelled positions, plus the dense loss of the pictures."""
        device = self.inner.device
        data = {k: v.to(device) for k, v in batch(items, self.pad_id, grid=self.side // (PATCH * MERGE)).items()}
        images = [picture for e in items for picture in e.pictures]
        extra: dict[str, Any] = {}
        dense = torch.zeros((), device=device)
        if images:
            seen = self.see(images)
            extra = {"mm_encoder_outputs": {"image": seen}}
            if dense_weight:
                dense = self._dense_loss(seen.pooler_output, images)
        hidden = self.inner.model(
            input_ids=data["ids"], position_ids=data["positions"], use_cache=False, **extra
        ).last_hidden_state
        labelled = data["labels"] != IGNORE
        logits = self.inner.lm_head(hidden[labelled]).float()
        target, weight = data["labels"][labelled], data["weights"][labelled]
        each = nn.functional.cross_entropy(logits, target, reduction="none")
        other, doubt = data["others"][labelled], data["doubts"][labelled]
        unsure = doubt > 0
        if unsure.any():
            second = nn.functional.cross_entropy(logits[unsure], other[unsure], reduction="none")
            each = each.masked_scatter(unsure, torch.lerp(each[unsure], second, doubt[unsure]))
        self._count(logits, target, weight, each)
        return (each * weight).sum() / weight.sum() + dense_weight * dense

    def _count(self, logits: torch.Tensor, target: torch.Tensor, weight: torch.Tensor, each: torch.Tensor) -> None:
        right = logits.argmax(-1) == target
        for name, value in (("answer", 1.0), ("stance", STANCE_WEIGHT), ("verdict", VERDICT_WEIGHT)):
            chosen = weight == value
            self.meter.add(f"{name}_acc", float(right[chosen].sum()), int(chosen.sum()))
            self.meter.add(f"{name}_loss", float(each[chosen].detach().sum()), int(chosen.sum()))

    def _dense_loss(self, features: Any, images: list[Turned]) -> torch.Tensor:
        """Balanced binary cross-entropy over ``[B, 49, K]``: rare kinds count as much as streets."""
        logits = self.head(torch.cat(list(features)).view(len(images), VISUAL_TOKENS, -1)).float()
        labels = [self._labels(i, turn) if i >= 0 else np.zeros_like(self.dense[0]) for i, turn in images]
        target = torch.from_numpy(np.stack(labels)).float()
        loss = nn.functional.binary_cross_entropy_with_logits(logits, target, pos_weight=torch.tensor(4.0))
        with torch.no_grad():
            hit = (logits > 0.7) & (target > 0)
            self.meter.add("dense_recall", float(hit.sum()), int(target.sum()))
            self.meter.add("dense_precision", float(hit.sum()), int((logits > 0.7).sum()))
            self.meter.add("dense_loss", float(loss))
        return loss * 20.0

    def _labels(self, row: int, turn: int) -> np.ndarray:
        grid = self.dense[row].reshape(GRID, GRID, -1)
        return turn_grid(grid, turn).reshape(VISUAL_TOKENS, -1)

    def _report(self, stage: Stage, seen: int, seconds: float, extra: dict[str, float]) -> None:
        line = {"stage": stage.name, "samples": seen, "minutes": round(seconds / 60, 2), **self.meter.flush(), **extra}
        with (self.run / "log.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)

    def weights(self) -> dict[str, torch.Tensor]:
        """What a checkpoint holds of the model."""
        return dict(self.model.state_dict().items())

    def load_weights(self, weights: dict[str, torch.Tensor]) -> None:
        """Back from a checkpoint."""
        self.model.load_state_dict(weights)

    def _save(self, stage: Stage, optimiser: Any, seen: int, seconds: float, *, final: bool = False) -> None:
        path = self.run / f"{stage.name}.pt"
        state = {
            "model": self.weights(),
            "head": self.head.state_dict(),
            "optimiser": None if final else optimiser.state_dict(),
            "seen": seen,
            "seconds": seconds,
            "final": final,
        }
        torch.save(state, path.with_suffix(".tmp"))
        path.with_suffix(".tmp").rename(path)

    def _resume(self, stage: Stage, optimiser: Any) -> tuple[int, float, bool]:
        """Samples seen, seconds spent, and whether the stage came to its end."""
        path = self.run / f"{stage.name}.pt"
        if not path.exists():
            return 0, 0.0, False
        state = torch.load(path, weights_only=True)
        self.load_weights(state["model"])
        self.head.load_state_dict(state["head"])
        if not state["final"]:
            optimiser.load_state_dict(state["optimiser"])
        return state["seen"], state["seconds"], state["final"]


def _descend(loss: Any) -> None:
    loss.backward()


_ROUND = 8


def _short(draw: Draw, rng: random.Random, most: int) -> Encoded:
    encoded = draw(rng)
    for _ in range(20):
        if len(encoded.ids) <= most:
            break
        encoded = draw(rng)
    return encoded


def scaled(picture: np.ndarray, side: int) -> np.ndarray:
    """``[side, side, 3] uint8`` of a square picture of any size."""
    if picture.shape[0] == side:
        return picture
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(picture)).resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(image)


def _cosine(done: float) -> float:
    return float(0.5 * (1 + np.cos(np.pi * min(1.0, done))))
