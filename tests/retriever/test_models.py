"""Finding models and reading bundles."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_encoder import CONFIG, write_bundle

from retriever.encoder import build_model
from retriever.errors import ModelError
from retriever.models import find_model, load_weights, read_json, save_bundle


def test_a_path_is_a_model_and_the_environment_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "models" / "sightline-mini").mkdir(parents=True)
    assert find_model(tmp_path / "own") == tmp_path / "own"
    monkeypatch.setenv("SIGHTLINE_MODELS", str(tmp_path / "models"))
    assert find_model("sightline-mini") == tmp_path / "models" / "sightline-mini"


def test_an_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="mini-judge, sightline-mini"):
        find_model(str(tmp_path / "nothing"))


@pytest.mark.parametrize("damage", ["missing", "extra", "shape"])
def test_every_key_and_shape_is_accounted_for(tmp_path: Path, damage: str) -> None:
    file = write_bundle(tmp_path / "b") / "model.safetensors"
    state = load_file(file)
    key = "text_projection"
    if damage == "missing":
        del state[key]
    elif damage == "extra":
        state["text_projection_2"] = state[key].clone()
    else:
        state[key] = state[key][:-1].clone()
    save_file(state, file)
    with pytest.raises(ModelError, match="text_projection"):
        load_weights(build_model(CONFIG), file)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_neither_loaded_nor_saved(tmp_path: Path, value: float) -> None:
    file = write_bundle(tmp_path / "b") / "model.safetensors"
    state = load_file(file)
    state["ln_final.bias"][3] = value
    save_file(state, file)
    with pytest.raises(ModelError, match=r"ln_final\.bias"):
        load_weights(build_model(CONFIG), file)
    broken = build_model(CONFIG)
    broken.state_dict()["ln_final.bias"][3] = value
    with pytest.raises(ModelError, match=r"ln_final\.bias"):
        save_bundle(tmp_path / "c", broken, CONFIG, "{}", {})
    assert not (tmp_path / "c").exists()


def test_a_cut_file_is_told(tmp_path: Path) -> None:
    file = write_bundle(tmp_path / "b") / "model.safetensors"
    file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(ModelError, match="safetensors"):
        load_weights(build_model(CONFIG), file)


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_broken_json_file_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ModelError, match=r"config\.json"):
        read_json(tmp_path, "config.json")
    with pytest.raises(ModelError, match=r"tokenizer\.json"):
        read_json(tmp_path, "tokenizer.json")


def test_a_bundle_holds_half_precision_weights_and_says_where_they_came_from(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "b", seed=3)
    state = load_file(folder / "model.safetensors")
    assert {v.dtype for v in state.values()} == {torch.bfloat16}
    told = json.loads((folder / "bundle.json").read_text())
    assert told["seed"] == 3
    assert told["parameters"] == sum(v.numel() for v in state.values())
    assert sorted(p.name for p in folder.iterdir()) == [
        "bundle.json",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
