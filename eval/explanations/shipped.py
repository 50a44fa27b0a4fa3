"""Our own judge as a system to be scored: its raw sentences, what is shown in their place, and its reruns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from agent.judge import Judge, explain_tokens, tile_png
from agent.verdict import UNDECIDED
from eval.explanations.baselines import map_confidence
from eval.explanations.cases import Case
from eval.explanations.counterfactual import Answer
from eval.explanations.edits import Scene
from eval.explanations.schema import Explained
from prompts.clients.base import ChatRequest, ImagePart
from prompts.render import explain_messages
from prompts.schema import MAX_CLAIMS, explain_schema, read_reply
from prompts.wording import template_explanation
from retriever.draw import draw_tile
from retriever.errors import ReplyError
from retriever.geo import M_PER_DEG
from retriever.oracle import FactIndex, check_all
from retriever.types import Claim, Evidence, Fact, Stance, Tile, Usage, Verdict

Part = Literal["own sentences", "own evidence", "read off", "evidence and facts"]
PARTS: dict[str, Part] = {
    "judge by pixels, own sentences": "own sentences",
    "judge by pixels, template of its evidence": "own evidence",
    "judge by pixels, read off it": "read off",
    "judge with map facts, as shipped": "evidence and facts",
}
"""What answers a counterfactual, by its name in the report. All ask the model for the same probability; the first two
have it write its reasons, the others read them off it, as the product does."""
FAMILY = "sightline"
OWN, OWN_TEMPLATE, READ = "judge, own sentences", "judge, template of its evidence", "judge, read off it"
PRODUCT, BLIND = "Sightline as shipped", "judge, blank tile"


class Shipped:
    """The judge behind a client, on scenes and on cases. ``part``: what of its answers to a scene is scored."""

    def __init__(self, judge: Judge, *, part: Part = "own evidence") -> None:
        self.judge = judge
        self.part = part

    async def __call__(self, scene: Scene) -> Answer:
        """The answer to one scene, as :data:`eval.explanations.counterfactual.Judging` wants it."""
        png = tile_png(scene.image)
        scored = await self.judge.score(_tile("scene", scene.size_m, scene.facts), png, scene.claims)
        checked: dict[str, Stance] = {}
        p = scored.p_match
        if self.part == "evidence and facts":
            known = check_all(scene.claims, FactIndex(scene.facts, size_m=scene.size_m))
            checked = {e.claim_id: e.stance for e in known}
            p = map_confidence(p, checked)
        answer = Answer(verdict=decided(p), confidence=p)
        if not scene.words:
            return answer
        if self.part in ("read off", "evidence and facts"):
            tile = _tile("scene", scene.size_m, scene.facts)
            evidence = (await self.judge.stances(tile, png, scene.claims)).evidence
        else:
            said, evidence, _ = await self._say(png, scored.listing, scene.claims, scored.p_match)
            if self.part == "own sentences":
                return replace(answer, texts=said)
        stances: dict[str, Stance] = {e.claim_id: e.stance for e in evidence}
        stances |= {claim: stance for claim, stance in checked.items() if stance != "unknown"}
        words = template_explanation(scene.claims, stances, match=_match(answer.verdict))
        return replace(answer, texts={"en": words.en, "zh": words.zh})

    async def explain(self, case: Case) -> list[Explained]:
        """Two systems on one case: the model's raw sentences, and the template over the evidence that it wrote."""
        raw = await self._raw(case, tile_png(case.image()), self.named(OWN), case.facts)
        return [raw, _template(raw, case, self.named(OWN_TEMPLATE), {})]

    async def read(self, case: Case) -> list[Explained]:
        """Two more: the template over the stances that are read off the model, and the product with the map's."""
        tile, png = _tile(case.tile_id, case.size_m, case.facts), tile_png(case.image())
        scored = await self.judge.score(tile, png, case.claims)
        told = await self.judge.reasons(tile, png, case.claims, scored.p_match)
        bare = _explained(case, self.named(READ), scored.p_match, told.evidence, scored.usage + told.usage)
        return [_template(bare, case, self.named(READ), {}), self._product(bare, case)]

    def named(self, system: str) -> str:
        """The system's name in reports, which says so where the judge is shown the map's facts."""
        return system if self.judge.saw == "pixels" else f"{system}, shown facts"

    async def blind(self, case: Case) -> Explained:
        """The same model on a blank tile: a text-only model, that has the description and never saw the tile."""
        blank = draw_tile((), size_m=case.size_m)
        return await self._raw(case, tile_png(blank), BLIND, None)

    async def _raw(self, case: Case, png: bytes, system: str, facts: tuple[Fact, ...] | None) -> Explained:
        scored = await self.judge.score(_tile(case.tile_id, case.size_m, facts), png, case.claims)
        said, evidence, usage = await self._say(png, scored.listing, case.claims, scored.p_match)
        bare = _explained(case, system, scored.p_match, evidence, scored.usage + usage)
        return replace(bare, texts={lang: text for lang, text in said.items() if text})

    def _product(self, raw: Explained, case: Case) -> Explained:
        checked = {e.claim_id: e.stance for e in case.checked.values()}
        p = map_confidence(raw.confidence or 0.0, checked)
        moved = replace(raw, confidence=p, verdict=decided(p))
        known = {claim: stance for claim, stance in checked.items() if stance != "unknown"}
        return _template(moved, case, self.named(PRODUCT), known)

    async def _say(
        self, png: bytes, listing: str, claims: Sequence[Claim], p: float
    ) -> tuple[dict[str, str], tuple[Evidence, ...], Usage]:
        """The model's own words, unchecked and unreplaced, with its evidence; one attempt, greedy."""
        asked = [c for c in claims if c.status == "active"][:MAX_CLAIMS]
        messages = explain_messages(ImagePart(png=png), listing, asked, match=p >= 0.5, template=self.judge.template)
        request = ChatRequest(
            messages=tuple(messages), max_tokens=explain_tokens(len(asked)), json_schema=explain_schema(len(asked))
        )
        try:
            reply = await self.judge.client.complete(request)
            said = read_reply(reply.text, asked)
        except ReplyError:
            return {}, (), Usage(calls=1)
        usage = Usage(
            calls=1,
            prompt_tokens=reply.prompt_tokens,
            completion_tokens=reply.completion_tokens,
            seconds={"explain": reply.seconds},
        )
        return {"en": said.en, "zh": said.zh}, said.evidence, usage


