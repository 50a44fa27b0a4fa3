"""The queue of pairs that the judge explains: spread over places, ended by the clock, gone on with from its answers."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from explained_fakes import case, claim

from agent.judge import Judge
from eval.explanations.cache import CachedClient
from eval.explanations.shipped import BLIND, OWN, OWN_TEMPLATE, PRODUCT, READ, Shipped
from prompts.clients.base import ChatReply, ChatRequest
from prompts.clients.recorded import RecordedClient
from prompts.schema import STANCES
from retriever.errors import ServerUnavailable
from retriever.pairs import Pair

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from explanations import in_turn, judged, parse


@dataclass(frozen=True)
class Query:
    lang: str


@dataclass(frozen=True)
class Place:
    """As much of a pair as its turn depends on."""

    id: str
    place: str
    query: Query


def pairs(*places: str) -> list[Pair]:
    made = [Place(f"{p}-{lang}-{n}", p, Query(lang)) for p in places for lang in ("en", "zh") for n in range(3)]
    return cast("list[Pair]", made)


def test_every_place_comes_once_before_any_comes_twice_and_languages_take_turns() -> None:
    order = in_turn(pairs("a", "b", "c"))
    assert len({p.id for p in order}) == 18
    assert {p.place for p in order[:6]} == {"a", "b", "c"}
    assert {p.place for p in order[6:12]} == {"a", "b", "c"}
    assert [p.query.lang for p in order] == ["en", "zh"] * 9
    assert in_turn(order[::-1]) == order


def answers(request: ChatRequest) -> ChatReply:
    if request.choices == STANCES:
        sure = {"supports": -0.1, "contradicts": -3.0, "unknown": -3.0}
        return ChatReply(text="supports", choice_logprobs=sure)
    if request.choices:
        return ChatReply(text="yes", choice_logprobs={"yes": -0.2, "no": -1.8})
    if request.json_schema is None:
        return ChatReply(text="n cafe", prompt_tokens=5, completion_tokens=2)
    said = [{"claim": f"c{n}", "stance": "unknown", "at": "-"} for n in range(1, 5)]
    return ChatReply(text=json.dumps({"evidence": said, "en": "I see it.", "zh": "可见。"}))


def run(client, cases, minutes=9.0):
    return asyncio.run(judged(Shipped(Judge(client)), cases, minutes=minutes, parallel=2))


def test_five_systems_answer_every_pair_and_a_second_run_asks_nothing(tmp_path) -> None:
    cases = [case(n) for n in range(3)]
    first = RecordedClient(answers)
    found = run(CachedClient(first, tmp_path), cases)
    assert {i.system for i in found} == {OWN, OWN_TEMPLATE, READ, PRODUCT, BLIND}
    assert len(found) == 15
    assert all(i.usage is not None and i.usage.calls > 0 for i in found)
    again = RecordedClient(answers)
    assert len(run(CachedClient(again, tmp_path), cases)) == 15
    assert first.requests
    assert not again.requests


def test_a_judge_shown_the_maps_facts_is_a_system_of_its_own() -> None:
    client = RecordedClient(answers)
    found = asyncio.run(judged(Shipped(Judge(client, saw="facts")), [case(0)]))
    assert {i.system for i in found} == {*(f"{s}, shown facts" for s in (OWN, OWN_TEMPLATE, READ, PRODUCT)), BLIND}
    told = ["".join(getattr(p, "text", "") for m in r.messages for p in m.parts) for r in client.requests]
    # The map names the pharmacy in the listing of the tile; the blank tile is looked at, and nothing is told of it.
    named = [text for text in told if "pharmacy" in text]
    assert len(named) > 2
    assert all("Hop Kee" in text for text in named)
    assert sum(r.json_schema is None and not r.choices for r in client.requests) == 1


def test_what_is_read_off_the_judge_is_had_without_a_word_written() -> None:
    client = RecordedClient(answers)
    found = asyncio.run(judged(Shipped(Judge(client)), [case(0)], written=False))
    assert [i.system for i in found] == [READ, PRODUCT]
    assert not [r for r in client.requests if r.json_schema is not None]
    assert {e.stance for e in found[0].evidence} == {"supports"}
    assert found[0].texts["en"]
    assert found[0].texts["zh"]


def test_after_the_last_minute_no_pair_begins_and_it_is_told(capsys) -> None:
    assert run(RecordedClient(answers), [case(0), case(1)], minutes=0.0) == []
    assert "2 not begun" in capsys.readouterr().err


def test_a_pair_without_an_answer_costs_itself_alone(capsys) -> None:
    def gone(request: ChatRequest):
        text = "".join(p.text for m in request.messages for p in m.parts if hasattr(p, "text"))
        return ServerUnavailable("no answer within 120 s") if "bank" in text else answers(request)

    found = run(RecordedClient(gone), [case(0), case(1, claims=[claim(1, "bank")]), case(2)])
    assert {i.query_id for i in found} == {"q0", "q2"}
    assert "1 without an answer" in capsys.readouterr().err


def test_the_options_name_what_the_judge_is_shown() -> None:
    assert parse(["--saw", "facts", "--minutes", "12"]).saw == "facts"
    assert parse([]).minutes == float("inf")
