"""Judges: controls tell the fit from the unfit, a broken endpoint resumes, agreement is that of the formula."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
import re

import httpx
import numpy as np
import pytest
from explained_fakes import FACTS, case, claim

from eval.explanations.agreement import agreement, people_alpha
from eval.explanations.baselines import oracle_template
from eval.explanations.cache import CachedClient
from eval.explanations.controls import control_items, items_to_grade, sound_explanation, wrong_reason
from eval.explanations.humans import Rating, marks_of, read_ratings
from eval.explanations.judges import Member, grade_all, panel_mean
from eval.explanations.panel_section import panel_section
from eval.explanations.scoring import score_items
from eval.explanations.wiring import family_of, read_panel
from eval.protocol import EvaluationError
from prompts.clients.base import ChatReply, ChatRequest, ImagePart, Message, TextPart
from prompts.clients.recorded import RecordedClient
from prompts.rubric import load_rubric
from retriever.errors import ReplyError, ServerUnavailable
from retriever.types import Fact

BANK = (FACTS[0], Fact(osm_id="node/9", kind="bank", shape="point", parts=(((0.5, 0.2),),)))
MIXED = [
    case(n) if n % 2 else case(n, facts=BANK, claims=(claim(1, "bank", 0.0), claim(2, "runs", 0.0, "road")))
    for n in range(12)
]
"""Tiles with a cafe and with a bank by turns, so that the next place's tile is always another picture."""


def parts(request: ChatRequest) -> tuple[str, ImagePart]:
    user = request.messages[1].parts
    text = "\n".join(p.text for p in user if isinstance(p, TextPart))
    return text, next(p for p in user if isinstance(p, ImagePart))


def looking(request: ChatRequest) -> ChatReply:
    """A judge that knows both pictures and looks for what the explanation says description and tile agree on."""
    return ChatReply(text=grade_of(*parts(request)), prompt_tokens=100, completion_tokens=1)


def grade_of(text: str, tile: ImagePart) -> str:
    agreed = re.search(r"agree on ([^.]*)|一致：([^。]*)", text)
    said = "".join(g or "" for g in agreed.groups()) if agreed else ""
    wanted = PICTURES.get(tile.sha256, ("nothing", "nothing"))
    return "5" if any(w in said for w in wanted) else "2"


def always_four(request: ChatRequest) -> ChatReply:
    return ChatReply(text="4")


def run(answer, cases=None, name="judge", family=None, scales=("correct",), folder=None):
    places = cases or MIXED[:6]
    scored = score_items([oracle_template(c) for c in places], {c.key: c for c in places})
    items = [*items_to_grade(scored), *control_items(places, sound(places))]
    client = RecordedClient(answer, name=name)
    member = Member(name=name, client=client if folder is None else CachedClient(client, folder), family=family)
    return asyncio.run(grade_all(member, items, scales, load_rubric())), client


def sound(cases):
    return {c.key: oracle_template(c) for c in cases}


PICTURES = {
    i.tile.sha256: ("cafe", "咖啡馆") if int(i.key[0][1:]) % 2 else ("bank", "银行")
    for i in control_items(MIXED[:2], sound(MIXED[:2]))
    if i.control == "sound"
}


def test_a_judge_that_looks_is_fit_and_one_that_does_not_is_unfit() -> None:
    bench, _ = run(looking, MIXED)
    assert bench.unfit == {}
    assert bench.controls["zh", "wrong reason"].value == 1.0
    blind, _ = run(always_four, MIXED)
    assert set(blind.unfit) == {"en", "zh"}
    assert "wrong tile" in blind.unfit["en"]
    assert blind.controls["en", "blank tile"].value == 0.5


def test_the_sound_control_has_the_true_verdict_and_the_wrong_ones_style() -> None:
    said = {"en": "They agree on the cafe.", "zh": "两者都有咖啡馆。"}
    wrong = {"en": "They differ on the cafe.", "zh": "咖啡馆不符。"}
    own = case(label="match", references=said, wrong_reasons=wrong)
    good = sound_explanation(own)
    assert (dict(good.texts), good.verdict) == (said, "match")
    assert wrong_reason(own, good, "zh") == wrong["zh"]
    # Without a wrong reason of the set's own both are the template's words, with the sides exchanged.
    bare = case(label="no_match", references=said)
    good = sound_explanation(bare)
    assert good.verdict == "no_match"
    assert good.texts["en"].endswith("So they do not show the same place.")
    assert "agree on the cafe to the north" in good.texts["en"]
    assert "differ on the cafe to the north" in wrong_reason(bare, good, "en")


