"""The dual encoder, on a tiny random bundle and a tiny random open_clip model."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tiny_encoder import CONFIG, write_bundle

from retriever.encoder import BoxResize, Encoder, TruncationWarning, build_model, extend_context, text_features
from retriever.errors import ModelError
from retriever.models import find_model
from retriever.tokenizer import END, OpenClipTokenizer

LONG = "the street runs east to west past a pharmacy " * 30


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def encoder(bundle: Path) -> Encoder:
    return Encoder.load(bundle)


def picture(seed: int, size: int = 48) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8))


def test_vectors_have_length_1_and_one_row_per_input(encoder: Encoder) -> None:
    texts = encoder.encode_text(["a park", "一家便利店", ""])
    tiles = encoder.encode_images([picture(0), picture(1)])
    assert texts.shape == (3, encoder.dim)
    assert tiles.shape == (2, 16)
    assert texts.dtype == tiles.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(np.concatenate([texts, tiles]), axis=1), 1.0, atol=1e-5)


def test_nothing_in_gives_an_empty_matrix_of_the_right_width(encoder: Encoder) -> None:
    assert encoder.encode_text([]).shape == encoder.encode_images([]).shape == (0, 16)


def test_a_batch_gives_the_same_as_each_alone(encoder: Encoder) -> None:
    texts = ["a park", "the street runs east to west", "我的东边有一家便利店"]
    alone = np.concatenate([encoder.encode_text([t]) for t in texts])
    np.testing.assert_allclose(encoder.encode_text(texts), alone, atol=1e-5)
    tiles = [picture(i) for i in range(5)]
    alone = np.concatenate([encoder.encode_images([t]) for t in tiles])
    np.testing.assert_allclose(encoder.encode_images(tiles, batch_size=2), alone, atol=1e-5)


def test_loading_twice_gives_the_same_id_and_the_same_numbers(bundle: Path, encoder: Encoder) -> None:
    again = Encoder.load(str(bundle))
    assert again.id == encoder.id
    np.testing.assert_array_equal(again.encode_text(["a park"]), encoder.encode_text(["a park"]))


@pytest.mark.parametrize("what", ["weights", "preprocess", "tokenizer"])
def test_the_id_changes_with_weights_preprocessing_and_tokenizer(tmp_path: Path, encoder: Encoder, what: str) -> None:
    folder = write_bundle(tmp_path / "tiny")
    assert Encoder.load(folder).id == encoder.id
    if what == "weights":
        state = load_file(folder / "model.safetensors")
        state["logit_scale"] = state["logit_scale"] + 1
        save_file(state, folder / "model.safetensors")
    elif what == "preprocess":
        config = json.loads((folder / "config.json").read_text())
        config["preprocess"]["mean"][0] = 0.5
        (folder / "config.json").write_text(json.dumps(config))
    else:
        text = (folder / "tokenizer.json").read_text()
        (folder / "tokenizer.json").write_text(text.replace('"version":"1.0"', '"version":"1.0" '))
    assert Encoder.load(folder).id != encoder.id


def test_what_does_not_fit_is_counted_and_told(encoder: Encoder) -> None:
    tokens = encoder.tokenizer(["a park", LONG])
    whole = len(encoder.tokenizer.__dict__["_tokenizer"].encode(LONG).ids)
    assert tokens.texts_cut == 1
    assert tokens.tokens_cut == whole - (24 - 2)
    assert tokens.ids.shape == (2, 24)
    assert tokens.ids[1, -1] == 2, "the end token stays"
    with pytest.warns(TruncationWarning, match="1 of 2 texts"):
        encoder.encode_text(["a park", LONG])


def test_what_fits_is_not_warned_about(encoder: Encoder) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = encoder.encode_text(["a park"])
    tokens = encoder.tokenizer(["a park"])
    assert (tokens.texts_cut, tokens.tokens_cut) == (0, 0)
    assert found.shape[0] == 1


def test_ten_thousand_words_are_read_as_far_as_the_context_goes(encoder: Encoder) -> None:
    with pytest.warns(TruncationWarning):
        found = encoder.encode_text(["park " * 10_000])
    assert np.isfinite(found).all()


def test_a_special_token_written_in_a_text_does_not_end_it(encoder: Encoder) -> None:
    ids = encoder.tokenizer([f"a {END} park"]).ids[0].tolist()
    assert ids.count(2) == 1
    assert ids[-1] == 2


def test_padding_and_trimming_change_nothing(encoder: Encoder) -> None:
    ids = encoder.tokenizer(["a park"]).ids
    padded = torch.nn.functional.pad(ids, (0, 24 - ids.shape[1]))
    with torch.inference_mode():
        short, full = text_features(encoder.model, ids), text_features(encoder.model, padded)
        own = encoder.model.encode_text(padded)  # type: ignore[operator]
    torch.testing.assert_close(short, full, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(full, own, atol=1e-5, rtol=1e-4)


def test_pictures_are_averaged_down_not_sampled() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[::2] = 255
    seen = BoxResize(size=32, mean=[0, 0, 0], std=[1, 1, 1])(Image.fromarray(stripes))
    assert seen.shape == (3, 32, 32)
    torch.testing.assert_close(seen, torch.full_like(seen, 0.5), atol=0.01, rtol=0)


def test_grey_and_transparent_pictures_are_read_as_rgb(encoder: Encoder) -> None:
    grey = picture(2).convert("L")
    np.testing.assert_allclose(encoder.encode_images([grey]), encoder.encode_images([grey.convert("RGBA")]), atol=1e-6)


# --- stretching the context ------------------------------------------------------------------------------------


def slow_stretch(old: torch.Tensor, length: int) -> torch.Tensor:
    """Linear interpolation at pixel centres, one position after the other."""
    n = len(old)
    out = []
    for i in range(length):
        at = min(max((i + 0.5) * n / length - 0.5, 0.0), n - 1.0)
        low = int(at)
        high = min(low + 1, n - 1)
        out.append(old[low] * (1 - (at - low)) + old[high] * (at - low))
    return torch.stack(out)


def clip_77() -> Any:
    torch.manual_seed(0)
    cfg = copy.deepcopy(CONFIG)
    cfg["text_cfg"] |= {"context_length": 77, "vocab_size": 49408, "pool_type": "argmax"}
    return build_model(cfg).eval()


def test_a_stretched_context_interpolates_every_position_and_masks_the_future() -> None:
    model = clip_77()
    old = model.positional_embedding.detach().clone()
    extend_context(model, 300)
    torch.testing.assert_close(model.positional_embedding.detach(), slow_stretch(old, 300), atol=1e-5, rtol=1e-4)
    assert model.context_length == 300
    mask = model.attn_mask
    assert mask.shape == (300, 300)
    assert torch.equal(mask == 0, torch.ones(300, 300).tril().bool())
    assert torch.isneginf(mask[mask != 0]).all()


def test_a_stretched_model_reads_300_tokens_and_the_last_ones_count() -> None:
    model = clip_77()
    extend_context(model, 300)
    ids = torch.randint(1, 40000, (2, 300))
    ids[1] = ids[0]
    ids[1, 250] = 7
    ids[:, -1] = 49407
    with torch.inference_mode():
        one, other = text_features(model, ids)
    assert not torch.allclose(one, other)


def test_a_text_tower_of_its_own_class_is_stretched_too() -> None:
    torch.manual_seed(0)
    model = open_clip.model.CustomTextCLIP(
        16, CONFIG["vision_cfg"], {**CONFIG["text_cfg"], "context_length": 20}
    ).eval()
    old = model.text.positional_embedding.detach().clone()
    extend_context(model, 50)
    torch.testing.assert_close(model.text.positional_embedding.detach(), slow_stretch(old, 50), atol=1e-5, rtol=1e-4)
    ids = torch.randint(3, 300, (1, 50))
    with torch.inference_mode():
        assert torch.isfinite(model.encode_text(ids)).all()


def test_a_tower_without_positions_cannot_be_stretched() -> None:
    with pytest.raises(ModelError, match="cannot be stretched"):
        extend_context(torch.nn.Linear(2, 2), 300)


# --- open_clip models by name ------------------------------------------------------------------------------------


@pytest.fixture
def named(tmp_path: Path) -> Iterator[str]:
    """A tiny architecture that open_clip knows by name, with a file of weights."""
    cfg = {k: copy.deepcopy(CONFIG[k]) for k in ("embed_dim", "vision_cfg", "text_cfg")}
    cfg["text_cfg"] |= {"context_length": 77, "vocab_size": 49408, "pool_type": "argmax"}
    (tmp_path / "sightline-test-tiny.json").write_text(json.dumps(cfg))
    open_clip.add_model_config(tmp_path)
    torch.manual_seed(1)
    weights = tmp_path / "weights.safetensors"
    save_file(build_model(cfg).state_dict(), weights)
    yield f"sightline-test-tiny:{weights}"
    open_clip.factory._MODEL_CONFIGS.pop("sightline-test-tiny")


def test_an_open_clip_model_by_name_is_stretched_and_deterministic(named: str) -> None:
    one, two = Encoder.load(named), Encoder.load(named)
    assert one.tokenizer.context_length == 300
    assert one.id == two.id
    assert one.id != Encoder.load(named, context_length=77).id
    text = ["a park", "the street runs east to west " * 12]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = one.encode_text(text)
    np.testing.assert_array_equal(found, two.encode_text(text))
    np.testing.assert_allclose(found[:1], one.encode_text(text[:1]), atol=1e-5)
    assert one.encode_images([picture(0)]).shape == (1, 16)


def test_truncation_by_a_clip_tokenizer_is_counted() -> None:
    call = open_clip.get_tokenizer("ViT-B-32")
    tokens = OpenClipTokenizer(call, 77, trim=True)(["a park", "park " * 100])
    assert tokens.ids.shape == (2, 77)
    assert (tokens.texts_cut, tokens.tokens_cut) == (1, 100 + 2 - 77)
    assert OpenClipTokenizer(call, 77, trim=True)(["a park"]).ids.shape == (1, 4)


def test_weights_that_are_not_there_are_one_sentence(named: str) -> None:
    with pytest.raises(ModelError, match="could not be loaded"):
        Encoder.load(named + ".gone")


# --- damaged bundles -----------------------------------------------------------------------------------------------


def test_a_bundle_with_another_ones_tokenizer_is_refused(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "a", text_cfg={"vocab_size": 290})
    with pytest.raises(ModelError, match="more tokens than the model"):
        Encoder.load(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors", "bundle.json"])
def test_a_missing_part_is_named(tmp_path: Path, name: str) -> None:
    folder = write_bundle(tmp_path / "a")
    (folder / name).unlink()
    with pytest.raises(ModelError, match=name):
        Encoder.load(folder)


def test_a_config_of_something_else_is_refused(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "a")
    (folder / "config.json").write_text('{"hidden_size": 3}')
    with pytest.raises(ModelError, match="not an open_clip model config"):
        Encoder.load(folder)


@pytest.mark.slow
def test_the_shipped_encoder_is_small_and_tells_its_tiles_apart() -> None:
    folder = find_model("sightline-mini")
    if not (folder / "model.safetensors").exists():
        pytest.skip("the shipped weights are not in this checkout")
    encoder = Encoder.load("sightline-mini")
    assert (folder / "model.safetensors").stat().st_size < 16 * 2**20
    blank = Image.new("RGB", (448, 448), "#f3efe7")
    water = Image.new("RGB", (448, 448), "#8fc6f5")
    tiles = encoder.encode_images([blank, water])
    assert tiles[0] @ tiles[1] < 0.99
    assert {"command", "seed", "data_sha256", "areas", "metrics", "parameters"} <= set(encoder.provenance)
