"""A conversation whose claims a chat model reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from desk_fakes import FakeGallery, FakeJudge, FakeRetriever

from agent.casefile.again import claims as read_again
from agent.context import Context
from agent.desk import open_desk
from agent.hearing import claims_notes
from agent.opening import _claims_client
from agent.rerankers import Kit, create
from agent.settings import Settings
from prompts.claims_model import BY_MODEL
from prompts.clients import ChatReply, ChatRequest
from prompts.clients.recorded import Answer, RecordedClient
from retriever.errors import ServerUnavailable, SightlineError
from retriever.types import Claim


class Reader(RecordedClient):
    """A chat model that finds one of its kinds in what it is given, whatever words stand for it."""

    def __init__(self, words: dict[str, str], failing: Exception | None = None) -> None:
        super().__init__(self._read, name="reader")
        self.words, self.failing, self.closed = words, failing, 0

    def _read(self, request: ChatRequest) -> Answer:
        if self.failing:
            return self.failing
        asked = request.messages[1].parts[0].text  # type: ignore[union-attr]
        place = {"type": "near", "bearing_deg": None, "distance_m": None, "anchor": None}
        rest = {"kind": "object", "relation": place, "count": None, "polarity": True, "hedge": False}
        rows = [{"span": word, "value": kind, **rest} for word, kind in self.words.items() if word in asked]
        return ChatReply(text=json.dumps({"claims": rows}), prompt_tokens=11, completion_tokens=5)

    async def close(self) -> None:
        self.closed += 1


async def talk(reader: Reader, gallery: FakeGallery, tmp_path: Path, turns: Sequence[str]) -> list[Any]:
    kit = Kit(judge=FakeJudge())
    context = Context(
        gallery=gallery,  # type: ignore[arg-type]
        retriever=FakeRetriever(gallery),
        kit=kit,
        reranker=create("posterior", kit),
        claims_client=lambda: reader,
    )
    async with open_desk(context, tmp_path / "threads.sqlite") as desk:
        return [await desk.ask(text, thread="t", query_id="t") for text in turns]


def said(state: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(c["id"], c["value"], c["status"]) for c in state["claims"]]


async def test_a_description_and_a_clue_are_read_by_the_model_and_the_reply_says_so(
    gallery: FakeGallery, tmp_path: Path
) -> None:
    reader = Reader({"God's house": "church", "flat white": "cafe"})
    first, second = await talk(
        reader, gallery, tmp_path, ["I stand by God's house.", "There is also a flat white, a bank."]
    )
    assert said(first) == [("c1", "church", "active")]
    assert said(second) == [("c1", "church", "active"), ("c2", "cafe", "active")], "the rules would have read a bank"
    assert second["claims"][1]["turn"] == 2
    assert [note.startswith(BY_MODEL) for note in second["notes"]] == [True]
    assert "read by the chat model reader" in second["reply"]["en"]
    assert len(reader.requests) == reader.closed == 2
    assert second["usage"]["prompt_tokens"] >= 11


async def test_a_model_that_fails_leaves_the_turn_to_the_rules_and_the_reply_says_why(
    gallery: FakeGallery, tmp_path: Path
) -> None:
    reader = Reader({}, failing=ServerUnavailable("http://me:pw@x/v1 did not answer within 60 s"))
    (state,) = await talk(reader, gallery, tmp_path, ["There is a church here."])
    assert said(state) == [("c1", "church", "active")]
    assert "read by the rules" in state["reply"]["en"]
    assert claims_notes(state) == state["notes"]
    assert claims_notes({"notes": ["the shipped image encoder knows uav images only as rendered from maps"]}) == []
    assert "did not answer in time" in state["reply"]["en"]
    assert "pw@x" not in json.dumps(state["reply"])
    assert "pw@x" not in json.dumps(state["notes"])
    assert reader.closed == 1


async def test_corrections_and_questions_are_left_to_the_rules(gallery: FakeGallery, tmp_path: Path) -> None:
    reader = Reader({"church": "church", "cafe": "cafe"})
    turns = ["There is a church and a cafe here.", "Forget the church.", "Why is the first one first?"]
    *_, third = await talk(reader, gallery, tmp_path, turns)
    assert said(third) == [("c1", "church", "struck"), ("c2", "cafe", "active")]
    assert len(reader.requests) == 1


def test_off_by_default_and_a_setting_that_names_nothing_is_told_before_anything_opens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SIGHTLINE_CLAIMS", raising=False)
    assert _claims_client(Settings()) is None
    monkeypatch.setenv("SIGHTLINE_CLAIMS", "http://127.0.0.1:9/v1|big")
    opened = _claims_client(Settings())
    assert opened is not None
    assert opened().name == "openai:big"
    monkeypatch.setenv("SIGHTLINE_CLAIMS", "big")
    with pytest.raises(SightlineError, match=r"URL\|model"):
        _claims_client(Settings())


@pytest.mark.parametrize(("note", "expected"), [(f"{BY_MODEL} reader", "not_done"), ("something else", "differs")])
def test_a_case_played_again_does_not_hold_the_models_reading_against_the_rules(note: str, expected: str) -> None:
    then = Claim(id="c1", span="God's house", kind="object", value="church", turn=1)
    turn = {"number": 1, "asked": "I stand by God's house.", "order": None, "notes": [note]}
    case: Any = SimpleNamespace(claims=[then], trace={"turns": [turn]}, query={"lang": "en"})
    assert read_again(case).state == expected
