"""What sets the single methods apart: the gate, the reasons, and methods of other packages."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest
from desk_fakes import FakeGallery, FakeJudge, claim

from agent.confidence import Confidence
from agent.rerankers import ContractError, Kit, create
from agent.rerankers.cascade import MARGIN, Cascade, gated
from agent.rerankers.posterior import ByPosterior
from retriever.errors import SightlineError
from retriever.posterior import Weights
from retriever.types import Candidate, Query, Ranking

QUERY = Query(id="q1", text="a pharmacy and a cafe")
CLAIMS = [claim(1, "pharmacy"), claim(2, "cafe")]
P = {"t-a": 0.5, "t-b": 0.65, "t-c": 0.5, "t-d": 0.9, "t-e": 0.1}


def shortlist(*ids: str) -> list[Candidate]:
    return [Candidate(tile_id=t, score=2.0 - 0.25 * i, rank=i) for i, t in enumerate(ids, 1)]


def kit(p: dict[str, float]) -> Kit:
    """With weights of its own, so that fitted defaults may change."""
    weights = Weights(retrieval=1.0, match=0.7, ledger=2.0, names=2.0)
    return Kit(judge=FakeJudge(p), confidence=Confidence(weights=weights))


def ids(ranking: Ranking) -> list[str]:
    return [j.tile_id for j in ranking.judgements]


# --- cascade


def test_no_tile_is_overtaken_on_less_than_the_margin() -> None:
    given, worth = shortlist("a", "b", "c", "d"), {"a": 1.0, "b": 1.5, "c": 2.5, "d": 0.0}
    assert gated(given, worth, 0.0) == ["c", "b", "a", "d"]
    assert gated(given, worth, 0.9) == ["c", "a", "b", "d"], "c passes both, b does not pass a"
    assert gated(given, worth, 1.0) == ["a", "b", "c", "d"], "exactly the margin is not above it, so b holds c back"


def test_every_pair_that_changes_order_does_so_by_more_than_the_margin() -> None:
    rng = random.Random(0)
    for _ in range(200):
        given = shortlist(*"abcdefg")
        worth = {c.tile_id: rng.uniform(0, 4) for c in given}
        order = gated(given, worth, 1.0)
        pairs = [(x, y) for i, x in enumerate(order) for y in order[i + 1 :] if x > y]
        assert all(worth[x] - worth[y] > 1.0 for x, y in pairs)
        assert gated(given, worth, 0.0) == sorted(worth, key=lambda t: -worth[t])


def test_a_tile_that_could_not_be_judged_keeps_its_place_behind_the_gate() -> None:
    assert gated(shortlist("a", "b", "c"), {"a": 0.0, "c": 9.0}, 1.0) == ["c", "b", "a"]


@pytest.mark.parametrize(
    ("margin", "expected"),
    [(0.0, "t-b t-a t-c t-e"), (MARGIN, "t-a t-b t-e t-c"), (math.inf, "t-e t-a t-b t-c")],
)
async def test_the_margin_goes_from_the_posteriors_order_to_the_retrievers(margin, expected, gallery) -> None:
    given, unmapped = shortlist("t-e", "t-a", "t-b", "t-c"), [claim(1, "tree")]
    assert ids(await Cascade(kit(P), margin=margin).rerank(QUERY, unmapped, given, gallery)) == expected.split()
    if margin == 0.0:
        assert ids(await ByPosterior(kit(P)).rerank(QUERY, unmapped, given, gallery)) == expected.split()


async def test_map_checks_can_carry_a_change_that_the_judge_alone_does_not(gallery: FakeGallery) -> None:
    method = create("cascade", kit(dict.fromkeys(gallery.ids, 0.5)))
    assert ids(await method.rerank(QUERY, CLAIMS, shortlist("t-d", "t-a"), gallery)) == ["t-a", "t-d"]
    unmapped = [claim(1, "tree")]
    assert ids(await method.rerank(QUERY, unmapped, shortlist("t-d", "t-a"), gallery)) == ["t-d", "t-a"]


@pytest.mark.parametrize("margin", [-0.1, math.nan])
def test_a_margin_that_is_none_is_refused(margin: float) -> None:
    with pytest.raises(SightlineError, match="margin"):
        Cascade(Kit(), margin=margin)


# --- verdict


async def test_every_tile_is_scored_and_explained_and_ranked_by_probability_alone(gallery: FakeGallery) -> None:
    judge, given = FakeJudge(P), [Candidate(tile_id="t-c", score=9.0, rank=1), *shortlist("t-e", "t-d", "t-a")]
    ranking = await create("verdict", Kit(judge=judge)).rerank(QUERY, CLAIMS, given, gallery)
    assert ids(ranking) == ["t-d", "t-c", "t-a", "t-e"], "t-c and t-a are equal, so the retriever decides"
    assert sorted(judge.calls) == sorted((kind, t) for t in ids(ranking) for kind in ("score", "explain"))
    for judgement in ranking.judgements:
        assert judgement.explanation is not None
        assert [e.claim_id for e in judgement.evidence] == ["c1", "c2"]
    assert (ranking.usage.calls, ranking.usage.completion_tokens) == (8, 4 * 61)


async def test_a_verdict_needs_evidence_that_can_tell(gallery: FakeGallery) -> None:
    ranking = await create("verdict", Kit(judge=FakeJudge(P))).rerank(QUERY, CLAIMS, shortlist("t-d"), gallery)
    assert ranking.judgements[0].verdict == "cannot_tell", "0.9, but neither claim could be seen"


async def test_a_tile_without_reasons_is_an_error_and_its_calls_count(gallery: FakeGallery) -> None:
    ranking = await create("verdict", Kit(judge=FakeJudge(P, babbles=True))).rerank(
        QUERY, CLAIMS, shortlist("t-e", "t-d"), gallery
    )
    assert ids(ranking) == ["t-e", "t-d"]
    assert all(j.score is None and "not judged" in str(j.error) for j in ranking.judgements)
    assert ranking.usage.calls == 2


# --- methods of other packages


def offer(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, *, package: str = "guest") -> None:
    """An installed package, as far as entry points can tell."""
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[sightline.rerankers]\n{name} = {value}\n")
    monkeypatch.syspath_prepend(str(folder))


def test_a_method_of_another_package_is_found_by_its_entry_point(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "guest_a.py").write_text(
        "class Mine:\n    name = 'mine'\n    def __init__(self, kit): self.kit = kit\n"
    )
    offer(tmp_path, monkeypatch, "mine", "guest_a:Mine")
    mine = Kit()
    assert create("mine", mine).kit is mine  # type: ignore[attr-defined]
    with pytest.raises(SightlineError, match=r"known are .*maxsim, mine, oracle"):
        create("best")


def test_a_shipped_name_cannot_be_taken_silently(tmp_path: Path, monkeypatch) -> None:
    offer(tmp_path, monkeypatch, "yesno", "guest:Other")
    with pytest.raises(SightlineError, match=r"'yesno' is offered by agent.rerankers.yesno:YesNo and guest:Other"):
        create("yesno")
    assert create("posterior").name == "posterior", "the others still work"


@pytest.mark.parametrize("value", ["not_there:Mine", "agent.rerankers.base:Mine"])
def test_a_method_that_cannot_be_loaded_is_said_in_a_sentence(value: str, tmp_path: Path, monkeypatch) -> None:
    offer(tmp_path, monkeypatch, "mine", value)
    with pytest.raises(SightlineError, match="'mine' cannot be loaded"):
        create("mine")


def test_a_method_under_another_name_than_its_own_breaks_the_contract(tmp_path: Path, monkeypatch) -> None:
    offer(tmp_path, monkeypatch, "mine", "agent.rerankers.identity:Identity")
    with pytest.raises(ContractError, match="'mine' calls itself 'identity'"):
        create("mine")
