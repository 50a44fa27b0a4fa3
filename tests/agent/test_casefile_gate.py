"""The gate of an order: in the answer, in the case file, and in the replay that finds the order again."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from case_kit import context_of, entries_of
from desk_fakes import FakeGallery, FakeJudge, FakeRetriever

from agent.casefile import CaseError, archive, case_bytes, pdf, replay_case
from agent.casefile.case import open_case
from agent.casefile.replay import Replay
from agent.desk import open_desk
from agent.rerankers import Kit, create, gate
from agent.rerankers.cascade import Cascade
from agent.rerankers.gate import FittedGate
from retriever.gate import Gate

TEXT = "There is a church here and a cafe."
CERTAIN = {"t-a": 0.6, "t-b": 0.9, "t-c": 0.93, "t-d": 0.2, "t-e": 0.1}
"""Behind a narrow gate t-b passes others that it does not pass behind a wide one."""


@pytest.fixture(autouse=True)
def _quick_papers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Chinese font costs a second for every PDF, and none is looked at here."""
    monkeypatch.setattr(pdf, "chinese_font", lambda: None)


def fitted(monkeypatch: pytest.MonkeyPatch, **parameters: float) -> None:
    """From now on this gate is the one that belongs to every model."""
    import agent.casefile.order as order
    import agent.rerankers.cascade as cascade

    found = FittedGate(gate=Gate(**parameters), fitted=True, note="fitted on toys")
    for module in (cascade, order, gate):
        monkeypatch.setattr(module, "load", lambda *models: found)


async def written(folder: Path, judge: Any = CERTAIN, **changes: Any) -> Path:
    """A case of one answer by the cascade."""
    (folder / "g").mkdir()
    gallery = FakeGallery(folder / "g")
    made = FakeJudge(judge) if isinstance(judge, dict) else judge
    context = context_of(gallery, made, folder, FakeRetriever(gallery))
    context = dataclasses.replace(context, reranker=create("cascade", context.kit), **changes)
    async with open_desk(context, folder / "threads.sqlite") as desk:
        await desk.locate(TEXT, thread="t")
        (folder / "case.zip").write_bytes(await case_bytes(desk, "t"))
    return folder / "case.zip"


def document(path: Path, name: str) -> Any:
    return json.loads(entries_of(path.read_bytes())[f"{name}.json"])


def rewrite(path: Path, change: Callable[[Any], Any]) -> Path:
    """The same file with another ``case.json`` and a manifest that fits it."""
    entries = {k: v for k, v in entries_of(path.read_bytes()).items() if k != archive.MANIFEST}
    entries["case.json"] = archive.json_bytes(change(json.loads(entries["case.json"])))
    path.write_bytes(archive.pack(archive.with_manifest(entries)))
    return path


def unrecorded(path: Path) -> Path:
    return rewrite(path, lambda case: {k: v for k, v in case.items() if k != "gate"})


def step(found: Replay, name: str) -> tuple[str, str]:
    return next((s.state, s.told) for s in found.steps if s.name == name)


def changed(found: Replay) -> dict[str, tuple[str, str]]:
    return {c.what: (c.then, c.now) for c in found.changed}


async def test_the_gate_is_written_down_with_the_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted(monkeypatch, margin=0.05)
    kept = document(await written(tmp_path), "case")
    assert kept["method"] == "cascade"
    assert kept["gate"] == {"margin": 0.05, "duel_weight": 0.0, "near": 0.0, "fitted": True, "note": "fitted on toys"}


async def test_without_a_model_the_order_is_found_again_behind_the_gate_of_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted(monkeypatch, margin=0.05)
    path = await written(tmp_path)
    # Fitted again since: nothing would pass anything now.
    fitted(monkeypatch, margin=50.0)
    found = await replay_case(path)
    assert found.reproduced, found.steps
    assert step(found, "order") == ("same", "the 5 candidates come in the same order")
    assert changed(found)["gate"] == ("margin 0.05, duels 0, near 0", "margin 50, duels 0, near 0")


async def test_asked_again_the_order_goes_through_the_gate_of_the_answer_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted(monkeypatch, margin=0.05)
    path = await written(tmp_path)
    fitted(monkeypatch, margin=50.0)
    found = await replay_case(path, kit=Kit(judge=FakeJudge(CERTAIN)), model="toy-judge-1")
    assert found.reproduced, found.steps


