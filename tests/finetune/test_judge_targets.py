"""Every way to teach the judge: what it learns parses, its loss falls, and its verdicts can be asked for."""

from __future__ import annotations

import random
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from judge_tiles import tiny_run
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2]))

from agent.judge import Judge
from benchmarks import judge_costs
from finetune.judge.heat import HeatPictures
from finetune.judge.modes import TEMPLATES, asked_pairs, tell, tuning_encoder, yes
from finetune.judge.run import Run
from finetune.judge.tasks import Pairs, verdict_draw
from prompts.clients.base import ImagePart
from prompts.clients.recorded import RecordedClient
from prompts.render import load_template, reasons_messages, score_messages, verdict_messages
from prompts.schema import read_ledger, read_reply
from retriever.errors import ModelError

STAGE = {"minutes": 3, "batch_size": 4, "lr": 0.01, "warmup": 2, "samples": 60, "max_tokens": 900}
WAYS = sorted(TEMPLATES)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with a tokenizer and listings, whose base has learned nothing."""
    stages = {"lora": STAGE}
    return tiny_run(tmp_path_factory.mktemp("modes"), stages)


class Reds:
    """Draws every tile red: what heat is worth is not for these tests."""

    id = "red@1"

    def picture(self, tile: Image.Image, claims: Any) -> Image.Image:
        return Image.new("RGB", tile.size, "red")


def heats(run: Run, way: Any) -> HeatPictures | None:
    """For the way that shows heat."""
    return HeatPictures(run.store.pictures, len(run.store.table), Reds()) if way[1] == "heat" else None  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def pairs(run: Run) -> Pairs:
    rows = [*map(int, run.kept), *map(int, run.val)]
    return Pairs(run.store, run.witnesses(), {r: run.store.listing(r).text() for r in rows})


def encoded(run: Run, pairs: Pairs, way: Any) -> tuple[Any, Any, Any]:
    encoder = tuning_encoder(run.tokenizer, *way)
    sample = replace(asked_pairs(pairs, 1, seed=2, heat=heats(run, way))[0].sample, explained=True)
    return encoder, sample, encoder.encode(sample)


def as_chat(messages: Any) -> list[dict[str, Any]]:
    part = lambda p: {"type": "text", "text": p.text} if hasattr(p, "text") else {"type": "image"}  # noqa: E731
    return [{"role": m.role, "content": [part(p) for p in m.parts]} for m in messages]


@pytest.mark.parametrize("way", WAYS, ids="-".join)
def test_what_is_taught_parses(run: Run, pairs: Pairs, way: Any) -> None:
    encoder, sample, item = encoded(run, pairs, way)
    if way[0] == "label":
        assert item.reasons_at == -1
        return
    end = run.tokenizer.eos_token_id
    reply = item.ids[item.reasons_at :]
    text = run.tokenizer.decode(reply[: reply.index(end)])
    found = read_ledger(text, sample.claims) if way[0] == "ledger" else read_reply(text, sample.claims).evidence
    assert [e.stance for e in found] == [f.stance for f in sample.findings]
    assert (item.reasons_at < item.verdict_at) == (way[1] == "reasons_first")
    assert encoder.template.reasons_first == (way[1] == "reasons_first")


@pytest.mark.parametrize("way", [w for w in WAYS if w[1] == "reasons_first"], ids="-".join)
def test_reasons_first_has_the_tokens_that_the_chat_template_renders(run: Run, pairs: Pairs, way: Any) -> None:
    encoder, sample, item = encoded(run, pairs, way)
    image = ImagePart(png=b"\x89PNG\r\n\x1a\n")
    asks = reasons_messages(image, sample.listing, sample.claims, encoder.template)
    reply = run.tokenizer.decode(item.ids[item.reasons_at :]).split("<|im_end|>")[0]
    judged = verdict_messages(image, sample.listing, sample.claims, reply, encoder.template)
    for messages, length in ((asks, item.reasons_at), (judged, item.verdict_at + 1)):
        text = run.tokenizer.apply_chat_template(as_chat(messages), tokenize=False, add_generation_prompt=True)
        text = text.replace("<|image_pad|>", "<|image_pad|>" * 49)
        assert run.tokenizer.encode(text, add_special_tokens=False) == item.ids[:length]


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS, ids="-".join)
def test_each_way_learns_and_answers(run: Run, pairs: Pairs, way: Any, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    from finetune.judge.spec import LORA_TARGETS

    model, head = run.fresh()
    tuned = get_peft_model(model, LoraConfig(r=8, lora_alpha=16, target_modules=LORA_TARGETS))
    encoder = tuning_encoder(run.tokenizer, *way)
    trainer = run.trainer(tuned, head)
    trainer.run = tmp_path
    shown = heats(run, way)
    trainer.pictures = shown or trainer.pictures
    draw = verdict_draw(encoder, pairs, heat=shown)
    items = [draw(random.Random(i)) for i in range(24)]
    with torch.no_grad():
        before = float(trainer.loss(items))
    trainer.fit(run.recipe.stage("lora"), draw, run.kept, dict)
    with torch.no_grad():
        assert float(trainer.loss(items)) < before - 0.05
    tuned.eval()
    told = tell(trainer, encoder, asked_pairs(pairs, 4, seed=3, heat=shown), batch_size=3, most=60)
    assert told.p.shape == (4,)
    assert np.all((told.p > 0) & (told.p < 1))
    assert (told.parsed is None) == (way[1] != "reasons_first")


def test_a_direct_verdict_has_the_tokens_that_the_chat_template_renders(run: Run, pairs: Pairs) -> None:
    encoder, sample, item = encoded(run, pairs, ("label", "direct"))
    messages = score_messages(ImagePart(png=b"\x89PNG\r\n\x1a\n"), "", sample.claims, encoder.template)
    text = run.tokenizer.apply_chat_template(as_chat(messages), tokenize=False, add_generation_prompt=True)
    text = text.replace("<|image_pad|>", "<|image_pad|>" * 49)
    assert run.tokenizer.encode(text, add_special_tokens=False) == item.ids[: item.verdict_at + 1]
    looked = tuning_encoder(run.tokenizer, "label", "verdict_first").encode(sample)
    assert len(looked.ids) - len(item.ids) >= len(encoder.tokens(sample.listing))


def test_a_direct_verdict_needs_a_picture(run: Run, pairs: Pairs) -> None:
    encoder, sample, _ = encoded(run, pairs, ("label", "direct"))
    with pytest.raises(ValueError, match="picture"):
        encoder.encode(replace(sample, image=None))


def test_what_a_verdict_costs_is_measured_on_the_same_answers(run: Run, pairs: Pairs) -> None:
    model, head = run.fresh()
    trainer, asked = run.trainer(model.eval(), head), asked_pairs(pairs, 3, seed=5)
    looking = tuning_encoder(run.tokenizer, "label", "verdict_first")
    direct = tuning_encoder(run.tokenizer, "label", "direct")
    for encoder in (looking, direct):
        item = encoder.encode(asked[0].sample)
        kept = judge_costs.Kept(trainer, encoder, item, judge_costs.begins(encoder, asked[0], item))
        whole = yes(trainer, encoder, [item])[0]
        assert kept.yes() == pytest.approx(whole, abs=1e-4)
        assert kept.yes() == pytest.approx(whole, abs=1e-4)
    costs = judge_costs.measure((run, trainer, looking), (trainer, direct), asked)
    assert {len(v) for v in costs.seconds.values()} == {3}
    read = {way: float(v.mean()) for way, v in costs.tokens.items()}
    assert read[judge_costs.SHARED] == pytest.approx(read[judge_costs.KEPT] - read_before(looking, asked))
    assert (
        read[judge_costs.DIRECT_SHARED] < read[judge_costs.SHARED] < read[judge_costs.DIRECT] < read[judge_costs.KEPT]
    )
    assert "| 1 |" in judge_costs.table(costs)


def read_before(encoder: Any, asked: Any) -> float:
    return float(np.mean([judge_costs.begins(encoder, a, encoder.encode(a.sample)) for a in asked]))


def test_heat_changes_no_draw_and_is_of_the_claims_and_the_tile_shown(run: Run, pairs: Pairs) -> None:
    shown = heats(run, ("label", "heat"))
    assert shown is not None
    hot = verdict_draw(tuning_encoder(run.tokenizer, "label", "heat"), pairs, heat=shown)
    plain = verdict_draw(tuning_encoder(run.tokenizer, "label", "verdict_first"), pairs)
    for seed in range(8):
        one, two = hot(random.Random(seed)), plain(random.Random(seed))
        assert (one.image, one.other, one.doubt) == (two.image, two.other, two.doubt)
        assert len(one.ids) > len(two.ids) + 49
        assert one.heat is not None
        assert one.heat >= len(run.store.table)
        assert tuple(shown[one.heat][0, 0]) == (255, 0, 0)
    claims = asked_pairs(pairs, 1, seed=1)[0].sample.claims
    assert shown(claims, 3) == shown(list(claims), 3) != shown(claims, 4)
    assert np.array_equal(shown[[0, 1]], run.store.pictures[[0, 1]])


def test_heat_of_another_encoder_is_not_mixed_in(run: Run, tmp_path: Path) -> None:
    first = HeatPictures.shipped(run.store.pictures, 1, tmp_path)
    assert first.heater.id.startswith("sightline-mini@")
    (tmp_path / "heat_by.txt").write_text("sightline-mini@00000000\n", encoding="utf-8")
    with pytest.raises(ModelError, match="00000000"):
        HeatPictures.shipped(run.store.pictures, 1, tmp_path)


def test_a_label_has_no_reasons_to_put_first(run: Run) -> None:
    with pytest.raises(ModelError, match="cannot be taught"):
        tuning_encoder(run.tokenizer, "label", "reasons_first")


@pytest.mark.parametrize("template", ["judge_reasons_first", "judge_direct"])
def test_the_product_looks_and_asks_for_the_verdict_first(template: str) -> None:
    with pytest.raises(ModelError, match="verdict first"):
        Judge(RecordedClient(lambda request: "x"), template=template)


def test_the_variants_share_the_beginning_with_the_shipped_template() -> None:
    shipped = load_template()
    for name in set(TEMPLATES.values()):
        other = load_template(name)
        assert (other.system, other.yes, other.no) == (shipped.system, shipped.yes, shipped.no)
        assert other.look == ("" if other.direct else shipped.look)
    assert len({load_template(n).id for n in set(TEMPLATES.values())}) == 6
