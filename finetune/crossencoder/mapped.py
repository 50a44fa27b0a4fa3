"""The control that sees most: every claim checked against the map's geometry, distances, counts and, if asked, names.

The same sums as the reranker ``oracle`` takes, with the weights that are meant for models which nothing was fitted for.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from finetune.crossencoder.controls import Floats
from finetune.crossencoder.pairs import SIZE_M, Ground, Group
from retriever.oracle import FactIndex, check
from retriever.posterior import DEFAULTS
from retriever.types import Claim, Fact

SIGN = {"supports": 1.0, "contradicts": -1.0, "unknown": 0.0}
HEDGED = 0.5
"""Weight of what the witness was not sure of."""


def by_map(folder: Path, ground: Ground, found: Sequence[Group]) -> dict[str, Floats]:
    """Scores [Q, K] of the oracle, with names and without them."""
    facts = pd.read_parquet(folder / "tiles.parquet", columns=["facts"])["facts"]
    needed = sorted({tile for group in found for tile in group.tiles})
    index = {tile: _index(str(facts[ground.row[tile]])) for tile in needed}
    both = np.array([[_checked(group.claims, index[tile]) for tile in group.tiles] for group in found])
    return {"oracle": both[..., 0] + both[..., 1], "oracle without names": both[..., 0]}


def _index(facts: str) -> FactIndex:
    return FactIndex([Fact.from_json(f) for f in json.loads(facts)], size_m=SIZE_M)


def _checked(claims: Sequence[Claim], index: FactIndex) -> tuple[float, float]:
    """What the standing claims come to: things, and names."""
    ledger = names = 0.0
    for claim in claims:
        if claim.status != "active":
            continue
        value = SIGN[check(claim, index).stance] * (HEDGED if claim.hedge else 1.0)
        if claim.kind == "name":
            names += DEFAULTS.names * value
        else:
            ledger += DEFAULTS.ledger * value
    return ledger, names
