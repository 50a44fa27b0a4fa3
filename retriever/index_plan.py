"""Which kind of index a gallery of some size gets. The numbers behind the choice are in ``docs/scale.md``."""

from __future__ import annotations

import math
from dataclasses import dataclass

EXACT_BELOW = 200_000
"""Galleries of fewer tiles are searched tile by tile: it takes milliseconds and misses nothing."""

EXACT = "Flat"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A FAISS index description, and how far a search in it goes."""

    factory: str = EXACT
    effort: int = 0
    """Inverted lists that a query looks into (IVF), or candidates that it follows (HNSW)."""
    depth: int = 0
    """Tiles found by their codes whose products are then computed from the store; 0: the codes' own order counts."""

    @property
    def exact(self) -> bool:
        return self.factory == EXACT


def choose(tiles: int, dim: int) -> Plan:
    """The plan for a gallery of ``tiles`` vectors of ``dim`` numbers.

    >>> choose(5_000, 256).exact
    True
    >>> choose(1_000_000, 256).factory
    'RR256,IVF4096,RaBitQ'
    """
    if tiles < EXACT_BELOW:
        return Plan()
    return Plan(factory=f"RR{dim},IVF{lists(tiles)},RaBitQ", effort=64, depth=400)


def lists(tiles: int) -> int:
    """Inverted lists for so many vectors: the power of two nearest to 4 sqrt(N), with 39 vectors to each at least.

    39 is what FAISS wants for each centre that it trains.
    """
    wanted = 2 ** round(math.log2(4 * math.sqrt(max(tiles, 1))))
    while wanted > 1 and tiles < 39 * wanted:
        wanted //= 2
    return int(wanted)
