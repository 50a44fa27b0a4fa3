"""Rerankers that compare tiles with each other: pairs, sets and lists, by letters."""

from __future__ import annotations

from typing import Any

import pytest
from desk_fakes import FakeGallery
from rerankers_kit import COMPARING, BrightClient, FullJudge, ids, rank, scores, shortlist

from agent.rerankers.comparing import MOST


@pytest.mark.parametrize("name", COMPARING)
async def test_comparing_puts_the_tile_that_the_judge_likes_first(name: str, gallery: FakeGallery) -> None:
    found = await rank(name, gallery, shortlist("t-a", "t-b", "t-c", "t-d", "t-e"))
    sure = 2 if name == "listwise" else 3  # One slide of windows settles half a window.
    assert ids(found)[:sure] == ["t-e", "t-d", "t-c"][:sure], "the reddest first"
    assert found.usage.calls > 1


async def test_both_orders_cancel_the_love_of_a_letter(gallery: FakeGallery) -> None:
    judge = FullJudge(BrightClient(prefers_first=50.0))
    found = await rank("pairwise", gallery, shortlist("t-a", "t-e"), judge=judge)
    assert scores(found) == pytest.approx({"t-a": 0.5, "t-e": 0.5}, abs=1e-3)
    assert len(judge.client.asked) == 2


@pytest.mark.parametrize(
    "says", ["A", "A > A > B > C > D", "sure: A > B > C > D > E", "A > B > C > D > E; B", "a > b", "A > B > C > X", ""]
)
async def test_an_order_that_is_none_changes_nothing_and_is_told(says: str, gallery: FakeGallery) -> None:
    found = await rank(
        "listwise", gallery, shortlist("t-a", "t-c", "t-b"), judge=FullJudge(BrightClient(says=says or "?"))
    )
    assert ids(found) == ["t-a", "t-c", "t-b"]
    assert all("no order of A, B, C" in str(j.error) and j.score is None for j in found.judgements)


async def test_the_letters_of_a_window_are_read_as_written(gallery: FakeGallery) -> None:
    judge = FullJudge(BrightClient(says="C > A > B"))
    found = await rank("listwise", gallery, shortlist("t-a", "t-c", "t-b"), judge=judge)
    assert ids(found) == ["t-b", "t-a", "t-c"]


@pytest.mark.parametrize("name", COMPARING)
async def test_tiles_beyond_the_most_keep_their_places(name: str, tmp_path: Any) -> None:
    many = FakeGallery(tmp_path, {f"t-{i:02d}": ["cafe"] for i in range(MOST + 2)})
    found = await rank(name, many, shortlist(*many.ids))
    assert ids(found)[MOST:] == many.ids[MOST:]
    assert all(f"first {MOST}" in str(j.error) for j in found.judgements[MOST:])
