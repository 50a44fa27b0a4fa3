"""Splits by area with a buffer: no place of one split lies near a place of another.

Two ways: whole areas are put into splits and must lie ``buffer_m`` apart (:func:`check_areas`); or one area is cut in
strips, and what lies in the buffer between two strips belongs to none (:func:`cut`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retriever.errors import SightlineError
from retriever.geo import M_PER_DEG, Frame
from retriever.grid import check_box
from retriever.types import Box

SPLITS = ("train", "validation", "test")
MOST_LINES = 20


class SplitError(SightlineError):
    """Splits that would let a model be tested on what it was trained on."""


@dataclass(frozen=True, kw_only=True)
class Area:
    """One area of one split."""

    name: str
    split: str
    bounds: Box
    """West, south, east, north in degrees."""


def gap_m(a: Box, b: Box) -> float:
    """Metres between two boxes in degrees, 0 where they touch or overlap.

    Never more than the true distance, but for the Earth's roundness (0.1 % at 1,000 km): east-west metres are taken at
    the latitude farther from the equator, where a degree is shortest.
    """
    south, north = max(a[1], b[1]), min(a[3], b[3])
    dlat = max(0.0, south - north)
    widest = max(abs(v) for v in (a[1], a[3], b[1], b[3]))
    dlon = min(max(0.0, max(a[0], b[0] + turn) - min(a[2], b[2] + turn)) for turn in (-360.0, 0.0, 360.0))
    return math.hypot(dlat * M_PER_DEG, dlon * M_PER_DEG * math.cos(math.radians(widest)))


def check_areas(areas: Sequence[Area], *, buffer_m: float) -> None:
    """Refuses areas of different splits that lie nearer than ``buffer_m``, and an area that is named twice.

    Raises:
        SplitError: listing the pairs; or for a split, a box or a buffer that makes no sense.
    """
    if not (math.isfinite(buffer_m) and buffer_m >= 0):
        raise SplitError(f"a buffer of {buffer_m} m is none: give metres, 0 or more")
    for area in areas:
        check_box(area.bounds)
        if area.split not in SPLITS:
            raise SplitError(f"the area {area.name} is put into {area.split!r}; splits are {', '.join(SPLITS)}")
    names = [area.name for area in areas]
    again = sorted({name for name in names if names.count(name) > 1})
    if again:
        raise SplitError(f"the area {again[0]} is named {names.count(again[0])} times: name it once")
    near = [
        f"{a.name} ({a.split}) and {b.name} ({b.split}): {gap:,.0f} m"
        for a, b in itertools.combinations(areas, 2)
        if a.split != b.split and ((gap := gap_m(a.bounds, b.bounds)) < buffer_m or gap == 0.0)
    ]
    if near:
        raise SplitError(
            f"areas of different splits lie nearer than {buffer_m:g} m: {_some(near)}; move one to the other's split "
            "or cut it smaller"
        )


def _some(lines: Sequence[str]) -> str:
    more = f" and {len(lines) - MOST_LINES} more" if len(lines) > MOST_LINES else ""
    return "; ".join(lines[:MOST_LINES]) + more


def cut(
    lat: Iterable[float], lon: Iterable[float], shares: Mapping[str, float], *, buffer_m: float
) -> list[str | None]:
    """A split for each point of one area: strips across its longer side, None for points in the buffer between two.

    ``shares`` are parts of the points (before the buffers are taken), in the order in which the strips lie, from the
    south or west. Two points of different splits are at least ``buffer_m`` apart.

    Raises:
        SplitError: shares that are not positive or do not add up to 1, or a split of which nothing is left.
    """
    if not shares or any(s <= 0 for s in shares.values()) or abs(sum(shares.values()) - 1.0) > 1e-6:
        raise SplitError(f"the shares {dict(shares)} are not positive parts of 1: correct them")
    at, along = _along(np.asarray(list(lat), dtype=np.float64), np.asarray(list(lon), dtype=np.float64))
    edges = np.quantile(along, np.cumsum(list(shares.values()))[:-1]) if at else np.zeros(0)
    found: list[str | None] = []
    for value in along:
        clear = not edges.size or float(np.abs(edges - value).min()) >= buffer_m / 2
        found.append(list(shares)[int(np.searchsorted(edges, value))] if clear else None)
    for split in shares:
        if split not in found:
            raise SplitError(f"nothing is left of {split}: the area is too small for buffers of {buffer_m:g} m")
    return found


def _along(lat: NDArray[np.float64], lon: NDArray[np.float64]) -> tuple[int, NDArray[np.float64]]:
    """How many points there are, and metres along the longer side of their box."""
    if not lat.size:
        return 0, np.zeros(0)
    # The shortest degree of the area, so that a distance is never taken for more than it is.
    widest = float(np.abs(lat).max())
    x, y = Frame(lat=math.copysign(widest, 1.0), lon=float(lon.mean())).xy(lat, lon)
    y = y - y.mean()
    return len(lat), x if np.ptp(x) >= np.ptp(y) else y
