"""A stance that is read off the judge: which one it expects behind a claim, and where on the tile."""

from __future__ import annotations

import math
from typing import get_args

from prompts.clients.base import ChatReply
from prompts.listing import Listing, find, region_of
from prompts.schema import STANCES
from retriever.errors import ReplyError
from retriever.types import Claim, Evidence, Stance


def expected(reply: ChatReply) -> tuple[Stance, float]:
    """The likeliest stance with its probability. Raises ``ReplyError`` where there is none for each of them."""
    logs = reply.choice_logprobs or {}
    if not all(math.isfinite(logs.get(word, math.nan)) for word in STANCES):
        raise ReplyError("the model server gave no probabilities for the stances; start it with them on")
    said: Stance = max(get_args(Stance), key=lambda word: logs[word])
    return said, math.exp(logs[said])


def read_evidence(claim: Claim, said: Stance, listing: Listing) -> Evidence:
    """A stance that was read off, with the part of the tile where the listing has the thing, if it says the same."""
    seen = find(claim, listing)
    at = seen.at if seen.stance == said else None
    return Evidence(
        claim_id=claim.id,
        stance=said,
        reason="not_visible" if said == "unknown" else None,
        region=None if at is None else region_of(at),
        by="model",
    )
