"""The judge: a multimodal model behind a chat client that looks at a tile, scores claims against it and explains.

* ``look``: the tile's listing, whatever the query; asked once per picture and kept.
* ``score``: the probability of "yes, this is the place", from the yes/no token pair.
* ``stances``: a stance for every claim, one token each, without sentences.
* ``reasons``: those stances, put into English and Chinese by the template.
* ``explain``: a stance for every claim, and the reason in English and Chinese, all of it written by the model.

All begin with the same words and picture, so a server with prefix caching reads a tile once. A judge that sees
``facts`` is given the map's listing of the tile, with names, in place of its own look.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Awaitable, Sequence
from dataclasses import replace

from PIL import Image

from agent.judged import Explained, Saw, Scored, Stanced
from agent.listings import ListingStore, MemoryListings
from agent.stances import expected, read_evidence
from agent.verdict_fit import VerdictFit, stored_fit
from prompts.clients.base import ChatClient, ChatReply, ChatRequest, ImagePart, Message
from prompts.heating import Heater
from prompts.listing import parse_listing
from prompts.readback import agrees
from prompts.render import (
    Template,
    explain_messages,
    facts_listing,
    load_template,
    look_messages,
    score_messages,
    stance_messages,
)
from prompts.schema import MAX_CLAIMS, STANCES, explain_schema, read_reply
from prompts.wording import template_explanation
from retriever.errors import ModelError, ReplyError
from retriever.geo import M_PER_DEG
from retriever.types import Claim, Evidence, Explanation, Stance, Tile, Usage, canonical_json

LOOK_TOKENS = 160


def explain_tokens(claims: int) -> int:
    """Room for an explanation: its frame, and for each claim the evidence and its mention in both languages.

    A small model's window is filled by the question's own claims, so no more is asked for than an answer takes.
    """
    return 120 + 32 * claims


class Judge:
    """Asks one model about tiles. Raises ``ServerUnavailable`` or ``ReplyError``; never invents an answer."""

    def __init__(
        self,
        client: ChatClient,
        *,
        store: ListingStore | None = None,
        template: str = "judge",
        saw: Saw = "pixels",
        fit: VerdictFit | None = None,
        heat: Heater | None = None,
    ) -> None:
        """``fit``: of the verdict; without it the one that is kept for this judge, if any.

        ``heat`` draws the second picture of a template that shows one (``judge_heat``), and of no other.
        """
        self.client = client
        self.store: ListingStore = store if store is not None else MemoryListings()
        self.template: Template = load_template(template)
        if self.template.reasons_first or self.template.direct:
            how = "for reasons first" if self.template.reasons_first else "without a look at the tile"
            raise ModelError(f"the template {template} asks {how}; the judge looks, then asks for the verdict first")
        if bool(self.template.heat) != (heat is not None):
            raise ModelError(
                f"the template {template} and heat go together: name judge_heat and an encoder, or neither"
            )
        self.heat = heat
        self.saw: Saw = saw
        self.fit = fit if fit is not None else stored_fit(self.plain_name)
        self._looking: dict[str, asyncio.Task[tuple[str, Usage]]] = {}

    @property
    def _looker(self) -> str:
        return f"{self.client.name}+{self.template.id}@{self.template.sha256[:8]}"

    @property
    def plain_name(self) -> str:
        """Model, prompt and what it is shown."""
        heat = "" if self.heat is None else f"+heat@{self.heat.id}"
        return self._looker + ("" if self.saw == "pixels" else f"+{self.saw}") + heat

    @property
    def name(self) -> str:
        """Model, prompt, what it is shown and the verdict's fit, as recorded with every result."""
        return self.plain_name + (f"+verdict@{self.fit.id}" if self.fit.id else "")

    def shown(self, tile: Tile) -> str:
        """Names what the judge is shown of a tile beside its picture; empty for nothing."""
        if self._saw(tile) == "pixels":
            return ""
        return hashlib.sha256(canonical_json([f.to_json() for f in tile.facts or ()]).encode()).hexdigest()

    def _saw(self, tile: Tile) -> Saw:
        return "pixels" if tile.facts is None else self.saw

    async def _listing(self, tile: Tile, image: ImagePart, claims: Sequence[Claim]) -> tuple[str, Usage]:
        """The map's listing where facts are shown, else the judge's own look."""
        if self._saw(tile) == "pixels" or tile.facts is None:
            return await self._look(image)
        size_m = (tile.bounds[3] - tile.bounds[1]) * M_PER_DEG
        return facts_listing(tile.facts, claims, size_m=size_m).text(), Usage()

    async def _heat(self, image: ImagePart, asked: Sequence[Claim]) -> ImagePart | None:
        """The tile under its heat for these claims, of the judge's own size; None for a judge without."""
        if self.heat is None:
            return None
        return ImagePart.of(await asyncio.to_thread(self.heat.picture, image.image(), asked))

    async def look(self, tile: Tile, png: bytes) -> str:
        """What lies where on this tile by its picture, in the words of :mod:`prompts.listing`."""
        return (await self._look(ImagePart(png=png)))[0]

    async def _look(self, image: ImagePart) -> tuple[str, Usage]:
        kept = self.store.get(self._looker, image.sha256)
        if kept is not None:
            return kept, Usage()
        # Two questions about one tile at the same time share one look.
        task = self._looking.get(image.sha256)
        if task is None:
            task = asyncio.ensure_future(self._ask_look(image))
            self._looking[image.sha256] = task
            task.add_done_callback(lambda _: self._looking.pop(image.sha256, None))
            return await asyncio.shield(task)
        return (await asyncio.shield(task))[0], Usage()

    async def _ask_look(self, image: ImagePart) -> tuple[str, Usage]:
        reply = await self.client.complete(
            ChatRequest(messages=tuple(look_messages(image, self.template)), max_tokens=LOOK_TOKENS)
        )
        listing = parse_listing(reply.text).text()
        self.store.put(self._looker, image.sha256, listing)
        return listing, _usage(reply, "look")

    async def score(self, tile: Tile, png: bytes, claims: Sequence[Claim]) -> Scored:
        """The probability that this tile shows the place of these claims."""
        image, asked = ImagePart(png=png), _asked(claims)
        listing, usage = await self._listing(tile, image, asked)
        messages = score_messages(image, listing, asked, self.template, await self._heat(image, asked))
        yes, no = self.template.yes, self.template.no
        reply = await self.client.complete(ChatRequest(messages=tuple(messages), max_tokens=1, choices=(yes, no)))
        if reply.choice_logprobs is None or not math.isfinite(reply.choice_logprobs[yes]):
            raise ReplyError("the model server gave no probabilities for yes and no; start it with them on")
        p = math.exp(reply.choice_logprobs[yes])
        return Scored(
            p_match=self.fit(p),
            p_model=p,
            saw=self._saw(tile),
            listing=listing,
            asked=tuple(c.id for c in asked),
            usage=usage + _usage(reply, "score"),
        )

    async def stances(self, tile: Tile, png: bytes, claims: Sequence[Claim]) -> Stanced:
        """A stance for every claim: what the model expects behind the claim in the score question, one token each.

        Raises ``SplitChoice`` for a model whose tokenizer has no single token for a stance; :meth:`explain` asks it.
        """
        image, asked = ImagePart(png=png), _asked(claims)
        listing, usage = await self._listing(tile, image, asked)
        heat = await self._heat(image, asked)
        replies = await self._read_off(
            [stance_messages(image, listing, asked, at, self.template, heat) for at in range(len(asked))]
        )
        found, sure, listed = [], {}, parse_listing(listing)
        for claim, reply in zip(asked, replies, strict=True):
            usage = usage + _usage(reply, "stances")
            said, sure[claim.id] = expected(reply)
            found.append(read_evidence(claim, said, listed))
        evidence = _complete(found, claims)
        sureness = tuple(sure.get(e.claim_id, 0.0) for e in evidence)
        return Stanced(evidence=evidence, sure=sureness, saw=self._saw(tile), usage=usage)

    async def _read_off(self, questions: Sequence[list[Message]]) -> list[ChatReply]:
        """The stance expected behind each of these, the last of which holds all the others.

        The longest goes first: a server with prefix caching then has read all of them, and the rest are asked at once.
        """

        def ask(messages: list[Message]) -> Awaitable[ChatReply]:
            request = ChatRequest(messages=tuple(messages), max_tokens=1, choices=STANCES, reads_on=True)
            return self.client.complete(request)

        if not questions:
            return []
        last = await ask(questions[-1])
        return [*await asyncio.gather(*map(ask, questions[:-1])), last]

    async def reasons(self, tile: Tile, png: bytes, claims: Sequence[Claim], verdict_p: float) -> Explained:
        """As :meth:`explain`, read off and not written: the stances, in the words of the template.

        They cost a token for each claim in place of some two hundred, and the words say what the evidence says by how
        they are made. Raises ``SplitChoice`` for a model that has no single token for a stance.
        """
        stanced, asked = await self.stances(tile, png, claims), _asked(claims)
        said: dict[str, Stance] = {e.claim_id: e.stance for e in stanced.evidence}
        words = template_explanation(asked, said, match=verdict_p >= 0.5)
        return Explained(evidence=stanced.evidence, explanation=words, usage=stanced.usage)

    async def explain(self, tile: Tile, png: bytes, claims: Sequence[Claim], verdict_p: float) -> Explained:
        """Evidence for every claim and the reason in both languages.

        The two texts are read back and must make the claims of the evidence; if not, the model is asked once more, and
        then the same evidence is put in the words of the template (``author="template"``).
        """
        image, asked = ImagePart(png=png), _asked(claims)
        listing, usage = await self._listing(tile, image, asked)
        match = verdict_p >= 0.5
        heat = await self._heat(image, asked)
        messages = tuple(explain_messages(image, listing, asked, match=match, template=self.template, heat=heat))
        request = ChatRequest(
            messages=messages, max_tokens=explain_tokens(len(asked)), json_schema=explain_schema(len(asked))
        )
        problem: ReplyError | None = None
        evidence: tuple[Evidence, ...] | None = None
        for attempt in range(2):
            try:
                reply = await self.client.complete(
                    replace(request, seed=attempt, temperature=0.0 if attempt == 0 else 0.7)
                )
                usage = usage + _usage(reply, "explain")
                said = read_reply(reply.text, asked)
            except ReplyError as error:
                problem = error
                continue
            evidence = evidence or said.evidence
            stances: dict[str, Stance] = {e.claim_id: e.stance for e in said.evidence}
            if agrees(said.en, said.zh, asked, stances):
                explanation = Explanation(en=said.en, zh=said.zh, author="model")
                return Explained(evidence=_complete(said.evidence, claims), explanation=explanation, usage=usage)
        if evidence is None:
            raise problem or ReplyError("the model gave no evidence")
        stances = {e.claim_id: e.stance for e in evidence}
        return Explained(
            evidence=_complete(evidence, claims),
            explanation=template_explanation(asked, stances, match=match),
            usage=usage,
        )


def _asked(claims: Sequence[Claim]) -> list[Claim]:
    return [c for c in claims if c.status == "active"][:MAX_CLAIMS]


def _complete(evidence: Sequence[Evidence], claims: Sequence[Claim]) -> tuple[Evidence, ...]:
    """Evidence for every active claim; those that were not asked about are unknown."""
    found = {e.claim_id: e for e in evidence}
    return tuple(
        found.get(c.id, Evidence(claim_id=c.id, stance="unknown", reason="not_visible", by="model"))
        for c in claims
        if c.status == "active"
    )


def _usage(reply: ChatReply, stage: str) -> Usage:
    return Usage(
        calls=1,
        prompt_tokens=reply.prompt_tokens,
        completion_tokens=reply.completion_tokens,
        seconds={stage: reply.seconds},
    )


def tile_png(image: Image.Image, side: int = 224) -> bytes:
    """A tile as the judge is shown it: ``side`` pixels square, scaled by area, re-encoded by us."""
    return ImagePart.of(image.convert("RGB").resize((side, side), Image.Resampling.BOX)).png
