"""Behind a gate the order need not be that of the confidence; whoever reads it is told so, in both languages."""

from __future__ import annotations

import asyncio
import dataclasses
import io
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from case_kit import context_of, entries_of
from desk_fakes import FakeGallery, FakeJudge, FakeRetriever, claim
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from agent import render
from agent.casefile import case_bytes
from agent.casefile.case import case_of
from agent.casefile.view import view_of
from agent.desk import Desk, open_desk
from agent.graph import build
from agent.order_note import behind, order_note
from agent.rerankers import Kit, create
from agent.rerankers.cascade import Cascade
from agent.settings import Settings
from retriever.errors import GalleryError
from retriever.gate import gated
from retriever.types import Candidate

TEXT = "There is a church here and a cafe."
GATE = {"margin": 1.0986122886681098, "duel_weight": 0.0, "near": 0.0, "fitted": False, "note": "no gate"}
# t-c is the retriever's first; t-a is a little likelier by the judge, which is too little a lead.
JUDGED = {"t-a": 0.55, "t-b": 0.5, "t-c": 0.2, "t-d": 0.1, "t-e": 0.2}


def listed(*confidences: float, judged: bool = True) -> list[dict[str, Any]]:
    return [
        {"tile_id": f"t-{n}", "rank": n, "confidence": p, "features": {"p_match": 0.5 if judged else None}}
        for n, p in enumerate(confidences, 1)
    ]


