"""Whole dialogues, written by hand in English, Chinese and both, over a generated town; what is expected is behaviour.

``tests/data/dialogues.jsonl``: one dialogue a line. Every reply is also held to what all replies promise: each sentence
cites what the thread really holds, and no kind of thing is spoken of that its cites do not hold.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from desk_fakes import FakeJudge

from agent.cites import NoEvidence, lookup
from agent.context import Context
from agent.desk import Desk, open_desk
from agent.rerankers import Kit, create
from agent.state import State
from agent.turns import Turn
from prompts.claims import extract_claims
from retriever.build import build_gallery
from retriever.gallery import Gallery
from retriever.town import write_town
from retriever.types import Claim

FILE = Path(__file__).parents[1] / "data" / "dialogues.jsonl"
DIALOGUES = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
pytestmark = pytest.mark.slow


class ByKinds:
    """A retriever that counts how many of the claimed kinds a tile holds; ties by place, so that orders are stable."""

    def __init__(self, gallery: Gallery) -> None:
        self._kinds = [{fact.kind for fact in gallery.facts(tile) or ()} for tile in gallery.ids]

    def scores(self, query: Any, claims: Sequence[Claim], mode: str = "fused") -> Any:
        wanted = [c.value for c in claims if c.polarity]
        held = [sum(w in kinds for w in wanted) for kinds in self._kinds]
        return np.array(held, dtype=np.float32) + np.linspace(0, 0.01, len(held), dtype=np.float32)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    folder = tmp_path_factory.mktemp("town")
    return build_gallery(
        folder / "gallery", osm=write_town(folder / "town.osm", seed=7, blocks=5), gallery_id="town", px=64
    )


def context_of(town: Gallery, judge: FakeJudge) -> Context:
    kit = Kit(judge=judge)
    return Context(
        gallery=town, retriever=ByKinds(town), kit=kit, reranker=create("posterior", kit), shortlist=6, top=3
    )


def test_there_are_at_least_forty_turns_in_both_languages() -> None:
    turns = [turn["say"] for dialogue in DIALOGUES for turn in dialogue["turns"]]
    chinese = [text for text in turns if any("\u4e00" <= letter <= "\u9fff" for letter in text)]
    assert len(turns) >= 40
    assert len(chinese) >= 20
    assert len(turns) - len(chinese) >= 20


@pytest.mark.parametrize("dialogue", DIALOGUES, ids=[d["id"] for d in DIALOGUES])
def test_a_dialogue_goes_as_expected(dialogue: dict[str, Any], town: Gallery, tmp_path: Path) -> None:
    asyncio.run(run(dialogue, context_of(town, judge := FakeJudge()), judge, tmp_path / "threads.sqlite"))


async def run(dialogue: dict[str, Any], context: Context, judge: FakeJudge, database: Path) -> None:
    async with open_desk(context, database) as desk:
        seen: list[State] = [{}]
        for number, step in enumerate(dialogue["turns"], 1):
            paid = len(judge.calls)
            turn = await desk.say("t", step["say"])
            seen.append(await desk.state("t"))
            where = f"{dialogue['id']}, turn {number}: {step['say']!r} -> {turn.kind}: {turn.en}"
            well_founded(turn, seen[-1], where)
            await meets(step["expect"], turn, seen, desk, len(judge.calls) - paid, where)


def well_founded(turn: Turn, state: State, where: str) -> None:
    """Each sentence rests on something, and speaks of no kind of thing that nothing it cites holds."""
    assert turn.sentences, where
    for sentence in turn.sentences:
        assert sentence.cites, where
        behind = [lookup(cite, state) for cite in sentence.cites]
        if sentence.cites == ("desk",) or "map" in sentence.cites:
            continue
        claims = [c for c in state["claims"] if any(c["id"] in cite for cite in sentence.cites)]
        held = json.dumps([behind, claims]).casefold()
        for claim in extract_claims(sentence.en.replace("this gallery", "")):  # which is no museum
            if claim.kind == "object":
                said = claim.value in held or claim.span.casefold() in held
                assert said, f"{where}: {sentence.en!r} speaks of {claim.value}"


async def meets(expect: dict[str, Any], turn: Turn, seen: Sequence[State], desk: Desk, paid: int, where: str) -> None:
    state, before = seen[-1], seen[-2]
    for key, wanted in expect.items():
        assert await CHECKS[key](wanted, turn, state, before, seen, desk, paid), f"{key}={wanted!r} fails in {where}"


def active(state: State) -> list[str]:
    """Kinds of the standing claims, a denial with a mark, hedges and names left out."""
    standing = [c for c in state["claims"] if c["status"] == "active" and c["kind"] != "name" and not c["asked"]]
    return [("" if c["polarity"] else "!") + c["value"] for c in standing]


def with_status(state: State, status: str) -> set[str]:
    return {c["value"] for c in state["claims"] if c["status"] == status}


def order(state: State) -> list[str]:
    return [c["tile_id"] for c in state["result"]["candidates"]]


def confidences(state: State) -> dict[str, float]:
    return {c["tile_id"]: c["confidence"] for c in state["result"]["candidates"]}


def question(state: State) -> str | None:
    found = state.get("question")
    return found["key"] if found else None


def asked(state: State) -> Any:
    return [c["polarity"] for c in state["claims"] if c["asked"]][-1]


def bearings(state: State, kinds: dict[str, float]) -> bool:
    standing = {c["value"]: c["relation"]["bearing_deg"] for c in state["claims"] if c["status"] == "active"}
    return all(standing[kind] == bearing for kind, bearing in kinds.items())


def check(rule: Any) -> Any:
    async def checked(wanted: Any, turn: Turn, state: State, before: State, seen: Any, desk: Desk, paid: int) -> bool:
        return bool(rule(wanted, turn, state, before, seen, paid))

    return checked


async def named(wanted: str, turn: Turn, state: State, before: State, seen: Any, desk: Desk, paid: int) -> bool:
    return (await desk.info("t")).title == wanted


CHECKS = {
    "kind": check(lambda w, turn, *_: turn.kind == w),
    "kind_any": check(lambda w, turn, *_: turn.kind in w),
    "why": check(lambda w, turn, state, *_: state["act"].get("why") == w),
    "why_any": check(lambda w, turn, state, *_: state["act"].get("why") in w),
    "active": check(lambda w, turn, state, *_: sorted(active(state)) == sorted(w)),
    "active_has": check(lambda w, turn, state, *_: set(w) <= set(active(state))),
    "struck": check(lambda w, turn, state, *_: set(w) <= with_status(state, "struck")),
    "corrected": check(lambda w, turn, state, *_: set(w) <= with_status(state, "corrected")),
    "bearing": check(lambda w, turn, state, *_: bearings(state, w)),
    "silent_on": check(lambda w, turn, *_: not any(kind in turn.en for kind in w)),
    "moves": check(lambda w, turn, state, before, *_: confidences(state) != confidences(before)),
    "asks": check(lambda w, turn, *_: (turn.question is not None) == w),
    "new_question": check(lambda w, turn, state, before, *_: question(state) != question(before)),
    "same_question": check(lambda w, turn, state, before, *_: question(state) == question(before)),
    "asked_claim": check(lambda w, turn, state, *_: asked(state) == w),
    "same_search": check(
        lambda w, turn, state, before, *_: order(state) == order(before) and state["claims"] == before["claims"]
    ),
    "free": check(lambda w, turn, state, before, seen, paid: paid == 0),
    "cites": check(lambda w, turn, *_: set(w) <= {c.split(":")[0] for s in turn.sentences for c in s.cites}),
    "limits": check(lambda w, turn, *_: len(turn.limits) == w),
    "limits_at_most": check(lambda w, turn, *_: len(turn.limits) <= w),
    "fewer": check(lambda w, turn, state, *_: state["prior"]["n"] < 144),
    "all_tiles": check(lambda w, turn, state, *_: state["prior"]["n"] == 144),
    "pending": check(lambda w, turn, state, *_: bool(state.get("pending")) == w),
    "spoken": check(lambda w, turn, *_: turn.spoken == w and turn.said == getattr(turn, w, None)),
    "spoken_any": check(lambda w, turn, *_: turn.spoken in w),
    "length": check(lambda w, turn, *_: turn.length == w),
    "as_after": check(lambda w, turn, state, before, seen, *_: confidences(state) == confidences(seen[w])),
    "says": check(lambda w, turn, *_: w in turn.en and w in turn.zh),
    "title": named,
}


def test_a_cite_that_nothing_holds_is_an_error() -> None:
    state: State = {"result": {"candidates": [{"tile_id": "a", "evidence": [], "confidence": 0.5}]}}
    assert lookup("posterior:a", state) == 0.5
    for cite in ("posterior:b", "evidence:a/c1/map", "limit:1", "question:x", "nonsense:1", "effect:c1", "claim:c1"):
        with pytest.raises(NoEvidence, match=cite):
            lookup(cite, state)
