"""The corpus's lengths: two humps with a valley between, even where many places have little to say."""

from __future__ import annotations

from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from finetune.data.composing import count_tokens
from finetune.data.lengths import BIN, LONGEST, TRIES, Lengths, wanted

SHARES = {"short": 0.2, "medium": 0.4, "long": 0.4}
MIDDLE = {"short": 25, "medium": 97, "long": 143}


def speaker(rng: Random, room: float) -> Any:
    """Someone who aims as the generator does, and has no more than ``room`` tokens to say."""

    def make(length: str, attempt: int) -> Any:
        return SimpleNamespace(text="word " * max(1, round(min(room, rng.gauss(MIDDLE[length], 22)))), attempt=attempt)

    return make


def taken(count: int, seed: int = 0) -> tuple[list[int], Lengths]:
    rng, lengths = Random(seed), Lengths(SHARES, seed)
    said = [lengths.take(speaker(rng, rng.choice((110, 400))))[0] for _ in range(count)]
    return [count_tokens(s.text) for s in said], lengths


def test_what_is_wanted_adds_up_and_has_two_humps_and_a_tail() -> None:
    shape = wanted(SHARES)
    assert shape.sum() == pytest.approx(1.0)
    assert len(shape) == LONGEST // BIN
    peaks = [i for i in range(1, len(shape) - 1) if shape[i - 1] < shape[i] >= shape[i + 1] and i * BIN > 50]
    assert [round(i * BIN + BIN / 2) for i in peaks] == pytest.approx([97, 143], abs=BIN)
    assert shape[peaks[0] : peaks[1]].min() < 0.2 * shape[peaks].min()
    assert 0.02 < shape[170 // BIN :].sum() < 0.1
    assert shape[: 42 // BIN].sum() == pytest.approx(0.2, abs=0.01)
    assert wanted({"medium": 1.0})[130 // BIN :].sum() < 0.01


def test_a_corpus_follows_it_though_half_of_the_places_have_little_to_say() -> None:
    counts, lengths = taken(3000)
    plain = [speaker(Random(i), (110, 400)[i % 2])("medium" if i % 3 else "long", 0).text for i in range(600)]
    made, raw = (np.histogram(n, bins=np.arange(0, LONGEST + BIN, BIN))[0] for n in (counts, map_tokens(plain)))
    valley, second = slice(108 // BIN, 126 // BIN), slice(132 // BIN, 156 // BIN)
    assert made[valley].min() < 0.3 * made[second].max()
    assert raw[valley].min() > 0.3 * raw[second].max()
    assert np.abs(made[: len(lengths.wanted)] / 3000 - lengths.wanted).sum() < 0.2
    assert 0 < lengths.missed < 0.3 * 3000
    assert lengths.made < TRIES * 3000


def map_tokens(texts: list[str]) -> list[int]:
    return [count_tokens(text) for text in texts]


def test_the_same_calls_take_the_same_texts_and_another_seed_others() -> None:
    assert taken(200)[0] == taken(200)[0]
    assert taken(200)[0] != taken(200, seed=1)[0]


def test_a_place_with_nothing_to_say_gives_the_best_there_is_and_asks_for_no_long_text_again() -> None:
    asked: list[str] = []

    def make(length: str, attempt: int) -> Any:
        asked.append(length)
        return SimpleNamespace(text="word " * 60, attempt=attempt)

    many = Lengths(SHARES, 0)
    for _ in range(50):
        asked.clear()
        assert count_tokens(many.take(make)[0].text) == 60
        assert len(asked) <= TRIES
        assert asked.count("long") <= 1
    assert many.missed > 40


def test_a_text_beyond_the_longest_is_taken_only_if_nothing_else_comes() -> None:
    lengths = Lengths(SHARES, 0)
    said, _ = lengths.take(lambda _, attempt: SimpleNamespace(text="word " * (400 if attempt < TRIES - 1 else 305)))
    assert count_tokens(said.text) > LONGEST
    said, _ = lengths.take(lambda _, attempt: SimpleNamespace(text="word " * (400 if attempt < TRIES - 1 else 60)))
    assert count_tokens(said.text) == 60
