"""Several judges of explanations together: agreement, raters' files, the report's section, and panels."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
import re

import httpx
import numpy as np
import pytest
from judges_kit import MIXED, always_four, grade_of, run, sound

from eval.explanations.agreement import agreement, people_alpha
from eval.explanations.baselines import oracle_template
from eval.explanations.controls import control_items, items_to_grade
from eval.explanations.humans import Rating, marks_of, read_ratings
from eval.explanations.judges import grade_all
from eval.explanations.panel_section import panel_section
from eval.explanations.scoring import score_items
from eval.explanations.wiring import family_of, read_panel
from eval.protocol import EvaluationError
from prompts.clients.base import ImagePart
from prompts.rubric import load_rubric


def test_agreement_is_krippendorffs_and_spearmans() -> None:
    places = [f"p{i}" for i in range(6)]
    a = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 3.0])
    same = agreement(a, a, places)
    assert same.alpha is not None
    assert same.spearman is not None
    assert (same.alpha.value, same.spearman.value) == (1.0, 1.0)
    turned = agreement(a, -a, places)
    assert turned.spearman is not None
    assert turned.spearman.value == -1.0
    # By hand: observed disagreement 1 for each of 2 units, expected over the pooled values 1, 2, 1, 2: alpha 1 - Do/De.
    small = agreement(np.array([1.0, 1.0, 2.0]), np.array([1.0, 2.0, 2.0]), places[:3])
    values = [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]
    expected = np.mean([(x - y) ** 2 for i, x in enumerate(values) for j, y in enumerate(values) if i != j])
    assert small.alpha is not None
    assert small.alpha.value == pytest.approx(1 - (1 / 3) / expected)
    assert agreement(np.ones(4), np.ones(4), places[:4]).alpha is None


def test_a_rater_file_edited_by_hand_costs_its_bad_lines(tmp_path) -> None:
    good = '{"system":"s","query_id":"q","tile_id":"a","lang":"en","rater":"%s",'
    good += '"claims":[{"id":"e1","mark":"%s"}],"scales":{"correct":%s}}'
    path = tmp_path / "ratings.jsonl"
    lines = [
        good % ("x", "right", 4),
        good % ("y", "Can't tell", 5),
        good % ("z", "right", 2),
        "{oops",
        good % ("w", "sort of", 3),
        good % ("v", "right", 9),
        '["a"]',
        "",
        good.replace('"lang":"en"', '"lang":"fr"') % ("u", "right", 1),
    ]
    path.write_bytes(("﻿" + "\r\n".join(lines)).encode())
    ratings, problems = read_ratings([path, tmp_path / "missing.jsonl"])
    assert [r.rater for r in ratings] == ["x", "y", "z"]
    assert len(problems) == 6
    assert any(":5" in p.where and "sort of" in p.what for p in problems)
    assert marks_of(ratings) == {("s", "q", "a", "en"): {"e1": "right"}}


def test_a_tie_of_marks_tells_nothing() -> None:
    item = ("s", "q", "a", "en")
    two = [Rating(item=item, rater=r, marks={"e1": m}) for r, m in (("x", "right"), ("y", "wrong"))]  # type: ignore[dict-item]
    assert marks_of(two)[item]["e1"] == "cant_tell"


def test_raters_who_agree_have_alpha_one() -> None:
    items = [("s", f"q{n}", "a", "en") for n in range(4)]
    ratings = [Rating(item=i, rater=r, scales={"clear": n + 1}) for n, i in enumerate(items) for r in "xy"]
    alone = Rating(item=("s", "q9", "a", "en"), rater="x", scales={"clear": 1})
    found = people_alpha([*ratings, alone], "clear", {(f"q{n}", "a"): f"place {n // 2}" for n in range(4)})
    assert found is not None
    assert (found.value, found.low, found.n, found.locations) == (1.0, 1.0, 4, 2)
    assert people_alpha(ratings[:1], "clear") is None


def test_the_section_says_unfit_no_people_and_too_few_judges() -> None:
    bench, _ = run(always_four)
    section = panel_section([bench], [], {}, load_rubric(), ["correct"], ["oracle template"])
    assert any("UNFIT" in cell for row in section.grids[0].rows for cell in row)
    assert any("unfit" in cell for row in section.grids[1].rows for cell in row)
    assert any("are no panel" in line for line in section.text)
    assert any("No people's ratings" in line for line in section.text)
    calls = section.grids[3].rows[0][section.grids[3].header.index("calls")]
    assert int(calls) == 2 * len(bench.grades)


def test_every_number_about_judges_has_an_interval_n_and_locations() -> None:
    fit, _ = run(always_four, name="one")
    fit = dataclasses.replace(fit, unfit={})
    system = "oracle template"
    ratings = [
        Rating(item=(system, *c.key, "en"), rater=r, scales={"correct": 1 + (n + shift) % 5})
        for n, c in enumerate(MIXED[:6])
        for r, shift in (("x", 0), ("y", 1))
    ]
    places = {c.key: c.location for c in MIXED}
    section = panel_section([fit, fit, fit], ratings, {}, load_rubric(), ["correct"], [system], places)
    number = re.compile(r"-?\d[\d.]* \[-?\d[\d.]*, -?\d[\d.]*\], N \d+ at \d+")
    controls, grades, means, _ = section.grids
    assert all(number.fullmatch(cell) for row in controls.rows for cell in row[2:6])
    assert number.match(grades.rows[0][3])
    assert number.fullmatch(means.rows[0][3])
    assert any(number.search(line) for line in section.text if "among the people" in line)


def test_a_panel_of_three_endpoints_is_averaged_over_the_fit_and_flags_its_own_family(tmp_path) -> None:
    """Three OpenAI-style endpoints: one looks, one looks and is of the writer's family, one always says four."""
    written = {c.key: dataclasses.replace(oracle_template(c), family="qwen") for c in MIXED}
    scored = score_items(list(written.values()), {c.key: c for c in MIXED})
    items = [*items_to_grade(scored), *control_items(MIXED, sound(MIXED))]
    panel = tmp_path / "panel.yaml"
    rows = [f"- {{name: {n}, url: 'http://judge.test/v1', model: {m}}}" for n, m in ENDPOINTS.items()]
    panel.write_text("judges:\n" + "\n".join(rows), encoding="utf-8")

    async def graded(member):
        member.client._inner._transport = httpx.MockTransport(endpoint)
        return await grade_all(member, items, ("correct",), load_rubric())

    benches = [asyncio.run(graded(member)) for member in read_panel(panel, tmp_path / "answers")]
    assert [set(b.unfit) for b in benches] == [set(), set(), {"en", "zh"}]
    section = panel_section(benches, [], {}, load_rubric(), ["correct"], ["oracle template"])
    assert not any("are no panel" in line for line in section.text)
    shown = {(row[0], row[1]): row[3] for row in section.grids[1].rows}
    assert "OWN FAMILY" in shown["b", "en"]
    assert "unfit" in shown["c", "zh"]
    assert "OWN FAMILY" not in shown["a", "en"]
    # One of the two fit judges is of the writer's family, and one opinion is no panel.
    assert section.grids[2].rows[0][:4] == ["panel of 2 fit", "en", "correct", "-"]
    others = [dataclasses.replace(b, member=dataclasses.replace(b.member, family="x")) for b in benches]
    means = panel_section(others, [], {}, load_rubric(), ["correct"], ["oracle template"]).grids[2]
    assert means.rows[0][3].startswith("5.00 [")


