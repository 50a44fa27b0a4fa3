"""The command and its report: bad input costs itself alone, hostile text stays text, tests and bins are right."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import typer
from explained_fakes import Folder, case, explained
from typer.testing import CliRunner

from eval.bootstrap import Interval
from eval.cli import register
from eval.explanations.baselines import all_baselines
from eval.explanations.calibration import calibrate, certainty
from eval.explanations.cases import World
from eval.explanations.rendering import to_html, to_markdown, write
from eval.explanations.run import Inputs, Options, build, gather, judged_by_most, spread
from eval.explanations.schema import read_judgements
from eval.explanations.scoring import score_items
from eval.explanations.significance import compare, holm, sign_flip
from eval.explanations.writing import write_judgements
from eval.protocol import EvaluationError

EVIL = '</p><script>alert("x")</script><img src=x onerror=alert(1)> '
EVIL += "Both have the bank to the south. ![a](javascript:b) `c` | d"


def flat(n: int, **more):
    row = {"query_id": f"q{n}", "tile_id": "a", "text": case(n).text, "verdict": "match", "label": "match"}
    words = {"en": "Description and tile agree on the cafe to the north.", "zh": "描述与图块一致：北侧的咖啡馆。"}
    return {**row, "location": f"p{n}", "confidence": 0.8, "explanation": words, **more}


def lines(path, *rows) -> None:
    path.write_text(
        "".join((r if isinstance(r, str) else json.dumps(r, ensure_ascii=False)) + "\n" for r in rows), "utf-8"
    )


def world() -> World:
    return World(tiles=[Folder()])


def test_all_three_shapes_are_read_and_told_apart(tmp_path) -> None:
    judgement = {"tile_id": "a", "verdict": "match", "explanation": {"en": "x", "zh": "y", "author": "model"}}
    path = tmp_path / "mixed.jsonl"
    ranking = {"query_id": "q1", "method": "m", "judgements": [judgement], "usage": {"calls": 2, "seconds": {"a": 1.5}}}
    answer = {"query_id": "q2", "text": "t", "candidates": [judgement, {"tile_id": "b", "verdict": "sure"}]}
    lines(path, flat(0, system="other"), ranking, answer)
    judged = read_judgements([path])
    assert [(i.system, i.query_id) for i in judged.items] == [("other", "q0"), ("mixed", "q1"), ("mixed", "q2")]
    assert judged.items[1].usage is not None
    assert judged.items[1].usage.calls == 2
    assert any("mixes the schemas" in p.what for p in judged.problems)
    assert any("tile 2" in p.what for p in judged.problems)


BAD = {
    "not JSON": "{",
    "no object": "[1]",
    "neither tile": {"query_id": "q"},
    "'query_id'": {"tile_id": "a"},
    "none of match": flat(1, verdict="yes"),
    "between 0 and 1": flat(1, confidence=1.2),
    "region": flat(1, evidence=[{"words": "the cafe", "region": [0.5, 0, 0.1, 1]}]),
    "no text": flat(1, explanation={"en": 5}),
    "no JSON number": '{"query_id": "q", "tile_id": "a", "verdict": "match", "confidence": NaN}',
    "neither match nor no_match": flat(1, label="perhaps"),
}


@pytest.mark.parametrize("why", BAD)
def test_a_bad_line_is_named_and_the_rest_stands(tmp_path, why) -> None:
    path = tmp_path / "j.jsonl"
    lines(path, flat(0), BAD[why], flat(2))
    judged = read_judgements([path])
    assert [i.query_id for i in judged.items] == ["q0", "q2"]
    (problem,) = judged.problems
    assert problem.where.endswith(":2")
    assert why in ("not JSON", "no object") or why in problem.what


def test_unknown_tiles_missing_language_and_silence_are_said_and_the_rest_is_scored(tmp_path) -> None:
    path = tmp_path / "j.jsonl"
    lines(
        path,
        flat(0),
        flat(1, tile_id="zz"),
        flat(2, explanation={"en": "Both have the cafe."}),
        flat(3, explanation=None),
    )
    inputs = gather([path, tmp_path / "gone.jsonl"], world())
    told = " | ".join(f"{p.where} {p.what}" for p in inputs.problems)
    assert "tile 'zz' is in no given gallery" in told
    assert "no Chinese explanation in 2 of 4" in told
    assert "no English explanation in 1 of 4" in told
    assert "gone.jsonl cannot be read" in told
    report = build(inputs, Options(), command="c")
    assert "3 judgements" in report.notes[0]


def test_no_explanation_at_all_still_gives_a_report_that_says_so(tmp_path) -> None:
    path = tmp_path / "j.jsonl"
    lines(path, flat(0, explanation=None), flat(1, explanation=None))
    text = to_markdown(build(gather([path], world()), Options(), command="c"))
    assert "no English explanation in 2 of 2" in text
    assert "verdict right" in text


def test_nothing_to_score_is_an_error_that_names_the_first_reason(tmp_path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_text("", encoding="utf-8")
    with pytest.raises(EvaluationError, match="holds no judgements"):
        gather([path], world())
    lines(path, flat(0, tile_id="zz"))
    with pytest.raises(EvaluationError, match="'zz'"):
        gather([path], world())


def test_hostile_text_stays_text_in_both_reports(tmp_path) -> None:
    path = tmp_path / "j.jsonl"
    bad = {"en": EVIL, "zh": EVIL}
    lines(
        path,
        flat(0, system="<b>s</b>", text=f"A cafe. {EVIL}", explanation=bad),
        flat(1, query_id="<i>q</i>", explanation=bad),
    )
    report = build(gather([path], world()), Options(), command="c <script>")
    assert report.worst
    page, text = to_html(report), to_markdown(report)
    for found in (page, text):
        assert "<script" not in found
        assert not re.search(r"<img[^>]*onerror", found)
        assert "<b>s" not in found
        assert "<i>q" not in found
    assert "default-src 'none'" in page
    assert not re.search(r"(?:src|href)=.?(?!data:)https?:", page)
    assert "](javascript" not in text
    assert page.count("data:image/png;base64,") == len(report.worst)
    written = write(report, tmp_path / "out")
    assert [p.name for p in written][:2] == ["report.html", "report.md"]
    assert len(written) == 2 + len(report.worst)


def other_named(path):
    """Another's system that happens to be called like one of our baselines."""
    named = path.with_name("named.jsonl")
    wrong = {"en": "Description and tile agree on the bank to the south."}
    lines(named, *(flat(n, system="text only", explanation=wrong) for n in range(3)))
    return named


