"""From a match probability and its evidence to one of three words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from retriever.types import Evidence, Verdict

UNDECIDED = 0.02
"""A probability this close to one half decides nothing."""
MAP_WEIGHT = 4.0
"""Log-odds between a tile that holds nothing of what was said and one that holds half of it, by the map; chosen, not
fitted. A place that holds less than half of what the witness said is not confirmed by the map."""


def verdict(p_match: float, evidence: Iterable[Evidence]) -> Verdict:
    """``match`` from one half up, ``no_match`` below: the judge's probability, moved by what the map confirms.

    Evidence of the map (``by="map"``) shifts the log-odds by ``MAP_WEIGHT * (share - 1/2)``, where the share is claims
    supported less claims contradicted, of all claims; a map that decides nothing moves nothing, and one that
    contradicts nothing takes a yes no lower than one half. The judge's own evidence is in its probability already.
    ``cannot_tell`` when the outcome is within :data:`UNDECIDED` of one half, or when there is evidence and every
    piece of it is "unknown": a number with nothing behind it is not a verdict.

    >>> verdict(0.9, ())
    'match'
    >>> verdict(0.51, ())
    'cannot_tell'
    >>> verdict(0.46, [Evidence(claim_id="c1", stance="supports", by="map")])
    'match'
    """
    found = list(evidence)
    if found and {item.stance for item in found} == {"unknown"}:
        return "cannot_tell"
    p = _moved(p_match, [item.stance for item in found if item.by == "map"])
    if abs(p - 0.5) < UNDECIDED:
        return "cannot_tell"
    return "match" if p >= 0.5 else "no_match"


def _moved(p: float, stances: Sequence[str]) -> float:
    if not set(stances) - {"unknown"}:
        return p
    share = (stances.count("supports") - stances.count("contradicts")) / len(stances)
    bounded = min(max(p, 1e-6), 1 - 1e-6)
    moved = 1 / (1 + math.exp(-(math.log(bounded / (1 - bounded)) + MAP_WEIGHT * (share - 0.5))))
    return max(moved, 0.5) if p >= 0.5 and "contradicts" not in stances else moved
