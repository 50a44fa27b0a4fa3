"""Does explaining cost accuracy, does looking first? One base, one number of samples, seven ways to teach the adapter.

    python -m benchmarks.judge_modes --data DATA --seen EARLIER_DATA --base RUN --begin RUN/lora.pt --samples 1200

``RUN`` is a finished run of ``sightline train judge`` (``look.pt``, ``tokenizer/``, ``own.jsonl``): its base is taken
as it is. Each way trains its own adapter on the same draws for ``--samples`` samples under ``--out`` (a stopped run
goes on) and is then asked for the verdict on the same pairs of validation areas, on listings of its own. Ways that
reason first write their reasons before each verdict; ``label-direct`` has no listing before it, and ``label-heat`` a
second picture with the shipped encoder's heat. Test areas are not touched. With ``label-direct`` among ``--modes``,
``--costs N`` also says what N verdicts of either kind cost (``benchmarks/judge_costs.py``).

An adapter that begins from nothing needs some thousands of samples before it tells a match from a no-match at all;
with ``--begin`` every way goes on from the same finished adapter, which was taught in one of these ways.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import judge_costs
from eval.bootstrap import Interval, bootstrap_mean
from eval.report import percent
from eval.testset.scores import auroc
from finetune.judge.modes import TEMPLATES, Asked, Told, asked_pairs, tell, tuning_encoder
from finetune.judge.run import Recipe, Run
from retriever.errors import SightlineError

RECIPE = Path(__file__).resolve().parents[1] / "finetune" / "judge" / "recipe_onward.yaml"
BASE = ("label", "verdict_first")
DIRECT = ("label", "direct")


def copied(base: Path, folder: Path, *files: str) -> None:
    """A finished run's files and tokenizer in ``folder``, which a benchmark may write to."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in files:
        if not (base / name).exists():
            raise SightlineError(f"{base} has no {name}: name a finished run of sightline train judge")
        if not (folder / name).exists():
            shutil.copy2(base / name, folder / name)
    if not (folder / "tokenizer").exists():
        shutil.copytree(base / "tokenizer", folder / "tokenizer")


def train(args: argparse.Namespace, mode: tuple[Any, Any], store: Any = None) -> tuple[Run, Any, Any, float]:
    """The run of one way, its adapter and dense head, and the minutes that its adapter took.

    ``store``: the tiles, where another way has opened them.
    """
    folder = args.out / "-".join(mode)
    copied(args.base, folder, "look.pt", "own.jsonl")
    same_beginning(folder, args.begin)
    recipe = Recipe.load(args.recipe)
    lora = {**recipe.stages["lora"], "samples": args.samples, "minutes": args.minutes}
    recipe = replace(recipe, targets=mode[0], order=mode[1], stages={**recipe.stages, "lora": lora})
    run = Run(args.data, folder, recipe, seen=args.seen, start=folder / "look.pt", store=store)
    model, head = run.fresh()
    run._load(folder / "look.pt", model, head)
    began = time.monotonic()
    return run, run.adapter(model.eval(), head, begin=args.begin), head, (time.monotonic() - began) / 60