def test_baselines_are_never_among_the_worst(tmp_path) -> None:
    path, known = tmp_path / "j.jsonl", tmp_path / "known.jsonl"
    lines(path, *(flat(n) for n in range(3)))
    wrong = {"en": "Description and tile agree on the bank to the south.", "zh": "描述与图块一致：南侧的银行。"}
    lines(known, *(flat(n, system="wrong on purpose", baseline=True, explanation=wrong) for n in range(3)))
    meant = gather([path, known], world())
    assert not any(s.item.system == "wrong on purpose" for s in build(meant, Options(), command="c").worst)
    assert any(
        s.item.system == "text only" for s in build(gather([other_named(path)], world()), Options(), command="c").worst
    )
    first = gather([path], world())
    inputs = gather([path], world(), extra=all_baselines(list(first.cases.values())))
    report = build(inputs, Options(), command="c")
    assert all(s.item.system == "j" for s in report.worst)
    assert "another tile's" in to_markdown(report)


def test_what_is_written_is_read_back_the_same(tmp_path) -> None:
    item = explained(case(3), confidence=0.25, family="f", query=case(3).text)
    write_judgements(tmp_path / "j.jsonl", [item])
    (found,) = read_judgements([tmp_path / "j.jsonl"]).items
    assert (found.texts, found.claims, found.confidence, found.family) == (item.texts, item.claims, 0.25, "f")


def test_the_command_writes_a_report_and_fails_plainly(tmp_path) -> None:
    app = typer.Typer()
    register(app)
    path = tmp_path / "j.jsonl"
    lines(path, flat(0))
    result = CliRunner().invoke(app, ["explain-eval", str(path), "--out", str(tmp_path / "out")])
    assert result.exit_code != 0
    assert "no given gallery" in str(result.exception)
    assert not (tmp_path / "out" / "report.html").exists()


