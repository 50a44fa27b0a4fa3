"""The answer: reasons for the tiles that are shown, and the whole result as JSON."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from agent.context import Context
from agent.ledger import active, decisive
from agent.rerankers.base import picture
from agent.verdict import verdict
from prompts.wording import template_explanation
from retriever.errors import SightlineError
from retriever.types import Claim, Evidence, Explanation, Judgement, Usage, Verdict

Checks = Mapping[str, tuple[Evidence, ...]]


async def explain_shown(
    context: Context, claims: Sequence[Claim], judgements: Sequence[Judgement], checks: Checks
) -> tuple[list[Judgement], Usage]:
    """Reasons for the first ``context.top`` judgements, all asked for at once; the rest get their map evidence."""
    standing = active(claims)
    shown, rest = judgements[: context.top], judgements[context.top :]
    explained = await asyncio.gather(*(_explain(context, standing, j, checks.get(j.tile_id, ())) for j in shown))
    total = Usage()
    for _, usage in explained:
        total = total + usage
    plain = [dataclasses.replace(j, evidence=(*_seen(j), *checks.get(j.tile_id, ()))) for j in rest]
    return [j for j, _ in explained] + plain, total


async def _explain(
    context: Context, claims: Sequence[Claim], judgement: Judgement, checked: tuple[Evidence, ...]
) -> tuple[Judgement, Usage]:
    seen = _seen(judgement)
    explanation, usage = _in_its_words(judgement.explanation), Usage()
    p = judgement.score if judgement.score_kind == "p_match" else None
    if context.kit.judge is not None and p is not None and judgement.explanation is None:
        seen, explanation, usage = await _ask(context, claims, judgement.tile_id, p)
    evidence = (*seen, *checked)
    word = judgement.verdict if p is None else verdict(p, evidence)
    return (
        dataclasses.replace(
            judgement,
            verdict=word,
            evidence=evidence,
            explanation=explanation or in_template(claims, evidence, word),
        ),
        usage,
    )


async def _ask(
    context: Context, claims: Sequence[Claim], tile_id: str, p: float
) -> tuple[tuple[Evidence, ...], Explanation | None, Usage]:
    """The judge's evidence and words; nothing when it failed (after asking its model twice), the ledger still tells."""
    assert context.kit.judge is not None
    try:
        found = await context.kit.judge.explain(
            context.gallery.tile(tile_id), picture(context.gallery, tile_id), claims, p
        )
    except SightlineError:
        return (), None, Usage()
    return found.evidence, _in_its_words(found.explanation), found.usage


def _seen(judgement: Judgement) -> tuple[Evidence, ...]:
    """What the judge itself found where the method has already asked it for reasons."""
    return tuple(item for item in judgement.evidence if item.by == "model")


def _in_its_words(explanation: Explanation | None) -> Explanation | None:
    return explanation if explanation is not None and explanation.author == "model" else None


def in_template(claims: Sequence[Claim], evidence: Sequence[Evidence], word: Verdict | None) -> Explanation:
    """The ledger put into words by a template, marked so."""
    stances = {claim: item.stance for claim, item in decisive(evidence).items()}
    match = {"match": True, "no_match": False}.get(word or "")
    return template_explanation(claims, stances, match=match)


def authors(judgements: Sequence[Judgement]) -> dict[str, int]:
    """How many explanations the model wrote and how many the template."""
    found = [j.explanation.author for j in judgements if j.explanation is not None]
    return {"model": found.count("model"), "template": found.count("template")}


def candidate_json(context: Context, judgement: Judgement, rank: int) -> dict[str, Any]:
    """One candidate as the JSON result shows it."""
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
    }
