"""The verdict's softer target: learned from stances, and mixed into the loss by its share."""

import pytest

from finetune.judge.batching import batch
from finetune.judge.encode import IGNORE, Encoded
from finetune.judge.teacher import Teacher, features
from prompts.listing import parse_listing
from retriever.types import Claim

LISTING = parse_listing("c cafe, park")


def claims(*kinds):
    return [Claim(id=f"c{i}", span=kind, kind="object", value=kind) for i, kind in enumerate(kinds, 1)]


def test_a_pair_is_counted_by_kind_and_stance():
    found = features(claims("cafe", "park", "bank"), LISTING)
    supported, contradicted, unknown = found[:3]
    assert supported == 2
    assert contradicted + unknown == 1
    assert found[3:12].sum() == 0
    assert found[12] == pytest.approx(2 / 3)


def test_the_teacher_prefers_the_pair_whose_claims_hold():
    def draw(rng):
        match = rng.random() < 0.5
        right = rng.random() < (0.8 if match else 0.2)
        return claims("cafe" if right else "school"), LISTING, match

    teacher = Teacher(draw, seed=1, n=500)
    assert teacher(claims("cafe"), LISTING) == pytest.approx(0.8, abs=0.08)
    assert teacher(claims("school"), LISTING) == pytest.approx(0.2, abs=0.08)


def test_a_verdict_in_doubt_carries_the_other_answer_at_its_place():
    item = Encoded(
        ids=[5, 6], labels=[3, IGNORE], weights=[8.0, 1.0], image_at=-1, image=None, verdict_at=0, other=4, doubt=0.25
    )
    data = batch([item], pad_id=0)
    assert data["others"][0, 0] == 4
    assert data["doubts"][0].tolist() == [0.25, 0.0]


def test_the_same_seed_gives_the_same_teacher():
    def draw(rng):
        return claims(rng.choice(("cafe", "school"))), LISTING, rng.random() < 0.5

    one, two = (Teacher(draw, seed=7, n=200) for _ in range(2))
    assert one(claims("cafe"), LISTING) == two(claims("cafe"), LISTING)
