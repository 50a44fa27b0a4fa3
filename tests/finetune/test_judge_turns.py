"""A turned picture's listing and labels are those that the turned map would give."""

import math
import random

import numpy as np
import pytest

from finetune.judge.store import dense_labels
from finetune.judge.turns import TURNS, draw_turn, turn_grid, turn_listing
from prompts.listing import list_facts
from retriever.types import Fact

SIZE_M = 120.0


def _point(xy, turn):
    x, y = xy
    if turn >= 4:
        x = 1.0 - x
    for _ in range(turn % 4):
        x, y = 1.0 - y, x
    return x, y


def _facts(turn):
    """A cafe, a lawn and a street, moved by geometry alone."""
    cafe = Fact(osm_id="n1", kind="cafe", shape="point", parts=((_point((0.5, 0.1), turn),),), names={}, tags={})
    lawn = [(0.7, 0.7), (0.95, 0.7), (0.95, 0.9), (0.7, 0.9), (0.7, 0.7)]
    street = [(0.02, 0.3), (0.98, 0.34)]
    return [
        cafe,
        Fact(osm_id="w1", kind="park", shape="area", parts=(tuple(_point(p, turn) for p in lawn),), names={}, tags={}),
        Fact(
            osm_id="w2", kind="street", shape="line", parts=(tuple(_point(p, turn) for p in street),), names={}, tags={}
        ),
    ]


@pytest.mark.parametrize("turn", range(TURNS))
def test_the_listing_follows_the_picture(turn):
    upright = list_facts(_facts(0), size_m=SIZE_M)
    assert turn_listing(upright, turn) == list_facts(_facts(turn), size_m=SIZE_M)


@pytest.mark.parametrize("turn", range(TURNS))
def test_the_labels_follow_the_picture(turn):
    side = math.isqrt(len(dense_labels(_facts(0), [True] * 3)))
    upright = dense_labels(_facts(0), [True] * 3).reshape(side, side, -1)
    turned = dense_labels(_facts(turn), [True] * 3).reshape(side, side, -1)
    # A point on the border of two squares may fall to either: at most one square in twenty differs.
    differs = (turn_grid(upright, turn) != turned).any(axis=-1).mean()
    assert upright.any()
    assert differs <= 0.05


def test_half_of_the_pictures_stay_upright_and_every_turn_is_drawn():
    rng = random.Random(0)
    drawn = np.bincount([draw_turn(rng) for _ in range(2000)], minlength=TURNS)
    assert 900 < drawn[0] < 1100
    assert drawn.min() > 80
