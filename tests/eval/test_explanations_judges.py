"""Judges: controls tell the fit from the unfit, a broken endpoint resumes, agreement is that of the formula."""

from __future__ import annotations

import asyncio
import dataclasses

from explained_fakes import case
from judges_kit import MIXED, always_four, looking, run, sound

from eval.explanations.cache import CachedClient
from eval.explanations.controls import control_items, sound_explanation, wrong_reason
from eval.explanations.judges import panel_mean
from prompts.clients.base import ChatReply, ChatRequest, Message, TextPart
from prompts.clients.recorded import RecordedClient
from retriever.errors import ReplyError, ServerUnavailable


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
