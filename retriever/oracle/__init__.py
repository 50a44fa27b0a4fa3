"""What the map says about a claim: geometry over a tile's facts, three-valued, without a model.

The witness stood *somewhere near* the tile's centre, not on it, so every rule allows for that: see
:mod:`retriever.oracle.zones`. What the map does not say is ``unknown``, never false.

Does not know: lines of sight, heights beyond mapped storeys, opening hours, anything newer than the map.
"""

from retriever.oracle.index import FactIndex
from retriever.oracle.rules import check, check_all

__all__ = ["FactIndex", "check", "check_all"]