ENDPOINTS = {"a": "gpt-4o", "b": "qwen3-vl-8b", "c": "glm-4.5v"}


def endpoint(request: httpx.Request) -> httpx.Response:
    """An endpoint without log-probabilities. The first two know the pictures, the third does not look."""
    body = json.loads(request.content)
    if body.get("logprobs"):
        return httpx.Response(400, json={"error": {"message": "logprobs is not supported"}})
    user = body["messages"][1]["content"]
    text = "\n".join(p["text"] for p in user if p["type"] == "text")
    url = next(p["image_url"]["url"] for p in user if p["type"] == "image_url")
    tile = ImagePart(png=base64.b64decode(url.partition(",")[2]))
    said = "4" if body["model"].startswith("glm") else grade_of(text, tile)
    usage = {"prompt_tokens": 100, "completion_tokens": 1}
    choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
    return httpx.Response(200, json={"choices": [choice], "usage": usage, "model": body["model"]})


def test_a_panel_file_is_read_and_a_bad_one_is_named(tmp_path, monkeypatch) -> None:
    path = tmp_path / "panel.yaml"
    path.write_text("judges:\n- {name: a, url: 'http://127.0.0.1:9/v1', model: qwen3-vl-8b}\n", encoding="utf-8")
    (member,) = read_panel(path, tmp_path)
    assert (member.name, member.family) == ("a", "qwen")
    assert family_of("gpt-4o") == "openai"
    for bad in ("judges: 3", "[]", "judges:\n- {name: a}", "judges:\n- {url: 'file:///x', model: m}", "{{"):
        path.write_text(bad, encoding="utf-8")
        with pytest.raises(EvaluationError, match=r"panel\.yaml"):
            read_panel(path, tmp_path)
