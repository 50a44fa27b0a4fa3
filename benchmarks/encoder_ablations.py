"""What each part of the encoder's training buys: short runs from nothing, one part changed at a time.

    python -m benchmarks.encoder_ablations --data DATA --out runs/encoder_ablations

``DATA`` is a folder of ``sightline train tiles`` and ``texts``. Every run of a table sees the same number of texts; a
stopped run goes on, a finished one is not made again. Scored on validation areas alone, over each area's full gallery:
contains@10 with the interval by tile, and the change paired with the first row. The runs are far shorter than the
shipped one's: they show what a part does early, not where it ends.
"""

from __future__ import annotations

import argparse
import re
import shutil
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from eval.bootstrap import bootstrap_mean, paired_difference
from eval.report import percent
from finetune.encoder.train import prepare, read_recipe
from finetune.encoder.trainer import Trainer
from finetune.encoder.validate import embed_texts, embed_tiles, galleries, ranked
from retriever.models import TOKENIZER

RECIPE = Path("finetune/encoder/recipes/sightline-mini.yaml")
QUERIES, BEST = 150, 10
"""Queries of each validation area; tiles that may hold the place."""
Stages = list[dict[str, Any]]


def words(texts: int, *, batch: int = 256, same_area: float = 0.5) -> dict[str, Any]:
    return {"name": "words", "steps": texts // batch, "batch": batch, "lr": 1e-3, "same_area": same_area, "warmup": 10}


def look(tiles: int, **changed: Any) -> dict[str, Any]:
    stage = {
        "name": "look",
        "steps": tiles // 48,
        "batch": 48,
        "lr": 7e-4,
        "same_area": 0.5,
        "dense": 0.5,
        "warmup": 10,
    }
    return {**stage, **changed}


def variants(texts: int, tiles: int) -> dict[str, dict[str, tuple[Stages, int]]]:
    """By table: stages and context of each row. The first row of a table is what its others are compared with."""
    whole = [
        {"name": "see", "steps": tiles // 32, "batch": 32, "lr": 1e-3, "warmup": 10},
        words(texts * 2 // 3),
        look(tiles),
        {"name": "read", "steps": texts // 3 // 256, "batch": 256, "lr": 6e-4, "same_area": 0.5, "warmup": 4},
    ]
    join = {"name": "join", "steps": texts // 128, "batch": 128, "lr": 7e-4, "same_area": 0.5, "warmup": 10}
    blind = [whole[1], look(tiles * 2, dense=0.0, token=0.0), whole[3]]
    return {
        "text side, against the map's labels": {
            "batch 256, half of it of one area, 300 tokens": ([words(texts)], 300),
            "no hard negatives (tiles of any area)": ([words(texts, same_area=0.0)], 300),
            "77 tokens, the rest cut off": ([words(texts)], 77),
            "batch 64": ([words(texts, batch=64)], 300),
        },
        "both sides, by pixels": {
            "four stages with dense labels": (whole, 300),
            "one phase (join), dense labels beside": ([{**join, "dense": 0.5}], 300),
            "one phase (join), contrast alone": ([{**join, "dense": 0.0}], 300),
            "stages without dense labels": (blind, 300),
        },
    }


def train(args: argparse.Namespace, name: str, stages: Stages, context: int) -> Trainer:
    """A finished run: made, gone on with, or read where it had ended."""
    plan = deepcopy(read_recipe(RECIPE))
    plan["config"]["text_cfg"]["context_length"] = context
    plan["train"] = {"seed": args.seed, "validate_every": 10**9, "stages": stages}
    folder = args.out / name
    if args.tokenizer and not (folder / TOKENIZER).exists():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(args.tokenizer, folder / TOKENIZER)
    trainer = prepare(plan, args.data, folder)
    trainer.run()
    return trainer


@torch.inference_mode()
def found(trainer: Trainer, *, pixels: bool) -> tuple[NDArray[np.float64], list[str], float]:
    """Whether each query's place is on one of its ten best tiles, the tile it was written for, and chance."""
    model, bank = trainer.learner.model.eval(), trainer.held
    hits, places, chance = [], [], []
    for _, tiles, texts in galleries(bank, queries=QUERIES):
        shown = embed_tiles(model, bank, tiles, trainer.preprocess) if pixels else trainer.label_vectors(bank, tiles)
        point, xy = bank.texts.point[texts], bank.xy[tiles]
        hits.append(ranked(embed_texts(model, bank, texts) @ shown.T, point, xy)[1] <= BEST)
        random = np.random.default_rng(0).random((len(texts), len(tiles))).astype(np.float32)
        chance.append(ranked(random, point, xy)[1] <= BEST)
        places += [str(t) for t in bank.texts.tile[texts]]
    return np.concatenate(hits).astype(float), places, float(np.concatenate(chance).mean())


def slug(said: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", said.lower()).strip("-")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/encoder_ablations"))
    parser.add_argument("--tokenizer", type=Path, help="of an earlier run; else each run makes its own, all alike")
    parser.add_argument("--texts", type=int, default=16_384)
    parser.add_argument("--tiles", type=int, default=4_800)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    for title, rows in variants(args.texts, args.tiles).items():
        print(f"\n| {title} | N | contains@10 | change |\n| --- | ---: | --- | --- |")
        first: NDArray[np.float64] | None = None
        for row, (stages, context) in rows.items():
            trainer = train(args, slug(f"{title} {row}"), stages, context)
            hits, places, chance = found(trainer, pixels=stages[-1]["name"] != "words")
            if first is None:
                first = hits
                print(f"| random scores | {len(hits)} | {100 * chance:.1f} | |")
            change = "-" if hits is first else percent(paired_difference(hits, first, places))
            print(f"| {row} | {len(hits)} | {percent(bootstrap_mean(hits, places))} | {change} |", flush=True)


if __name__ == "__main__":
    main()
