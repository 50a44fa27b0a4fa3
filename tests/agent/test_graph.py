"""The whole way of a question with a small gallery and a judge whose answers are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from desk_fakes import FakeGallery, FakeJudge, FakeRetriever, claim, cut_off

from agent import conversation
from agent.answer import _worded
from agent.context import Context
from agent.desk import Desk, open_desk
from agent.graph import STEPS, build
from agent.rerankers import Kit, create
from agent.shortlist import shortlist
from retriever.errors import SightlineError
from retriever.posterior import Weights
from retriever.types import Explanation, Judgement, Query

TEXT = "There is a pharmacy and next to it a cafe."


@pytest.fixture(autouse=True)
def two_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Claims are read from three known words, so that these tests are about the graph alone."""

    def extract(text: str, lang: Any, turn: int, first_id: int) -> list[Any]:
        words = [w for w in ("pharmacy", "cafe", "church") if w in text]
        return [claim(first_id + i, w, turn=turn) for i, w in enumerate(words)]

    monkeypatch.setattr(conversation, "extract", extract)


def desk_context(gallery: FakeGallery, judge: Any = None, *, reranker: str = "posterior", **options: Any) -> Context:
    kit = Kit(judge=judge, why_no_judge="no server")
    made = {"shortlist": 4, "top": 2, "backend": "fake", "model": "fake-1", **options}
    return Context(gallery=gallery, retriever=FakeRetriever(gallery), kit=kit, reranker=create(reranker, kit), **made)  # type: ignore[arg-type]


async def locate(context: Context, text: str = TEXT, **options: Any) -> dict[str, Any]:
    state = await Desk(graph=build(), context=context).ask(text, thread="t", query_id="q1", **options)
    return state["result"]


async def test_the_place_that_fits_comes_first_with_reasons_and_probabilities(gallery: FakeGallery) -> None:
    result = await locate(desk_context(gallery, FakeJudge()))
    best = result["candidates"][0]
    assert (result["query_id"], best["tile_id"], best["rank"], best["verdict"]) == ("q1", "t-a", 1, "match")
    assert best["explanation"] == {"en": "Seen on t-a.", "zh": "见于 t-a。", "author": "model"}
    assert {e["by"] for e in best["evidence"]} == {"model", "map"}
    total = sum(c["confidence"] for c in result["candidates"])
    assert total + result["outside_probability"] + result["elsewhere_probability"] == pytest.approx(1.0)
    assert [c["confidence"] for c in result["candidates"]] == sorted(
        (c["confidence"] for c in result["candidates"]), reverse=True
    )


async def test_the_result_is_json_with_every_promised_field(gallery: FakeGallery) -> None:
    result = json.loads(json.dumps(await locate(desk_context(gallery, FakeJudge()))))
    for field in ("query_id", "claims", "candidates", "outside_probability", "method", "usage", "judge"):
        assert field in result
    for field in ("tile_id", "lat", "lon", "bounds", "rank", "score", "verdict", "confidence", "evidence", "error"):
        assert field in result["candidates"][0]
    assert set(result["usage"]["seconds"]) >= set(STEPS)
    assert result["judge"] == {"backend": "fake", "model": "fake-1"}


async def test_reasons_are_written_only_for_the_tiles_shown(gallery: FakeGallery) -> None:
    judge = FakeJudge()
    result = await locate(desk_context(gallery, judge))
    assert sum(kind == "explain" for kind, _ in judge.calls) == 2
    assert [c["explanation"] is not None for c in result["candidates"]] == [True, True, False, False]
    assert result["usage"]["calls"] == 4 + 2


async def test_a_method_that_has_its_reasons_is_not_asked_for_them_again(gallery: FakeGallery) -> None:
    gallery.places = dict.fromkeys(gallery.ids, ("pharmacy", "cafe"))
    judge = FakeJudge()
    result = await locate(desk_context(gallery, judge, reranker="verdict"))
    assert sum(kind == "explain" for kind, _ in judge.calls) == 4
    for candidate in result["candidates"]:
        assert candidate["explanation"]["author"] == "model"
        assert {e["by"] for e in candidate["evidence"]} == {"model", "map"}


