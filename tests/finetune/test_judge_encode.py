"""Training sees exactly what a server renders: tokens, pixels and positions."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from finetune.judge.batching import patches, rope_positions
from finetune.judge.claims import practice_claims
from finetune.judge.encode import IGNORE, STANCE_WEIGHT, VERDICT_WEIGHT, Encoder, Sample
from finetune.judge.spec import FRAGMENTS, VISUAL_TOKENS, make_config, make_processor, make_tokenizer
from prompts.clients.base import ImagePart, TextPart
from prompts.listing import find, parse_listing
from prompts.render import claims_block, explain_messages, load_template, score_messages, stance_messages
from prompts.schema import write_reply
from prompts.wording import explain, explain_numbered
from retriever.errors import ModelError
from retriever.kinds import kinds

LISTING = parse_listing("roads e-w; c street, cafe; n street; ne cafe; e bus stop; s street, pharmacy; w park")


@pytest.fixture(scope="module")
def tokenizer():
    template = load_template()
    rng = random.Random(3)
    texts = [template.system, template.look, template.score, template.explain] * 30
    for _ in range(200):
        claims = practice_claims(LISTING, rng, n=8)
        findings = [find(c, LISTING) for c in claims]
        stances = {c.id: f.stance for c, f in zip(claims, findings, strict=True)}
        texts += [LISTING.text(), claims_block(claims), write_reply(findings, *explain(claims, stances, match=True))]
    return make_tokenizer([*texts, *["supports", "contradicts", "unknown"] * 50])


def practice(seed: int, *, explained: bool = True) -> Sample:
    rng = random.Random(seed)
    claims = tuple(practice_claims(LISTING, rng, n=6))
    return Sample(
        listing=LISTING.text(),
        learn_listing=True,
        claims=claims,
        findings=tuple(find(c, LISTING) for c in claims),
        match=True,
        explained=explained,
        image=0,
    )


def as_chat(messages):
    part = lambda p: {"type": "text", "text": p.text} if isinstance(p, TextPart) else {"type": "image"}  # noqa: E731
    return [{"role": m.role, "content": [part(p) for p in m.parts]} for m in messages]


def test_a_sample_has_the_tokens_that_the_chat_template_renders(tokenizer):
    template, sample = load_template(), practice(1)
    picture = ImagePart.of(Image.new("RGB", (8, 8)))
    messages = explain_messages(picture, sample.listing, sample.claims, match=True, template=template)
    stances = {c.id: f.stance for c, f in zip(sample.claims, sample.findings, strict=True)}
    reply = write_reply(sample.findings, *explain_numbered(sample.claims, stances, match=True))
    text = tokenizer.apply_chat_template(as_chat(messages), tokenize=False, add_generation_prompt=True)
    text = text.replace("<|image_pad|>", "<|image_pad|>" * VISUAL_TOKENS) + reply + "<|im_end|>"
    assert Encoder(tokenizer, template).encode(sample).ids == tokenizer.encode(text, add_special_tokens=False)


def test_loss_falls_on_answers_and_on_the_end_of_each_claim(tokenizer):
    encoder = Encoder(tokenizer, load_template())
    sample = practice(2, explained=False)
    encoded = encoder.encode(sample)
    marked = [encoded.labels[i] for i, w in enumerate(encoded.weights) if w == STANCE_WEIGHT]
    assert marked == [encoder.stance_ids[f.stance] for f in sample.findings]
    yes = encoder.tokens("yes")[0]
    assert [encoded.labels[i] for i, w in enumerate(encoded.weights) if w == VERDICT_WEIGHT] == [yes]
    assert encoded.labels[encoded.verdict_at] == yes
    first_answer = next(i for i, label in enumerate(encoded.labels) if label != IGNORE)
    assert first_answer >= encoded.image_at + VISUAL_TOKENS


def test_a_stance_is_asked_for_at_the_very_token_that_was_taught_it(tokenizer):
    template, sample = load_template(), practice(5, explained=False)
    encoder = Encoder(tokenizer, template)
    encoded = encoder.encode(sample)
    picture = ImagePart.of(Image.new("RGB", (8, 8)))
    marked = [i for i, w in enumerate(encoded.weights) if w == STANCE_WEIGHT]
    for at, (position, finding) in enumerate(zip(marked, sample.findings, strict=True)):
        chat = as_chat(stance_messages(picture, sample.listing, sample.claims, at, template))
        text = tokenizer.apply_chat_template(chat, tokenize=False, continue_final_message=True)
        text = text.replace("<|image_pad|>", "<|image_pad|>" * VISUAL_TOKENS)
        assert tokenizer.encode(text, add_special_tokens=False) == encoded.ids[: position + 1]
        assert encoded.labels[position] == encoder.stance_ids[finding.stance]


def test_a_base_model_is_never_taught_verdicts(tokenizer):
    encoded = Encoder(tokenizer, load_template(), verdicts=False).encode(practice(2))
    assert VERDICT_WEIGHT not in encoded.weights


def test_patches_are_those_of_the_image_processor(tokenizer):
    picture = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    made = make_processor(tokenizer).image_processor(images=[Image.fromarray(picture)], return_tensors="pt")
    assert made["image_grid_thw"].tolist() == [[1, 14, 14]]
    torch.testing.assert_close(patches(picture[None]), made["pixel_values"], atol=1e-5, rtol=0)


def test_positions_are_those_of_the_model(tokenizer):
    from transformers import Qwen3VLForConditionalGeneration

    model = Qwen3VLForConditionalGeneration(make_config(tokenizer, width=64, layers=1, vision_width=64, depth=2))
    encoded = Encoder(tokenizer, load_template()).encode(practice(4))
    ids = torch.tensor([encoded.ids])
    types = (ids == tokenizer.convert_tokens_to_ids("<|image_pad|>")).int()
    theirs, _ = model.model.get_rope_index(ids, types, image_grid_thw=torch.tensor([[1, 14, 14]]))
    assert torch.equal(rope_positions(len(encoded.ids), [encoded.image_at]), theirs[:, 0])


def test_positions_of_two_pictures_are_those_of_the_model(tokenizer):
    from transformers import Qwen3VLForConditionalGeneration

    model = Qwen3VLForConditionalGeneration(make_config(tokenizer, width=64, layers=1, vision_width=64, depth=2))
    encoded = Encoder(tokenizer, load_template("judge_heat")).encode(replace(practice(4), heat=1))
    assert encoded.pictures == [(0, 0), (1, 0)]
    ids = torch.tensor([encoded.ids])
    types = (ids == tokenizer.convert_tokens_to_ids("<|image_pad|>")).int()
    theirs, _ = model.model.get_rope_index(ids, types, image_grid_thw=torch.tensor([[1, 14, 14]] * 2))
    assert torch.equal(rope_positions(len(encoded.ids), [encoded.image_at, encoded.heat_at]), theirs[:, 0])


def test_heat_stands_between_the_listing_and_the_claims_as_the_chat_template_renders_it(tokenizer):
    template, sample = load_template("judge_heat"), replace(practice(6, explained=False), heat=1)
    picture, heat = (ImagePart.of(Image.new("RGB", (8, 8), c)) for c in ("white", "red"))
    encoded = Encoder(tokenizer, template).encode(sample)
    messages = score_messages(picture, sample.listing, sample.claims, template, heat)
    text = tokenizer.apply_chat_template(as_chat(messages), tokenize=False, add_generation_prompt=True)
    text = text.replace("<|image_pad|>", "<|image_pad|>" * VISUAL_TOKENS)
    assert tokenizer.encode(text, add_special_tokens=False) == encoded.ids[: encoded.verdict_at + 1]
    plain = Encoder(tokenizer, load_template()).encode(sample)
    assert plain.pictures == [(0, 0)]
    shared = encoded.heat_at - 1
    assert plain.ids[:shared] == encoded.ids[:shared]
    with pytest.raises(ValueError, match="heat"):
        Encoder(tokenizer, template).encode(replace(sample, heat=None))
    with pytest.raises(ModelError, match="needs a heat map"):
        score_messages(picture, sample.listing, sample.claims, template)
    with pytest.raises(ModelError, match="no place for"):
        score_messages(picture, sample.listing, sample.claims, load_template(), heat)


def test_every_fragment_is_one_token(tokenizer):
    assert all(len(tokenizer.encode(f)) == 1 for f in FRAGMENTS)


def test_practice_claims_balance_the_stances():
    rng = random.Random(0)
    claims = [c for _ in range(300) for c in practice_claims(LISTING, rng, n=5)]
    stances = [find(c, LISTING).stance for c in claims]
    shares = [stances.count(s) / len(stances) for s in ("supports", "contradicts", "unknown")]
    assert all(0.2 < share < 0.5 for share in shares), shares
    assert all(c.value in kinds() for c in claims if c.kind == "object")
