"""The cascade: one batch, duels in near-ties alone, a gate that belongs to its models."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from desk_fakes import FakeGallery, FakeJudge, FakeRetriever, claim
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.rerankers import Kit
from agent.rerankers import gate as gates
from agent.rerankers.cascade import MARGIN, Cascade
from agent.rerankers.gate import FittedGate, load, models_of
from agent.shortlist import shortlist
from finetune.calibrate_gate import Ordered, duel_weight, fit, harmed, margin_of
from prompts.clients.base import ChatReply, ChatRequest, ImagePart
from retriever.errors import ModelError, ServerUnavailable, SightlineError
from retriever.gate import Gate, gated, near_ties
from retriever.posterior import Weights
from retriever.types import Candidate, Query

QUERY = Query(id="q", text="somewhere")
CLAIMS = [claim(1, "fountain")]


class Duellist:
    """Prefers one picture, and the first letter by a constant pull."""

    name = "fake:duellist"

    def __init__(self, gallery: FakeGallery, loved: str, *, pull: float = 3.0, down: bool = False) -> None:
        from agent.judge import tile_png

        self.loved, self.pull, self.down, self.asked = tile_png(gallery.image(loved)), pull, down, 0

    async def complete(self, request: ChatRequest) -> ChatReply:
        self.asked += 1
        if self.down:
            raise ServerUnavailable("the model server does not answer; start it again")
        assert request.choices is not None
        shown = [p.png for m in request.messages for p in m.parts if isinstance(p, ImagePart)]
        logit = [self.pull * (i == 0) + 2.0 * (png == self.loved) for i, png in enumerate(shown)]
        total = math.log(sum(map(math.exp, logit)))
        said = {c: v - total for c, v in zip(request.choices, logit, strict=True)}
        return ChatReply(text="A", choice_logprobs=said, prompt_tokens=10)

    async def close(self) -> None:
        return None


class Judge(FakeJudge):
    name = "vllm:mini+judge/v1@1"

    def __init__(self, p: dict[str, float], client: Duellist | None = None) -> None:
        super().__init__(p)
        self.client = client


def shortlisted(*ids: str) -> list[Candidate]:
    return [Candidate(tile_id=t, score=0.0, rank=i) for i, t in enumerate(ids, 1)]


def kit(p: dict[str, float], client: Duellist | None = None) -> Kit:
    return Kit(judge=Judge(p, client))


def with_gate(monkeypatch: pytest.MonkeyPatch, **parameters: float) -> None:
    import agent.rerankers.cascade as module

    monkeypatch.setattr(module, "load", lambda *models: FittedGate(gate=Gate(**parameters), fitted=True))


async def ranked(k: Kit, gallery: FakeGallery, given: list[Candidate], **options: Any) -> tuple[list[str], int]:
    found = await Cascade(k, **options).rerank(QUERY, CLAIMS, given, gallery)  # type: ignore[arg-type]
    return [j.tile_id for j in found.judgements], found.usage.calls


async def test_a_near_tie_is_settled_by_a_duel_in_both_orders(
    gallery: FakeGallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_gate(monkeypatch, margin=0.0, duel_weight=1.0, near=0.5)
    client = Duellist(gallery, "t-b")
    order, calls = await ranked(kit({"t-a": 0.61, "t-b": 0.6}, client), gallery, shortlisted("t-a", "t-b"))
    assert order == ["t-b", "t-a"]
    assert (client.asked, calls) == (2, 4), "the first letter's pull is in both orders and cancels"


async def test_no_duel_is_fought_where_the_probabilities_tell(
    gallery: FakeGallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_gate(monkeypatch, margin=0.0, duel_weight=1.0, near=0.5)
    client = Duellist(gallery, "t-b")
    order, _ = await ranked(kit({"t-a": 0.95, "t-b": 0.2}, client), gallery, shortlisted("t-a", "t-b"))
    assert (order, client.asked) == (["t-a", "t-b"], 0)


async def test_duels_without_fitted_weight_are_never_asked(gallery: FakeGallery) -> None:
    client = Duellist(gallery, "t-b")
    await ranked(kit({"t-a": 0.6, "t-b": 0.6}, client), gallery, shortlisted("t-a", "t-b"))
    assert client.asked == 0


async def test_an_unanswered_duel_moves_nothing(gallery: FakeGallery, monkeypatch: pytest.MonkeyPatch) -> None:
    with_gate(monkeypatch, margin=0.0, duel_weight=1.0, near=0.5)
    client = Duellist(gallery, "t-b", down=True)
    order, _ = await ranked(kit({"t-a": 0.61, "t-b": 0.6}, client), gallery, shortlisted("t-a", "t-b"))
    assert order == ["t-a", "t-b"]


async def test_the_order_that_stands_is_that_of_the_retrieval_scores(gallery: FakeGallery) -> None:
    # The map put t-b first in rank; behind a closed gate the retriever's own first comes first again.
    listed = [Candidate(tile_id="t-b", score=0.1, rank=1), Candidate(tile_id="t-a", score=2.0, rank=2)]
    order, _ = await ranked(kit({"t-a": 0.5, "t-b": 0.5}), gallery, listed, margin=math.inf)
    assert order == ["t-a", "t-b"]


async def test_without_any_judgement_the_given_order_stays(gallery: FakeGallery) -> None:
    listed = [Candidate(tile_id="t-b", score=0.1, rank=1), Candidate(tile_id="t-a", score=2.0, rank=2)]
    order, _ = await ranked(Kit(), gallery, listed)
    assert order == ["t-b", "t-a"]


def test_the_retrievers_first_stays_on_a_shortlist_that_the_map_has_cut(
    gallery: FakeGallery, retriever: FakeRetriever
) -> None:
    # Every other tile has what is asked for; t-d, lowered in the retriever by nothing, has the best score.
    gallery.places = {t: [] if t == "t-d" else ["church", "cafe"] for t in gallery.ids}
    scores = {"t-a": 0.1, "t-b": 0.11, "t-c": 0.12, "t-d": 0.5, "t-e": 0.13}

    class Fixed:
        def scores(self, query: Any, claims: Any) -> Any:
            import numpy as np

            return np.array([scores[t] for t in gallery.ids], dtype=np.float32)

    said = [claim(1, "church"), claim(2, "cafe")]
    heavy = Weights(ledger=3.0)
    found = shortlist(Fixed(), gallery, QUERY, said, k=2, pool=5, weights=heavy)  # type: ignore[arg-type]
    assert [c.tile_id for c in found.candidates] == ["t-e", "t-d"]
    assert "t-d" not in [t for t, _ in found.pool]


# --- the gate's file


def written(path: Path) -> Path:
    made = {"judge": "mini+judge/v1@1", "encoder": "e1", "gate": Gate(margin=0.35).to_json()}
    path.write_text(json.dumps({"gates": [{**made, "provenance": {"queries": 252, "areas": ["moscow"]}}]}))
    return path


def test_a_gate_of_other_models_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "gate.json")
    mine, other = load("mini+judge/v1@1", "e1", path), load("mini+judge/v1@1", "e2", path)
    assert (mine.fitted, mine.gate.margin) == (True, 0.35)
    assert (other.fitted, other.gate.margin) == (False, MARGIN)
    assert "moscow" in mine.note
    assert "other models" in other.note


def test_the_judge_is_known_by_model_and_prompt_whatever_the_transport() -> None:
    assert models_of(kit({}))[0] == "mini+judge/v1@1"
    assert models_of(Kit()) == ("none", "none")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gate.json"
    path.write_text('{"gates": [{"judge": "j"}]}')
    with pytest.raises(ModelError, match=r"gate\.json"):
        load("j", "e", path)


def test_what_ships_is_a_gate_for_models_with_provenance() -> None:
    if not gates.PARAMETERS.exists():
        pytest.skip("no gate is shipped")
    for found in json.loads(gates.PARAMETERS.read_text(encoding="utf-8"))["gates"]:
        assert found["provenance"]["queries"] >= 50
        assert load(found["judge"], found["encoder"]).fitted


# --- its fit


def case(gap: float, right: str | None, area: str = "x") -> Ordered:
    """The retriever's first is ``a``; ``b`` beats it by ``gap``."""
    return Ordered(area=area, order=("a", "b"), utility={"a": 0.0, "b": gap}, right=right)


