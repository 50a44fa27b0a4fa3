"""claims -> retrieve -> rerank -> check -> confidence -> answer, forward only; the one loop is the conversation."""

from __future__ import annotations

import itertools
from typing import Any

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from agent import nodes
from agent.context import Context
from agent.state import State

STEPS = ("claims", "retrieve", "rerank", "check", "confidence", "answer")


def build(checkpointer: Any = None, store: Any = None) -> CompiledStateGraph[State, Context, State, State]:
    """The compiled graph. With a checkpointer every node's result is kept under the run's ``thread_id``."""
    graph = StateGraph(State, context_schema=Context)
    for name in STEPS:
        graph.add_node(name, getattr(nodes, name))
    graph.add_edge(START, "claims")
    graph.add_conditional_edges("claims", _next, ["retrieve", "answer"])
    for here, there in itertools.pairwise(STEPS[1:]):
        graph.add_edge(here, there)
    graph.add_edge("answer", END)
    return graph.compile(checkpointer=checkpointer, store=store)


def _next(state: State) -> str:
    """A question about what is already judged needs no new search."""
    return "retrieve" if state["act"]["kind"] == "search" else "answer"
