"""One contract for every reranker."""

from __future__ import annotations

from collections import Counter

import pytest
from desk_fakes import FakeGallery, FakeJudge, claim

from agent.rerankers import RERANKERS, ContractError, Kit, check_permutation, create
from retriever.errors import SightlineError
from retriever.types import Candidate, Judgement, Query, Ranking

ALL = sorted(RERANKERS)
QUERY = Query(id="q1", text="a pharmacy and a cafe")
CLAIMS = [claim(1, "pharmacy"), claim(2, "cafe")]


def shortlist(*ids: str) -> list[Candidate]:
    return [Candidate(tile_id=t, score=2.0 - 0.5 * i, rank=i) for i, t in enumerate(ids, 1)]


async def rank(name: str, gallery: FakeGallery, candidates: list[Candidate], *, judge=None, query=QUERY, claims=None):
    kit = Kit(judge=judge or FakeJudge())
    if name == "maxsim":
        from late_fakes import tiny_encoder

        kit = Kit(encoder=tiny_encoder())
    reranker = create(name, kit)
    return await reranker.rerank(query, CLAIMS if claims is None else claims, candidates, gallery)


def ids(ranking: Ranking) -> list[str]:
    return [j.tile_id for j in ranking.judgements]


@pytest.mark.parametrize("name", ALL)
async def test_gives_back_the_tiles_it_was_given_under_its_own_name(name: str, gallery: FakeGallery) -> None:
    candidates = shortlist("t-d", "t-a", "t-c", "t-b")
    ranking = await rank(name, gallery, candidates)
    assert Counter(ids(ranking)) == Counter(c.tile_id for c in candidates)
    assert (ranking.method, ranking.query_id) == (name, "q1")
    assert check_permutation(ranking, candidates) is ranking


@pytest.mark.parametrize("name", ALL)
async def test_the_order_of_the_input_list_does_not_matter(name: str, gallery: FakeGallery) -> None:
    candidates = shortlist("t-d", "t-a", "t-c", "t-b")
    assert ids(await rank(name, gallery, candidates)) == ids(await rank(name, gallery, candidates[::-1]))


@pytest.mark.parametrize("name", ALL)
async def test_the_same_again_gives_the_same_scores(name: str, gallery: FakeGallery) -> None:
    first, second = [await rank(name, gallery, shortlist("t-a", "t-b", "t-e")) for _ in range(2)]
    assert [(j.tile_id, j.score) for j in first.judgements] == [(j.tile_id, j.score) for j in second.judgements]


@pytest.mark.parametrize("name", sorted(set(ALL) - {"shuffle", "maxsim"}))
async def test_full_ties_are_broken_by_id(name: str, gallery: FakeGallery) -> None:
    tied = [Candidate(tile_id=t, score=1.0, rank=1) for t in ("t-e", "t-d", "t-b")]
    ranking = await rank(name, gallery, tied, judge=FakeJudge(dict.fromkeys(gallery.ids, 0.7)), claims=[])
    assert ids(ranking) == ["t-b", "t-d", "t-e"]


@pytest.mark.parametrize("name", ALL)
async def test_one_candidate_and_none(name: str, gallery: FakeGallery) -> None:
    assert ids(await rank(name, gallery, shortlist("t-a"))) == ["t-a"]
    assert ids(await rank(name, gallery, [])) == []


@pytest.mark.parametrize("name", ALL)
async def test_a_tile_given_twice_comes_back_twice(name: str, gallery: FakeGallery) -> None:
    twice = [*shortlist("t-a", "t-b"), Candidate(tile_id="t-a", score=0.1, rank=3)]
    ranking = await rank(name, gallery, twice)
    assert Counter(ids(ranking)) == {"t-a": 2, "t-b": 1}


@pytest.mark.parametrize("name", ALL)
async def test_chinese_queries(name: str, gallery: FakeGallery) -> None:
    query = Query(id="问题一", text="左边有药店，旁边是咖啡馆", lang="zh")
    ranking = await rank(name, gallery, shortlist("t-d", "t-a"), query=query)
    assert (ranking.query_id, sorted(ids(ranking))) == ("问题一", ["t-a", "t-d"])


@pytest.mark.parametrize("name", ["yesno", "posterior", "cascade", "verdict"])
async def test_a_missing_image_is_an_error_on_that_tile_and_the_rest_stands(name: str, gallery: FakeGallery) -> None:
    (gallery.path / "t-b.png").unlink()
    ranking = await rank(name, gallery, shortlist("t-d", "t-b", "t-a"))
    found = {j.tile_id: j for j in ranking.judgements}
    assert "not judged" in str(found["t-b"].error)
    assert found["t-b"].score is found["t-b"].verdict is None
    assert found["t-a"].error is None
    assert ids(ranking) == ["t-a", "t-b", "t-d"], "the unjudged tile keeps its place, the judged ones trade theirs"