def test_the_margin_is_the_smallest_that_keeps_the_promise() -> None:
    cases = [case(1.0, "a")] * 5 + [case(2.0, "b")] * 20 + [case(-1.0, "a")] * 75
    # (harmed + 1) / 101 <= 0.02 lets one be harmed; below 1.0 all five are.
    assert margin_of(cases, 0.02) == 1.0
    assert harmed(cases, 1.0) == 0
    assert margin_of(cases, 0.06) == 0.0
    found = fit(cases, alpha=0.02)
    assert (found.harmed, found.helped, found.changed) == (0, 20, 20)


def test_too_few_queries_promise_nothing() -> None:
    with pytest.raises(SightlineError, match="too few"):
        margin_of([case(1.0, "a")] * 20, 0.02)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.floats(-3, 3), st.booleans()), min_size=60, max_size=120))
def test_every_margin_from_the_fitted_one_up_is_safe(drawn: list[tuple[float, bool]]) -> None:
    cases = [case(gap, "a" if first else "b") for gap, first in drawn]
    margin = margin_of(cases, 0.05)
    for wider in (margin, margin + 0.3, margin + 2.0, 50.0):
        assert (harmed(cases, wider) + 1) / (len(cases) + 1) <= 0.05


def test_duels_get_weight_only_where_they_know_something(tmp_path: Path) -> None:
    def rows(knowing: bool) -> Path:
        path = tmp_path / f"{knowing}.jsonl"
        lines = [
            {"lead": 0.2, "odds": (1 if right == knowing or (not knowing and i % 2) else -1) * 1.5, "right": right}
            for i in range(200)
            for right in (True, False)
        ]
        if not knowing:
            lines = [{**line, "odds": 1.5 if i % 3 else -1.5} for i, line in enumerate(lines)]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return path

    weight, fought = duel_weight(rows(True))
    assert weight > 0.3
    assert fought == 400
    assert duel_weight(rows(False))[0] == 0.0
    assert duel_weight(None) == (0.0, 0)


def test_near_ties_are_the_best_and_those_close_behind() -> None:
    worth = {"a": 1.0, "b": 0.9, "c": 0.8, "d": 0.7, "e": -3.0}
    assert near_ties(worth, 0.25, 2) == ["a", "b", "c"]
    assert near_ties(worth, 0.05, 2) == ["a"]
    assert gated(["e", "a"], worth, 10.0) == ["e", "a"]