async def test_reasons_that_the_model_cannot_write_come_from_the_template_and_are_counted(gallery) -> None:
    result = await locate(desk_context(gallery, FakeJudge(babbles=True)))
    told = result["candidates"][0]["explanation"]
    assert told["author"] == "template"
    assert "pharmacy" in told["en"]
    assert "药店" in told["zh"]
    assert result["explanations"] == {"model": 0, "template": 2, "failed": 2}
    errors = [c["explanation_error"] for c in result["candidates"]]
    assert errors == ["the model's answer is not JSON"] * 2 + [None] * 2


@pytest.mark.parametrize("reranker", ["posterior", "verdict"])
async def test_words_for_a_match_are_not_shown_where_it_cannot_be_told(gallery: FakeGallery, reranker: str) -> None:
    gallery.places = dict.fromkeys(gallery.ids)  # type: ignore[assignment]
    judge = FakeJudge(dict.fromkeys(gallery.ids, 0.9))
    result = await locate(desk_context(gallery, judge, reranker=reranker, top=2))
    told = [c for c in result["candidates"] if c["explanation"] is not None]
    assert len(told) >= 2
    for candidate in told:
        assert (candidate["verdict"], candidate["explanation"]["author"]) == ("cannot_tell", "template")
        assert "cannot be told" in candidate["explanation"]["en"]
        assert "model" in {e["by"] for e in candidate["evidence"]}


@pytest.mark.parametrize(("word", "p", "kept"), [("match", 0.9, True), ("match", 0.3, False), ("no_match", 0.7, False)])
def test_the_judges_words_are_shown_only_with_the_verdict_that_they_conclude(word: Any, p: float, kept: bool) -> None:
    words = Explanation(en="As I see it.", zh="依我看。", author="model")
    judged = Judgement(tile_id="t", verdict=word, score=p, score_kind="p_match", explanation=words)
    shown = _worded([claim(1, "cafe")], judged).explanation
    assert shown is not None
    assert (shown == words) == kept


async def test_a_verdict_does_not_depend_on_whether_the_tile_is_shown(gallery: FakeGallery) -> None:
    gallery.places = dict.fromkeys(gallery.ids, ())
    judge = FakeJudge(dict.fromkeys(gallery.ids, 0.9))
    result = await locate(desk_context(gallery, judge, top=0), "There is a church.")
    told = [{e["stance"] for e in c["evidence"]} for c in result["candidates"]]
    assert [c["verdict"] for c in result["candidates"]] == [
        "cannot_tell" if t == {"unknown"} else "match" for t in told
    ]
    assert {"unknown"} in told


async def test_a_server_that_is_down_gives_the_retrieval_order_marked_not_judged(gallery: FakeGallery) -> None:
    result = await locate(desk_context(gallery, FakeJudge(down=True)))
    assert [c["retrieval_rank"] for c in result["candidates"]] == [1, 2, 3, 4]
    assert all("not judged" in c["error"] and c["verdict"] is None for c in result["candidates"])


async def test_identity_keeps_the_retrieval_order_and_random_words_still_answer(gallery: FakeGallery) -> None:
    result = await locate(desk_context(gallery, FakeJudge(), reranker="identity"), "左边什么也没有")
    assert (result["method"], [c["retrieval_rank"] for c in result["candidates"]]) == ("identity", [1, 2, 3, 4])


async def test_a_description_without_claims_is_not_judged(gallery: FakeGallery) -> None:
    judge = FakeJudge()
    result = await locate(desk_context(gallery, judge), "hmm")
    assert judge.calls == []
    assert "nothing that could be checked" in result["candidates"][0]["error"]


