"""Rerankers: one file each, one explicit registry."""

from __future__ import annotations

from agent.rerankers.base import (
    ContractError,
    JudgeLike,
    Kit,
    Reranker,
    check_permutation,
    make,
)

RERANKERS: dict[str, str] = {
    "identity": "agent.rerankers.identity:Identity",
    "shuffle": "agent.rerankers.shuffle:Shuffle",
    "oracle": "agent.rerankers.oracle:Oracle",
    "yesno": "agent.rerankers.yesno:YesNo",
    "posterior": "agent.rerankers.posterior:ByPosterior",
}
"""Name -> ``module:Class``."""


def create(name: str, kit: Kit | None = None) -> Reranker:
    """The reranker called ``name``; an unknown name is an error that lists the known ones."""
    return make(name, kit or Kit(), RERANKERS)


__all__ = ["RERANKERS", "ContractError", "JudgeLike", "Kit", "Reranker", "check_permutation", "create"]
