"""How fast the contrastive trainer learns, against a plain one that does what the released CVG-Text code does.

    python -m benchmarks.training --out OUT [--recipe RECIPE.yaml --data NAME=PATH] [--epochs N] [--processes 1 2]

The same model, data, batch, optimiser and machine for both, every run in its own processes. The plain trainer decodes
and tokenises at every step, pads each text to the whole context, computes in 32 bits on a CPU and 16 on a GPU, takes
other processes' features without gradients and writes its own over them, and never averages gradients. Printed for
each: samples per second, peak memory of one process, best validation recall@1 and when the lower of the two bests was
reached. Validation is not on the clock. Wall time counts other programs too, so the machine's load is printed with it.

Without a recipe: ``benchmarks/training.yaml``, a CLIP of 5 million weights (most of them the tokens' table) on the made
task of ``benchmarks/training_data.py``. ``--frozen`` adds runs of ours with the image tower frozen, reported apart.
Each run is kept in OUT; what was cut goes on with the same command, at the first run that is not there.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from benchmarks import training_data
from finetune.contrastive.pictures import Pictures
from finetune.contrastive.processes import Team
from finetune.contrastive.recipe import Recipe, read_recipe
from finetune.contrastive.run import make_trainer
from finetune.contrastive.sources import TRAIN
from finetune.contrastive.trainer import Trainer, learning_rate
from finetune.encoder.loss import contrastive_loss
from retriever.models import write_atomic


class Plain(Trainer):
    """The released code's loop, inside the same phases, validation and log."""

    def _run_epoch(self, phase: Any, sampler: Any, on_step: Any) -> None:
        rows = self.pairs.rows(TRAIN, phase.sources)
        order = np.random.default_rng([self.recipe.seed, self.epoch]).permutation(rows)
        assert self._optimiser is not None
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate(phase, self.epoch)
        scaler = torch.amp.GradScaler(self.team.device.type, enabled=self.team.device.type == "cuda")
        for step in range(sampler.steps):
            began = time.monotonic()
            loss = self._plain_step(self.team.share(order[step * phase.batch :][: phase.batch]), scaler)
            self.seconds += time.monotonic() - began
            self.step += 1
            self._after(phase, loss, on_step)

    def _plain_step(self, rows: Any, scaler: Any) -> float:
        assert self._optimiser is not None
        model, device = self.dual.model, self.team.device
        # Decoded and tokenised anew, and padded to the whole context.
        pictures = self.reader.pictures.get(self.pairs.tile[rows]).to(device)
        said = [self.pairs.queries[int(r)].text or "" for r in rows]
        ids = self.dual.tokenizer.call(said, self.dual.tokenizer.context_length).to(device)
        self._optimiser.zero_grad(set_to_none=True)
        with torch.autocast(device.type, dtype=torch.float16, enabled=device.type == "cuda"):
            text, tile = model.encode_text(ids), self.dual.pictures(pictures)
        # What is gathered has no gradient, and the released code then writes the local features over all of it.
        loss = contrastive_loss(text, tile, model.logit_scale.exp())
        scaler.scale(loss).backward()
        scaler.step(self._optimiser)
        scaler.update()
        return float(loss.detach())


