"""Heat maps against a slow reference, over every kind of tower, and on tiles with a planted object."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from scipy.stats import binomtest
from tiny_encoder import write_bundle

from retriever.draw import draw_tile
from retriever.draw.layout import plan
from retriever.draw.overlay import overlay, relative
from retriever.draw.style import icons
from retriever.encoder import BoxResize, Encoder, build_model
from retriever.errors import ModelError
from retriever.heat import ALL, LAST, image_heat, peak, seen, text_heat
from retriever.heat_.page import Shown, terminal, words_html, write_heat
from retriever.heat_.towers import image_tower
from retriever.heat_.words import token_spans, word_heat, words
from retriever.kinds import kinds
from retriever.models import find_model, read_json
from retriever.tokenizer import OpenClipTokenizer
from retriever.types import Fact

TEXT = "a pharmacy north of a park 我的东边有一家便利店"
VISION = {"image_size": 32, "patch_size": 8, "width": 32, "layers": 3, "head_width": 16}
WORDS = {"context_length": 24, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 3}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return Encoder.load(write_bundle(tmp_path_factory.mktemp("tiny")))


def pictures(n: int) -> list[Image.Image]:
    rng = np.random.default_rng(1)
    return [Image.fromarray(rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)) for _ in range(n)]


# --- the slow, obvious reference: one pair, explicit attention, the whole matrix R


def slow_block(block: Any, x: torch.Tensor, mask: torch.Tensor | None, kept: list[torch.Tensor]) -> torch.Tensor:
    """A residual block of open_clip's written out, for x [N, W]."""
    normed, mha = block.ln_1(x), block.attn
    q, k, v = F.linear(normed, mha.in_proj_weight, mha.in_proj_bias).chunk(3, dim=-1)
    heads, size = mha.num_heads, x.shape[1] // mha.num_heads
    attention = []
    for h in range(heads):
        part = slice(h * size, (h + 1) * size)
        logits = q[:, part] @ k[:, part].T / math.sqrt(size)
        attention.append((logits if mask is None else logits + mask).softmax(-1))
    stacked = torch.stack(attention).requires_grad_()
    kept.append(stacked)
    mixed = torch.cat([stacked[h] @ v[:, h * size : (h + 1) * size] for h in range(heads)], dim=-1)
    x = x + F.linear(mixed, mha.out_proj.weight, mha.out_proj.bias)
    return x + block.mlp(block.ln_2(x))


def slow_heat(encoder: Encoder, text: str, image: Image.Image, layers: slice) -> tuple[np.ndarray, np.ndarray]:
    """Token and patch relevance of one pair, for CLIP with a class token or a mean and an end token."""
    model: Any = encoder.model
    visual, images, texts = model.visual, [], []
    x = visual._embeds(encoder.preprocess(image)[None])[0]
    for block in visual.transformer.resblocks:
        x = slow_block(block, x, None, images)
    if visual.pool_type == "avg":
        share = torch.full((len(x) - 1,), 1 / (len(x) - 1), requires_grad=True)
        pooled = share @ visual.ln_post(x)[1:]
    else:
        share, pooled = None, visual.ln_post(x)[0]
    ids = encoder.tokenizer([text]).ids[0]
    y = model.token_embedding(ids) + model.positional_embedding[: len(ids)]
    mask = torch.full((len(ids), len(ids)), -math.inf).triu(1)
    for block in model.transformer.resblocks:
        y = slow_block(block, y, mask, texts)
    end = int(ids.argmax() if model.text_pool_type == "argmax" else (ids == model.text_eos_id).int().argmax())
    said = model.ln_final(y)[end] @ model.text_projection
    score = model.logit_scale.exp() * F.cosine_similarity(pooled @ visual.proj, said, dim=0)
    matrix = torch.eye(len(x))
    wanted = [*images, *texts, *([] if share is None else [share])]
    grads = dict(zip(map(id, wanted), torch.autograd.grad(score, wanted), strict=True))
    for attention in images[layers]:
        matrix = matrix + (grads[id(attention)] * attention).clamp(min=0).mean(0) @ matrix
    if share is None:
        patches = matrix[0, 1:]
    else:
        patches = (torch.cat([torch.zeros(1), (grads[id(share)] * share).clamp(min=0)]) @ matrix)[1:]
    tokens = torch.eye(len(ids))
    for attention in texts[layers]:
        tokens = tokens + (grads[id(attention)] * attention).clamp(min=0).mean(0) @ tokens
    tokens[end, end] -= 1
    return tokens[end].detach().numpy(), patches.detach().numpy()


