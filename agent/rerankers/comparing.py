"""What the kinds that show several tiles at once have in common: pictures, questions, and failure as a value."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.ledger import active
from agent.rerankers.base import Kit, by_retrieval, picture, ranking, reorder_judged
from prompts.clients.base import ChatClient, ChatReply, ChatRequest, ImagePart
from prompts.comparing import LABELS, Comparison, comparison_messages, load_comparison, parse_order
from retriever.errors import ReplyError, SightlineError
from retriever.types import Candidate, Claim, Judgement, Query, Ranking, Usage

if TYPE_CHECKING:
    from retriever.gallery import Gallery

MOST = 10
"""Tiles that are compared, from the top; comparisons grow with their number and beyond it."""
WINDOW = len(LABELS)


class Comparing(ABC):
    """Sees pixels and claims. Gives an order and no verdicts: which of two tiles fits better says of neither that it
    fits."""

    name: str
    template: str
    """Name of its file in prompts/templates."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._why = f"not judged: the method {self.name} compares tiles with each other and gives no verdict"
        self._template = load_comparison(self.template)

    @abstractmethod
    async def compare(self, asking: Asking, tiles: Sequence[str]) -> Mapping[str, float]:
        """Scores of the tiles (in retrieval order) that could be compared; ``asking.failed`` tells of the others."""

    async def rerank(
        self, query: Query, claims: Sequence[Claim], candidates: Sequence[Candidate], gallery: Gallery
    ) -> Ranking:
        """The compared tiles among the places that they hold; every other one keeps its place with an ``error``."""
        start = time.perf_counter()
        tiles = list(dict.fromkeys(c.tile_id for c in by_retrieval(candidates)))
        found: dict[str, Judgement] = {}
        usage, scores = Usage(), dict[str, float]()
        client = getattr(self._kit.judge, "client", None)
        why = self._why_not(claims)
        if client is None or why:
            found = {t: _unjudged(t, why or "this judge answers no questions about several tiles") for t in tiles}
        else:
            asking = Asking(client=client, template=self._template, claims=active(claims))
            ready = [t for t in tiles[:MOST] if _load(asking, gallery, t, found)]
            scores = {t: round(s, 6) for t, s in (await self.compare(asking, ready)).items()}
            found |= {t: _unjudged(t, f"only the first {MOST} tiles are compared") for t in tiles[MOST:]}
            found |= {t: _unjudged(t, asking.failed.get(t, "no comparison")) for t in ready if t not in scores}
            usage = asking.usage
        found |= {t: Judgement(tile_id=t, score=s, score_kind=self.name, error=self._why) for t, s in scores.items()}
        took = Usage(seconds={self.name: time.perf_counter() - start})
        order = reorder_judged(candidates, scores)
        return ranking(query, self.name, order, found, usage + took, prompt=self._template.name)

    def _why_not(self, claims: Sequence[Claim]) -> str:
        if self._kit.judge is None:
            return self._kit.why_no_judge
        return "" if active(claims) else "the description holds nothing that could be checked on a tile"


@dataclass(kw_only=True)
class Asking:
    """One query's questions to the judge."""

    client: ChatClient
    template: Comparison
    claims: Sequence[Claim]
    pictures: dict[str, ImagePart] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    failed: dict[str, str] = field(default_factory=dict)
    """By tile: why the last question that showed it has no answer."""

    async def choose(self, tiles: Sequence[str]) -> dict[str, float] | None:
        """The probability of each tile to be named, shown in this order; None where there is no answer."""
        labels = LABELS[: len(tiles)]
        try:
            reply = await self._ask(tiles, max_tokens=1, choices=labels)
            given = reply.choice_logprobs
            if given is None or not all(math.isfinite(given.get(label, math.nan)) for label in labels):
                raise ReplyError("the model server gave no probabilities for the letters")
        except SightlineError as error:
            self.failed |= dict.fromkeys(tiles, str(error))
            return None
        return {tile: math.exp(given[label]) for tile, label in zip(tiles, labels, strict=True)}

    async def order(self, tiles: Sequence[str]) -> list[str] | None:
        """The tiles in the order that the judge writes; None where it writes none."""
        labels = LABELS[: len(tiles)]
        try:
            reply = await self._ask(tiles, max_tokens=4 * len(tiles))
            said = parse_order(reply.text, labels)
        except SightlineError as error:
            self.failed |= dict.fromkeys(tiles, str(error))
            return None
        return [tiles[labels.index(label)] for label in said]

    async def _ask(self, tiles: Sequence[str], *, max_tokens: int, choices: tuple[str, ...] | None = None) -> ChatReply:
        shown = [(label, self.pictures[tile]) for label, tile in zip(LABELS, tiles, strict=False)]
        messages = comparison_messages(self.template, shown, self.claims)
        reply = await self.client.complete(ChatRequest(messages=messages, max_tokens=max_tokens, choices=choices))
        self.usage += counted(reply)
        return reply


def counted(reply: ChatReply) -> Usage:
    """One call's cost."""
    return Usage(calls=1, prompt_tokens=reply.prompt_tokens, completion_tokens=reply.completion_tokens)


def by_place(order: Sequence[str], judged: set[str]) -> dict[str, float]:
    """1, 1/2, 1/3 ... for the judged tiles in their order: these kinds know places, not distances."""
    return {tile: 1.0 / place for place, tile in enumerate((t for t in order if t in judged), 1)}


def _load(asking: Asking, gallery: Gallery, tile_id: str, found: dict[str, Judgement]) -> bool:
    try:
        asking.pictures[tile_id] = ImagePart(png=picture(gallery, tile_id))
    except SightlineError as error:
        found[tile_id] = _unjudged(tile_id, str(error))
    return tile_id in asking.pictures


def _unjudged(tile_id: str, why: str) -> Judgement:
    return Judgement(tile_id=tile_id, error=f"not judged: {why}")
