"""How the reasons for a shown tile are had: written by the judge, or read off it and put into words by the template."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agent.judged import Reasons
from agent.rerankers.base import ExplainedLike, JudgeLike
from prompts.clients.choices import SplitChoice
from retriever.errors import ReplyError
from retriever.types import Claim, Tile


async def reasons(
    judge: JudgeLike, tile: Tile, png: bytes, claims: Sequence[Claim], verdict_p: float, how: Reasons
) -> ExplainedLike:
    """Evidence and words for one tile. Raises ``ServerUnavailable`` or ``ReplyError``.

    A judge of another make need not know how to be read; by ``auto`` it is asked to write.
    """
    read: Any = getattr(judge, "reasons", None)
    if read is None and how == "read":
        raise ReplyError("this judge cannot have its reasons read; set SIGHTLINE_REASONS to auto or written")
    if how == "written" or read is None:
        return await judge.explain(tile, png, claims, verdict_p)
    try:
        found: ExplainedLike = await read(tile, png, claims, verdict_p)
    except SplitChoice:
        if how == "read":
            raise
        return await judge.explain(tile, png, claims, verdict_p)
    return found
