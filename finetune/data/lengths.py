"""How long the corpus's texts are: CVG-Text's two humps, its tail and short ones, by choosing among descriptions.

The generator aims at a length and misses it where the map says little, so that what it gives has one hump and a
shoulder. Here a standing point is described until a text comes that the distribution still lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

import numpy as np
from numpy.typing import NDArray

from finetune.data.composing import count_tokens
from finetune.data.descriptions import Description, Length

LONGEST = 300
"""Tokens; no longer text is taken."""
BIN = 6
TRIES = 6
"""Descriptions of one standing point before the least unwanted of them is taken."""
FIRST, SECOND = (97.0, 9.0), (143.0, 10.0)
"""Middle and deviation of the humps, in tokens."""
_TAIL_SHARE, _TAIL_M = 0.12, 50.0
"""Of the long texts, how many lie in the tail, and the mean by which it reaches beyond the second hump."""
_PARTS: dict[Length, tuple[int, int]] = {"short": (0, 50), "medium": (50, 120), "long": (120, LONGEST + BIN)}
"""Tokens of the texts that answer to each length."""


def wanted(shares: Mapping[str, float]) -> NDArray[np.float64]:
    """Share of texts in each bin of ``BIN`` tokens, 0 to ``LONGEST``, for shares of short, medium and long texts."""
    at = np.arange(0, LONGEST, BIN, dtype=np.float64) + BIN / 2
    short = np.where((at > 10) & (at < 40), 1.0, 0.0)
    tail = np.where(at > SECOND[0], np.exp(-(at - SECOND[0]) / _TAIL_M), 0.0)
    second = _normal(at, *SECOND)
    parts = {
        "short": short,
        "medium": _normal(at, *FIRST),
        "long": (1 - _TAIL_SHARE) * second / second.sum() + _TAIL_SHARE * tail / tail.sum(),
    }
    return np.asarray(sum(share * parts[name] / parts[name].sum() for name, share in shares.items()))


def _normal(at: NDArray[np.float64], middle: float, deviation: float) -> NDArray[np.float64]:
    return np.asarray(np.exp(-0.5 * ((at - middle) / deviation) ** 2))


class Lengths:
    """Keeps count of what was taken; the same calls in the same order take the same texts."""

    def __init__(self, shares: Mapping[str, float], seed: object) -> None:
        self.wanted = wanted(shares)
        self.taken = np.zeros(len(self.wanted))
        self.rng = Random(f"lengths {seed}")
        self.made = 0
        """Descriptions that were made for those taken."""
        self.missed = 0
        """Texts taken though their length was not wanted."""

    def take(self, make: Callable[[Length, int], Description]) -> tuple[Description, Length]:
        """A description of one standing point and the length that was asked for; ``make`` takes it and an attempt."""
        found: list[tuple[float, Description, Length]] = []
        poor = False
        for attempt in range(TRIES):
            aim = self._aim(poor)
            length = next(name for name, (_, end) in _PARTS.items() if aim * BIN < end)
            said = make(length, attempt)
            self.made += 1
            tokens = count_tokens(said.text)
            lacking = self._lacking(tokens)
            found.append((lacking, said, length))
            if lacking > 0.5 or (lacking > 0 and abs(self._bin(tokens) - aim) <= 1):
                break
            # Where little is on the map no long text can be had, however often it is asked for.
            poor = poor or (length == "long" and tokens < _PARTS["long"][0])
        lacking, said, length = max(found, key=lambda row: row[0])
        self.missed += lacking <= 0
        self.taken[self._bin(count_tokens(said.text))] += 1
        return said, length

    def _bin(self, tokens: int) -> int:
        return min(tokens // BIN, len(self.taken) - 1)

    def _lacking(self, tokens: int) -> float:
        """How many texts of this length are still wanted; negative where there are too many."""
        if tokens > LONGEST:
            return float("-inf")
        at = self._bin(tokens)
        return float(self.wanted[at] * (self.taken.sum() + 1) - self.taken[at])

    def _aim(self, poor: bool) -> int:
        """A bin to aim at: the more it lacks, the likelier."""
        lacking = np.clip(self.wanted * (self.taken.sum() + 1) - self.taken, 0, None)
        if poor:
            lacking[_PARTS["long"][0] // BIN :] = 0
        return self.rng.choices(range(len(lacking)), (lacking if lacking.any() else self.wanted).tolist())[0]