async def test_the_same_gate_is_no_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted(monkeypatch, margin=0.05)
    assert "gate" not in changed(await replay_case(await written(tmp_path)))


async def test_another_gate_gives_another_order_and_a_forged_one_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted(monkeypatch, margin=0.05)
    path = rewrite(await written(tmp_path), lambda case: {**case, "gate": {**case["gate"], "margin": 50.0}})
    found = await replay_case(path)
    assert step(found, "order")[0] == "differs"
    assert not found.reproduced


async def test_a_file_without_a_gate_keeps_its_order_and_says_what_is_not_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted(monkeypatch, margin=0.05)
    found = await replay_case(unrecorded(await written(tmp_path)))
    assert found.reproduced, found.steps
    state, told = step(found, "order")
    assert state == "not_done"
    assert "does not record the gate" in told
    assert "archive's order is kept" in told
    assert changed(found)["gate"] == ("not recorded", "margin 0.05, duels 0, near 0")


async def test_a_file_without_a_gate_is_asked_again_behind_the_gate_of_today(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted(monkeypatch, margin=0.05)
    path = unrecorded(await written(tmp_path))
    fitted(monkeypatch, margin=50.0)
    found = await replay_case(path, kit=Kit(judge=FakeJudge(CERTAIN)), model="toy-judge-1")
    assert step(found, "order")[0] == "differs"


async def test_without_a_judge_no_gate_is_needed_to_find_the_order(tmp_path: Path) -> None:
    found = await replay_case(unrecorded(await written(tmp_path, None)))
    assert found.reproduced, found.steps
    assert step(found, "order")[0] == "same"


@pytest.mark.parametrize(("near", "state"), [(5.0, "not_done"), (1e-6, "same")])
async def test_duels_are_not_found_again_without_their_model_but_matter_only_where_one_was_fought(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, near: float, state: str
) -> None:
    fitted(monkeypatch, margin=0.05, duel_weight=1.0, near=near)
    found = await replay_case(await written(tmp_path))
    assert step(found, "order")[0] == state
    assert ("two tiles at once" in step(found, "order")[1]) == (state == "not_done")


async def test_other_methods_have_no_gate(tmp_path: Path) -> None:
    (tmp_path / "g").mkdir()
    gallery = FakeGallery(tmp_path / "g")
    context = context_of(gallery, FakeJudge(CERTAIN), tmp_path, FakeRetriever(gallery))
    async with open_desk(context, tmp_path / "threads.sqlite") as desk:
        assert (await desk.locate(TEXT, thread="t")).result["gate"] is None  # type: ignore[index]
        (tmp_path / "case.zip").write_bytes(await case_bytes(desk, "t"))
    assert "gate" not in changed(await replay_case(tmp_path / "case.zip"))


@pytest.mark.parametrize("nonsense", [{}, [], {"margin": "x", "duel_weight": 0, "near": 0, "fitted": 1, "note": ""}])
async def test_a_gate_that_is_none_is_said_plainly(tmp_path: Path, nonsense: Any) -> None:
    path = rewrite(await written(tmp_path), lambda case: {**case, "gate": nonsense})
    with pytest.raises(CaseError, match="no case file does"):
        await replay_case(path)


async def test_an_infinite_margin_survives_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted(monkeypatch, margin=math.inf)
    path = await written(tmp_path)
    assert document(path, "case")["gate"]["margin"] is None
    assert (await replay_case(path)).reproduced
    kept = Cascade(Kit(), margin=math.inf).fitted
    assert FittedGate.from_json(json.loads(json.dumps(kept.to_json(), allow_nan=False))) == kept


async def test_how_the_judge_explained_is_written_down_and_asked_for_again(tmp_path: Path) -> None:
    path = await written(tmp_path)
    assert open_case(path).reasons == "auto"
    older = rewrite(path, lambda case: {k: v for k, v in case.items() if k != "reasons"})
    assert open_case(older).reasons == "written"
    strange = rewrite(path, lambda case: {**case, "reasons": "sung"})
    with pytest.raises(CaseError, match="sung"):
        await replay_case(strange)
