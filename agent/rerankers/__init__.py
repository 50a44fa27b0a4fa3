"""Rerankers: one file each, one explicit registry, open to other packages."""

from __future__ import annotations

from importlib.metadata import entry_points

from agent.rerankers.base import (
    ContractError,
    JudgeLike,
    Kit,
    Reranker,
    check_permutation,
    make,
)
from retriever.errors import SightlineError

RERANKERS: dict[str, str] = {
    "identity": "agent.rerankers.identity:Identity",
    "shuffle": "agent.rerankers.shuffle:Shuffle",
    "oracle": "agent.rerankers.oracle:Oracle",
    "yesno": "agent.rerankers.yesno:YesNo",
    "posterior": "agent.rerankers.posterior:ByPosterior",
    "cascade": "agent.rerankers.cascade:Cascade",
    "verdict": "agent.rerankers.verdict:ByVerdict",
    "maxsim": "agent.rerankers.maxsim:MaxSim",
    "ot": "agent.rerankers.ot:Transport",
    "erm": "agent.rerankers.erm:Erm",
    "pairwise": "agent.rerankers.pairwise:Pairwise",
    "setwise": "agent.rerankers.setwise:Setwise",
    "listwise": "agent.rerankers.listwise:Listwise",
    "crossencoder": "agent.rerankers.crossencoder:CrossEncoder",
    "crossencoder_look": "agent.rerankers.crossencoder:CrossEncoderLook",
}
"""Name -> ``module:Class``, those that ship."""

GROUP = "sightline.rerankers"
"""The entry-point group in which installed packages offer rerankers of their own."""


def create(name: str, kit: Kit | None = None) -> Reranker:
    """The reranker called ``name``, shipped or of an installed package; an unknown name lists the known ones.

    Raises ``SightlineError`` also where two offer the same name: results must say which method made them.
    """
    offers = [*RERANKERS.items(), *((entry.name, entry.value) for entry in entry_points(group=GROUP))]
    mine = sorted({maker for key, maker in offers if key == name})
    if len(mine) > 1:
        raise SightlineError(f"the reranker {name!r} is offered by {' and '.join(mine)}; rename one of them")
    return make(name, kit or Kit(), dict(offers))


__all__ = ["GROUP", "RERANKERS", "ContractError", "JudgeLike", "Kit", "Reranker", "check_permutation", "create"]