def test_the_sign_flip_test_is_exact_for_few_locations() -> None:
    places = ["a", "b", "c"]
    assert sign_flip(np.array([1.0, 1.0, 1.0]), places) == 2 / 8
    assert sign_flip(np.array([1.0, -1.0, 0.0]), places) == 1.0
    # Two judgements of one location move together: two units, not three.
    assert sign_flip(np.array([1.0, 1.0, 1.0]), ["a", "a", "b"]) == 2 / 4


def test_the_sampled_test_agrees_with_the_exact_one() -> None:
    rng = np.random.default_rng(1)
    d = rng.normal(0.3, 1.0, 13)
    exact = sign_flip(d, [f"p{i}" for i in range(13)])
    sampled = sign_flip(np.append(d, 0.0), [f"p{i}" for i in range(14)])
    assert sampled == pytest.approx(exact, abs=0.02)


def test_holm_is_monotone_and_bounded() -> None:
    assert holm([0.01, 0.02, 0.03, 0.9]) == pytest.approx([0.04, 0.06, 0.06, 0.9])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_only_judgements_that_both_have_are_compared() -> None:
    keys = [(f"q{i}", "a") for i in range(4)]
    places = {k: k[0] for k in keys}
    values = {"s": {"x": dict.fromkeys(keys[:3], 1.0), "y": dict.fromkeys(keys[1:], 0.0)}}
    (test,) = compare(values, places)
    assert test.difference.n == 2
    assert test.difference.value == 1.0


def test_certainty_is_of_the_verdict_that_was_given() -> None:
    one = case()
    sure_no = explained(one, verdict="no_match", confidence=0.1)
    (scored,) = score_items([sure_no], {one.key: one})
    assert certainty(scored) == pytest.approx(0.9)
    open_ = explained(one, verdict="cannot_tell", confidence=0.5)
    assert certainty(score_items([open_], {one.key: one})[0]) is None


def test_calibration_finds_better_explanations_at_higher_certainty() -> None:
    cases = [case(n) for n in range(8)]
    wrong = {"c1": "contradicts", "c2": "contradicts", "c3": "supports"}
    items = [explained(c, stances=None if n >= 4 else wrong, confidence=0.55 + n / 20) for n, c in enumerate(cases)]
    found = calibrate(score_items(items, {c.key: c for c in cases}), "s")
    assert found is not None
    for name in ("borne out", "claim F1"):
        rank, low, high = found.spearman[name], found.bins[0].quality[name], found.bins[-1].quality[name]
        assert isinstance(rank, Interval)
        assert rank.value > 0.8
        assert low is not None
        assert high is not None
        assert low.value < high.value
    assert isinstance(found.bins[0].right, Interval)
    assert calibrate([], "s") is None


def test_silence_has_no_share_borne_out_to_calibrate_but_an_f1() -> None:
    cases = [case(n) for n in range(4)]
    items = [explained(c, stances={}, confidence=0.6 + n / 20) for n, c in enumerate(cases)]
    found = calibrate(score_items(items, {c.key: c for c in cases}), "s")
    assert found is not None
    assert all(b.quality["borne out"] is None for b in found.bins)
    assert found.bins[0].quality["claim F1"] is not None
    assert found.spearman["borne out"] is None


def test_judges_grade_what_most_systems_judged_first() -> None:
    cases = [case(n) for n in range(6)]
    items = [*(explained(c, "everywhere") for c in cases), *(explained(c, "only late") for c in cases[4:])]
    inputs = Inputs(items=tuple(items), cases={c.key: c for c in cases}, ratings=(), problems=())
    assert {c.query_id for c in judged_by_most(inputs, 2)} == {"q4", "q5"}
    assert [c.query_id for c in judged_by_most(inputs, 4)][2:] == ["q0", "q1"]
    assert len(judged_by_most(inputs, 99)) == 6


def test_cases_are_spread_over_places_first() -> None:
    cases = [case(n, location="one") for n in range(3)] + [case(n + 3, location="two") for n in range(3)]
    assert {c.location for c in spread(cases, 2)} == {"one", "two"}
    assert len(spread(cases, 99)) == 6
