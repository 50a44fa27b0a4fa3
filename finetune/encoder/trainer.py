"""The training loop of the dual encoder, in stages.

``see``: image tower alone, by dense labels (needs no text).
``words``: text tower against the label tower (no pixels, so it is quick).
``look``: image tower alone, by dense labels and by the label tower's vectors of the same tiles.
``look`` can also learn from rendered views (:mod:`finetune.encoder.sights`): overhead pictures by the same labels and
the label tower's tokens, and pictures of any kind to the overhead picture of their place.
``read``: text tower against the finished image tower, whose vectors are computed once and kept.
``join``: text and image towers against each other, dense labels beside.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from finetune.encoder.bank import Bank, Rows, Sampler, places
from finetune.encoder.learner import Learner
from finetune.encoder.loss import contrastive_loss, dense_loss, excluded_pairs, token_loss
from finetune.encoder.sights import Sights
from finetune.encoder.towers import patch_tokens
from finetune.encoder.validate import embed_tiles, validate, validate_views
from retriever.encoder import BoxResize
from retriever.errors import SourceError
from retriever.models import write_atomic

MAX_SCALE = 100.0


@dataclass(frozen=True, kw_only=True)
class Stage:
    name: Literal["see", "words", "look", "read", "join"]
    steps: int
    batch: int
    lr: float
    warmup: int = 100
    same_area: float = 0.0
    """Part of each batch drawn from one area: hard negatives."""
    dense: float = 1.0
    """Weight of the dense loss."""
    token: float = 3.0
    """Weight of the label tower's tokens as targets (stage ``look``)."""
    views: int = 0
    """Rendered sets of a step (stage ``look``)."""
    smoothing: float = 0.0
    floor: float = 0.02
    """Where the cosine schedule ends, as a part of ``lr``."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    stages: tuple[Stage, ...]
    seed: int = 0
    weight_decay: float = 0.05
    clip: float = 1.0
    validate_every: int = 500
    checkpoint_s: float = 180.0

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Recipe:
        """Raises ``TypeError`` for a field that there is not."""
        return cls(**{**data, "stages": tuple(Stage(**stage) for stage in data["stages"])})


class Trainer:
    """Runs a recipe; every file it writes lies in ``out``: log.jsonl, last.pt, best.pt."""

    def __init__(
        self,
        learner: Learner,
        bank: Bank,
        held: Bank,
        preprocess: BoxResize,
        recipe: Recipe,
        out: Path,
        sights: Mapping[str, Sights] | None = None,
    ) -> None:
        self.learner, self.bank, self.held, self.preprocess = learner, bank, held, preprocess
        self.recipe, self.out = recipe, out
        self.sights = sights or {}
        """Rendered views by split."""
        if any(stage.views for stage in recipe.stages) and not self.sights:
            raise SourceError("the recipe learns from rendered views: give them with --sights")
        self.best = -1.0
        self.stage, self.step = 0, 0
        self._weight = positive_weight(bank)
        self._saved = time.monotonic()
        out.mkdir(parents=True, exist_ok=True)

    def run(self, on_step: Callable[[Stage, int, float], None] | None = None) -> None:
        """All stages from where the last checkpoint stands."""
        pending = self.resume()
        while self.stage < len(self.recipe.stages):
            stage = self.recipe.stages[self.stage]
            if stage.name == "look" and self.step == 0:
                self.learner.labels.hand_over(self.learner.model.visual)
                self.learner.model.logit_scale.data.copy_(self.learner.label_scale.data)
            optimiser = self._optimiser(stage)
            if pending:
                optimiser.load_state_dict(pending)
            pending = None
            self._run_stage(stage, optimiser, on_step)
            self.stage, self.step = self.stage + 1, 0
            self.save(None)

    def _run_stage(
        self, stage: Stage, optimiser: torch.optim.Optimizer, on_step: Callable[[Stage, int, float], None] | None
    ) -> None:
        seed = self.recipe.seed * 100 + self.stage
        sampler = Sampler(
            self.bank, batch=stage.batch, seed=seed, same_area=stage.same_area, described=stage.name != "see"
        )
        moved = [p for group in optimiser.param_groups for p in group["params"]]
        while self.step < stage.steps:
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(stage, self.step)
            losses = self.losses(stage, *sampler.rows(self.step))
            total = torch.stack(list(losses.values())).sum()
            optimiser.zero_grad(set_to_none=True)
            total.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(moved, self.recipe.clip)
            optimiser.step()
            self.step += 1
            self._after(stage, {k: float(v.detach()) for k, v in losses.items()}, optimiser)
            if on_step:
                on_step(stage, self.step, float(total.detach()))

    def _after(self, stage: Stage, losses: dict[str, float], optimiser: torch.optim.Optimizer) -> None:
        if not all(math.isfinite(v) for v in losses.values()):
            raise FloatingPointError(
                f"the loss is {losses} at step {self.step} of {stage.name}: lower the learning rate"
            )
        if self.step % 20 == 0:
            self.log(losses)
        last = self.step == stage.steps
        if stage.name != "see" and (last or self.step % self.recipe.validate_every == 0):
            self.check(stage)
        if last or time.monotonic() - self._saved > self.recipe.checkpoint_s:
            self.save(optimiser)

    @cached_property
    def seen_tiles(self) -> NDArray[np.float32]:
        """[N, D] vectors of all training tiles by the image tower as it is when first asked for."""
        model = self.learner.model.eval()
        with torch.inference_mode():
            vectors = embed_tiles(model, self.bank, np.arange(len(self.bank)), self.preprocess)
        model.train()
        return vectors

    def losses(self, stage: Stage, tiles: Rows, texts: Rows) -> dict[str, torch.Tensor]:
        """The terms of one step, each already weighted."""
        with torch.autocast("cpu", dtype=torch.bfloat16):
            if stage.name == "read":
                text = self.bank.texts.encode(self.learner.model, texts)
                image = torch.from_numpy(self.seen_tiles[tiles])
                return {"read": self._contrast(stage, text, image, self.learner.model.logit_scale, tiles, texts)}
            if stage.name == "words":
                label = self.learner.labels(self.bank.dense(tiles))
                text = self.bank.texts.encode(self.learner.model, texts)
                return {"words": self._contrast(stage, text, label, self.learner.label_scale, tiles, texts)}
            with patch_tokens(self.learner.model) as seen:
                image = self.learner.model.encode_image(self.bank.pixels(tiles, self.preprocess))
            labels = self.bank.dense(tiles)
            out = {"dense": stage.dense * dense_loss(self.learner.dense(seen[0]), labels, self._weight)}
            if stage.name == "see":
                return out
            if stage.name == "look":
                with torch.no_grad():
                    target, tokens = self.learner.labels(labels), self.learner.labels.tokens(labels)
                out["token"] = stage.token * token_loss(seen[0], tokens)
                out["tell"] = self._contrast(stage, target, image, self.learner.label_scale.detach(), tiles, texts)
                return {**out, **self._views(stage)} if stage.views else out
            text = self.bank.texts.encode(self.learner.model, texts)
            out["join"] = self._contrast(stage, text, image, self.learner.model.logit_scale, tiles, texts)
            return out

    def _views(self, stage: Stage) -> dict[str, torch.Tensor]:
        """Terms of the rendered views: what the map has in the overhead picture, and which picture is of its place."""
        sights, model = self.sights["train"], self.learner.model
        rows, views, rng = sights.draw(stage.views, self.recipe.seed * 100 + self.stage, self.step)
        labels = sights.dense(rows)
        with patch_tokens(model) as seen:
            above = model.encode_image(sights.overhead(rows, self.preprocess))
        with torch.no_grad():
            target, tokens = self.learner.labels(labels), self.learner.labels.tokens(labels)
        centre, area = torch.from_numpy(sights.centre[rows]), torch.from_numpy(sights.area[rows])
        scale = self.learner.label_scale.detach().exp().clamp(max=MAX_SCALE)
        asked, shown = model.encode_image(sights.matched(rows, views, self.preprocess, rng)).chunk(2)
        beside = excluded_pairs(torch.from_numpy(sights.point[rows]), centre, area)
        return {
            "sky_dense": stage.dense * dense_loss(self.learner.dense(seen[0]), labels, self._weight),
            "sky_token": stage.token * token_loss(seen[0], tokens),
            "sky_tell": contrastive_loss(target, above, scale, excluded_pairs(centre, centre, area)),
            "views": contrastive_loss(asked, shown, scale, beside),
        }

    def _contrast(
        self, stage: Stage, text: torch.Tensor, tile: torch.Tensor, scale: torch.Tensor, tiles: Rows, texts: Rows
    ) -> torch.Tensor:
        excluded = excluded_pairs(**places(self.bank, tiles, texts))
        limit = scale.exp().clamp(max=MAX_SCALE)
        return contrastive_loss(text, tile, limit, excluded, smoothing=stage.smoothing)

    def check(self, stage: Stage) -> dict[str, Any]:
        """Validate; keep the model where its mean contains@10 is the best so far.

        In stage ``words`` the tiles' vectors come from their labels: no such model is kept.
        """
        model, held = self.learner.model.eval(), self.held
        if stage.name == "words":
            found = validate(model, held, lambda rows: self.label_vectors(held, rows))
        else:
            found = validate(model, held, lambda rows: embed_tiles(model, held, rows, self.preprocess))
        if stage.views:
            found["views"] = validate_views(model, self.sights["validation"], self.preprocess)
        model.train()
        self.log({"validation": found})
        if stage.name != "words" and found["mean"]["contains@10"] > self.best:
            self.best = found["mean"]["contains@10"]
            _save(self.out / "best.pt", {"model": self.learner.model.state_dict(), "metrics": found, "at": self._at()})
        return found

    def label_vectors(self, bank: Bank, rows: Rows) -> NDArray[np.float32]:
        """[N, D] unit vectors of tiles by the label tower, which reads what the map has in place of pixels."""
        vectors = nn.functional.normalize(self.learner.labels(bank.dense(rows)).float(), dim=-1)
        return np.asarray(vectors.numpy(), np.float32)

    def log(self, entry: Mapping[str, Any]) -> None:
        line = {**self._at(), "time": round(time.time(), 1), **entry}
        with (self.out / "log.jsonl").open("a", encoding="utf-8") as f:
            f.write(json.dumps(line) + "\n")

    def _at(self) -> dict[str, Any]:
        stages = self.recipe.stages
        return {"stage": stages[min(self.stage, len(stages) - 1)].name, "step": self.step}

    def save(self, optimiser: torch.optim.Optimizer | None) -> None:
        """Write last.pt; with no optimiser the next stage starts fresh."""
        state = {**self.learner.state(), "stage": self.stage, "step": self.step, "best": self.best}
        state["data"] = self.bank.sha256
        state["optimiser"] = optimiser.state_dict() if optimiser else None
        _save(self.out / "last.pt", state)
        self._saved = time.monotonic()

    def resume(self) -> dict[str, Any] | None:
        """Take up last.pt where there is one; returns the optimiser's state."""
        path = self.out / "last.pt"
        if not path.exists():
            return None
        state = torch.load(path, weights_only=True)
        self.learner.restore(state)
        self.stage, self.step, self.best = state["stage"], state["step"], state["best"]
        optimiser: dict[str, Any] | None = state["optimiser"]
        return optimiser

    def _optimiser(self, stage: Stage) -> torch.optim.Optimizer:
        moved = self.learner.parameters(stage.name)
        groups = [
            {"params": [p for p in moved if p.ndim >= 2], "weight_decay": self.recipe.weight_decay},
            {"params": [p for p in moved if p.ndim < 2], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=stage.lr, betas=(0.9, 0.98), eps=1e-6)


def learning_rate(stage: Stage, step: int) -> float:
    """Linear warm-up, then a cosine down to ``floor``."""
    if step < stage.warmup:
        return stage.lr * (step + 1) / stage.warmup
    done = (step - stage.warmup) / max(1, stage.steps - stage.warmup)
    return stage.lr * (stage.floor + (1 - stage.floor) * 0.5 * (1 + math.cos(math.pi * done)))


def positive_weight(bank: Bank, sample: int = 1000) -> torch.Tensor:
    """[channels] weights of the dense loss's positives: rarer kinds weigh more, up to 12."""
    rows = np.linspace(0, len(bank) - 1, min(sample, len(bank))).astype(np.int64)
    part = bank.dense(rows).float().mean((0, 1)).clamp(1e-6, 0.5)
    return ((1 - part) / part).pow(0.4).clamp(1.0, 12.0)


def _save(path: Path, state: Mapping[str, Any]) -> None:
    import io

    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    write_atomic(path, buffer.getvalue())