@pytest.mark.parametrize("pool", ["tok", "avg"])
@pytest.mark.parametrize("layers", [ALL, LAST, (1, 2), (None, -1)])
def test_the_batched_heat_is_that_of_one_pair_at_a_time(pool: str, layers: Any) -> None:
    encoder = clip({**VISION, "pool_type": pool})
    for picture, heat in zip(
        pictures(3), text_heat(encoder, TEXT, pictures(3), layers=layers, text_layers=layers, batch_size=2), strict=True
    ):
        tokens, patches = slow_heat(encoder, TEXT, picture, slice(*layers))
        assert np.allclose(heat.tile, patches.reshape(4, 4), atol=1e-6, rtol=1e-4)
        read, spans = token_spans(encoder.tokenizer, TEXT)
        expected = word_heat(read, spans, tokens[: len(spans)])
        assert [w.heat for w in heat.words] == pytest.approx([w.heat for w in expected], abs=1e-6, rel=1e-4)
        assert heat.tile.max() > 0


def clip(vision: dict[str, Any], text: dict[str, Any] | None = None, *, custom: bool = False) -> Encoder:
    torch.manual_seed(0)
    kind = open_clip.model.CustomTextCLIP if custom else open_clip.model.CLIP
    model = kind(16, vision, {**WORDS, **(text or {})})
    tokenizer = OpenClipTokenizer(open_clip.SimpleTokenizer(), 24, trim=False)
    return Encoder(model, tokenizer, BoxResize(size=32, mean=[0.5] * 3, std=[0.25] * 3), name="made", identity="made")


TOWERS = {
    "class token": ({**VISION}, {}, False),
    "custom text, read both ways, last token": (VISION, {"no_causal_mask": True, "pool_type": "last"}, True),
    "first token": (VISION, {"pool_type": "first", "no_causal_mask": True}, True),
    "CoCa's text": (VISION, {"embed_cls": True}, True),
    "own attention blocks": ({**VISION, "qk_norm": True, "scale_attn": True}, {}, True),
    "attention pool": (
        {**VISION, "attentional_pool": True, "attn_pooler_queries": 5, "attn_pooler_heads": 2},
        {},
        True,
    ),
}


@pytest.mark.parametrize("name", TOWERS)
def test_every_tower_gives_heat_and_the_similarity_of_retrieval(name: str) -> None:
    vision, text, custom = TOWERS[name]
    encoder = clip(vision, text, custom=custom)
    heats = text_heat(encoder, "a cafe by a park", pictures(2))
    expected = encoder.encode_images(pictures(2)) @ encoder.encode_text(["a cafe by a park"])[0]
    assert [h.similarity for h in heats] == pytest.approx(list(expected), abs=1e-5)
    for heat in heats:
        assert heat.tile.shape == (4, 4)
        assert np.isfinite(heat.tile).all()
        assert heat.tile.max() > heat.tile.min() >= 0
        assert [w.text for w in heat.words] == ["a", "cafe", "by", "a", "park"]


@pytest.mark.parametrize("pool", ["map", "avg", "token"])
def test_timm_towers(pool: str) -> None:
    vision = {
        "timm_model_name": "vit_tiny_patch16_224" if pool != "map" else "vit_base_patch32_siglip_256",
        "timm_model_pretrained": False, "timm_pool": pool, "timm_proj": "linear", "image_size": 224,
    }  # fmt: skip
    encoder = clip(vision, custom=True)
    side = encoder.model.visual.image_size[0] if pool != "map" else 256  # type: ignore[union-attr,index]
    encoder.preprocess = BoxResize(size=side, mean=[0.5] * 3, std=[0.25] * 3)
    heat = text_heat(encoder, "a cafe", pictures(1), layers=(-2, None))[0]
    assert heat.tile.shape == ((8, 8) if pool == "map" else (14, 14))
    assert heat.tile.max() > 0


