"""CrossText2Loc's Explainable Retrieval Module (Where am I?, arXiv 2412.17007): the judge is shown the heat of text and
tile and says how sure it is; confidence + similarity order the first five.

The module's prompt and code were never published. Here the confidence is the probability of "yes" instead of a number
that the model writes, and similarity is the dual encoder's cosine of the whole text with the whole tile.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from agent.ledger import active
from agent.rerankers.base import Kit, by_retrieval, picture, ranking, reorder_judged
from agent.rerankers.comparing import counted
from agent.verdict import verdict
from prompts.clients.base import ChatClient, ChatRequest, ImagePart
from prompts.comparing import comparison_messages, load_comparison
from retriever.errors import ReplyError, SightlineError
from retriever.types import Candidate, Claim, Judgement, Query, Ranking, Usage

if TYPE_CHECKING:
    from retriever.encoder import Encoder
    from retriever.gallery import Gallery
    from retriever.heat import Heat

TOP = 5
WORDS = 6
"""How many of the hottest words the judge is told."""


class Erm:
    """Sees pixels, heat and claims of the first five; the rest keep their places."""

    name = "erm"

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._template = load_comparison("erm")

    async def rerank(
        self, query: Query, claims: Sequence[Claim], candidates: Sequence[Candidate], gallery: Gallery
    ) -> Ranking:
        """``score`` is confidence + similarity (0 to 2, less for unlike tiles); a failure keeps its place."""
        start = time.perf_counter()
        tiles = list(dict.fromkeys(c.tile_id for c in by_retrieval(candidates)))
        found = {t: _unjudged(t, f"erm orders the first {TOP} tiles alone") for t in tiles[TOP:]}
        client, encoder = getattr(self._kit.judge, "client", None), self._kit.encoder
        why, usage = self._why_not(claims, client, encoder), Usage()
        if why or client is None or encoder is None:
            found |= {t: _unjudged(t, why) for t in tiles[:TOP]}
        else:
            asked = (self._judge(client, encoder, query.text, active(claims), t, gallery) for t in tiles[:TOP])
            for judgement, cost in await asyncio.gather(*asked):
                found[judgement.tile_id] = judgement
                usage += cost
        useful = {t: j.score for t, j in found.items() if j.score is not None}
        took = Usage(seconds={"erm": time.perf_counter() - start})
        order = reorder_judged(candidates, useful)
        return ranking(query, self.name, order, found, usage + took, prompt=self._template.name)

    def _why_not(self, claims: Sequence[Claim], client: ChatClient | None, encoder: Encoder | None) -> str:
        if encoder is None:
            return "erm needs the encoder that made the shortlist, and none was given"
        if client is None:
            return "this judge is shown no heat maps" if self._kit.judge else self._kit.why_no_judge
        return "" if active(claims) else "the description holds nothing that could be checked on a tile"

    async def _judge(
        self, client: ChatClient, encoder: Encoder, text: str, claims: Sequence[Claim], tile_id: str, gallery: Gallery
    ) -> tuple[Judgement, Usage]:
        from agent.judge import tile_png
        from retriever.draw.overlay import overlay
        from retriever.heat import seen, text_heat

        usage = Usage()
        try:
            image = gallery.image(tile_id)
            heat = text_heat(encoder, text, [image])[0]
            shown = [
                ("Tile", ImagePart(png=picture(gallery, tile_id))),
                ("Heat map", ImagePart(png=tile_png(overlay(seen(encoder, image), heat.tile)))),
            ]
            messages = comparison_messages(self._template, shown, claims, words=hottest(heat))
            reply = await client.complete(ChatRequest(messages=messages, max_tokens=1, choices=("yes", "no")))
            usage = counted(reply)
            if reply.choice_logprobs is None or not math.isfinite(reply.choice_logprobs["yes"]):
                raise ReplyError("the model server gave no probabilities for yes and no")
        except SightlineError as error:
            return _unjudged(tile_id, str(error)), usage
        confidence = math.exp(reply.choice_logprobs["yes"])
        score = round(confidence + heat.similarity, 6)
        return Judgement(tile_id=tile_id, verdict=verdict(confidence, ()), score=score, score_kind="erm"), usage


def hottest(heat: Heat) -> str:
    """The words that weigh most, the heaviest first."""
    ranked = sorted(heat.words, key=lambda word: (-word.heat, word.start))
    return ", ".join(dict.fromkeys(word.text for word in ranked[:WORDS]))


def _unjudged(tile_id: str, why: str) -> Judgement:
    return Judgement(tile_id=tile_id, error=f"not judged: {why}")
