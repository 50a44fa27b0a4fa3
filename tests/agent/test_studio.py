"""The graph that LangGraph's dev server loads: messages in, messages out, the same steps between."""

from __future__ import annotations

import base64
import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from api_kit import context_of, picture, town
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

import agent
from agent.api.errors import ApiError
from agent.graph import STEPS
from agent.studio import Unreadable, build, parts

TEXT = "There is a cafe here and a pharmacy."


@pytest.fixture
def graph(tmp_path: Path) -> Any:
    return build(context_of(town(), tmp_path), InMemorySaver())


async def say(graph: Any, content: Any, thread: str = "t") -> dict[str, Any]:
    message = {"role": "human", "content": content}
    state: dict[str, Any] = await graph.ainvoke({"messages": [message]}, {"configurable": {"thread_id": thread}})
    return state


async def test_a_conversation_in_messages(graph: Any) -> None:
    first = await say(graph, TEXT)
    assert [type(m) for m in first["messages"]] == [HumanMessage, AIMessage]
    assert first["messages"][-1].content == f"{first['reply']['en']}\n{first['reply']['zh']}"
    assert len(first["result"]["candidates"]) == 5
    second = await say(graph, "Forget the pharmacy.")
    assert [c["status"] for c in second["claims"]] == ["active", "struck"]
    chinese = await say(graph, "用中文再说一遍")
    assert chinese["messages"][-1].content == chinese["reply"]["zh"]
    assert len(chinese["messages"]) == 6
    other = await say(graph, TEXT, thread="another")
    assert len(other["messages"]) == 2


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image", "source_type": "base64", "mime_type": "image/png", "data": "PICTURE"},
        {"type": "image", "base64": "PICTURE", "mime_type": "image/png"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,PICTURE"}},
        {"type": "image_url", "image_url": "data:image/png;base64,PICTURE"},
    ],
)
async def test_a_picture_in_the_message_joins_the_query(graph: Any, block: dict[str, Any]) -> None:
    packed = base64.b64encode(picture()).decode()
    block = json.loads(json.dumps(block).replace("PICTURE", packed))
    first = await say(graph, [{"type": "text", "text": TEXT}, block])
    assert [view for view, _ in first["images"]] == ["ground"]
    other = json.loads(json.dumps(block).replace(packed, base64.b64encode(picture(size=(80, 80))).decode()))
    assert len((await say(graph, [other]))["images"]) == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("  ", "empty"), ([], "empty"), ("x" * 20_001, "shorten"),
        ([{"type": "image_url", "image_url": {"url": "http://127.0.0.1/x.png"}}], "not fetched"),
        ([{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}], "not fetched"),
        ([{"type": "image", "base64": "!!"}], "base64"),
        ([{"type": "image", "base64": "AAAA"}] * 9, "at once"),
    ],
)  # fmt: skip
async def test_a_message_that_cannot_be_read_says_why(graph: Any, content: Any, said: str) -> None:
    with pytest.raises(Unreadable, match=said):
        await say(graph, content)


async def test_a_picture_that_is_none_is_refused(graph: Any) -> None:
    with pytest.raises(ApiError, match="PNG, JPEG or WebP"):
        await say(graph, [{"type": "image", "base64": base64.b64encode(b"GIF89a" * 9).decode()}])


def test_words_of_several_parts_are_joined() -> None:
    assert parts(["a cafe", {"type": "text", "text": "a bank"}]) == ("a cafe a bank", [])


def test_the_studio_shows_the_desks_own_steps(graph: Any) -> None:
    assert set(graph.get_graph().nodes) == {"__start__", "listen", *STEPS, "speak", "__end__"}
    assert "messages" in graph.get_input_jsonschema()["properties"]


def test_the_configuration_names_a_graph_that_is_there() -> None:
    folder = Path(agent.__file__).parent
    named = json.loads((folder / "langgraph.json").read_text(encoding="utf-8"))["graphs"]["sightline"]
    module, _, name = named.partition(":")
    assert callable(getattr(import_module(module), name))
