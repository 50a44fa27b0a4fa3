"""What a cross-encoder has to beat without any weights, and how the two are measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from prompts.listing import AXES, PARTS, parse_listing

Floats = NDArray[np.float64]
RESAMPLES = 1000


def shared_words(text: str, listing: str) -> float:
    """How many clues have their kind, or their axis, in the listing, less those that have it not.

    A twentieth of a point goes for each kind of the listing that no clue names, so that a long listing is no merit.
    """
    parsed = parse_listing(listing)
    held = {entry.kind.replace("_", " ") for entry in parsed.entries} | {f"road {axis}" for axis in parsed.axes}
    found, named = 0, set()
    for clue in text.split("; "):
        denied, plain = clue.startswith("no "), clue.removeprefix("no ")
        if plain not in held and plain.rpartition(" ")[2] in PARTS and not plain.startswith(tuple(AXES)):
            plain = plain.rpartition(" ")[0]
        named.add(plain)
        found += 1 if (plain in held) != denied else -1
    return found - 0.05 * len(held - named)


def beaten(scores: Floats) -> Floats:
    """[Q]: the share of a row's other columns [Q, K] that the first one beats, ties counting half: its AUROC."""
    wins = (scores[:, :1] > scores[:, 1:]) + 0.5 * (scores[:, :1] == scores[:, 1:])
    shares: Floats = wins.mean(axis=1)
    return shares


def by_place(values: Floats, places: Sequence[int], *, seed: int = 0) -> tuple[float, float, float]:
    """Mean with its 95 % interval, whole places resampled."""
    names, code = np.unique(np.asarray(places), return_inverse=True)
    total, count = np.bincount(code, values), np.bincount(code)
    drawn = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=RESAMPLES)
    low, high = np.quantile(drawn @ total / (drawn @ count), [0.025, 0.975])
    return float(values.mean()), float(low), float(high)