@pytest.mark.parametrize("pool", ["parallel", "cascade"])
def test_pools_that_open_clip_left_undone_are_refused(pool: str) -> None:
    encoder = clip(
        {**VISION, "width": 16, "head_width": 8, "attentional_pool": pool, "attn_pooler_heads": 2}, {}, custom=True
    )
    with pytest.raises(ModelError, match=f"made pools twice .{pool}"):
        text_heat(encoder, "a cafe", pictures(1))


def test_towers_without_plain_attention_are_named() -> None:
    with pytest.raises(ModelError, match="image tower of RN is a ModifiedResNet"):
        image_tower(open_clip.create_model("RN50", pretrained=None), "RN")


def test_the_model_and_other_threads_are_left_as_they_were(small: Encoder) -> None:
    before = small.encode_text([TEXT])
    text_heat(small, TEXT, pictures(1))
    assert np.array_equal(small.encode_text([TEXT]), before)
    assert not any(p.requires_grad or p.grad is not None for p in small.model.parameters())


def test_image_queries_have_heat_on_both(small: Encoder) -> None:
    query, tiles = pictures(3)[2], pictures(2)
    found = image_heat(small, query, tiles)
    likeness = small.encode_images(tiles) @ small.encode_images([query])[0]
    assert [h.similarity for h in found] == pytest.approx(list(likeness), abs=1e-5)
    one = image_heat(small, query, tiles[1:])[0]
    assert one.query is not None
    assert found[1].query is not None
    assert np.allclose(found[1].query, one.query, atol=1e-6)
    assert np.allclose(found[1].tile, one.tile, atol=1e-6)


@pytest.mark.parametrize(("text", "layers", "why"), [("", ALL, "no tokens"), (TEXT, (5, 6), "chooses none")])
def test_nothing_to_colour_is_refused(small: Encoder, text: str, layers: Any, why: str) -> None:
    with pytest.raises(ModelError, match=why):
        text_heat(small, text, pictures(1), layers=layers)


# --- words


def test_words_are_words_in_both_languages() -> None:
    assert [TEXT[s:e] for s, e in words(TEXT)][:6] == ["a", "pharmacy", "north", "of", "a", "park"]
    assert "便利店" in [TEXT[s:e] for s, e in words(TEXT)]


def test_word_heat_loses_nothing_and_splits_a_token_over_two_words() -> None:
    found = word_heat("ab cd.", [(0, 1), (1, 4), (4, 6)], np.float32([1, 3, 2]))
    assert [(w.text, w.start) for w in found] == [("ab", 0), ("cd", 3)]
    assert [w.heat for w in found] == pytest.approx([2.5, 3.5])


def test_the_tokens_of_both_tokenizers_stand_where_they_came_from(small: Encoder) -> None:
    for tokenizer in (small.tokenizer, OpenClipTokenizer(open_clip.SimpleTokenizer(), 77, trim=True)):
        read, spans = token_spans(tokenizer, "A café, 药店 <end> 🙂")
        ids = tokenizer(["A café, 药店 <end> 🙂"]).ids[0]
        assert len(spans) in (len(ids), len(ids) - 1), "the end token may be left out"
        covered = {i for s, e in spans for i in range(s, e)}
        assert covered >= {i for i, letter in enumerate(read) if not letter.isspace()}


def test_words_beyond_the_context_are_marked(small: Encoder) -> None:
    heat = text_heat(small, "cafe " * 60, pictures(1))[0]
    assert heat.words[0].read
    assert not heat.words[-1].read
    assert heat.words[-1].heat == 0
    assert "cut" in words_html(heat)


# --- pictures and pages


