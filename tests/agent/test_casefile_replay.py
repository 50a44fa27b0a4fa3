"""A case played again comes out the same, or what changed is named with how much."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from case_kit import PromptedJudge, context_of, entries_of, rewritten, town, town_case
from desk_fakes import FakeGallery, FakeJudge, FakeRetriever

from agent.casefile import case_bytes, replay_case, versions
from agent.casefile import replay as replaying
from agent.desk import open_desk
from agent.kept import KeptJudge
from agent.rerankers import Kit, create

Replay = replaying.Replay
TEXT = "There is a church here and a cafe."
pytestmark = pytest.mark.usefixtures("quick_papers")


def states(found: Replay) -> dict[str, str]:
    return {step.name: step.state for step in found.steps}


def changed(found: Replay) -> dict[str, tuple[str, str]]:
    return {c.what: (c.then, c.now) for c in found.changed}


def told(found: Replay, name: str) -> str:
    return next(step.told for step in found.steps if step.name == name)


async def test_with_the_same_judge_and_gallery_everything_comes_out_again(case_path: Path, tmp_path: Path) -> None:
    judge = PromptedJudge()
    found = await replay_case(case_path, context=context_of(town(), judge, tmp_path))
    assert found.reproduced
    assert set(states(found).values()) == {"same"}
    assert (found.changed, found.largest) == ((), 0.0)
    assert found.judge == "asked again: toy-judge-1"
    assert [t.same_verdict for t in found.tiles] == [True] * len(found.tiles)
    assert sum(call == "score" for call, _ in judge.calls) == len(found.tiles)
    assert Replay.from_json(found.to_json()) == found


async def test_without_a_judge_all_that_needs_no_model_is_recomputed(case_path: Path) -> None:
    found = await replay_case(case_path, kit=Kit(why_no_judge="the model server is down"))
    assert found.reproduced
    assert states(found)["judge"] == states(found)["retrieval"] == states(found)["tiles"] == "not_done"
    assert {states(found)[n] for n in ("claims", "map", "verdicts", "confidence", "order", "explanations")} == {"same"}
    assert "the model server is down" in found.judge
    assert "archive's answers" in found.judge


async def test_a_judge_that_says_something_else_is_named_with_how_much(case_path: Path, tmp_path: Path) -> None:
    judge = PromptedJudge(p=dict.fromkeys(town().ids, 0.03))
    found = await replay_case(case_path, context=context_of(town(), judge, tmp_path, model="toy-judge-2"))
    assert not found.reproduced
    assert changed(found)["model judge"] == ("toy-judge-1", "toy-judge-2")
    assert states(found)["verdicts"] == states(found)["confidence"] == states(found)["judge"] == "differs"
    assert states(found)["map"] == "same"
    moved = [t for t in found.tiles if not t.same_verdict]
    assert moved
    assert moved[0].verdict[0] in told(found, "verdicts")
    assert found.largest == pytest.approx(max(abs(t.confidence[0] - t.confidence[1]) for t in found.tiles), abs=0.2)
    assert found.largest > 0.01


async def test_a_judge_that_is_down_is_a_difference_with_its_reason(case_path: Path, tmp_path: Path) -> None:
    found = await replay_case(case_path, context=context_of(town(), PromptedJudge(down=True), tmp_path))
    assert not found.reproduced
    assert "does not answer" in told(found, "judge")
    assert {t.verdict[1] for t in found.tiles} == {"not_judged"}


async def test_another_prompt_is_named(case_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = versions._template("judge/v1")
    assert now is not None
    monkeypatch.setattr(versions, "_template", lambda stamp: dataclasses.replace(now, sha256="f" * 64))
    found = await replay_case(case_path)
    then, today = changed(found)["prompt"]
    assert then.endswith(now.sha256[:8])
    assert today.endswith("@ffffffff")


async def test_another_package_and_other_code_are_named(case_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = versions.at_hand()
    packages = {**here["packages"], "torch": "0.0.1"}
    del packages["scipy"]
    monkeypatch.setattr(
        versions, "at_hand", lambda: {**here, "packages": packages, "code": {**here["code"], "agent": "x"}}
    )
    found = changed(await replay_case(case_path))
    assert found["package torch"] == (here["packages"]["torch"], "0.0.1")
    assert found["package scipy"][1] == ""
    assert set(found) == {"package torch", "package scipy", "code of agent"}


async def test_other_weights_of_the_confidence_are_named(case_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from agent.casefile import again
    from agent.confidence import Confidence
    from retriever.posterior import Weights

    monkeypatch.setattr(again, "load", lambda judge, encoder: Confidence(weights=Weights(match=9.0)))
    found = await replay_case(case_path)
    assert "weights of the confidence" in changed(found)
    # The archive's own weights are used, so the confidences come out again.
    assert states(found)["confidence"] == "same"


async def test_the_weights_are_those_of_the_answer_not_of_the_day_of_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agent import confidence
    from retriever.posterior import Weights

    gallery = FakeGallery(_folder(tmp_path / "a"))
    path = tmp_path / "case.zip"
    context = context_of(gallery, FakeJudge(), tmp_path, FakeRetriever(gallery))
    async with open_desk(context, tmp_path / "threads.sqlite") as desk:
        await desk.locate(TEXT, thread="t")
    # Fitted again since, and the desk that exports has no judge at all.
    new = confidence.Confidence(weights=Weights(match=5.0, outside=3.0), calibrated=True)
    monkeypatch.setattr(confidence, "load", lambda judge, encoder: new)
    later = dataclasses.replace(context, kit=Kit(confidence=new), model="none")
    async with open_desk(later, tmp_path / "threads.sqlite") as desk:
        path.write_bytes(await case_bytes(desk, "t"))
    found = await replay_case(path)
    assert found.reproduced, found.steps


async def test_another_gallery_is_named_and_its_tiles_compared(tmp_path: Path) -> None:
    gallery = FakeGallery(_folder(tmp_path / "a"))
    data = await _toy(gallery, tmp_path)
    path = tmp_path / "case.zip"
    path.write_bytes(data)
    other = FakeGallery(_folder(tmp_path / "b"), {**gallery.places, "t-c": ["cafe"]})
    other.sha256 = "b" * 64
    other.image_path("t-a").write_bytes(other.image_path("t-e").read_bytes())
    found = await replay_case(path, context=context_of(other, FakeJudge(), tmp_path, FakeRetriever(other)))
    assert changed(found)["gallery"] == ("0" * 64, "b" * 64)
    assert "the picture of t-a is another" in told(found, "tiles")
    assert "the map facts of t-c are others" in told(found, "tiles")
    assert states(found)["retrieval"] == "not_done"
    # The verdicts rest on the archive's own pictures and facts.
    assert states(found)["verdicts"] == "same"


async def test_another_search_is_named(tmp_path: Path) -> None:
    gallery = FakeGallery(_folder(tmp_path / "a"))
    path = tmp_path / "case.zip"
    path.write_bytes(await _toy(gallery, tmp_path))
    retriever = FakeRetriever(gallery)
    retriever.scores = lambda *a, **k: FakeRetriever.scores(retriever, *a, **k)[::-1].copy()  # type: ignore[method-assign]
    found = await replay_case(path, context=context_of(gallery, FakeJudge(), tmp_path, retriever))
    assert states(found)["retrieval"] == "differs"
    assert "now" in told(found, "retrieval")


@pytest.mark.parametrize(
    ("name", "step"),
    [("candidates", "verdicts"), ("posterior", "confidence"), ("evidence", "map"), ("claims", "claims")],
)
async def test_a_case_that_was_made_up_does_not_come_out_again(tmp_path: Path, name: str, step: str) -> None:
    """Somebody rewrites a case as a whole, with hashes that fit: what was concluded no longer follows."""

    def verdict(documents: Any) -> Any:
        documents[-1]["verdict"] = "match" if documents[-1]["verdict"] != "match" else "no_match"
        return documents

    def posterior(document: Any) -> Any:
        return {**document, "outside": document["outside"] + 0.3}

    def evidence(document: Any) -> Any:
        item = next(e for items in document.values() for e in items if e["by"] == "map" and e["stance"] == "unknown")
        item["stance"], item["reason"] = "supports", None
        return document

    def claims(document: Any) -> Any:
        return [{**document[0], "value": "church"}, *document[1:]]

    change = {"candidates": verdict, "posterior": posterior, "evidence": evidence, "claims": claims}[name]
    path = tmp_path / "forged.zip"
    path.write_bytes(rewritten(town_case(), **{name: change}))
    found = await replay_case(path)
    assert not found.reproduced
    assert states(found)[step] == "differs"


async def test_a_judge_that_remembers_is_asked_anew(tmp_path: Path) -> None:
    gallery, judge = FakeGallery(_folder(tmp_path / "a")), FakeJudge()
    context = context_of(gallery, judge, tmp_path, FakeRetriever(gallery))
    path = tmp_path / "case.zip"
    async with open_desk(context, tmp_path / "threads.sqlite") as desk:
        await desk.locate(TEXT, thread="t")
        path.write_bytes(await case_bytes(desk, "t"))
        assert isinstance(desk.context.kit.judge, KeptJudge)
        paid = len(judge.calls)
        found = await replay_case(path, context=desk.context)
    assert found.reproduced
    assert len(judge.calls) == 2 * paid


async def test_a_thread_that_no_model_judged_is_replayed_too(tmp_path: Path) -> None:
    gallery = FakeGallery(_folder(tmp_path / "a"))
    path = tmp_path / "case.zip"
    path.write_bytes(await _toy(gallery, tmp_path, judge=None))
    for kit in (Kit(), Kit(judge=FakeJudge())):
        found = await replay_case(path, kit=kit)
        assert found.reproduced, found.steps
        assert "no tile was judged" in found.judge
    path.write_bytes(await _toy(gallery, tmp_path, judge=FakeJudge(down=True), thread="u"))
    assert (await replay_case(path)).reproduced


async def test_an_explanation_asked_for_later_is_replayed(tmp_path: Path) -> None:
    gallery = FakeGallery(_folder(tmp_path / "a"))
    path = tmp_path / "case.zip"
    path.write_bytes(await _toy(gallery, tmp_path, "Why not the fourth one?"))
    entries = entries_of(path.read_bytes())
    assert json.loads(entries["explanations.json"])[json.loads(entries["candidates.json"])[3]["tile_id"]]["written"]
    for kit in (Kit(), Kit(judge=FakeJudge())):
        found = await replay_case(path, kit=kit)
        assert found.reproduced, found.steps


async def test_a_judge_that_babbled_then_is_replayed_from_the_archive(tmp_path: Path) -> None:
    gallery = FakeGallery(_folder(tmp_path / "a"))
    path = tmp_path / "case.zip"
    path.write_bytes(await _toy(gallery, tmp_path, judge=FakeJudge(babbles=True)))
    found = await replay_case(path)
    assert found.reproduced, found.steps
    now = await replay_case(path, kit=Kit(judge=FakeJudge()))
    assert not now.reproduced
    assert "(model): absent, now supports" in told(now, "judge")
    assert "the template wrote it, now the model" in told(now, "explanations")


@pytest.mark.parametrize("method", ["identity", "oracle", "yesno", "verdict", "pairwise"])
async def test_other_methods_are_replayed_as_far_as_they_can_be(tmp_path: Path, method: str) -> None:
    gallery = FakeGallery(_folder(tmp_path / "a"))
    path = tmp_path / "case.zip"
    path.write_bytes(await _toy(gallery, tmp_path, judge=None if method == "pairwise" else FakeJudge(), method=method))
    found = await replay_case(path)
    assert found.reproduced, found.steps
    assert ("archive's order" in told(found, "order")) == (method in ("verdict", "pairwise"))


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


async def _toy(
    gallery: FakeGallery,
    folder: Path,
    *more: str,
    judge: FakeJudge | str | None = "fake",
    method: str = "posterior",
    thread: str = "t",
) -> bytes:
    context = context_of(gallery, FakeJudge() if judge == "fake" else judge, folder, FakeRetriever(gallery))
    context = dataclasses.replace(context, reranker=create(method, context.kit))
    async with open_desk(context, folder / "threads.sqlite") as desk:
        await desk.locate(TEXT, thread=thread)
        for text in more:
            await desk.say(thread, text)
        return await case_bytes(desk, thread)
