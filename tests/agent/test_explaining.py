"""Reasons read off the judge and reasons written by it: what each asks, what each says, and when which is taken."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from PIL import Image

from agent.explaining import reasons
from agent.judge import Judge, tile_png
from agent.kept import Answers, KeptJudge
from prompts.clients.base import ChatReply, ChatRequest
from prompts.clients.choices import SplitChoice
from prompts.clients.recorded import RecordedClient
from prompts.readback import agrees
from prompts.schema import STANCES
from retriever.errors import ReplyError
from retriever.types import Claim, Relation, Tile

PNG = tile_png(Image.new("RGB", (224, 224), "white"))
TILE = Tile(
    id="t1", view="map", lat=0, lon=0, bounds=(0, 0, 0.001078, 0.001078), gsd_m=0.27, image="t.png", image_sha256="0"
)
CAFE = Claim(id="c1", span="", kind="object", value="cafe", relation=Relation(type="bearing", bearing_deg=180))
PARK = Claim(id="c2", span="", kind="object", value="park")
BANK = Claim(id="c3", span="", kind="object", value="bank")
CLAIMS = [CAFE, PARK, BANK]
SAID = {"cafe s": "supports", "park": "contradicts", "bank": "unknown"}


class Model:
    """Sees a cafe in the south; knows a stance behind each claim, and writes the same when it is asked to write."""

    def __init__(self, *, whole: bool = True) -> None:
        self.whole = whole
        self.client = RecordedClient(self.answer, name="fake")

    def answer(self, request: ChatRequest) -> ChatReply | Exception:
        if request.choices == STANCES:
            if not self.whole:
                return SplitChoice.of("contradicts", 2, "fake")
            words = request.messages[-1].parts[-1].text.rsplit(": ", 1)[-1]
            logs = {w: math.log(0.9 if w == SAID[words] else 0.05) for w in STANCES}
            return ChatReply(text=SAID[words], choice_logprobs=logs, prompt_tokens=100, completion_tokens=1)
        if request.json_schema is None:
            return ChatReply(text="s cafe; n street")
        evidence = [{"claim": f"c{i}", "stance": s, "at": "-"} for i, s in enumerate(SAID.values(), 1)]
        text = json.dumps({"evidence": evidence, "en": "It fits.", "zh": "相符。"})
        return ChatReply(text=text, prompt_tokens=100, completion_tokens=200)

    def wrote(self) -> int:
        return sum(r.json_schema is not None for r in self.client.requests)


async def test_reasons_that_are_read_cost_a_token_for_each_claim_and_say_what_the_stances_say() -> None:
    model = Model()
    found = await reasons(Judge(model.client), TILE, PNG, CLAIMS, 0.8, "auto")
    assert {e.claim_id: e.stance for e in found.evidence} == dict(zip(("c1", "c2", "c3"), SAID.values(), strict=True))
    assert found.usage.completion_tokens == len(CLAIMS)
    assert model.wrote() == 0
    words = found.explanation
    assert words.author == "template"
    assert agrees(words.en, words.zh, CLAIMS, {e.claim_id: e.stance for e in found.evidence})


async def test_a_stance_that_the_listing_bears_out_is_shown_where_the_listing_has_it() -> None:
    found = await Judge(Model().client).stances(TILE, PNG, CLAIMS)
    cafe, park, bank = found.evidence
    assert cafe.region is not None
    assert (cafe.region[1] + cafe.region[3]) / 2 > 0.5  # y goes to the south
    assert park.region is None
    assert bank.region is None


async def test_the_longest_question_goes_first_and_alone() -> None:
    model = Model()
    await Judge(model.client).stances(TILE, PNG, CLAIMS)
    asked = [r.messages[-1].parts[-1].text for r in model.client.requests if r.choices == STANCES]
    assert len(asked) == len(CLAIMS)
    assert all(asked[0].startswith(text) for text in asked)


async def test_written_reasons_are_written() -> None:
    model = Model()
    await reasons(Judge(model.client), TILE, PNG, CLAIMS, 0.8, "written")
    assert model.wrote() > 0


async def test_a_model_without_a_token_for_each_stance_is_asked_to_write_unless_it_must_be_read() -> None:
    model = Model(whole=False)
    found = await reasons(Judge(model.client), TILE, PNG, CLAIMS, 0.8, "auto")
    assert model.wrote() > 0
    assert len(found.evidence) == len(CLAIMS)
    with pytest.raises(SplitChoice, match="2 tokens"):
        await reasons(Judge(model.client), TILE, PNG, CLAIMS, 0.8, "read")


async def test_no_claims_are_no_calls() -> None:
    model = Model()
    found = await Judge(model.client).reasons(TILE, PNG, [], 0.8)
    assert found.evidence == ()
    assert not [r for r in model.client.requests if r.choices]


async def test_reasons_are_kept_apart_from_what_was_written(tmp_path: Path) -> None:
    answers, model = Answers(tmp_path / "a.sqlite"), Model()
    judge = KeptJudge(Judge(model.client), answers, "fake")
    for _ in range(2):
        read = await reasons(judge, TILE, PNG, CLAIMS, 0.8, "auto")
    asked = len([r for r in model.client.requests if r.choices == STANCES])
    assert asked == len(CLAIMS)
    assert model.wrote() == 0
    written = await reasons(judge, TILE, PNG, CLAIMS, 0.8, "written")
    assert model.wrote() > 0
    assert [e.stance for e in read.evidence] == [e.stance for e in written.evidence]
    answers.close()


class WritesOnly:
    """A judge of another package."""

    def __init__(self, judge: Judge) -> None:
        self.score, self.explain = judge.score, judge.explain


async def test_a_judge_that_only_writes_is_asked_to_write(tmp_path: Path) -> None:
    model = Model()
    other = WritesOnly(Judge(model.client))
    assert (await reasons(other, TILE, PNG, CLAIMS, 0.8, "auto")).evidence  # type: ignore[arg-type]
    answers = Answers(tmp_path / "a.sqlite")
    assert (await reasons(KeptJudge(other, answers, "fake"), TILE, PNG, CLAIMS, 0.8, "auto")).evidence  # type: ignore[arg-type]
    answers.close()
    assert model.wrote() > 0
    with pytest.raises(ReplyError, match="SIGHTLINE_REASONS"):
        await reasons(other, TILE, PNG, CLAIMS, 0.8, "read")  # type: ignore[arg-type]
