"""A thread's state read as records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agent.context import Context
from agent.ledger import net_support
from agent.state import State
from retriever.posterior import Features
from retriever.types import Candidate, Claim, Evidence, Query, Ranking, Usage


def query_of(state: State) -> Query:
    """Everything searched for so far, as one query."""
    text = " ".join(state["words"])
    images: Any = [tuple(pair) for pair in state.get("images") or []]
    return Query(id=state["query_id"], text=text, lang=_lang(state), images=tuple(images))


def _lang(state: State) -> Any:
    from agent.language import language

    return state.get("lang") or language(" ".join(state["words"]))


def claims_of(state: State) -> list[Claim]:
    return [Claim.from_json(c) for c in state.get("claims", [])]


def candidates_of(state: State) -> list[Candidate]:
    return [Candidate.from_json(c) for c in state.get("candidates", [])]


def checks_of(state: State) -> dict[str, tuple[Evidence, ...]]:
    return {t: tuple(Evidence.from_json(e) for e in found) for t, found in state.get("checks", {}).items()}


def images_of(state: State, context: Context) -> dict[str, Path]:
    """The files of the question's images by sha256; those of an earlier command are in the content store."""
    found = dict(context.images)
    for _, sha in state.get("images") or []:
        if sha not in found and context.image_folder is not None:
            found[sha] = context.image_folder / f"{sha}.png"
    return found


def area_of(state: State, context: Context) -> Any:
    """The area limit, or None. Raises ``SightlineError`` for one that cannot be read."""
    if not state.get("within"):
        return None
    from retriever.area import Area

    return Area.parse(str(state["within"]))


def features_of(state: State) -> dict[str, Features]:
    """What is known about every shortlisted tile, by id."""
    said, checks = claims_of(state), checks_of(state)
    judged = {j.tile_id: j for j in Ranking.from_json(state["ranking"]).judgements}
    found: dict[str, Features] = {}
    for candidate in candidates_of(state):
        ledger, names = net_support(said, checks.get(candidate.tile_id, ()))
        judgement = judged[candidate.tile_id]
        p = judgement.score if judgement.score_kind == "p_match" else None
        found[candidate.tile_id] = Features(retrieval=candidate.score, p_match=p, ledger=ledger, names=names)
    return found


def usage_of(state: State) -> Usage:
    return Usage.from_json(state.get("usage") or {})