def _explained(case: Case, system: str, p: float, evidence: tuple[Evidence, ...], usage: Usage) -> Explained:
    """Without words yet."""
    return Explained(
        system=system,
        query_id=case.query_id,
        tile_id=case.tile_id,
        verdict=decided(p),
        confidence=p,
        texts={},
        evidence=evidence,
        claims=case.claims,
        query=case.text,
        family=FAMILY,
        usage=usage,
    )


def decided(p: float) -> Verdict:
    """The word for a probability, as the product says it."""
    return "cannot_tell" if abs(p - 0.5) < UNDECIDED else "match" if p > 0.5 else "no_match"


def _match(verdict: Verdict | None) -> bool | None:
    return {"match": True, "no_match": False}.get(verdict or "")


def _template(raw: Explained, case: Case, system: str, known: Mapping[str, Stance]) -> Explained:
    stances: dict[str, Stance] = {e.claim_id: e.stance for e in raw.evidence}
    words = template_explanation(case.claims, {**stances, **known}, match=_match(raw.verdict))
    return replace(raw, system=system, texts={"en": words.en, "zh": words.zh})


def _tile(name: str, size_m: float, facts: tuple[Fact, ...] | None) -> Tile:
    """The tile of this name with its extent, wherever it lies; facts are for a judge that is shown them."""
    side = size_m / M_PER_DEG
    return Tile(
        id=name,
        view="map",
        lat=side / 2,
        lon=side / 2,
        bounds=(0.0, 0.0, side, side),
        gsd_m=1.0,
        image="",
        image_sha256="",
        facts=facts,
    )
