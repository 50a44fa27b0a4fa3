"""One ranking out of two scores: what the encoder sees in the tiles, and which names stand on them.

``fuse``: dense scores are standardised over the gallery (their scale is the model's own), then every tile gains
``NAME_WEIGHT`` for each fully matched rare name. A tile without a named hit keeps its dense order exactly.
``rrf``: reciprocal rank fusion (Cormack et al. 2009), which needs no scale at all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

NAME_WEIGHT = 6.0
"""Standard deviations of the dense score that one matched name is worth. Set on the validation areas."""

RRF_K = 60.0


def standardise(scores: Floats) -> Floats:
    """Mean 0 and deviation 1 over the finite scores [N]; constant scores become 0, missing ones stay -inf."""
    known = np.isfinite(scores)
    out = np.full(scores.shape, -np.inf, np.float32)
    if known.any():
        values = scores[known].astype(np.float64)
        spread = values.std()
        out[known] = (values - values.mean()) / spread if spread > 1e-12 else 0.0
    return out


def fuse(dense: Floats, names: Floats, *, name_weight: float = NAME_WEIGHT) -> Floats:
    """float32 [N] from dense [N] (any scale, -inf where unknown) and names [N] (0 where nothing named is there).

    A tile that the encoder could not embed takes the lowest dense score, so that its names can still lift it.
    """
    z = standardise(dense)
    known = np.isfinite(z)
    z[~known] = z[known].min() if known.any() else 0.0
    return np.asarray(z + np.float32(name_weight) * names, np.float32)


def fuse_found(dense: Floats, names: Floats, mean: float, spread: float, *, name_weight: float = NAME_WEIGHT) -> Floats:
    """:func:`fuse` where only some tiles were scored: float32 [N], -inf for the others.

    ``mean`` and ``spread`` are those of the dense scores of the whole gallery. A named tile without a dense score
    takes the lowest one that is there.
    """
    z = (dense.astype(np.float64) - mean) / spread if spread > 1e-12 else np.where(np.isfinite(dense), 0.0, -np.inf)
    known = np.isfinite(z)
    z[~known & (names != 0)] = z[known].min() if known.any() else 0.0
    return np.asarray(z + name_weight * names, np.float32)


def rrf(lists: Sequence[Floats], *, k: float = RRF_K) -> Floats:
    """float32 [N]: sum of ``1 / (k + rank)`` over score lists [N]; equal scores share their worst rank."""
    total = np.zeros(len(lists[0]), np.float64)
    for scores in lists:
        ascending = np.sort(scores)
        rank = len(scores) - np.searchsorted(ascending, scores, side="left")
        total += np.where(np.isfinite(scores), 1.0 / (k + rank), 0.0)
    return total.astype(np.float32)


def best(scores: Floats, ids: Sequence[str], k: int, allowed: NDArray[np.bool_] | None = None) -> list[int]:
    """Rows of the ``k`` highest scores among the allowed, ties by id; rows scored -inf are never among them."""
    mask = np.isfinite(scores) if allowed is None else np.isfinite(scores) & allowed
    rows = np.flatnonzero(mask)
    if len(rows) > k > 0:
        edge = np.partition(scores[rows], len(rows) - k)[len(rows) - k]
        rows = rows[scores[rows] >= edge]
    return sorted(rows.tolist(), key=lambda row: (-float(scores[row]), ids[row]))[:k]
