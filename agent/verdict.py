"""From a match probability and its evidence to one of three words."""

from __future__ import annotations

from collections.abc import Iterable

from retriever.types import Evidence, Verdict

UNDECIDED = 0.02
"""A probability this close to one half decides nothing."""


def verdict(p_match: float, evidence: Iterable[Evidence]) -> Verdict:
    """``match`` from one half up, ``no_match`` below.

    ``cannot_tell`` when the probability is within :data:`UNDECIDED` of one half, or when there is evidence and every
    piece of it is "unknown": a number with nothing behind it is not a verdict.

    >>> verdict(0.9, ())
    'match'
    >>> verdict(0.51, ())
    'cannot_tell'
    """
    stances = {item.stance for item in evidence}
    if abs(p_match - 0.5) < UNDECIDED or stances == {"unknown"}:
        return "cannot_tell"
    return "match" if p_match >= 0.5 else "no_match"
