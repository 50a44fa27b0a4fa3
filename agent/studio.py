"""The desk for LangGraph's own dev server and chat page: the same six steps behind a ``messages`` key.

``langgraph dev --config agent/langgraph.json`` serves it; SIGHTLINE_GALLERY names the gallery. A human message becomes
a turn's words (and pictures, as data inside the message, never as an address), the reply becomes an AI message, and
everything else of the thread's state can be looked at in the studio. Threads are kept by that server, not by ours.
"""

from __future__ import annotations

import asyncio
import atexit
import base64
import binascii
import itertools
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from agent import nodes
from agent.api.decoder import Decoder
from agent.api.errors import ApiError
from agent.api.limits import MAX_UPLOAD_BYTES
from agent.context import Context
from agent.graph import STEPS
from agent.opening import keep_picture
from agent.runs import MAX_TEXT
from agent.state import State
from agent.turns import in_language
from retriever.errors import SightlineError

GALLERY = "SIGHTLINE_GALLERY"
MOST_PICTURES = 8
Node = Callable[[Any, Runtime[Any]], Awaitable[Any]]


class StudioState(State, total=False):
    """The desk's state with the conversation as messages."""

    messages: Annotated[list[AnyMessage], add_messages]


class Unreadable(SightlineError):
    """A message that holds nothing to search by."""

    status = 422


def build(context: Context, checkpointer: Any = None) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The desk's graph between a step that reads the last message and one that writes the reply."""
    graph: Any = StateGraph(StudioState)
    graph.add_node("listen", _listener(context))
    for name in STEPS:
        graph.add_node(name, _inside(getattr(nodes, name), context))
    graph.add_node("speak", speak)
    graph.add_edge(START, "listen")
    graph.add_edge("listen", "claims")
    graph.add_conditional_edges("claims", _next, ["retrieve", "answer"])
    for here, there in itertools.pairwise(STEPS[1:]):
        graph.add_edge(here, there)
    graph.add_edge("answer", "speak")
    graph.add_edge("speak", END)
    compiled: CompiledStateGraph[Any, Any, Any, Any] = graph.compile(checkpointer=checkpointer)
    return compiled


async def make_graph() -> CompiledStateGraph[Any, Any, Any, Any]:
    """What ``langgraph.json`` names. Opens gallery and judge once, beside the event loop."""
    return await asyncio.to_thread(_opened_graph)


async def speak(state: StudioState) -> Any:
    """The reply, in the thread's language."""
    return {"messages": [AIMessage(in_language(state["reply"], state.get("spoken") or "both"))]}


def _listener(context: Context) -> Node:
    async def listen(state: StudioState, runtime: Runtime[Any]) -> Any:
        """The last human message as the words and pictures of a turn. Raises ``Unreadable`` and ``ApiError``."""
        said = next((m for m in reversed(state.get("messages") or []) if isinstance(m, HumanMessage)), None)
        text, pictures = parts(said.content if said is not None else "")
        if not text and not pictures:
            raise Unreadable("the message is empty; say in a sentence or two what can be seen from the place")
        known = state.get("images") or []
        new = await _kept(pictures, context)
        info: Any = runtime.execution_info
        turn: State = {"text": text, "order": None, "lang": None}
        turn["query_id"] = state.get("query_id") or str(getattr(info, "thread_id", None) or "studio")
        if new:
            turn["images"] = [*(pair for pair in known if pair not in new), *new]
        if new and not text and state.get("result"):
            turn["order"] = {"do": "attach", "image": new[-1]}
        return turn

    return listen


def _inside(node: Node, context: Context) -> Node:
    """A step of the desk with the context that the dev server cannot hand over."""

    async def run(state: StudioState, runtime: Runtime[Any]) -> Any:
        return await node(state, runtime.override(context=context))

    return run


def _next(state: StudioState) -> str:
    return "retrieve" if state["act"]["kind"] == "search" else "answer"


def parts(content: str | list[Any]) -> tuple[str, list[bytes]]:
    """Words and pictures of a message. Raises ``Unreadable`` for what is too long or is the address of a picture."""
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    blocks = [{"type": "text", "text": b} if isinstance(b, str) else b for b in blocks]
    words = " ".join(str(b.get("text", "")) for b in blocks if b.get("type") == "text")
    text = words.replace("\x00", " ").strip()
    if len(text) > MAX_TEXT:
        raise Unreadable(f"the message has {len(text)} characters; at most {MAX_TEXT} are read, so shorten it")
    pictures = [_data(b) for b in blocks if b.get("type") in ("image", "image_url")]
    if len(pictures) > MOST_PICTURES:
        raise Unreadable(f"the message holds {len(pictures)} pictures; at most {MOST_PICTURES} are read at once")
    return text, pictures


def _data(block: Mapping[str, Any]) -> bytes:
    """The bytes of a picture that lies in the message, in any of the forms in which chat pages put it there."""
    link = block.get("image_url")
    url = str(link.get("url", "") if isinstance(link, Mapping) else link or block.get("url", ""))
    packed = str(block.get("data") or block.get("base64") or "")
    if url.startswith("data:"):
        packed = url.partition(",")[2]
    if not packed:
        raise Unreadable("a picture must lie in the message itself; addresses of pictures are not fetched")
    if len(packed) > MAX_UPLOAD_BYTES * 4 // 3 + 4:
        raise Unreadable(f"a picture may have {MAX_UPLOAD_BYTES:,} bytes; make it smaller")
    try:
        return base64.b64decode(packed, validate=True)
    except (binascii.Error, ValueError):
        raise Unreadable("a picture of the message is not in base64; send it again") from None


async def _kept(pictures: list[bytes], context: Context) -> list[list[str]]:
    """The pictures in the content store, re-encoded; as ground views, because chat pages do not say what they show."""
    if not pictures:
        return []
    if context.image_folder is None:
        raise ApiError(404, "no_uploads", "this desk keeps no pictures")
    decoder, found = Decoder(), []
    try:
        for raw in pictures:
            png = await decoder.reencode(raw, "studio")
            sha = await asyncio.to_thread(keep_picture, "ground", png, context.image_folder)
            found.append(["ground", sha])
    finally:
        await decoder.close()
    return found


_opening = threading.Lock()


def _opened_graph() -> CompiledStateGraph[Any, Any, Any, Any]:
    with _opening:
        return _graph_of(os.environ.get(GALLERY, ""))


@cache
def _graph_of(gallery: str) -> CompiledStateGraph[Any, Any, Any, Any]:
    from agent.demo import home
    from agent.opening import open_context
    from agent.settings import Settings

    settings = Settings()
    folder = Path(gallery) if gallery else home(settings, None) / "gallery"
    if not gallery and not folder.exists():
        raise SightlineError(f"name a gallery in {GALLERY}, or run 'sightline demo' once to build the demo town")
    stack = ExitStack()
    atexit.register(stack.close)
    context = stack.enter_context(open_context(folder, settings, say=lambda line: print(line, file=sys.stderr)))
    return build(context)
