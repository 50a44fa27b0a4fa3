"""The judge asks what it should, believes only what holds, and never makes an answer up."""

import asyncio
import json
import math
import sqlite3

import pytest
from PIL import Image

from agent.judge import Judge, tile_png
from agent.listings import FileListings
from prompts.clients.base import ChatReply
from prompts.clients.recorded import RecordedClient
from prompts.listing import find, parse_listing
from prompts.schema import MAX_CLAIMS, write_reply
from prompts.wording import explain
from retriever.errors import ReplyError, ServerUnavailable
from retriever.types import Claim, Relation, Tile

LISTING = parse_listing("roads e-w; c street; n cafe; w street, park")
TILE = Tile(id="t1", view="map", lat=0, lon=0, bounds=(0, 0, 1, 1), gsd_m=0.27, image="t1.png", image_sha256="0")
PNG = tile_png(Image.new("RGB", (448, 448), "white"))
CLAIMS = [
    Claim(id="c3", span="", kind="object", value="cafe", relation=Relation(type="bearing", bearing_deg=5)),
    Claim(id="c5", span="", kind="object", value="park", relation=Relation(type="bearing", bearing_deg=90)),
]


def reply_json(claims, *, spoil: str | None = None) -> str:
    findings = [find(c, LISTING) for c in claims]
    en, zh = explain(claims, {c.id: f.stance for c, f in zip(claims, findings, strict=True)}, match=True)
    return write_reply(findings, en.replace(spoil, "the moon") if spoil else en, zh)


class Model:
    """Answers by the kind of request; ``explanations`` are given one after the other."""

    def __init__(self, *, yes: float = 0.8, explanations: list[str] | None = None) -> None:
        self.yes, self.explanations = yes, explanations or []
        self.client = RecordedClient(self.answer, name="fake")

    def answer(self, request):
        if request.choices:
            logs = {"yes": math.log(self.yes), "no": math.log(1 - self.yes)}
            return ChatReply(text="yes", choice_logprobs=logs, prompt_tokens=100, completion_tokens=1)
        if request.json_schema:
            return ChatReply(text=self.explanations.pop(0), completion_tokens=90)
        return ChatReply(text=LISTING.text(), completion_tokens=20)

    def kinds(self) -> list[str]:
        return ["score" if r.choices else "explain" if r.json_schema else "look" for r in self.client.requests]


async def test_the_probability_is_that_of_the_yes_token():
    model = Model(yes=0.83)
    scored = await Judge(model.client).score(TILE, PNG, CLAIMS)
    assert scored.p_match == pytest.approx(0.83)
    assert scored.usage.calls == 2
    assert scored.usage.completion_tokens == 21


async def test_a_tile_is_looked_at_once_even_when_asked_at_the_same_time():
    model = Model()
    judge = Judge(model.client)
    await asyncio.gather(*(judge.score(TILE, PNG, CLAIMS) for _ in range(4)))
    await judge.score(TILE, PNG, CLAIMS[:1])
    assert model.kinds().count("look") == 1
    assert model.kinds().count("score") == 5


async def test_questions_about_a_tile_begin_with_the_same_messages():
    model = Model(explanations=[reply_json(CLAIMS)])
    judge = Judge(model.client)
    await judge.score(TILE, PNG, CLAIMS)
    await judge.explain(TILE, PNG, CLAIMS, 0.9)
    look, score, explained = (r.messages for r in model.client.requests)
    assert score[: len(look)] == look
    assert explained[: len(score)] == score


async def test_an_explanation_that_holds_is_the_models_own():
    model = Model(explanations=[reply_json(CLAIMS)])
    explained = await Judge(model.client).explain(TILE, PNG, CLAIMS, 0.9)
    assert explained.explanation.author == "model"
    assert [(e.claim_id, e.stance) for e in explained.evidence] == [("c3", "supports"), ("c5", "contradicts")]


async def test_a_text_that_invents_is_asked_for_again_and_then_replaced():
    bad = reply_json(CLAIMS, spoil="the cafe to the north")
    once = Model(explanations=[bad, reply_json(CLAIMS)])
    assert (await Judge(once.client).explain(TILE, PNG, CLAIMS, 0.9)).explanation.author == "model"
    twice = Model(explanations=[bad, bad])
    explained = await Judge(twice.client).explain(TILE, PNG, CLAIMS, 0.9)
    assert explained.explanation.author == "template"
    assert "the moon" not in explained.explanation.en
    assert "the cafe to the north" in explained.explanation.en


async def test_prose_twice_is_an_error_and_not_a_verdict():
    model = Model(explanations=["It looks right to me.", "{}"])
    with pytest.raises(ReplyError):
        await Judge(model.client).explain(TILE, PNG, CLAIMS, 0.9)


async def test_a_server_that_is_gone_is_said_so_and_the_next_question_asks_again():
    down = RecordedClient(lambda request: ServerUnavailable("nobody answers"), name="down")
    judge = Judge(down)
    for _ in range(2):
        with pytest.raises(ServerUnavailable):
            await judge.score(TILE, PNG, CLAIMS)
    assert len(down.requests) == 2


async def test_no_probabilities_is_an_error_and_never_a_score():
    def answer(request):
        return ChatReply(text="yes" if request.choices else "n cafe")

    with pytest.raises(ReplyError, match="probabilities"):
        await Judge(RecordedClient(answer)).score(TILE, PNG, CLAIMS)


async def test_struck_claims_are_not_asked_and_claims_beyond_the_limit_are_unknown():
    many = [Claim(id=f"c{i}", span="", kind="object", value="cafe") for i in range(MAX_CLAIMS + 3)]
    struck = Claim(id="c99", span="", kind="object", value="bank", status="struck")
    model = Model(explanations=[reply_json(many[:MAX_CLAIMS])])
    explained = await Judge(model.client).explain(TILE, PNG, [*many, struck], 0.9)
    assert [e.claim_id for e in explained.evidence] == [c.id for c in many]
    assert {e.stance for e in explained.evidence[MAX_CLAIMS:]} == {"unknown"}
    assert "bank" not in json.dumps([str(m) for m in model.client.requests[-1].messages[2:]])


def test_listings_in_a_file_outlive_the_process_and_a_damaged_file(tmp_path):
    path = tmp_path / "listings.sqlite"
    first = FileListings(path)
    first.put("m", "a", "n cafe")
    first.put("m", "a", "s park")
    first.close()
    assert FileListings(path).get("m", "a") == "n cafe"
    assert FileListings(path).get("other", "a") is None
    path.write_bytes(b"not a database at all" * 100)
    for extra in (path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        extra.unlink(missing_ok=True)
    again = FileListings(path)
    assert again.get("m", "a") is None
    again.put("m", "a", "e tram")
    assert sqlite3.connect(path).execute("SELECT count(*) FROM listings").fetchone() == (1,)


def test_the_judge_is_shown_the_tile_at_its_own_size():
    from prompts.clients.base import ImagePart

    assert ImagePart(png=PNG).image().size == (224, 224)
