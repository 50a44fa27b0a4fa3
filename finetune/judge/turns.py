"""The eight ways to turn and mirror a tile: more pictures from the same map, with listing and labels that follow.

Turn ``t`` mirrors east and west where ``t >= 4`` and then turns by ``t % 4`` quarters clockwise. Labels and icons come
out turned too, so the upright tile stays the commonest.
"""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np

from prompts.listing import AXES, PARTS, Listing
from retriever.geo import POINTS_SHORT

TURNS = 8
UPRIGHT = 0.5
"""Share of pictures that are left as they are."""

Turned = tuple[int, int]
"""A row of the tile store and its turn."""


def draw_turn(rng: random.Random) -> int:
    """0 (upright) half of the time, else any of the other seven."""
    return 0 if rng.random() < UPRIGHT else rng.randrange(1, TURNS)


def turn_grid(grid: np.ndarray, turn: int) -> np.ndarray:
    """``[H, W, ...]``, north up, turned."""
    mirrored = np.fliplr(grid) if turn >= 4 else grid
    return np.rot90(mirrored, k=-(turn % 4))


def turn_listing(listing: Listing, turn: int) -> Listing:
    """What the turned picture shows."""
    if turn == 0:
        return listing
    axes = {AXES[_turned(AXES.index(a), turn) % 4] for a in listing.axes}
    entries = tuple(replace(e, parts=_parts(e.parts, turn)) for e in listing.entries)
    return Listing(entries=entries, axes=tuple(a for a in AXES if a in axes))


def _parts(parts: tuple[str, ...], turn: int) -> tuple[str, ...]:
    found = {p if p == "c" else POINTS_SHORT[_turned(POINTS_SHORT.index(p), turn) % 8] for p in parts}
    return tuple(p for p in PARTS if p in found)


def _turned(eighth: int, turn: int) -> int:
    """A direction in eighths of a circle, clockwise from north."""
    return (-eighth if turn >= 4 else eighth) + 2 * (turn % 4)
