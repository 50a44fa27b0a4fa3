"""The tools as a client of the Model Context Protocol finds them, in this process and over stdio."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from api_kit import context_of, town
from mcp.client.client import Client

from agent.mcp_server import Found, Said, opened
from retriever.types import Claim

TEXT = "There is a cafe here and a pharmacy."


@asynccontextmanager
async def connected(tmp_path: Path) -> AsyncIterator[Client]:
    async with opened([context_of(town(), tmp_path)], tmp_path / "t.sqlite") as server, Client(server) as client:
        yield client


async def call(client: Client, tool: str, **given: Any) -> Any:
    answer = await client.call_tool(tool, given)
    assert not answer.is_error, answer.content
    return answer.structured_content


async def test_the_five_tools_say_what_they_take_and_give(tmp_path: Path) -> None:
    async with connected(tmp_path) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == {"locate", "refine", "compare", "explain", "export"}
        for tool in tools.values():
            assert tool.description
            assert tool.output_schema
        assert set(tools["locate"].input_schema["required"]) == {"text"}
        assert "confidence" in str(tools["locate"].output_schema)


async def test_a_search_refined_compared_explained_and_exported(tmp_path: Path) -> None:
    async with connected(tmp_path) as client:
        first = Found.model_validate(await call(client, "locate", text=TEXT))
        assert [c.rank for c in first.candidates] == [1, 2, 3, 4, 5]
        assert [c.status for c in first.claims] == ["active", "active"]
        more = Found.model_validate(await call(client, "refine", thread=first.thread, text="Forget the pharmacy."))
        assert [c.status for c in more.claims] == ["active", "struck"]
        both = Said.model_validate(await call(client, "compare", thread=first.thread, first=1, second=2))
        assert {e["rank"] for e in both.evidence} == {1, 2}
        why = Said.model_validate(await call(client, "explain", thread=first.thread))
        assert {e["tile_id"] for e in why.evidence} == {more.candidates[0].tile_id}
        assert why.reply_en
        assert why.reply_zh
        whole = await call(client, "export", thread=first.thread)
        assert [Claim.from_json(c).status for c in whole["claims"]] == ["active", "struck"]
        assert len(whole["history"]) == 4


@pytest.mark.parametrize(
    ("tool", "given", "said"),
    [
        ("refine", {"thread": "nobody", "text": "a cafe"}, "no_thread"),
        ("locate", {"text": "   "}, "empty"),
        ("locate", {"text": TEXT, "gallery": "elsewhere"}, "no_gallery"),
        ("compare", {"thread": "nobody", "first": 0}, "greater than or equal"),
    ],
)
async def test_what_cannot_be_done_is_an_error_in_words(
    tmp_path: Path, tool: str, given: dict[str, Any], said: str
) -> None:
    async with connected(tmp_path) as client:
        answer = await client.call_tool(tool, given)
        assert answer.is_error
        assert said in answer.content[0].text  # type: ignore[union-attr]
        assert "Traceback" not in answer.content[0].text  # type: ignore[union-attr]