def test_the_default_method_is_the_cascade(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIGHTLINE_RERANKER", raising=False)
    assert isinstance(create(Settings().reranker), Cascade)


def test_one_candidate_that_was_kept_back_is_named_with_the_reason() -> None:
    note = order_note(listed(0.30, 0.40, 0.10), GATE)
    assert note is not None
    assert note.en == (
        "Number 2 has a higher confidence than the candidate listed just before, but too small a lead for a change of "
        "order (it must be more than 3 times as probable), so the order of the retrieval scores was kept there."
    )
    assert note.zh == (
        "第 2 个的置信度高于紧排在前面的候选，但领先幅度不足以改变次序（概率须高于其 3 倍），"
        "因此此处保留检索得分的次序。"
    )
    assert note.cites == ("judgement:t-1", "posterior:t-1", "judgement:t-2", "posterior:t-2")
    assert note.level == 0, "it belongs in the shortest reply"


def test_several_are_named_in_one_sentence() -> None:
    note = order_note(listed(0.20, 0.25, 0.10, 0.15, 0.18), GATE)
    assert note is not None
    assert note.en.startswith("Numbers 2, 4 and 5 have a higher confidence")
    assert note.zh.startswith("第 2、4、5 个的置信度")


@pytest.mark.parametrize(
    ("candidates", "gate"),
    [
        (listed(0.40, 0.30, 0.10), GATE),
        (listed(0.30, 0.40, 0.10), None),
        (listed(0.30, 0.40, judged=False), GATE),
        (listed(0.3001, 0.3002), GATE),
    ],
    ids=["in order", "a method without a gate", "not judged", "nobody sees a difference"],
)
def test_nothing_is_said_where_there_is_nothing_to_say(candidates: Any, gate: Any) -> None:
    assert order_note(candidates, gate) is None


def test_duels_and_an_endless_margin_are_said_as_they_are() -> None:
    note = order_note(listed(0.30, 0.40), {**GATE, "margin": None, "duel_weight": 0.5})
    assert note is not None
    assert "times as probable" not in note.en
    assert note.en.endswith("or the judge preferred the other when shown both.")
    assert "并排比较" in note.zh


def test_why_not_that_one_is_told_with_the_gate_whichever_way_round_it_is_asked() -> None:
    a, b, c = listed(0.30, 0.40, 0.10)
    told = behind(a, b, GATE)
    assert told is not None
    assert told == behind(b, a, GATE)
    assert told.en.startswith("Number 2 has the higher confidence, but no candidate passes another on too small a lead")
    assert "第 1 个按检索得分保持其位置" in told.zh
    assert behind(a, c, GATE) is None
    assert behind(a, b, None) is None


@settings(max_examples=60)
@given(st.lists(st.floats(-4, 4), min_size=2, max_size=8), st.floats(0, 3))
def test_what_the_sentence_says_is_so(utility: list[float], margin: float) -> None:
    """Two neighbours out of order are within the margin, and stand as the retriever had them."""
    worth = {str(n): u for n, u in enumerate(utility)}
    order = gated(list(worth), worth, margin)
    for before, after in pairwise(order):
        if worth[after] > worth[before]:
            assert worth[after] - worth[before] <= margin
            assert int(before) < int(after)


# --- where it is told


@pytest.fixture
def desk(gallery: FakeGallery, tmp_path: Path) -> Desk:
    """No gate was fitted for its judge, so the margin is ln 3."""
    context = context_of(gallery, FakeJudge(JUDGED), tmp_path, FakeRetriever(gallery))
    return Desk(graph=build(), context=dataclasses.replace(context, reranker=create("cascade", context.kit)))


async def searched(desk: Desk) -> Any:
    return (await desk.ask(TEXT, thread="t", query_id="q"))["result"]


async def test_the_answer_says_it_in_both_languages(desk: Desk) -> None:
    state = await desk.ask(TEXT, thread="t", query_id="q")
    result = state["result"]
    first, second = result["candidates"][:2]
    assert first["confidence"] < second["confidence"], "else this test tests nothing"
    assert set(result["order_note"]) == {"en", "zh"}
    for lang in ("en", "zh"):
        assert result["order_note"][lang] in state["reply"][lang]
    assert result["effects"]["leader"] == first["tile_id"], "what each clue did is told of the candidate shown first"


async def test_with_the_gate_open_there_is_nothing_to_say(desk: Desk) -> None:
    open_gate = Cascade(desk.context.kit, margin=0.0)
    result = await searched(Desk(graph=build(), context=dataclasses.replace(desk.context, reranker=open_gate)))
    assert result["order_note"] is None
    shown = [c["confidence"] for c in result["candidates"]]
    assert shown == sorted(shown, reverse=True)


@pytest.mark.parametrize(("spoken", "there"), [("en", "en"), ("zh", "zh"), ("both", "en zh")])
async def test_the_screen_says_it_below_the_candidates(desk: Desk, spoken: str, there: str) -> None:
    result = await searched(desk)
    console = Console(record=True, width=2000, file=io.StringIO())
    render.show(console, result, spoken=spoken)
    text = console.export_text()
    assert [lang for lang in ("en", "zh") if result["order_note"][lang] in text] == there.split()


def test_the_report_does_not_call_the_first_the_likeliest(gallery: FakeGallery, tmp_path: Path) -> None:
    async def exported() -> bytes:
        context = context_of(gallery, FakeJudge(JUDGED), tmp_path, FakeRetriever(gallery))
        context = dataclasses.replace(context, reranker=create("cascade", context.kit))
        async with open_desk(context, tmp_path / "threads.sqlite") as opened:
            await opened.locate(TEXT, thread="t")
            return await case_bytes(opened, "t")

    entries = entries_of(asyncio.run(exported()))
    view = view_of(case_of(entries, SimpleNamespace()))  # type: ignore[arg-type]
    assert "which is not the highest" in view["answer"]["line"][0]
    assert view["answer"]["note"][0].startswith("Number")
    assert any("has the higher confidence" in reason[0] for other in view["others"] for reason in other["reasons"])
    assert view["answer"]["note"][0] in entries["report.html"].decode()


# --- without a judge


async def test_without_a_judge_the_order_is_that_of_posterior(gallery: FakeGallery) -> None:
    # The map has cut the shortlist, so that rank and score differ.
    given_order = [Candidate(tile_id=t, score=s, rank=n) for n, (t, s) in enumerate([("t-b", 0.1), ("t-a", 2.0)], 1)]
    found = [
        await create(name, Kit()).rerank(SimpleNamespace(id="q"), [], given_order, gallery)  # type: ignore[arg-type]
        for name in ("posterior", "cascade")
    ]
    assert [[j.tile_id for j in r.judgements] for r in found] == [["t-b", "t-a"]] * 2


async def test_a_tile_that_could_not_be_judged_keeps_its_place_on_the_shortlist(
    gallery: FakeGallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = gallery.image

    def image(tile: str) -> Any:
        if tile == "t-b":
            raise GalleryError("the picture of t-b is missing")
        return read(tile)

    monkeypatch.setattr(gallery, "image", image)
    places = [("t-b", 0.1), ("t-a", 0.5), ("t-c", 2.0)]
    given_order = [Candidate(tile_id=t, score=s, rank=n) for n, (t, s) in enumerate(places, 1)]
    reranker = Cascade(Kit(judge=FakeJudge(JUDGED)))
    found = await reranker.rerank(SimpleNamespace(id="q"), [claim(1, "cafe")], given_order, gallery)  # type: ignore[arg-type]
    assert [j.tile_id for j in found.judgements] == ["t-b", "t-c", "t-a"]
    assert found.judgements[0].error
