"""The training loop: phases, epochs, steps; validation by area; everything that a stopped run needs to go on.

A run's folder: log.jsonl, last.pt (where it stands), best.pt (the weights that did best on the validation places),
pictures/ (decoded once), bundle/ (at the end), curves.png and curves.html.
"""

from __future__ import annotations

import io
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from finetune.contrastive.batches import Progress, Reader
from finetune.contrastive.cached import backward
from finetune.contrastive.model import Dual
from finetune.contrastive.negatives import NONE, Rows, by_distance, by_similarity, excluded
from finetune.contrastive.processes import Team
from finetune.contrastive.recipe import Phase, Recipe
from finetune.contrastive.sampling import Sampler
from finetune.contrastive.sources import HELD, TRAIN, Pairs
from finetune.contrastive.validate import validate
from finetune.encoder.loss import contrastive_loss
from retriever.errors import ModelError
from retriever.models import write_atomic

MAX_SCALE = 100.0


class Trainer:
    """Runs a recipe on one process of a team; only the first one writes."""

    def __init__(self, recipe: Recipe, dual: Dual, pairs: Pairs, reader: Reader, out: Path, team: Team) -> None:
        self.recipe, self.dual, self.pairs, self.reader = recipe, dual, pairs, reader
        self.out, self.team = out, team
        self.phase, self.epoch, self.step = 0, 0, 0
        self.best = -1.0
        self.seconds = 0.0
        self._moved = dual.moved()
        self._saved = time.monotonic()
        self._optimiser: torch.optim.Optimizer | None = None
        if team.rank == 0:
            out.mkdir(parents=True, exist_ok=True)
        self._samplers = [
            Sampler(pairs, pairs.rows(TRAIN, phase.sources), phase, seed=recipe.seed * 1000 + number)
            for number, phase in enumerate(recipe.phases)
        ]
        for phase in recipe.phases:
            if phase.batch % team.size:
                raise ModelError(f"a batch of {phase.batch} cannot be shared by {team.size} processes: change either")

    @property
    def steps(self) -> int:
        """Of the whole run."""
        return sum(s.steps * p.epochs for s, p in zip(self._samplers, self.recipe.phases, strict=True))

    @property
    def done(self) -> int:
        """Steps of the run up to here."""
        before = zip(self._samplers[: self.phase], self.recipe.phases, strict=False)
        now = self._samplers[self.phase].steps * self.epoch if self.phase < len(self._samplers) else 0
        return sum(s.steps * p.epochs for s, p in before) + now + self.step

    def run(self, on_step: Progress | None = None) -> None:
        """All phases from where the last checkpoint stands."""
        state = self.resume()
        self.team.equalise([*self.dual.model.parameters(), *self.dual.model.buffers()])
        self.dual.model.train()
        while self.phase < len(self.recipe.phases):
            phase, sampler = self.recipe.phases[self.phase], self._samplers[self.phase]
            self._optimiser = self._new_optimiser(phase)
            if state and state["optimiser"]:
                self._optimiser.load_state_dict(state["optimiser"])
                sampler.pool = state["pool"].numpy() if state["pool"] is not None else None
            state = None
            while self.epoch < phase.epochs:
                self._run_epoch(phase, sampler, on_step)
                self.epoch, self.step = self.epoch + 1, 0
                self.check()
                self.save()
            self.phase, self.epoch = self.phase + 1, 0
            self._optimiser = None
            self.save()

    def _run_epoch(self, phase: Phase, sampler: Sampler, on_step: Progress | None) -> None:
        assert self._optimiser is not None
        if self.step == 0:
            self._refresh(phase, sampler)
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate(phase, self.epoch)
        whole = (sampler.batch(self.epoch, step) for step in range(self.step, sampler.steps))
        for rows, (query, tile) in self.reader.batches(whole, self.team.share):
            began = time.monotonic()
            loss = self._step(phase, rows, query, tile)
            self.seconds += time.monotonic() - began
            self.step += 1
            self._after(phase, loss, on_step)

    def _step(self, phase: Phase, rows: Rows, query: Any, tile: Any) -> float:
        assert self._optimiser is not None
        model, out = self.dual.model, excluded(self.pairs, rows).to(self.team.device)

        def loss(asked: torch.Tensor, shown: torch.Tensor) -> torch.Tensor:
            scale = model.logit_scale.exp().clamp(max=MAX_SCALE)
            return contrastive_loss(asked, shown, scale, out, smoothing=phase.smoothing, gather=self.team.gather)

        self._optimiser.zero_grad(set_to_none=True)
        # Dropout must differ from step to step, and be the same again after a kill.
        torch.manual_seed(hash((self.recipe.seed, self.done, self.team.rank)) % 2**31)
        value = backward(query, tile, loss, cached=self.recipe.piece is not None)
        self.team.average_gradients(self._moved)
        if self.recipe.clip:
            nn.utils.clip_grad_norm_(self._moved, self.recipe.clip)
        self._optimiser.step()
        return value

    def _after(self, phase: Phase, loss: float, on_step: Progress | None) -> None:
        if not math.isfinite(loss):
            raise ModelError(
                f"the loss is {loss} at step {self.step} of epoch {self.epoch}, phase {phase.name}: lower the "
                f"learning rate and go on from {self.out / 'last.pt'}"
            )
        scale = float(self.dual.model.logit_scale.detach().exp())
        self.log({"loss": loss, "lr": learning_rate(phase, self.epoch), "scale": round(scale, 4)})
        if on_step:
            on_step(phase.name, self.done, self.steps, loss)
        if time.monotonic() - self._saved > self.recipe.checkpoint_s:
            self.save()

    def _refresh(self, phase: Phase, sampler: Sampler) -> None:
        """Choose hard negatives anew where the recipe says so; all processes have the first one's."""
        hard = phase.hard
        if not hard.per_anchor:
            return
        alike = self.epoch >= hard.similarity_from
        if self.epoch == 0 and not alike:
            sampler.pool = by_distance(self.pairs, sampler.rows, hard.pool)
        elif alike and (self.epoch - hard.similarity_from) % hard.refresh_every == 0:
            pool = torch.from_numpy(self._similar(sampler.rows, hard.pool)).to(self.team.device)
            self.team.equalise([pool])
            sampler.pool = pool.cpu().numpy()
        else:
            return
        self.log({"hard": "similarity" if alike else "distance", "found": float((sampler.pool != NONE).mean())})

    def _similar(self, rows: Rows, size: int) -> Any:
        if self.team.rank:
            return np.full((len(rows), size), NONE, np.int32)
        tiles = np.unique(self.pairs.tile[rows])
        asked, shown = self.embed(self.reader.query_side, rows), self.embed(self.reader.tile_side, tiles)
        return by_similarity(self.pairs, rows, size, asked, shown, tiles)

    def embed(self, side: Callable[[Rows], Any], rows: Rows, size: int = 64) -> torch.Tensor:
        """Unit vectors [len(rows), D] of queries or tiles."""
        self.dual.model.eval()
        parts = [self.reader.vectors(side(rows[i : i + size])) for i in range(0, len(rows), size)]
        self.dual.model.train()
        return torch.cat(parts)

    def check(self) -> None:
        """Validate on the held-out places; keep the weights where recall@1, averaged over groups, is the best yet."""
        rows = self.pairs.rows(HELD)
        if self.team.rank == 0 and len(rows):
            tiles = np.unique(self.pairs.tile[rows])
            asked, shown = self.embed(self.reader.query_side, rows), self.embed(self.reader.tile_side, tiles)
            found = validate(self.pairs, rows, tiles, asked, shown)
            self.log({"validation": found})
            if found["mean"]["r@1"] > self.best:
                self.best = found["mean"]["r@1"]
                state = {"model": self.dual.model.state_dict(), "metrics": found, "at": self._at()}
                self._write("best.pt", state)
        self.team.wait()

    def log(self, entry: Mapping[str, Any]) -> None:
        if self.team.rank == 0:
            line = {**self._at(), "time": round(time.time(), 1), **entry}
            with (self.out / "log.jsonl").open("a", encoding="utf-8") as f:
                f.write(json.dumps(line) + "\n")

    def _at(self) -> dict[str, Any]:
        phases = self.recipe.phases
        name = phases[min(self.phase, len(phases) - 1)].name
        return {"phase": name, "epoch": self.epoch, "step": self.done}

    def save(self) -> None:
        """Write last.pt, which is everything that going on needs."""
        self._saved = time.monotonic()
        if self.team.rank:
            return
        running = self._optimiser is not None
        pool = self._samplers[self.phase].pool if running else None
        state = {
            "model": self.dual.model.state_dict(), "phase": self.phase, "epoch": self.epoch, "step": self.step,
            "best": self.best, "data": self.pairs.sha256, "recipe": json.dumps(asdict(self.recipe), sort_keys=True),
            "optimiser": self._optimiser.state_dict() if self._optimiser is not None else None,
            "pool": None if pool is None else torch.from_numpy(pool), "done": self.done,
        }  # fmt: skip
        self._write("last.pt", state)

    def resume(self) -> dict[str, Any] | None:
        """Take up last.pt where there is one. Raises ``ModelError`` where it is of other data or another recipe."""
        path = self.out / "last.pt"
        if not path.exists():
            return None
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        told = {k: v for k, v in json.loads(state["recipe"]).items() if k not in _FREE}
        mine = {k: v for k, v in json.loads(json.dumps(asdict(self.recipe))).items() if k not in _FREE}
        if state["data"] != self.pairs.sha256 or told != mine:
            what = "data" if state["data"] != self.pairs.sha256 else "recipe"
            raise ModelError(
                f"{self.out} is a run with another {what}: give another --out, or the {what} it began with"
            )
        self.dual.model.load_state_dict(state["model"])
        self.phase, self.epoch, self.step = state["phase"], state["epoch"], state["step"]
        self.best = state["best"]
        self._forget(state["done"])
        return state

    def _forget(self, done: int) -> None:
        """Drop lines of the log that tell of steps after the checkpoint: they will be taken again."""
        path = self.out / "log.jsonl"
        if self.team.rank == 0 and path.exists():
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= done]
            write_atomic(path, "".join(kept).encode())
        self.team.wait()

    def _write(self, name: str, state: Mapping[str, Any]) -> None:
        buffer = io.BytesIO()
        torch.save(dict(state), buffer)
        write_atomic(self.out / name, buffer.getvalue())

    def _new_optimiser(self, phase: Phase) -> torch.optim.Optimizer:
        kind = torch.optim.AdamW if self.recipe.optimiser == "adamw" else torch.optim.Adam
        return kind(self._moved, lr=phase.lr, weight_decay=self.recipe.weight_decay)


_FREE = ("workers", "keep_pictures", "checkpoint_s", "piece", "checkpoint_layers", "sources")
"""What may change between two starts of one run: it moves no number beyond rounding. (The data have a hash.)"""


def learning_rate(phase: Phase, epoch: int) -> float:
    """A cosine over the epochs, the same within one: from ``lr`` in the first towards ``lr_end`` after the last."""
    part = 0.5 * (1 + math.cos(math.pi * epoch / phase.epochs))
    return phase.lr * (phase.lr_end + (1 - phase.lr_end) * part)
