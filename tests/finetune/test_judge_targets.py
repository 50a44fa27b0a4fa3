"""Every way to teach the judge: what it learns parses, its loss falls, and its verdicts can be asked for."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from judge_tiles import tiny_run

from agent.judge import Judge
from finetune.judge.modes import TEMPLATES, asked_pairs, tell, tuning_encoder
from finetune.judge.run import Run
from finetune.judge.tasks import Pairs, verdict_draw
from prompts.clients.base import ImagePart
from prompts.clients.recorded import RecordedClient
from prompts.render import load_template, reasons_messages, verdict_messages
from prompts.schema import read_ledger, read_reply
from retriever.errors import ModelError

STAGE = {"minutes": 3, "batch_size": 4, "lr": 0.01, "warmup": 2, "samples": 60, "max_tokens": 900}
WAYS = sorted(TEMPLATES)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with a tokenizer and listings, whose base has learned nothing."""
    stages = {"lora": STAGE}
    return tiny_run(tmp_path_factory.mktemp("modes"), stages)


@pytest.fixture(scope="module")
def pairs(run: Run) -> Pairs:
    rows = [*map(int, run.kept), *map(int, run.val)]
    return Pairs(run.store, run.witnesses(), {r: run.store.listing(r).text() for r in rows})


def encoded(run: Run, pairs: Pairs, way: Any) -> tuple[Any, Any, Any]:
    encoder = tuning_encoder(run.tokenizer, *way)
    sample = replace(asked_pairs(pairs, 1, seed=2)[0].sample, explained=True)
    return encoder, sample, encoder.encode(sample)


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
        chat = [
            {
                "role": m.role,
                "content": [
                    {"type": "text", "text": p.text} if hasattr(p, "text") else {"type": "image"} for p in m.parts
                ],
            }
            for m in messages
        ]
        text = run.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
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
    draw = verdict_draw(encoder, pairs)
    items = [draw(random.Random(i)) for i in range(24)]
    with torch.no_grad():
        before = float(trainer.loss(items))
    trainer.fit(run.recipe.stage("lora"), draw, run.kept, dict)
    with torch.no_grad():
        assert float(trainer.loss(items)) < before - 0.05
    tuned.eval()
    told = tell(trainer, encoder, asked_pairs(pairs, 4, seed=3), batch_size=3, most=60)
    assert told.p.shape == (4,)
    assert np.all((told.p > 0) & (told.p < 1))
    assert (told.parsed is None) == (way[1] == "verdict_first")


def test_a_label_has_no_reasons_to_put_first(run: Run) -> None:
    with pytest.raises(ModelError, match="cannot be taught"):
        tuning_encoder(run.tokenizer, "label", "reasons_first")


def test_the_product_asks_for_the_verdict_first() -> None:
    with pytest.raises(ModelError, match="verdict first"):
        Judge(RecordedClient(lambda request: "x"), template="judge_reasons_first")


def test_the_variants_share_the_beginning_with_the_shipped_template() -> None:
    shipped = load_template()
    for name in set(TEMPLATES.values()):
        other = load_template(name)
        assert (other.system, other.look, other.yes, other.no) == (
            shipped.system,
            shipped.look,
            shipped.yes,
            shipped.no,
        )
    assert len({load_template(n).id for n in set(TEMPLATES.values())}) == 4
