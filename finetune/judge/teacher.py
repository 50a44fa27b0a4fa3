"""What a tile's stances say about a match, learned from the training pairs: a softer target than the coin that fell.

Of two places with like surroundings a witness was at one; a yes or no on so few claims is mostly noise, and a small
model fed with it learns little but the base rate. The adapter is therefore asked in part for the probability that a
logistic regression on the stances gives, which says the same of every pair that looks the same.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np

from prompts.listing import Listing, find
from retriever.types import Claim

Floats = np.ndarray
Drawn = tuple[Sequence[Claim], Listing, bool]
"""Claims, the listing they are judged on, and whether it is the witness's tile."""
KINDS = ("object", "name", "road")
STANCES = ("supports", "contradicts", "unknown")


def features(claims: Sequence[Claim], listing: Listing) -> Floats:
    """``[24]``: claims by kind (others together) and stance, as counts and as shares of all."""
    counts = np.zeros((len(KINDS) + 1, len(STANCES)))
    for claim in claims:
        kind = KINDS.index(claim.kind) if claim.kind in KINDS else len(KINDS)
        counts[kind, STANCES.index(find(claim, listing).stance)] += 1
    flat = counts.reshape(-1)
    return np.concatenate([flat, flat / max(1, len(claims))])


class Teacher:
    """A logistic regression on :func:`features`, fitted to ``n`` drawn pairs (none of them blank tiles)."""

    def __init__(self, draw: Callable[[random.Random], Drawn], *, seed: int, n: int = 6000) -> None:
        from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

        rng = random.Random(seed)
        drawn = [draw(rng) for _ in range(n)]
        self._model = LogisticRegression(max_iter=2000)
        self._model.fit(np.stack([features(c, listing) for c, listing, _ in drawn]), [match for *_, match in drawn])

    def __call__(self, claims: Sequence[Claim], listing: Listing) -> float:
        """Probability of a match, 0..1."""
        return float(self._model.predict_proba(features(claims, listing)[None])[0, 1])
