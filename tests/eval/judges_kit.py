"""Judges of explanations: one that looks, one that always says four, and what they are given."""

from __future__ import annotations

import asyncio
import re

from explained_fakes import FACTS, case, claim

from eval.explanations.baselines import oracle_template
from eval.explanations.cache import CachedClient
from eval.explanations.controls import control_items, items_to_grade
from eval.explanations.judges import Member, grade_all
from eval.explanations.scoring import score_items
from prompts.clients.base import ChatReply, ChatRequest, ImagePart, TextPart
from prompts.clients.recorded import RecordedClient
from prompts.rubric import load_rubric
from retriever.types import Fact

BANK = (FACTS[0], Fact(osm_id="node/9", kind="bank", shape="point", parts=(((0.5, 0.2),),)))
MIXED = [
    case(n) if n % 2 else case(n, facts=BANK, claims=(claim(1, "bank", 0.0), claim(2, "runs", 0.0, "road")))
    for n in range(12)
]
"""Tiles with a cafe and with a bank by turns, so that the next place's tile is always another picture."""


def parts(request: ChatRequest) -> tuple[str, ImagePart]:
    user = request.messages[1].parts
    text = "\n".join(p.text for p in user if isinstance(p, TextPart))
    return text, next(p for p in user if isinstance(p, ImagePart))


def looking(request: ChatRequest) -> ChatReply:
    """A judge that knows both pictures and looks for what the explanation says description and tile agree on."""
    return ChatReply(text=grade_of(*parts(request)), prompt_tokens=100, completion_tokens=1)


def grade_of(text: str, tile: ImagePart) -> str:
    agreed = re.search(r"agree on ([^.]*)|一致：([^。]*)", text)
    said = "".join(g or "" for g in agreed.groups()) if agreed else ""
    wanted = PICTURES.get(tile.sha256, ("nothing", "nothing"))
    return "5" if any(w in said for w in wanted) else "2"


def always_four(request: ChatRequest) -> ChatReply:
    return ChatReply(text="4")


def run(answer, cases=None, name="judge", family=None, scales=("correct",), folder=None):
    places = cases or MIXED[:6]
    scored = score_items([oracle_template(c) for c in places], {c.key: c for c in places})
    items = [*items_to_grade(scored), *control_items(places, sound(places))]
    client = RecordedClient(answer, name=name)
    member = Member(name=name, client=client if folder is None else CachedClient(client, folder), family=family)
    return asyncio.run(grade_all(member, items, scales, load_rubric())), client


def sound(cases):
    return {c.key: oracle_template(c) for c in cases}


PICTURES = {
    i.tile.sha256: ("cafe", "咖啡馆") if int(i.key[0][1:]) % 2 else ("bank", "银行")
    for i in control_items(MIXED[:2], sound(MIXED[:2]))
    if i.control == "sound"
}