class Clocked:
    """Training seconds at each validation: those that a run would have spent without it."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer, self.spent, self.began = trainer, 0.0, time.monotonic()
        self.checks: list[tuple[float, float]] = []
        self._check = trainer.check
        trainer.check = self.check  # type: ignore[method-assign]
        trainer.save = lambda: None  # type: ignore[method-assign]

    def check(self) -> None:
        self.spent += time.monotonic() - self.began
        self._check()
        if self.trainer.team.rank == 0:
            last = json.loads((self.trainer.out / "log.jsonl").read_text(encoding="utf-8").splitlines()[-1])
            self.checks.append((self.spent, last["validation"]["mean"]["r@1"]))
        self.began = time.monotonic()


def one(rank: int, size: int, port: int, recipe: Recipe, plain: bool, threads: int, out: str) -> None:
    """One process of one run."""
    torch.set_num_threads(threads)
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "RANK": str(rank), "WORLD_SIZE": str(size)}
    os.environ.update({**where, "LOCAL_RANK": str(rank)})
    team = Team.join()
    trainer, _ = make_trainer(recipe, Path(out), team)
    if plain:
        reader = trainer.reader
        reader.pictures = Pictures(trainer.pairs, trainer.dual.preprocess, folder=None, workers=1)
        trainer = Plain(recipe, trainer.dual, trainer.pairs, reader, Path(out), team)
    clocked = Clocked(trainer)
    trainer.run()
    if rank == 0:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        if team.device.type == "cuda":
            peak = torch.cuda.max_memory_allocated()
        samples = sum(s.steps * p.epochs * p.batch for s, p in zip(trainer._samplers, recipe.phases, strict=True))
        found = {"samples_per_s": samples / clocked.spent, "peak_bytes": peak, "checks": clocked.checks}
        (Path(out) / "found.json").write_text(json.dumps(found), encoding="utf-8")
    if size > 1:
        dist.destroy_process_group()


def run(recipe: Recipe, *, plain: bool, size: int, threads: int) -> dict[str, Any]:
    """One run in processes of its own."""
    with tempfile.TemporaryDirectory() as out:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        mp.spawn(one, args=(size, port, recipe, plain, threads, out), nprocs=size)
        found: dict[str, Any] = json.loads((Path(out) / "found.json").read_text(encoding="utf-8"))
    return found


def kept(out: Path, recipe: Recipe, *, plain: bool, size: int, threads: int) -> dict[str, Any]:
    """:func:`run`, or what it found when it was asked the same before."""
    said = json.dumps([asdict(recipe), plain, size, threads, torch.__version__], sort_keys=True, default=str)
    path = out / f"{hashlib.sha256(said.encode()).hexdigest()[:16]}.json"
    if not path.exists():
        who = "the plain trainer" if plain else "Sightline"
        print(f"{who}, {size} process(es); load {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)
        load = os.getloadavg()[0]
        found = run(recipe, plain=plain, size=size, threads=threads)
        write_atomic(path, json.dumps({**found, "load": load}).encode())
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def until(checks: Sequence[Sequence[float]], recall: float) -> float:
    """Seconds after which a run first had a recall."""
    return next((seconds for seconds, r in checks if r >= recall), float("nan"))


def row(size: int, name: str, found: dict[str, Any], recall: float) -> str:
    """A line of the table; ``recall`` is the one whose time is told."""
    cells = [size, name, f"{found['samples_per_s']:.1f}", f"{found['peak_bytes'] / 1e6:.0f}"]
    cells += [f"{max(r for _, r in found['checks']):.3f}", f"{recall:.3f}", f"{until(found['checks'], recall):.1f}"]
    return "| " + " | ".join(map(str, [*cells, f"{found['load']:.1f}"])) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipe", type=Path)
    parser.add_argument("--data", nargs="*", default=[], metavar="NAME=PATH")
    parser.add_argument("--epochs", type=int, help="in place of the recipe's own")
    parser.add_argument("--pairs", type=int, default=1000, help="of the made task")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of each process")
    parser.add_argument("--frozen", action="store_true")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    data = dict(d.split("=", 1) for d in asked.data)
    if asked.recipe is None:
        data = {"cvg": str(training_data.write(asked.out / "data", asked.pairs))}
    recipe = read_recipe(asked.recipe or Path(__file__).with_suffix(".yaml"), data)
    if asked.epochs:
        recipe = replace(recipe, phases=tuple(replace(p, epochs=asked.epochs) for p in recipe.phases))
    heads = [
        "processes",
        "trainer",
        "samples/s",
        "peak memory, MB",
        "best recall@1",
        "equal recall@1",
        "s to it",
        "load",
    ]
    print("| " + " | ".join(heads) + " |\n|" + " --- |" * len(heads), flush=True)
    for size in asked.processes:
        runs = {
            name: kept(asked.out, recipe, plain=plain, size=size, threads=asked.threads)
            for name, plain in (("plain", True), ("Sightline", False))
        }
        equal = min(max(r for _, r in found["checks"]) for found in runs.values())
        if asked.frozen:
            still = replace(recipe, model=replace(recipe.model, frozen=("image",)))
            runs["Sightline, image tower frozen"] = kept(
                asked.out, still, plain=False, size=size, threads=asked.threads
            )
        for name, found in runs.items():
            print(row(size, name, found, equal), flush=True)


if __name__ == "__main__":
    main()
