"""The answer: reasons for the tiles that are shown, and the whole result as JSON."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.context import Context
from agent.explaining import reasons
from agent.ledger import active, decisive
from agent.rerankers.base import picture
from agent.verdict import verdict
from prompts.wording import template_explanation
from retriever.errors import SightlineError
from retriever.types import Claim, Evidence, Explanation, Judgement, Usage, Verdict

Checks = Mapping[str, tuple[Evidence, ...]]


@dataclass(frozen=True, kw_only=True)
class Told:
    """One judgement with its reasons."""

    judgement: Judgement
    problem: str | None = None
    """Why the judge's own words could not be had; None where they were, or were not asked for."""
    usage: Usage = field(default_factory=Usage)


async def explain_shown(
    context: Context,
    claims: Sequence[Claim],
    judgements: Sequence[Judgement],
    checks: Checks,
    on_told: Callable[[int, Told], None] = lambda rank, told: None,
) -> list[Told]:
    """Reasons for the first ``context.top`` judgements, all asked for at once; the rest get their map evidence.

    ``on_told`` hears each of them, with its rank, as soon as it is there.
    """
    standing = active(claims)
    shown, rest = judgements[: context.top], judgements[context.top :]

    async def one(rank: int, judgement: Judgement) -> Told:
        told = await _explain(context, standing, judgement, checks.get(judgement.tile_id, ()))
        on_told(rank, told)
        return told

    explained = await asyncio.gather(*(one(rank, j) for rank, j in enumerate(shown, 1)))
    plain = [_decided(j, (*_seen(j), *checks.get(j.tile_id, ()))) for j in rest]
    return [*explained, *(Told(judgement=j if j.explanation is None else _worded(standing, j)) for j in plain)]


async def _explain(
    context: Context, claims: Sequence[Claim], judgement: Judgement, checked: tuple[Evidence, ...]
) -> Told:
    seen, words, problem, usage = _seen(judgement), judgement.explanation, None, Usage()
    p = judgement.score if judgement.score_kind == "p_match" else None
    if context.kit.judge is not None and p is not None and words is None:
        seen, words, problem, usage = await _ask(context, claims, judgement.tile_id, p)
    decided = dataclasses.replace(_decided(judgement, (*seen, *checked)), explanation=words)
    return Told(judgement=_worded(claims, decided), problem=problem, usage=usage)


def _worded(claims: Sequence[Claim], judgement: Judgement) -> Judgement:
    """The judge's words where they are its own and conclude as the verdict does, else the template's.

    The judge writes for a match or for none, by its probability alone; the verdict also knows all the evidence.
    """
    words, p = judgement.explanation, judgement.score if judgement.score_kind == "p_match" else None
    concluded = judgement.verdict if p is None else "match" if p >= 0.5 else "no_match"
    if words is not None and words.author == "model" and concluded == judgement.verdict:
        return judgement
    return dataclasses.replace(judgement, explanation=in_template(claims, judgement.evidence, judgement.verdict))


def _decided(judgement: Judgement, evidence: tuple[Evidence, ...]) -> Judgement:
    """The judgement with all its evidence, and the verdict that probability and evidence give together."""
    if judgement.score_kind != "p_match" or judgement.score is None:
        return dataclasses.replace(judgement, evidence=evidence)
    return dataclasses.replace(judgement, evidence=evidence, verdict=verdict(judgement.score, evidence))


async def _ask(
    context: Context, claims: Sequence[Claim], tile_id: str, p: float
) -> tuple[tuple[Evidence, ...], Explanation | None, str | None, Usage]:
    """The judge's evidence and words, or the reason why there are none (its model is asked twice before that)."""
    assert context.kit.judge is not None
    try:
        found = await reasons(
            context.kit.judge,
            context.gallery.tile(tile_id),
            picture(context.gallery, tile_id),
            claims,
            p,
            context.reasons,
        )
    except SightlineError as error:
        return (), None, str(error), Usage()
    return found.evidence, found.explanation, None, found.usage


def _seen(judgement: Judgement) -> tuple[Evidence, ...]:
    """What the judge itself found where the method has already asked it for reasons."""
    return tuple(item for item in judgement.evidence if item.by == "model")


def in_template(claims: Sequence[Claim], evidence: Sequence[Evidence], word: Verdict | None) -> Explanation:
    """The ledger put into words by a template, marked so."""
    stances = {claim: item.stance for claim, item in decisive(evidence).items()}
    match = {"match": True, "no_match": False}.get(word or "")
    return template_explanation(claims, stances, match=match)


def authors(found: Sequence[Told]) -> dict[str, int]:
    """How many explanations the model wrote, how many the template, and how often the model was asked in vain."""
    written = [told.judgement.explanation.author for told in found if told.judgement.explanation is not None]
    failed = sum(told.problem is not None for told in found)
    return {"model": written.count("model"), "template": written.count("template"), "failed": failed}


def candidate_json(context: Context, told: Told, rank: int) -> dict[str, Any]:
    """One candidate as the JSON result shows it."""
    judgement = told.judgement
    tile = context.gallery.tile(judgement.tile_id)
    data = judgement.to_json()
    return {
        "tile_id": tile.id,
        "lat": tile.lat,
        "lon": tile.lon,
        "bounds": list(tile.bounds),
        "rank": rank,
        **{k: data[k] for k in ("score", "score_kind", "verdict", "confidence", "evidence", "error")},
        "explanation": data["explanation"],
        "explanation_error": told.problem,
    }
