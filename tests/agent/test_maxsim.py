"""Late interaction: single tokens and patches of the dual encoder, and the order they give."""

from __future__ import annotations

import numpy as np
import open_clip
import pytest
import torch
from desk_fakes import FakeGallery, claim
from late_fakes import tiny_encoder
from PIL import Image

from agent.rerankers import Kit, create
from agent.rerankers.maxsim import maxsim
from retriever.errors import ModelError
from retriever.late import all_text_tokens, patches, project, text_tokens
from retriever.types import Candidate, Query, Ranking

QUERY = Query(id="q1", text="a pharmacy and a cafe")
CLAIMS = [claim(1, "pharmacy"), claim(2, "cafe")]


def shortlist(*ids: str) -> list[Candidate]:
    return [Candidate(tile_id=t, score=2.0 - 0.25 * i, rank=i) for i, t in enumerate(ids, 1)]


def ids(ranking: Ranking) -> list[str]:
    return [j.tile_id for j in ranking.judgements]


def test_maxsim_is_the_mean_of_the_best_cosines() -> None:
    rng = np.random.default_rng(0)
    tokens, found = rng.normal(size=(3, 5)).astype(np.float32), rng.normal(size=(4, 5)).astype(np.float32)
    slow = [max(float(t @ p / np.linalg.norm(t) / np.linalg.norm(p)) for p in found) for t in tokens]
    assert maxsim(tokens, found) == pytest.approx(sum(slow) / 3, abs=1e-6)


def unit(row: np.ndarray) -> np.ndarray:
    return row / np.linalg.norm(row)


def test_tokens_and_patches_live_in_the_encoders_space() -> None:
    encoder = tiny_encoder()
    picture = Image.effect_noise((32, 32), 90).convert("RGB")
    pooled = patches(encoder, picture).mean(axis=0)
    assert np.allclose(unit(pooled), encoder.encode_images([picture])[0], atol=1e-5), "this tower pools by the mean"
    rows, end = all_text_tokens(encoder, "a cafe")
    assert np.allclose(unit(rows[end]), encoder.encode_text(["a cafe"])[0], atol=1e-5)
    assert text_tokens(encoder, "a cafe").shape == (6, 16), "the letters alone, no start and no end"
    assert patches(encoder, picture).shape == (16, 16), "4 x 4 patches, no class token"


def test_a_custom_text_tower_gives_the_same_tokens_as_its_own_forward() -> None:
    torch.manual_seed(1)
    own = tiny_encoder()
    model = open_clip.model.CustomTextCLIP(
        16,
        {"image_size": 32, "patch_size": 8, "width": 32, "layers": 1, "head_width": 16},
        {"context_length": 8, "vocab_size": 100, "width": 32, "heads": 2, "layers": 2},
    )
    encoder = type(own)(model, own.tokenizer, own.preprocess, name="custom", identity="custom")
    rows, end = all_text_tokens(encoder, "a cafe")
    assert np.allclose(unit(rows[end]), encoder.encode_text(["a cafe"])[0], atol=1e-5)
    assert end == 7


def test_projections_come_in_three_forms() -> None:
    states, head = torch.eye(3)[None], torch.nn.Linear(3, 2, bias=False)
    assert project(states, None) is states
    assert torch.equal(project(states, head), project(states, head.weight.T))


def test_a_tower_without_patches_is_refused_in_a_sentence() -> None:
    class NoTransformer:
        model = type("M", (), {"visual": None})
        name = "RN50"

    with pytest.raises(ModelError, match="RN50 has no plain vision transformer"):
        patches(NoTransformer(), Image.new("RGB", (8, 8)))  # type: ignore[arg-type]


async def test_maxsim_orders_by_its_score_and_gives_no_verdict(gallery: FakeGallery) -> None:
    given = shortlist("t-a", "t-b", "t-c", "t-d", "t-e")
    ranking = await create("maxsim", Kit(encoder=tiny_encoder())).rerank(QUERY, CLAIMS, given, gallery)
    scores = [j.score for j in ranking.judgements]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) > 1
    tokens = text_tokens(tiny_encoder(), QUERY.text)
    best = ranking.judgements[0]
    assert best.score == maxsim(tokens, patches(tiny_encoder(), gallery.image(best.tile_id)))
    assert all(j.verdict is None and "no verdict" in str(j.error) for j in ranking.judgements)
    assert ranking.usage.calls == 0


async def test_equal_pictures_keep_the_retrieval_order_and_then_that_of_the_ids(gallery: FakeGallery) -> None:
    for tile_id in gallery.ids:
        Image.new("RGB", (32, 32), (9, 90, 160)).save(gallery.path / f"{tile_id}.png")
    tied = [Candidate(tile_id=t, score=1.0, rank=r) for t, r in (("t-e", 2), ("t-d", 1), ("t-b", 2))]
    ranking = await create("maxsim", Kit(encoder=tiny_encoder())).rerank(QUERY, CLAIMS, tied, gallery)
    assert ids(ranking) == ["t-d", "t-b", "t-e"]


async def test_maxsim_without_encoder_text_or_picture_says_so(gallery: FakeGallery) -> None:
    given = shortlist("t-d", "t-b", "t-a")
    blind = await create("maxsim", Kit()).rerank(QUERY, CLAIMS, given, gallery)
    mute = await create("maxsim", Kit(encoder=tiny_encoder())).rerank(Query(id="q", text=""), [], given, gallery)
    for ranking, why in ((blind, "needs the encoder"), (mute, "no tokens")):
        assert ids(ranking) == ["t-d", "t-b", "t-a"]
        assert all(why in str(j.error) and j.score is None for j in ranking.judgements)
    (gallery.path / "t-b.png").unlink()
    holed = await create("maxsim", Kit(encoder=tiny_encoder())).rerank(QUERY, CLAIMS, given, gallery)
    assert ids(holed)[1] == "t-b"
    assert [j.score is None for j in holed.judgements] == [False, True, False]
