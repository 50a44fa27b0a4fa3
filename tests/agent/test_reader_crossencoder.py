"""The cross-encoder as a reranker: what it adds up, what it says where it cannot, and the shipped model held to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from desk_fakes import FakeGallery, FakeJudge, claim

from agent.rerankers import Kit, check_permutation, create, crossencoder
from prompts.claims import extract_claims
from prompts.pairing import NOTHING, vocabulary
from retriever.errors import ModelError
from retriever.models import find_model
from retriever.types import Candidate, Claim, Query, Ranking, Relation

QUERY = Query(id="q1", text="a pharmacy and a cafe")


class Reader:
    """In the place of the model: two for a clue whose word the listing has, minus one for others; notes its pairs."""

    def __init__(self) -> None:
        self.read: list[tuple[str, str]] = []
        self.unsaid = 0.0

    def predict(self, pairs: list[tuple[str, str]], **_: Any) -> np.ndarray:
        self.read += pairs
        return np.array([2.0 if clue in shown.replace(".", " ").split() else -1.0 for clue, shown in pairs])


class Looker(FakeJudge):
    """Lists every tile as it is told to."""

    def __init__(self, says: str) -> None:
        super().__init__()
        self.says = says

    async def look(self, tile: Any, png: bytes) -> str:
        return self.says


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Reader:
    found = Reader()
    monkeypatch.setattr(crossencoder, "find_model", lambda name: name)
    monkeypatch.setattr(crossencoder, "load", lambda folder: found)
    return found


@pytest.fixture
def shipped(monkeypatch: pytest.MonkeyPatch) -> Path:
    try:
        return find_model(crossencoder.MODEL)
    except ModelError as error:
        pytest.skip(f"no cross-encoder here: {error}")


def shortlist(*ids: str) -> list[Candidate]:
    return [Candidate(tile_id=t, score=2.0 - 0.5 * i, rank=i) for i, t in enumerate(ids, 1)]


async def rank(
    gallery: FakeGallery, given: list[Candidate], claims: list[Claim], *, query: Query = QUERY, judge: Any = None
) -> Ranking:
    method = create("crossencoder_look" if judge else "crossencoder", Kit(judge=judge))
    return check_permutation(await method.rerank(query, claims, given, gallery), given)  # type: ignore[arg-type]


def ids(ranking: Ranking) -> list[str]:
    return [j.tile_id for j in ranking.judgements]


async def test_clues_are_read_one_by_one_and_their_log_odds_added_up(tmp_path: Path, reader: Reader) -> None:
    gallery = FakeGallery(tmp_path, {"t-a": ["cafe"], "t-b": ["cafe", "pharmacy"], "t-c": ["bank"]})
    said = [claim(1, "pharmacy"), claim(2, "cafe"), claim(3, "cafe"), claim(4, "Hop Kee", kind="name")]
    found = await rank(gallery, shortlist("t-a", "t-b", "t-c"), said)
    assert {j.tile_id: j.score for j in found.judgements} == {"t-a": 1.0, "t-b": 4.0, "t-c": -2.0}
    assert ids(found) == ["t-b", "t-a", "t-c"]
    assert {clue for clue, _ in reader.read} == {"pharmacy", "cafe"}, "each clue once, no names"
    assert all(set(shown.split()) <= set(vocabulary()) for _, shown in reader.read)


async def test_what_the_witness_says_nothing_of_is_taken_off(tmp_path: Path, reader: Reader) -> None:
    reader.unsaid = 0.25
    gallery = FakeGallery(tmp_path, {"t-a": ["cafe", "bank"], "t-b": ["cafe"]})
    found = await rank(gallery, shortlist("t-a", "t-b"), [claim(1, "cafe")])
    assert {j.tile_id: j.score for j in found.judgements} == {"t-a": 1.5, "t-b": 1.75}, "each has a street as well"


async def test_a_satellite_tile_without_facts_is_a_named_error_and_no_score(tmp_path: Path, reader: Reader) -> None:
    gallery = FakeGallery(tmp_path, {"t-a": None, "t-b": ["cafe"], "t-c": []})  # type: ignore[dict-item]
    found = await rank(gallery, shortlist("t-a", "t-c", "t-b"), [claim(1, "cafe")])
    told = {j.tile_id: j for j in found.judgements}
    assert told["t-a"].score is told["t-a"].verdict is None
    assert "the gallery holds no map facts for this tile" in str(told["t-a"].error)
    assert ids(found) == ["t-a", "t-b", "t-c"], "it keeps its place, the others are ordered around it"
    none = await rank(gallery, shortlist("t-a"), [claim(1, "cafe")])
    assert none.judgements[0].error == told["t-a"].error
    assert all(shown for _, shown in reader.read)


async def test_a_description_of_names_alone_is_said_to_hold_nothing_for_it(tmp_path: Path, reader: Reader) -> None:
    gallery = FakeGallery(tmp_path, {"t-a": ["cafe"], "t-b": ["bank"]})
    found = await rank(gallery, shortlist("t-b", "t-a"), [claim(1, "Hop Kee", kind="name")])
    assert ids(found) == ["t-b", "t-a"]
    assert all("nothing that a listing could hold" in str(j.error) and j.score is None for j in found.judgements)
    assert reader.read == []


async def test_what_a_judge_writes_is_read_in_the_same_words(tmp_path: Path, reader: Reader) -> None:
    gallery = FakeGallery(tmp_path, {"t-a": []})
    north = Claim(id="c1", span="", kind="object", value="cafe", relation=Relation(bearing_deg=0.0))
    await rank(gallery, shortlist("t-a"), [north], judge=Looker('roads e-w; n cafe, dragon; "X" bank s'))
    await rank(gallery, shortlist("t-a"), [north], judge=Looker("I see nothing of use"))
    assert reader.read == [("cafe.n", "road.e-w cafe.n"), ("cafe.n", NOTHING)]


async def test_the_trained_model_finds_what_was_said_in_both_languages(tmp_path: Path, shipped: Path) -> None:
    gallery = FakeGallery(tmp_path, {"t-a": ["bank"], "t-b": ["cafe", "pharmacy"], "t-c": ["school"]})
    for text, lang in (("there is a pharmacy and a cafe here", "en"), ("这里有药店，旁边是咖啡馆", "zh")):
        query = Query(id="问题一", text=text, lang=lang)  # type: ignore[arg-type]
        said = extract_claims(text)
        found = await rank(gallery, shortlist("t-a", "t-b", "t-c"), said, query=query)
        again = await rank(gallery, shortlist("t-c", "t-b", "t-a"), said, query=query)
        assert ids(found)[0] == "t-b"
        scores = {j.tile_id: j.score for j in found.judgements}
        assert {j.tile_id: j.score for j in again.judgements} == pytest.approx(scores, abs=1e-3)


async def test_the_trained_model_keeps_the_contract_for_one_and_twice(tmp_path: Path, shipped: Path) -> None:
    gallery = FakeGallery(tmp_path, {"t-a": ["bank"], "t-b": None, "t-c": ["cafe"]})  # type: ignore[dict-item]
    said = extract_claims("a cafe")
    assert ids(await rank(gallery, shortlist("t-a"), said)) == ["t-a"]
    assert ids(await rank(gallery, [], said)) == []
    twice = [*shortlist("t-a", "t-b", "t-c"), Candidate(tile_id="t-a", score=0.1, rank=4)]
    found = await rank(gallery, twice, said)
    assert sorted(ids(found)) == ["t-a", "t-a", "t-b", "t-c"]
    assert ids(found)[0] == "t-c"
    alone = {j.tile_id: j.score for j in (await rank(gallery, shortlist("t-a"), said)).judgements}
    beside = {j.tile_id: j.score for j in found.judgements}
    assert alone["t-a"] == pytest.approx(beside["t-a"], abs=1e-3), "company changes no score"


def test_the_trained_model_is_small_and_tells_where_it_is_from(shipped: Path) -> None:
    from retriever.models import PROVENANCE, read_json

    assert sum(f.stat().st_size for f in shipped.rglob("*") if f.is_file()) < 5_000_000
    note = read_json(shipped, PROVENANCE)
    assert {"command", "seed", "data_sha256", "metrics", "areas"} <= set(note)
    assert not {"london", "taipei_north", "bayfront_singapore"} & set(note["areas"])