def same_beginning(folder: Path, begin: Path | None) -> None:
    """Raises ``SightlineError`` where the folder's adapter began from something else than ``begin``."""
    if begin is not None and not begin.exists():
        raise SightlineError(f"there is no {begin}: name the lora.pt of a finished run, or leave --begin out")
    now = "nothing" if begin is None else hashlib.sha256(begin.read_bytes()).hexdigest()
    note = folder / "begun_from.txt"
    then = note.read_text().strip() if note.exists() else None
    if then is None and not (folder / "lora.pt").exists():
        note.write_text(now + "\n")
    elif then != now:
        raise SightlineError(
            f"the adapter in {folder} began from something else: give the same --begin, or another --out"
        )


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One way: what it says of the validation pairs, and what asks it again."""

    told: Told
    asked: list[Asked]
    minutes: float
    run: Run
    trainer: Any
    encoder: Any


def measure(args: argparse.Namespace, mode: tuple[Any, Any], store: Any = None) -> Measured:
    """Train one way and ask it about the validation pairs; every probability is kept under ``--out``."""
    run, tuned, head, minutes = train(args, mode, store)
    own = run.own_listings(None, [*map(int, run.watched)])
    asked = asked_pairs(run._pairs(own, run.watched), args.pairs, seed=args.seed, heat=run.heats)
    trainer, encoder = run.trainer(tuned, head), tuning_encoder(run.tokenizer, *mode)
    path = args.out / f"{'-'.join(mode)}.{args.pairs}.jsonl"
    by = hashlib.sha256((run.folder / "lora.pt").read_bytes()).hexdigest()[:16]
    told = None if encoder.template.reasons_first else kept(path, asked, by)
    if told is None:
        told = tell(trainer, encoder, asked)
        rows = [{"p": p, "match": a.match, "place": a.place, "by": by} for p, a in zip(told.p, asked, strict=True)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return Measured(told=told, asked=asked, minutes=minutes, run=run, trainer=trainer, encoder=encoder)


def kept(path: Path, asked: Sequence[Asked], by: str) -> Told | None:
    """What the adapter ``by`` said of these very pairs before; None where the file does not hold that."""
    if not path.exists():
        return None
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    if [(r["match"], r["place"], r.get("by")) for r in rows] != [(a.match, a.place, by) for a in asked]:
        return None
    return Told(p=np.array([r["p"] for r in rows]), parsed=None)


def row(mode: tuple[str, str], told: Told, label: Told, asked: Sequence[Any], minutes: float) -> list[str]:
    """One line of the table; the loss is against the label alone, pair by pair."""
    match, places = np.array([a.match for a in asked]), [str(a.place) for a in asked]
    right = ((told.p >= 0.5) == match).astype(np.float64)
    lost = ((label.p >= 0.5) == match).astype(np.float64) - right
    accuracy: Interval = bootstrap_mean(right, places)
    ranked = auroc(told.p, match, places)
    loss = "-" if mode == BASE else percent(bootstrap_mean(lost, places))
    parsed = "-" if told.parsed is None else f"{100 * told.parsed:.1f}"
    return [*mode, percent(accuracy), percent(ranked), loss, parsed, f"{minutes:.1f}"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, ask, print Markdown; every probability is kept under ``--out``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seen", type=Path)
    parser.add_argument("--base", type=Path, required=True, help="folder of the finished run")
    parser.add_argument("--begin", type=Path, help="lora.pt of a finished run; default: adapters begin from nothing")
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    parser.add_argument("--samples", type=int, default=1200)
    parser.add_argument("--minutes", type=float, default=60.0, help="limit for each way; samples decide before it")
    parser.add_argument("--pairs", type=int, default=400)
    parser.add_argument("--modes", default=",".join("-".join(m) for m in TEMPLATES), help="targets-order, by commas")
    parser.add_argument("--costs", type=int, default=0, help="pairs to time, one by one")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path("runs/judge_modes"))
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.threads)
    known = {"-".join(m): m for m in TEMPLATES}
    chosen = [name for name in args.modes.split(",") if name]
    if unknown := set(chosen) - set(known):
        raise SightlineError(f"there is no way {min(unknown)!r}; there are {', '.join(known)}")
    modes = sorted((known[name] for name in chosen), key=lambda m: m != BASE)
    if BASE not in modes:
        raise SightlineError("the loss is measured against label-verdict_first: name it too")
    found: dict[Any, Measured] = {}
    for mode in modes:
        found[mode] = measure(args, mode, found[BASE].run.store if found else None)
    print(table(args, found))
    if args.costs and DIRECT in found:
        parted, direct = found[BASE], found[DIRECT]
        looking = (parted.run, parted.trainer, parted.encoder)
        costs = judge_costs.measure(looking, (direct.trainer, direct.encoder), parted.asked[: args.costs])
        print("\n" + judge_costs.table(costs))
    print(f"\nPrinted by `{shlex.join(['python', '-m', 'benchmarks.judge_modes', *sys.argv[1:]])}`")
    return 0


def table(args: argparse.Namespace, found: dict[Any, Measured]) -> str:
    """Markdown."""
    asked = found[BASE].asked
    begun = ", from one finished adapter" if args.begin else ""
    lines = [
        f"N = {len(asked)} pairs of validation areas at {len({a.place for a in asked})} places, {args.samples} samples "
        f"each{begun}, pixels only; percent with the 95 % interval by place",
        "",
        "| targets | order | accuracy at one half | AUROC | points lost against the label alone | reasons that parse | "
        "minutes |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for mode, one in found.items():
        lines.append("| " + " | ".join(row(mode, one.told, found[BASE].told, one.asked, one.minutes)) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SightlineError as error:
        print(f"judge_modes: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
