"""Agreement among people: Krippendorff's alpha with an interval from resampling items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Level = Literal["nominal", "ordinal", "interval"]
RESAMPLES = 1000
COVER = 0.95


@dataclass(frozen=True, kw_only=True)
class Alpha:
    """``value`` is None where alpha is not defined; ``why`` then says so."""

    value: float | None
    low: float | None = None
    high: float | None = None
    units: int = 0
    """Units that at least two people rated."""
    items: int = 0
    """Items that these units lie on, which are resampled."""
    raters: int = 0
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        return {k: getattr(self, k) for k in self.__dataclass_fields__}


def krippendorff_alpha(
    units: Mapping[str, Mapping[str, Any]],
    values: Sequence[Any],
    *,
    level: Level,
    items: Mapping[str, str] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Alpha:
    """Alpha of ``units`` (unit -> rater -> one of ``values``, which are in their order for ordinal and interval).

    ``items`` says which item a unit lies on: all units of one item are drawn together, because they are seen together.
    A resample in which only one value is left has no alpha and is not counted. Raises ``KeyError`` on another value.
    """
    codes = {value: i for i, value in enumerate(values)}
    rated = {unit: given for unit, given in units.items() if len(given) >= 2}
    raters = {rater for given in rated.values() for rater in given}
    if not rated:
        return Alpha(value=None, why="no unit was rated by two people")
    counts = np.zeros((len(rated), len(values)), dtype=np.int64)
    for row, given in enumerate(rated.values()):
        for value in given.values():
            counts[row, codes[value]] += 1
    _, code = np.unique([items[u] if items else u for u in rated], return_inverse=True)
    size = int(code.max()) + 1
    value = _alpha(counts, values, level)
    about = Alpha(value=value, units=len(rated), items=size, raters=len(raters))
    if value is None:
        return replace(about, why="only one value was ever given")
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(code == i) for i in range(size)]
    drawn = []
    for _ in range(resamples if size > 1 else 0):
        rows = np.concatenate([members[i] for i in rng.integers(0, size, size)])
        again = _alpha(counts[rows], values, level)
        if again is not None:
            drawn.append(again)
    if not drawn:
        return replace(about, why="too few items for an interval")
    low, high = np.quantile(drawn, [(1 - COVER) / 2, (1 + COVER) / 2])
    return replace(about, low=float(low), high=float(high))


def _alpha(counts: NDArray[np.int64], values: Sequence[Any], level: Level) -> float | None:
    """Of value counts [U, V]; None where all are alike."""
    import krippendorff

    if (counts.sum(axis=0) > 0).sum() < 2:
        return None
    domain = list(range(len(values)))
    return float(krippendorff.alpha(value_counts=counts, value_domain=domain, level_of_measurement=level))
