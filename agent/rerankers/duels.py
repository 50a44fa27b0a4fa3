"""Duels: two tiles shown together in both orders, for the few whose probabilities cannot tell them apart."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from agent.ledger import active
from agent.rerankers.base import Kit, picture
from agent.rerankers.comparing import Asking
from prompts.clients.base import ImagePart
from prompts.comparing import load_comparison
from retriever.errors import SightlineError
from retriever.types import Claim, Usage

if TYPE_CHECKING:
    from retriever.gallery import Gallery

BOUND = 4.0
"""Log-odds of one duel are believed up to here."""


async def duels(
    kit: Kit, claims: Sequence[Claim], gallery: Gallery, best: str, rivals: Sequence[str]
) -> tuple[dict[str, float], Usage]:
    """Log-odds that ``best`` fits better than each rival, both orders averaged so that the letters' pull cancels.

    A rival without both answers is left out: an unanswered duel moves nothing.
    """
    client = getattr(kit.judge, "client", None)
    if client is None or not active(claims):
        return {}, Usage()
    asking = Asking(client=client, template=load_comparison("pairwise"), claims=active(claims))
    ready = [t for t in (best, *rivals) if _seen(asking, gallery, t)]
    if best not in ready:
        return {}, asking.usage
    fought = [t for t in ready if t != best]
    answers = await asyncio.gather(*(asking.choose(shown) for t in fought for shown in ((best, t), (t, best))))
    found = {}
    for n, rival in enumerate(fought):
        first, second = answers[2 * n], answers[2 * n + 1]
        if first is not None and second is not None:
            found[rival] = (_log_odds(first[best]) + _log_odds(second[best])) / 2
    return found, asking.usage


def _log_odds(p: float) -> float:
    p = min(max(p, 1e-6), 1 - 1e-6)
    return min(max(math.log(p / (1 - p)), -BOUND), BOUND)


def _seen(asking: Asking, gallery: Gallery, tile_id: str) -> bool:
    try:
        asking.pictures[tile_id] = ImagePart(png=picture(gallery, tile_id))
    except SightlineError:
        # Its own judgement says already what is wrong with the picture.
        return False
    return True
