"""What a stage with rewards changes: the same adapter before and after, on the same pairs of validation areas.

    python -m benchmarks.judge_rewards --data DATA --seen EARLIER_DATA --base RUN --out runs/judge_rewards

``RUN`` is a finished run of ``sightline train judge``; nothing in it is changed. The stage (``--questions``,
``--tries``, ``--samples``; its answers and checkpoints lie under ``--out``, and a stopped run goes on) is
``finetune/judge/rewards.py``. Then both adapters give a verdict on ``--pairs`` pairs and explain the first
``--explain`` of them after their own verdict, greedily, on the listings that the base wrote: pixels only. Test areas
are not touched.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.judge_modes import RECIPE, copied
from eval.bootstrap import bootstrap_mean
from eval.report import percent
from eval.testset.scores import auroc
from finetune.judge.modes import Asked, tell, tuning_encoder, write
from finetune.judge.rewards import parts, question, reward_stage
from finetune.judge.run import Recipe, Run
from retriever.errors import SightlineError

SEED = 907
"""Of the validation questions; the stage's own are drawn from other tiles."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One number for each pair."""

    p: np.ndarray
    match: np.ndarray
    places: list[str]
    explained: dict[str, np.ndarray]
    """By what is said of it, for the first pairs alone."""


def opened(args: argparse.Namespace) -> tuple[Run, Any, Any]:
    """The run's copy with its adapter as it was finished, and the dense head."""
    copied(args.base, args.out, "look.pt", "lora.pt", "own.jsonl")
    recipe = Recipe.load(args.recipe)
    stage = {k: getattr(args, k) for k in ("questions", "tries", "samples", "minutes")}
    stages = {**recipe.stages, "rewards": {**stage, "batch_size": 8, "lr": args.lr}}
    run = Run(args.data, args.out, replace(recipe, stages=stages), seen=args.seen, start=args.out / "look.pt")
    model, head = run.fresh()
    run._load(args.out / "look.pt", model, head)
    return run, run.adapter(model.eval(), head), head


def measure(run: Run, tuned: Any, head: Any, pairs: int, explain: int) -> Measured:
    """Verdicts of all pairs, explanations of the first."""
    trainer, encoder = run.trainer(tuned.eval(), head), tuning_encoder(run.tokenizer, "explanation", "verdict_first")
    watched = run._pairs(run.own_listings(None, [*map(int, run.watched)]), run.watched)
    asked = [question(watched, i, SEED) for i in range(pairs)]
    samples = [replace(q.sample, match=True) for q in asked]  # read is only the position of the verdict
    p = tell(trainer, encoder, [Asked(sample=s, match=True, place=0) for s in samples]).p
    found: dict[str, list[float]] = {k: [] for k in ("parses", "stances right", "words hold", "all of it")}
    for start in range(0, explain, 16):
        part = range(start, min(start + 16, explain))
        own = [replace(asked[i].sample, match=bool(p[i] >= 0.5)) for i in part]
        texts = write(trainer, encoder, [encoder.encode(s) for s in own], 620)
        for i, sample, text in zip(part, own, texts, strict=True):
            got = parts(text, sample, asked[i].truth)
            found["parses"].append(float(got is not None))
            found["stances right"].append(got.stances if got else 0.0)
            found["words hold"].append(float(bool(got and got.words)))
            found["all of it"].append(float(bool(got and got.words and got.conclusion and got.stances == 1.0)))
    return Measured(
        p=p, match=np.array([q.sample.match for q in asked]), places=[str(q.sample.image) for q in asked],
        explained={k: np.array(v) for k, v in found.items()},
    )  # fmt: skip


def table(before: Measured, after: Measured) -> str:
    """Markdown; the change is taken pair by pair."""
    lines = ["| what | N | before | after | change |", "| --- | ---: | --- | --- | --- |"]
    right = [((m.p >= 0.5) == m.match).astype(np.float64) for m in (before, after)]
    rows = {"verdict right": (right[0], right[1])}
    rows |= {k: (before.explained[k], after.explained[k]) for k in before.explained}
    for what, (old, new) in rows.items():
        at = before.places[: len(old)]
        three = " | ".join(percent(bootstrap_mean(v, at)) for v in (old, new, new - old))
        lines.append(f"| {what} | {len(old)} | {three} |")
    ranked = [percent(auroc(m.p, m.match, m.places)) for m in (before, after)]
    lines.append(f"| AUROC of the verdict | {len(right[0])} | {ranked[0]} | {ranked[1]} | - |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, train the stage, measure again, print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seen", type=Path)
    parser.add_argument("--base", type=Path, required=True, help="folder of the finished run")
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    parser.add_argument("--questions", type=int, default=400)
    parser.add_argument("--tries", type=int, default=4)
    parser.add_argument("--samples", type=int, default=1600)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--explain", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/judge_rewards"))
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.threads)
    run, tuned, head = opened(args)
    before = measure(run, tuned, head, args.pairs, args.explain)
    after = measure(run, reward_stage(run, tuned, head), head, args.pairs, args.explain)
    print(table(before, after))
    print(f"\nPrinted by `{shlex.join(['python', '-m', 'benchmarks.judge_rewards', *sys.argv[1:]])}`")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SightlineError as error:
        print(f"judge_rewards: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