def test_the_overlay_reddens_the_hot_patch_and_leaves_the_cold_one() -> None:
    white = Image.new("RGB", (64, 64), "white")
    made = np.asarray(overlay(white, np.float32([[0, 0], [0, 5]])), dtype=int)
    assert tuple(made[2, 2]) == (255, 255, 255)
    assert made[60, 60, 0] > made[60, 60, 1] + 40
    assert np.array_equal(np.asarray(overlay(white, np.zeros((2, 2)))), np.asarray(white))
    assert relative(np.float32([[1, 2]])).tolist() == [[0.5, 1.0]]
    for bad in (np.float32([[-1]]), np.float32([[np.nan]]), np.zeros(3), np.zeros((0, 2))):
        with pytest.raises(ValueError, match="heat of shape"):
            overlay(white, bad)


def test_the_page_shows_tiles_words_and_query_pictures_and_escapes_them(small: Encoder, tmp_path: Path) -> None:
    tiles = [Shown(tile_id="t<1>", rank=1, image=pictures(1)[0])]
    heats = write_heat(tmp_path / "h", small, "a park <b>x</b>", [("map", pictures(2)[1])], tiles, credit="© OSM & co")
    page = (tmp_path / "h" / "index.html").read_text(encoding="utf-8")
    assert "<b>" not in page
    assert "t&lt;1&gt;" in page
    assert "© OSM &amp; co" in page
    assert sorted(p.name for p in (tmp_path / "h").glob("*.png")) == ["1-1-map-tile.png", "1-1-map.png", "1-text.png"]
    assert all(f'src="{p.name}"' in page for p in (tmp_path / "h").glob("*.png"))
    assert terminal(heats[0]).plain == heats[0].text


def test_seen_is_the_middle_square_where_the_model_crops() -> None:
    wide = Image.new("RGB", (100, 40))
    crops = type("E", (), {"preprocess": type("C", (), {"transforms": [type("CenterCrop", (), {})()]})()})()
    assert seen(crops, wide).size == (40, 40)
    assert seen(type("E", (), {"preprocess": None})(), wide).size == (100, 40)


# --- sanity: the heat lands on the planted object


def planted(rng: random.Random) -> tuple[str, Image.Image, tuple[float, float, float]] | None:
    """A kind, a tile with one icon of it on plain ground, and the icon's middle and half its size (0..1)."""
    kind = rng.choice(sorted(set(icons()) & set(kinds())))
    at = (rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.9))
    facts = [Fact(osm_id="node/1", kind=kind, shape="point", parts=((at,),))]
    placed = [icon for icon in plan(facts).icons if icon.kind == kind]
    if not placed:
        return None
    return kind, draw_tile(facts), (placed[0].x / 448, placed[0].y / 448, placed[0].size / 896)


def hits(encoder: Encoder, n: int) -> tuple[int, int, float]:
    """Tiles, how many have their hottest patch on the object, and the share of patches that touch it."""
    rng, found, share = random.Random(3), [], []
    while len(found) < n:
        drawn = planted(rng)
        if drawn is None:
            continue
        kind, image, (cx, cy, half) = drawn
        heat = text_heat(encoder, f"There is a {kinds()[kind].en[0]}.", [image])[0].tile
        (x, y), side = peak(heat), 0.5 / heat.shape[0]
        found.append(abs(x - cx) <= half + side and abs(y - cy) <= half + side)
        share.append(min(1.0, (2 * half + 2 * side) ** 2))
    return n, sum(found), float(np.mean(share))


@pytest.mark.slow
def test_the_shipped_encoders_heat_lands_on_a_planted_object_and_random_weights_lose_it() -> None:
    shipped = Encoder.load()
    n, on, chance = hits(shipped, 60)
    assert binomtest(on, n, chance, alternative="greater").pvalue < 1e-6
    torch.manual_seed(0)
    blank = build_model(read_json(find_model("sightline-mini"), "config.json"))
    _, random_on, _ = hits(Encoder(blank, shipped.tokenizer, shipped.preprocess, name="r", identity="r"), 60)
    assert on - random_on >= 20, f"{on} of {n} with the shipped weights, {random_on} with random ones"
