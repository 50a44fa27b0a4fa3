"""What a cross-encoder reads of a description: its clues in the words of a listing, so that the two can be compared."""

from __future__ import annotations

from collections.abc import Iterable

from prompts.render import claim_words
from retriever.types import Claim

_UNLISTED = ("name", "building")


def clues(claims: Iterable[Claim]) -> str:
    """``road e-w; cafe n; no park`` of the standing claims; names and buildings, which no listing holds, are left out.

    Empty where nothing is left.
    """
    said = (claim_words(c) for c in claims if c.status == "active" and c.kind not in _UNLISTED)
    return "; ".join(dict.fromkeys(said))
