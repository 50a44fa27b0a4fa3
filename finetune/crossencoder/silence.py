"""What it weighs that a listing has a kind of thing of which the witness said nothing.

The model reads clues, so it never hears of what was left unsaid. One number makes up for that: so much is taken off for
each such kind, fitted on descriptions of the training areas.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize

from finetune.crossencoder.controls import Floats
from finetune.crossencoder.pairs import Ground, Group
from prompts.pairing import each_clue, listing_words, unnamed


def unsaid(found: Sequence[Group], ground: Ground) -> Floats:
    """[Q, K]: kinds of each tile's listing that no clue of the description names."""
    words = [listing_words(listing) for listing in ground.listing]
    return np.array([[unnamed(each_clue(g.claims), words[t]) for t in g.tiles] for g in found], dtype=float)


def fitted(scores: Floats, missing: Floats) -> float:
    """What to take off for each kind unsaid, in the scores' units: by likelihood of the first column, at least 0."""

    def loss(at: Floats) -> float:
        table = at[0] * scores - at[1] * missing
        top = table.max(axis=1)
        return float((top + np.log(np.exp(table - top[:, None]).sum(axis=1)) - table[:, 0]).mean())

    found = minimize(loss, np.array([1.0, 0.0]), method="L-BFGS-B", bounds=[(0.05, 10.0), (0.0, 10.0)])
    return round(float(found.x[1] / found.x[0]), 4)