def test_fitness_needs_every_control() -> None:
    from eval.explanations.judges import Grade, fitness

    item = next(i for i in control_items(MIXED, sound(MIXED)))

    def grades(wrong_reason: float):
        for n in range(8):
            for kind, value in (
                ("sound", 4.0),
                ("wrong tile", 1.0),
                ("blank tile", 1.0),
                ("wrong reason", wrong_reason),
            ):
                one = dataclasses.replace(item, key=(f"q{n}", "a"), location=f"p{n}", control=kind)
                yield Grade(item=one, scale="correct", up=value, down=value)

    assert fitness(list(grades(1.0)))[1] == {}
    assert list(fitness(list(grades(4.0)))[1]) == ["en"]


def test_an_unfit_judge_is_not_averaged_in_nor_anybody_on_his_own_family() -> None:
    fit, _ = run(always_four)
    fit = dataclasses.replace(fit, unfit={})
    low, _ = run(lambda r: ChatReply(text="2"))
    both = panel_mean([fit, dataclasses.replace(low, unfit={})], "correct", "en")
    assert set(both.values()) == {3.0}
    assert panel_mean([fit, low], "correct", "en") == {}
    own = dataclasses.replace(fit, member=dataclasses.replace(fit.member, family="f"))
    ours = [dataclasses.replace(g, item=dataclasses.replace(g.item, family="f")) for g in own.grades]
    assert own.own_family(ours[0].item)
    flagged = dataclasses.replace(own, grades=tuple(ours))
    assert panel_mean([flagged, flagged], "correct", "en") == {}


def test_an_endpoint_that_fails_half_way_resumes_and_asks_nothing_twice(tmp_path) -> None:
    calls: list[str] = []

    def dies(after: int):
        def answer(request: ChatRequest):
            calls.append(request.key)
            return ChatReply(text="4") if len(calls) <= after else ServerUnavailable("the model server is gone")

        return answer

    broken, _ = run(dies(30), folder=tmp_path)
    assert broken.failed > 0
    assert "run again" in broken.problem
    answered = calls[:30]
    calls.clear()
    whole, _ = run(dies(10**9), folder=tmp_path)
    assert whole.failed == 0
    assert not set(calls) & set(answered)
    assert len(calls) == len(set(calls))
    calls.clear()
    run(dies(0), folder=tmp_path)
    assert calls == []
    assert not list(tmp_path.rglob("*.part"))


def test_a_kept_answer_may_take_the_time_that_the_cache_allows_unless_the_question_says_less(tmp_path) -> None:
    client = RecordedClient(always_four)
    patient = CachedClient(client, tmp_path, deadline_s=600.0)
    asked = [Message(role="user", parts=(TextPart(text=word),)) for word in "ab"]
    asyncio.run(patient.complete(ChatRequest(messages=(asked[0],))))
    asyncio.run(patient.complete(ChatRequest(messages=(asked[1],), deadline_s=5.0)))
    assert [r.deadline_s for r in client.requests] == [600.0, 5.0]
    asyncio.run(CachedClient(client, tmp_path).complete(ChatRequest(messages=(asked[0],))))
    assert len(client.requests) == 2


def test_a_damaged_answer_in_the_cache_is_asked_again(tmp_path) -> None:
    run(always_four, folder=tmp_path)
    for path in tmp_path.rglob("*.json"):
        path.write_text("{", encoding="utf-8")
    bench, client = run(always_four, folder=tmp_path)
    assert bench.failed == 0
    assert client.requests


def test_a_judge_without_probabilities_is_asked_for_a_number() -> None:
    def plain(request: ChatRequest):
        return ReplyError("no probabilities") if request.choices else ChatReply(text="3")

    bench, client = run(plain)
    assert {g.value for g in bench.grades} == {3.0}
    assert sum(r.choices is not None for r in client.requests) <= 8


def test_an_answer_that_is_no_grade_is_a_missing_grade_and_not_a_low_one() -> None:
    bench, _ = run(lambda r: ChatReply(text="I cannot say"))
    assert all(g.value is None for g in bench.grades)
    assert "not a number" in bench.problem


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
