"""The page about rerankers: its example runs as it stands there, and its table is the registry."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest
from desk_fakes import FakeGallery, claim

from agent.rerankers import GROUP, RERANKERS, Kit, Reranker, check_permutation, create
from retriever.types import Candidate, Query

PAGE = (Path(__file__).parents[2] / "docs" / "rerankers.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)
    assert len(found) == 1
    return str(found[0])


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reranker:
    """The page's method, installed as the page says."""
    offered = tomllib.loads(block("toml"))["project"]["entry-points"][GROUP]
    (tmp_path / "rarity.py").write_text(block("python"), encoding="utf-8")
    info = tmp_path / "guest-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: guest\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *(f"{k} = {v}" for k, v in offered.items())]))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "rarity", raising=False)
    return create("rarity", Kit())


async def test_the_example_runs_and_puts_the_rare_thing_first(example: Reranker, gallery: FakeGallery) -> None:
    given = [Candidate(tile_id=t, score=-i, rank=i) for i, t in enumerate(("gone", "t-d", "t-e", "t-a", "t-b"), 1)]
    claims = [claim(1, "pharmacy"), claim(2, "cafe"), claim(3, "church", polarity=False)]
    ranking = check_permutation(await example.rerank(Query(id="q", text="x"), claims, given, gallery), given)  # type: ignore[arg-type]
    assert [j.tile_id for j in ranking.judgements] == ["gone", "t-a", "t-b", "t-d", "t-e"]
    assert [j.verdict for j in ranking.judgements] == [None, "match", "match", "cannot_tell", "cannot_tell"]
    assert "gone" in str(ranking.judgements[0].error)


def test_the_example_is_about_thirty_lines() -> None:
    assert len(block("python").splitlines()) <= 35


def test_the_table_is_the_registry() -> None:
    assert re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.MULTILINE) == list(RERANKERS)