@pytest.mark.parametrize("name", ["oracle", "yesno", "posterior", "cascade", "verdict"])
async def test_an_unknown_tile_is_an_error_on_that_tile(name: str, gallery: FakeGallery) -> None:
    ranking = await rank(name, gallery, shortlist("t-a", "gone"))
    found = {j.tile_id: j for j in ranking.judgements}
    assert "gone" in str(found["gone"].error)
    assert found["t-a"].error is None


@pytest.mark.parametrize("name", ["yesno", "posterior", "cascade", "verdict"])
async def test_a_server_that_is_down_leaves_the_retrieval_order_marked_not_judged(name, gallery: FakeGallery) -> None:
    ranking = await rank(name, gallery, shortlist("t-d", "t-a", "t-b"), judge=FakeJudge(down=True))
    assert ids(ranking) == ["t-d", "t-a", "t-b"]
    assert all("not judged" in str(j.error) and j.verdict is None for j in ranking.judgements)


async def test_no_judge_at_all_says_why(gallery: FakeGallery) -> None:
    reranker = create("posterior", Kit(why_no_judge="this machine has no backend"))
    ranking = await reranker.rerank(QUERY, CLAIMS, shortlist("t-d", "t-a"), gallery)
    assert ids(ranking) == ["t-d", "t-a"]
    assert all(j.error == "not judged: this machine has no backend" for j in ranking.judgements)


@pytest.mark.parametrize("name", ["yesno", "oracle", "posterior", "cascade", "verdict"])
async def test_the_tile_that_fits_comes_first(name: str, gallery: FakeGallery) -> None:
    assert ids(await rank(name, gallery, shortlist("t-d", "t-e", "t-a")))[0] == "t-a"


async def test_yesno_scores_are_match_probabilities_with_usage(gallery: FakeGallery) -> None:
    judge = FakeJudge({"t-a": 0.3, "t-b": 0.8})
    ranking = await rank("yesno", gallery, shortlist("t-a", "t-b"), judge=judge)
    found = {j.tile_id: j for j in ranking.judgements}
    assert (found["t-a"].score, found["t-b"].score, found["t-a"].score_kind) == (0.3, 0.8, "p_match")
    assert (found["t-a"].verdict, found["t-b"].verdict) == ("no_match", "match")
    assert (ranking.usage.calls, ranking.usage.prompt_tokens) == (2, 200)


async def test_a_strong_retrieval_score_outweighs_a_faint_preference_of_the_judge(gallery: FakeGallery) -> None:
    candidates = [Candidate(tile_id="t-a", score=6.0, rank=1), Candidate(tile_id="t-b", score=1.0, rank=2)]
    ranking = await rank("yesno", gallery, candidates, judge=FakeJudge({"t-a": 0.45, "t-b": 0.55}))
    assert ids(ranking) == ["t-a", "t-b"]


async def test_duplicates_are_judged_once(gallery: FakeGallery) -> None:
    judge = FakeJudge()
    await rank("yesno", gallery, [*shortlist("t-a"), Candidate(tile_id="t-a", score=0.0, rank=2)], judge=judge)
    assert judge.calls == [("score", "t-a")]


async def test_tiles_without_map_facts_are_no_oracle_verdict(tmp_path) -> None:
    gallery = FakeGallery(tmp_path, {"t-a": ["cafe"], "t-b": None})
    ranking = await rank("oracle", gallery, shortlist("t-b", "t-a"))
    found = {j.tile_id: j for j in ranking.judgements}
    assert "no map facts" in str(found["t-b"].error)


async def test_shuffle_depends_on_the_query(gallery: FakeGallery) -> None:
    orders = {
        tuple(ids(await rank("shuffle", gallery, shortlist(*gallery.ids), query=Query(id=f"q{i}", text="x"))))
        for i in range(8)
    }
    assert len(orders) > 1


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(SightlineError, match=r"'best'.*identity.*yesno"):
        create("best")


def test_a_foreign_tile_and_a_lost_tile_break_the_contract_by_name() -> None:
    given = shortlist("t-a", "t-b")
    foreign = Ranking(query_id="q", method="mine", judgements=tuple(Judgement(tile_id=t) for t in ("t-a", "t-x")))
    with pytest.raises(ContractError, match=r"'mine' returned 't-x'"):
        check_permutation(foreign, given)
    with pytest.raises(ContractError, match=r"lost the tile 't-b'"):
        check_permutation(Ranking(query_id="q", method="mine", judgements=(Judgement(tile_id="t-a"),)), given)
