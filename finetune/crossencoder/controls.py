"""What a cross-encoder has to beat: counting shared words."""

from __future__ import annotations

import re
from functools import cache

from prompts.listing import parse_listing
from retriever.kinds import kinds


@cache
def _pattern(kind: str) -> re.Pattern[str]:
    """The words for a kind, English ones as whole words with a plural, Chinese ones anywhere."""
    found = kinds()[kind]
    english = "|".join(re.escape(w) for w in found.en)
    return re.compile(rf"\b(?:{english})(?:s|es)?\b|{'|'.join(map(re.escape, found.zh))}", re.IGNORECASE)


def shared_words(text: str, listing: str) -> float:
    """How many kinds of the listing the text names, less a twentieth for each that it does not."""
    held = {entry.kind for entry in parse_listing(listing).entries}
    named = sum(bool(_pattern(kind).search(text)) for kind in held)
    return named - 0.05 * (len(held) - named)
