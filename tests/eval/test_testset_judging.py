"""A judge put through the frozen test set: what it is asked, in which order, and where its answers are kept."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image
from testset_kit import command

from eval.cli_testset import _answers, _file, _others
from eval.protocol import EvaluationError
from eval.testset.judging import RENDERED, Galleries, QueryPictures, claims_of, in_order, kept, kinds_of, run
from eval.testset.predictions import read_predictions
from prompts.listing import parse_listing
from retriever.pairs import write_pairs


class FakeJudge:
    """Says yes to everything; fails on the pairs of one place."""

    name = plain_name = "fake+judge@1"

    def __init__(self) -> None:
        self.asked = 0

    async def score(self, tile, png, claims):
        self.asked += 1
        return type("S", (), {"p_match": 0.9, "p_model": 0.6, "saw": "pixels"})()

    async def look(self, tile, png):
        return "roads e-w; n cafe"


@pytest.fixture
def town_pairs(frozen):
    return [p for p in frozen.pairs if p.area == "town-3000" and p.query.view in ("text", "map")][:4]


@pytest.mark.slow
async def test_a_judge_is_asked_once_per_pair_and_a_cut_line_again(town_pairs, tmp_path: Path) -> None:
    out, judge = tmp_path / "p.jsonl", FakeJudge()
    galleries = Galleries(tmp_path / "galleries", None)
    await run(judge, town_pairs, galleries, out, say=lambda done, total: None)
    assert judge.asked == len(town_pairs)
    assert {p.verdict for p in read_predictions(out, town_pairs)} == {"match"}
    text = out.read_text(encoding="utf-8")
    out.write_text(text[:-20], encoding="utf-8")
    await run(judge, town_pairs, galleries, out, say=lambda done, total: None)
    assert judge.asked == len(town_pairs) + 1
    assert len(read_predictions(out, town_pairs)) == len(town_pairs)


def test_answers_of_another_judge_are_not_mixed(few, tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(json.dumps({"pair_id": few[0].id, "by": "other", "verdict": "match"}) + "\n", encoding="utf-8")
    with pytest.raises(EvaluationError, match="other"):
        kept(path, "mine")


def test_what_was_answered_without_the_reasons_that_are_wanted_now_is_asked_again(tmp_path: Path) -> None:
    path, answer = tmp_path / "p.jsonl", {"by": "mine", "verdict": "match"}
    rows = [
        {"pair_id": "plain", **answer},
        {"pair_id": "stances", **answer, "evidence": []},
        {"pair_id": "words", **answer, "evidence": [], "explanation": {"en": "", "zh": ""}},
        {"pair_id": "failed", "by": "mine", "error": "no answer"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert set(kept(path, "mine")) == {"plain", "stances", "words", "failed"}
    assert set(kept(path, "mine", "explain")) == {"words", "failed"}
    with pytest.raises(EvaluationError, match=r"written with sentences .* another --out"):
        kept(path, "mine", "stances")
    path.write_text("".join(json.dumps(row) + "\n" for row in rows if row["pair_id"] != "words"), encoding="utf-8")
    assert set(kept(path, "mine", "stances")) == {"stances", "failed"}


async def test_asking_for_reasons_later_leaves_the_answers_to_other_pairs(
    few, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(judge, pair, galleries, *, reasons, views):
        return {"pair_id": pair.id, "by": judge.name, "verdict": "match"} | ({"evidence": []} if reasons else {})

    monkeypatch.setattr("eval.testset.judging.answer", answer)
    out, galleries = tmp_path / "p.jsonl", Galleries(tmp_path, None)
    await run(FakeJudge(), few[:4], galleries, out, say=lambda done, total: None)
    await run(FakeJudge(), few[:2], galleries, out, reasons="stances", say=lambda done, total: None)
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert {r["pair_id"]: "evidence" in r for r in rows} == {p.id: n < 2 for n, p in enumerate(few[:4])}
    assert len(rows) == 4


def test_answers_to_other_pairs_have_a_file_of_their_own(frozen, few, tmp_path: Path) -> None:
    other, third = tmp_path / "other.jsonl", tmp_path / "third.jsonl"
    write_pairs(other, few[:4])
    write_pairs(third, few[4:8])
    names = {_answers("mini-judge", "pixels", test).name for test in (frozen, _others([other]), _others([third]))}
    assert len(names) == 3
    assert "mini-judge.jsonl" in names, "that of the frozen set"
    assert _answers("mini-judge", "facts", frozen).name == "mini-judge-facts.jsonl"


async def test_a_rendered_view_is_asked_once_its_picture_is_there(frozen, tmp_path: Path) -> None:
    pair = next(p for p in frozen.pairs if p.area == "town-3000" and p.query.view in RENDERED)
    out, judge, galleries = tmp_path / "p.jsonl", FakeJudge(), Galleries(tmp_path / "galleries", None)
    await run(judge, [pair], galleries, out, say=lambda done, total: None)
    assert "without its picture" in str(read_predictions(out, [pair])[0].error)
    with pytest.raises(EvaluationError, match="testset render"):
        QueryPictures(tmp_path / "nowhere")
    (tmp_path / "views" / "queries").mkdir(parents=True)
    views = QueryPictures(tmp_path / "views")
    await run(judge, [pair], galleries, out, views=views, say=lambda done, total: None)
    assert "cannot be read" in str(read_predictions(out, [pair])[0].error)
    assert judge.asked == 0
    Image.new("RGB", (448, 336), "grey").save(views.folder / f"{pair.id.rsplit('-', 1)[0]}.png")
    for _ in range(2):
        await run(judge, [pair], galleries, out, views=views, say=lambda done, total: None)
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [(r["verdict"], r["as_recorded"]) for r in rows] == [("match", False)]
    assert judge.asked == 1


def test_of_a_rendered_view_only_kinds_count() -> None:
    claims = kinds_of(parse_listing("roads e-w; c cafe; n cafe, park"))
    assert [(c.id, c.value, c.relation.bearing_deg) for c in claims] == [("c1", "park", None), ("c2", "cafe", None)]


def test_answers_with_heat_have_a_file_of_their_own(frozen) -> None:
    names = {_answers("mini-judge", mode, frozen).name for mode in ("pixels", "facts", "pixels-heat", "facts-heat")}
    assert names == {
        "mini-judge.jsonl",
        "mini-judge-facts.jsonl",
        "mini-judge-pixels-heat.jsonl",
        "mini-judge-facts-heat.jsonl",
    }


def test_two_modes_have_a_file_each() -> None:
    assert _file(None, "facts", 2) is None
    assert _file(Path("a/b.jsonl"), "facts", 1) == Path("a/b.jsonl")
    assert {_file(Path("a/b.jsonl"), m, 2) for m in ("pixels", "facts")} == {
        Path("a/b-pixels.jsonl"),
        Path("a/b-facts.jsonl"),
    }


def test_a_listing_becomes_claims_where_things_lie() -> None:
    found = claims_of(parse_listing("roads e-w; c street; n cafe; sw park"))
    said = {(c.value, c.relation.bearing_deg) for c in found}
    assert said == {("street", None), ("cafe", 0.0), ("park", 225.0), ("runs", 90.0)}


def test_the_order_of_asking_keeps_a_place_together_and_mixes_areas(frozen) -> None:
    chosen = in_order(frozen.pairs, 300)
    places = [p.place for p in chosen]
    assert sum(a != b for a, b in pairwise(places)) + 1 == len(set(places))
    assert len({p.area for p in chosen}) >= 8
    assert in_order(frozen.pairs, 100) == chosen[:100]


@pytest.mark.slow
def test_the_command_asks_a_judge_in_each_mode_and_lets_it_go(
    town_pairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[str] = []

    class Client:
        async def close(self) -> None:
            ended.append("client")

    class Asked(FakeJudge):
        def __init__(self, client: Client, *, saw: str) -> None:
            super().__init__()
            self.client, self.name = client, f"fake+judge@1+{saw}"

    opened = SimpleNamespace(client=Client(), stop=lambda: ended.append("server"))
    monkeypatch.setattr("agent.serving_open.open_judge", lambda **_: opened)
    monkeypatch.setattr("agent.judge.Judge", Asked)
    write_pairs(tmp_path / "pairs.jsonl", town_pairs)
    said = command(
        "--pairs", str(tmp_path / "pairs.jsonl"), "--judge", "mini-judge", "--saw", "pixels", "--saw", "facts",
        "--galleries", str(tmp_path / "galleries"), "--out", str(tmp_path / "out.jsonl"), "--limit", "3", "--json",
    )  # fmt: skip
    assert said.exit_code == 0, said.exception
    rows = {r["name"]: r["scores"]["n"] for r in json.loads(said.stdout)["slices"][0]["rows"]}
    assert (rows["mini-judge, pixels"], rows["mini-judge, facts"]) == (3, 3)
    assert ended == ["client", "server"] * 2
    assert len(read_predictions(tmp_path / "out-facts.jsonl", town_pairs)) == 3
