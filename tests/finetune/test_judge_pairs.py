"""Match and no-match pairs: neither a text nor a tile by itself may tell which it is."""

import random
from collections import Counter
from types import SimpleNamespace

import pandas as pd
import pytest

from finetune.judge.heat import BLANKS
from finetune.judge.store import Witness
from finetune.judge.tasks import NEGATIVE_M, Pairs
from retriever.geo import M_PER_DEG
from retriever.types import Claim

STEP_M = 200.0


def _claim(kind):
    return Claim(id="c1", span=kind, kind="object", value=kind)


def _pairs(tiles=8, *, step_m=STEP_M):
    """Tiles in a row; the last is rich, so that it looks like every text's place."""
    listings = dict.fromkeys(range(tiles - 1), "c cafe") | {tiles - 1: "c cafe, bank, park, school"}
    kinds = ["cafe", "bank", "park", "school"]
    witnesses = [Witness(row=row, claims=(_claim(kinds[row % 4]),)) for row in range(tiles)]
    table = pd.DataFrame(
        {"lat": [row * step_m / M_PER_DEG for row in range(tiles)], "lon": [0.0] * tiles, "area": ["a"] * tiles}
    )
    return Pairs(SimpleNamespace(table=table), witnesses, listings)


def test_every_tile_and_every_text_is_a_match_as_often_as_not():
    pairs, rng = _pairs(), random.Random(1)
    drawn = [d for d in (pairs.draw(rng) for _ in range(20_000)) if d[1] >= 0]
    for key in (lambda d: d[1], lambda d: d[0].row):
        shown = Counter(key(d) for d in drawn)
        matched = Counter(key(d) for d in drawn if d[2])
        for row, times in shown.items():
            assert matched[row] / times == pytest.approx(0.5, abs=0.05)


def test_a_match_is_the_witness_s_own_tile_and_nothing_else_is_near():
    pairs, rng = _pairs(step_m=60.0), random.Random(2)
    for witness, row, match in (pairs.draw(rng) for _ in range(2_000)):
        assert match == (row == witness.row)
        assert match or row in BLANKS or pairs.apart(row, witness.row) >= NEGATIVE_M


def test_where_nothing_else_is_far_enough_the_other_tile_is_blank():
    pairs, rng = _pairs(tiles=2, step_m=30.0), random.Random(3)
    assert {row for _, row, match in (pairs.draw(rng) for _ in range(200)) if not match} <= set(BLANKS)
