"""A few made-up tiles and witnesses, enough to train a judge on for some steps."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pandas as pd

from finetune.judge.run import Recipe, Run
from prompts.listing import list_facts
from retriever.gallery import fact_to_json
from retriever.types import Claim, Fact, Relation

KINDS = ("cafe", "park", "pharmacy", "bus_stop", "bank", "school")


def tiny_run(folder: Path, stages: dict[str, dict[str, float]]) -> Run:
    """A run on such tiles, whose base has learned nothing."""
    recipe = Recipe(
        seed=1,
        vocab_size=900,
        model={"width": 64, "layers": 2, "vision_width": 64, "depth": 2},
        reserve=0.5,
        lora={"r": 8, "alpha": 16},
        witnesses_per_tile=1,
        stages=stages,
    )
    return Run(write_tiles(folder / "data"), folder / "run", recipe)


def write_tiles(folder: Path, *, train: int = 24, validation: int = 8) -> Path:
    """``tiles.npy``, ``tiles.parquet`` and ``witnesses.jsonl`` of tiles with four or five coloured things each."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(0)
    rows, pictures, witnesses = [], [], []
    for i in range(train + validation):
        facts = [_fact(rng, n) for n in range(rng.randint(4, 5))]
        rows.append(
            {
                "area": "here" if i < train else "moscow",
                "tile_id": f"t{i}",
                "split": "train" if i < train else "validation",
                "lat": 0.01 * i,
                "lon": 0.0,
                "facts": json.dumps([fact_to_json(f) for f in facts]),
                "visible": json.dumps([True] * len(facts)),
            }
        )
        pictures.append(_picture(facts))
        claims = [_claim(n, f).to_json() for n, f in enumerate(facts[:4], 1)]
        witnesses.append(json.dumps({"row": i, "lang": "en", "claims": claims}) + "\n")
    np.save(folder / "tiles.npy", np.stack(pictures))
    pd.DataFrame(rows).to_parquet(folder / "tiles.parquet")
    (folder / "witnesses.jsonl").write_text("".join(witnesses), encoding="utf-8")
    return folder


def _fact(rng: random.Random, number: int) -> Fact:
    x, y = rng.uniform(0.05, 0.95), rng.uniform(0.05, 0.95)
    return Fact(osm_id=f"node/{number}", kind=rng.choice(KINDS), shape="point", parts=(((x, y),),))


def _picture(facts: list[Fact]) -> np.ndarray:
    picture = np.full((224, 224, 3), 240, dtype=np.uint8)
    for fact in facts:
        x, y = (int(v * 223) for v in fact.parts[0][0])
        picture[max(0, y - 8) : y + 8, max(0, x - 8) : x + 8] = (40 * KINDS.index(fact.kind), 90, 30)
    return picture


def _claim(number: int, fact: Fact) -> Claim:
    listing = list_facts([fact], size_m=120.0)
    assert listing.entries
    return Claim(id=f"c{number}", span="", kind="object", value=fact.kind, relation=Relation(type="near"))
