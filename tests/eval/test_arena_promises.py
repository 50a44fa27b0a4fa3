"""Sets by name, freezing apart, several queries under way, and the report's tables of promises, places and time."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eval.arena.aims import aims_section
from eval.arena.asking import CountingClient, Replies
from eval.arena.config import chosen_sets, read_config
from eval.arena.costs import alone, cost_section, shuffle_section
from eval.arena.frozen import Asked, Frozen, Places
from eval.arena.measuring import board, pooled
from eval.arena.outside import outside, outside_section
from eval.arena.records import MethodRun, SetRun
from eval.arena.speed import speed_section, timed
from eval.protocol import EvaluationError, LocatedQuery
from prompts.clients.base import ChatReply, ChatRequest, Message
from retriever.posterior import Prior
from retriever.types import Candidate, Query

STEP = 0.001
TILES = [f"t{i}" for i in range(6)]


def places() -> Places:
    lat = np.array([51.5 + STEP * i for i in range(6)])
    lon = np.zeros(6)
    bounds = np.stack([lon - STEP / 2, lat - STEP / 2, lon + STEP / 2, lat + STEP / 2], axis=1)
    return Places(id="row", ids=TILES, lat=lat, lon=lon, bounds=bounds)


def asked(number: int, removed: bool) -> Asked:
    query = Query(id=f"q{number}" + ("~gone" if removed else ""), text="a cafe", lang="en")
    located = LocatedQuery(
        query=query, lat=51.5 + STEP * (number % 3), lon=0.0, named=False, source="test", location=None, area=None
    )
    given = tuple(Candidate(tile_id=t, score=float(3 - i), rank=i + 1) for i, t in enumerate(TILES[:3]))
    return Asked(located=located, removed=removed, claims=(), prior=Prior.of(np.linspace(0, 1, 6)), candidates=given)


def line(order: list[str], p: float, outside: float, **more: Any) -> dict[str, Any]:
    judgements = [{"tile_id": t, "score": 0.5, "kind": "x", "verdict": None, "error": None} for t in order]
    cells = {t: p if i == 0 else 0.01 for i, t in enumerate(order)}
    sure = {"cells": cells, "elsewhere": 0.0, "outside": outside, "calibrated": True, "verdicts": {}}
    return {"judgements": judgements, "sure": sure, "cost": {"calls": 2}, "prompt": "", **more}


@pytest.fixture
def run() -> SetRun:
    """Twelve queries: the true tile first for ``cascade``, last for ``verdict``, which takes twenty times as long."""
    everyone = [asked(n, removed) for n in range(12) for removed in (False, True)]
    header = {"gallery": {"stride_m": 100.0}, "seed": 0}
    fused = np.tile(np.linspace(1, 0, 6), (12, 1))
    frozen = Frozen(
        name="row", group="g", header=header, asked=tuple(everyone), places=places(), controls={"fused": fused},
        sha256="x",
    )  # fmt: skip
    quick: dict[str, Any] = {}
    slow: dict[str, Any] = {}
    for a in everyone:
        true = TILES[int(a.query.id[1:].removesuffix("~gone")) % 3]
        others = [t for t in TILES[:3] if t != true]
        gone = a.removed
        reasons = {"reasons": [{"tile_id": true}], "reasons_wall_s": 0.25, "reasons_cost": {}}
        quick[a.query.id] = line([true, *others], 0.2 if gone else 0.9, 0.7 if gone else 0.05, wall_s=0.25, **reasons)
        slow[a.query.id] = line([*others, true], 0.5, 0.3, wall_s=10.0)
    methods = {
        key: MethodRun(key=key, header={"saw": "pixels", "looks": "once"}, lines=lines, shuffles={})
        for key, lines in (("cascade", quick), ("verdict", slow))
    }
    return SetRun(frozen=frozen, methods=methods, counterfactuals=[])


def test_time_to_an_explained_answer_is_a_ratio_with_an_interval(run: SetRun) -> None:
    found = timed([run], "cascade")
    assert found is not None
    assert (found.n, found.shown, found.seconds, found.slow_seconds) == (24, 1.0, 0.5, 10.0)
    assert found.low <= found.times == 20.0 <= found.high
    section = speed_section("g", board(run, seed=0), [run], seed=0)
    assert section is not None
    assert section.grids[0].rows[0][-1] == "yes/yes"
    assert "as in a desk in use" in section.text[0]


def test_the_costs_say_whether_looks_are_counted(run: SetRun) -> None:
    def said(*looks: str) -> str:
        methods = {
            key: dataclasses.replace(m, header={**m.header, "looks": how})
            for (key, m), how in zip(run.methods.items(), looks, strict=True)
        }
        return cost_section("g", [dataclasses.replace(run, methods=methods)]).text[0]

    assert "looks at the tiles are not counted" in said("once", "once")
    assert "had looked at every tile itself" in said("each", "each")
    assert "some runs count every look" in said("once", "each")


def test_seconds_of_company_and_of_kept_answers_do_not_count(run: SetRun) -> None:
    assert alone({"wall_s": 1.0, "cost": {"kept": 0}})
    assert not alone({"wall_s": 1.0, "cost": {"kept": 1}})
    assert not alone({"wall_s": 1.0, "cost": {}, "reasons_cost": {"kept": 1}})
    assert not alone({"wall_s": 1.0, "cost": {}, "at_once": 4})
    crowd = {q: {**x, "at_once": 4} for q, x in run.methods["cascade"].lines.items()}
    busy = dataclasses.replace(run.methods["cascade"], lines=crowd)
    assert timed([dataclasses.replace(run, methods={**run.methods, "cascade": busy})], "cascade") is None


def test_promises_say_what_was_found_and_whether_there_were_enough_queries(run: SetRun) -> None:
    boards = {"row": board(run, seed=0)}
    together = pooled("g, pooled", [boards["row"]])
    rows = aims_section([("g", [run], together)], boards, seed=0).grids[0].rows
    harm = next(r for r in rows if "lower bound" in r[1])
    assert harm[0] == "cascade"
    assert harm[3] == "12 (3)"
    assert harm[5] == "yes, too few to promise"
    assert next(r for r in rows if "faster" in r[1])[5] == "yes"
    assert next(r for r in rows if "gain" in r[1])[4].startswith("+66.7")


def test_places_that_were_taken_out_are_told_from_those_that_are_there(run: SetRun) -> None:
    found = outside([run], "cascade")
    assert found is not None
    assert found.mean(True, 0).value == pytest.approx(0.7)
    assert found.mean(False, 0).value == pytest.approx(0.05)
    section = outside_section("g", [run], seed=0)
    assert section is not None
    rows = {r[0]: r for r in section.grids[0].rows}
    assert rows["cascade"][-1] == "1.000"
    assert rows["verdict"][-1] == "0.500"


def test_a_method_that_keeps_the_first_place_shows_it_under_shuffles(run: SetRun) -> None:
    stuck = {}
    for a in run.frozen.asked:
        given = list(reversed(TILES[:3]))
        stuck[a.query.id] = {**line(given, 0.5, 0.1), "given": given}
    method = dataclasses.replace(run.methods["cascade"], shuffles={1: stuck})
    section = shuffle_section("g", [dataclasses.replace(run, methods={"cascade": method})], seed=0)
    assert section is not None
    row = section.grids[0].rows[0]
    assert row[4].startswith("1.00"), "it gives back the order that it was given"
    assert row[5].startswith("100.0")
    assert row[6] == "33.3"


def test_sets_are_chosen_by_name(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    one = '{"name": "%s", "gallery": "g", "queries": ["q.jsonl"]}'
    path.write_text(f'{{"title": "t", "out": "o", "sets": [{one % "a"}, {one % "b"}], "methods": ["identity"]}}')
    config = read_config(path)
    assert [s.name for s in chosen_sets(config, ["b"])] == ["b"]
    assert len(chosen_sets(config, [])) == 2
    with pytest.raises(EvaluationError, match="no set 'c'; it has a, b"):
        chosen_sets(config, ["c"])


class Waiting:
    """A client that answers when told."""

    name = "fake:waiting"

    def __init__(self) -> None:
        self.asked, self.go = 0, asyncio.Event()

    async def complete(self, request: ChatRequest) -> ChatReply:
        self.asked += 1
        await self.go.wait()
        return ChatReply(text="yes", prompt_tokens=60, completion_tokens=1, seconds=0.5)

    async def close(self) -> None:
        return None


async def test_two_queries_that_ask_the_same_at_once_share_the_call_and_both_pay(tmp_path: Path) -> None:
    client = Waiting()
    replies = Replies(tmp_path / "r.sqlite")
    mine, other = CountingClient(client, replies), CountingClient(client, replies)
    question = ChatRequest(messages=(Message.of("user", "is it here?"),))
    both = asyncio.gather(mine.complete(question), other.complete(question))
    await asyncio.sleep(0)
    client.go.set()
    first, second = await both
    assert first == second
    assert client.asked == 1
    assert (mine.cost.calls, other.cost.calls) == (1, 1)
    assert mine.cost.kept + other.cost.kept == 1
    assert json.loads(json.dumps(mine.cost.to_json()))["prompt_tokens"] == 60