async def test_leaving_out_a_claim_that_held_lowers_the_confidence(gallery: FakeGallery) -> None:
    both = await locate(desk_context(gallery, FakeJudge()))
    one = await locate(desk_context(gallery, FakeJudge()), "There is a pharmacy.")
    confidence = {c["tile_id"]: c["confidence"] for c in one["candidates"]}
    assert both["candidates"][0]["confidence"] > confidence["t-a"] + 0.01


@pytest.mark.parametrize(("pool", "first"), [(0, "t-a"), (5, "t-e")])
def test_the_map_is_asked_before_the_shortlist_is_cut(gallery: FakeGallery, pool: int, first: str) -> None:
    """A tile that retrieval puts low, but that alone holds what was said, comes into the shortlist."""
    gallery.places = {**gallery.places, "t-e": ["church", "fountain"]}
    said = [claim(1, "fountain")]
    query = Query(id="q", text="There is a fountain.")
    heavy = Weights(ledger=3.0)
    found = shortlist(FakeRetriever(gallery), gallery, query, said, k=1, pool=pool, weights=heavy)  # type: ignore[arg-type]
    assert [(c.tile_id, c.rank) for c in found.candidates] == [(first, 1)]


async def test_an_area_limit_filters_before_ranking(gallery: FakeGallery) -> None:
    lat, lon = float(gallery.lat[4]), float(gallery.lon[4])
    result = await locate(desk_context(gallery, FakeJudge()), within=f"{lat},{lon},70m")
    assert sorted(c["tile_id"] for c in result["candidates"]) == ["t-d", "t-e"]


async def test_an_area_without_tiles_is_an_error_that_says_so(gallery: FakeGallery) -> None:
    with pytest.raises(SightlineError, match="no tile of the gallery"):
        await locate(desk_context(gallery, FakeJudge()), within="10,10,300m")


@pytest.mark.parametrize("text", ["", "   ", "x" * 30_000])
async def test_empty_and_endless_descriptions_are_refused(gallery: FakeGallery, text: str) -> None:
    with pytest.raises(SightlineError, match="description"):
        await locate(desk_context(gallery, FakeJudge()), text)


async def test_the_state_holds_tile_ids_and_plain_json_only(gallery: FakeGallery, tmp_path: Path) -> None:
    async with open_desk(desk_context(gallery, FakeJudge()), tmp_path / "threads.sqlite") as desk:
        state = await desk.ask(TEXT, thread="t", query_id="q1")
        assert len(json.dumps(state)) < 40_000
        assert (await desk.state("t"))["result"] == state["result"]


async def test_threads_do_not_mix_and_outlive_the_desk(gallery: FakeGallery, tmp_path: Path) -> None:
    database = tmp_path / "threads.sqlite"
    async with open_desk(desk_context(gallery, FakeJudge()), database) as desk:
        await desk.ask(TEXT, thread="one", query_id="one")
        await desk.ask("Just a church.", thread="two", query_id="two")
    async with open_desk(desk_context(gallery, FakeJudge()), database) as desk:
        assert (await desk.state("one"))["result"]["text"] == TEXT
        assert (await desk.state("two"))["result"]["text"] == "Just a church."
        assert await desk.state("three") == {}


async def test_a_turn_that_was_cut_off_is_finished_without_judging_again(gallery: FakeGallery, tmp_path: Path) -> None:
    database = tmp_path / "threads.sqlite"
    await cut_off(desk_context(gallery, FakeJudge()), database, TEXT, thread="t")
    again = FakeJudge()
    async with open_desk(desk_context(gallery, again), database) as desk:
        state = await desk.resume("t")
        assert state is not None
        assert state["result"]["candidates"][0]["tile_id"] == "t-a"
        assert {kind for kind, _ in again.calls} == {"explain"}
        assert await desk.resume("t") is None


async def test_steps_are_named_as_they_begin(gallery: FakeGallery) -> None:
    heard: list[str] = []
    await locate(desk_context(gallery, FakeJudge()), on_step=heard.append)
    assert heard == list(STEPS)
