"""Training of the dual encoder: its tokenizer, its data, and a whole tiny run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune.encoder.bank import Bank, Sampler, load_bank
from finetune.encoder.texts import build_texts
from finetune.encoder.tiles import Area, TileSet, build_tiles, jobs
from finetune.encoder.train import export, prepare
from finetune.encoder.trainer import Recipe, Stage, learning_rate
from finetune.tokenizer import train_tokenizer
from retriever.encoder import Encoder
from retriever.errors import ModelError, SourceError
from retriever.tokenizer import END, PAD, START, OwnTokenizer
from retriever.town import write_town

CORPUS = ["There is a pharmacy 12 m to the north.", "我的东边有一家便利店。"] * 20

# --- tokenizer -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return train_tokenizer(CORPUS, vocab_size=400, special_tokens=(PAD, START, END))


@settings(deadline=None)
@given(text=st.text())
def test_any_text_survives_the_round_trip(tokenizer: Any, text: str) -> None:
    for token in (PAD, START, END):
        text = text.replace(token, "")
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_special_tokens_come_first_and_the_vocabulary_is_bounded(tokenizer: Any) -> None:
    assert [tokenizer.token_to_id(t) for t in (PAD, START, END)] == [0, 1, 2]
    assert 259 <= tokenizer.get_vocab_size() <= 400


def test_common_words_and_characters_are_one_token_and_digits_stand_alone(tokenizer: Any) -> None:
    assert len(tokenizer.encode(" pharmacy").ids) == 1
    assert len(tokenizer.encode("便利店").ids) == 3
    assert len(tokenizer.encode("12").ids) == 2


def test_case_can_be_folded() -> None:
    made = train_tokenizer(CORPUS, vocab_size=400, lowercase=True)
    assert made.encode("A Park").ids == made.encode("a park").ids


def test_a_vocabulary_without_room_for_the_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match="no room"):
        train_tokenizer(CORPUS, vocab_size=200)


# --- a whole tiny run ------------------------------------------------------------------------------------------------

PLAN: dict[str, Any] = {
    "config": {
        "embed_dim": 16,
        "vision_cfg": {
            "image_size": 224, "patch_size": 56, "width": 32, "layers": 1, "head_width": 16, "pool_type": "avg",
            "final_ln_after_pool": True,
        },
        "text_cfg": {
            "context_length": 300, "vocab_size": 400, "width": 32, "heads": 2, "layers": 1, "pool_type": "eos",
            "eos_id": 2, "pad_id": 0,
        },
        "preprocess": {"size": 224, "mean": [0.8, 0.8, 0.8], "std": [0.2, 0.2, 0.2]},
    },
    "train": {
        "seed": 3,
        "validate_every": 100,
        "stages": [
            {"name": "see", "steps": 2, "batch": 4, "lr": 1e-3, "warmup": 1},
            {"name": "words", "steps": 3, "batch": 6, "lr": 1e-3, "warmup": 1, "same_area": 0.5},
            {"name": "look", "steps": 2, "batch": 4, "lr": 1e-3, "warmup": 1},
            {"name": "read", "steps": 2, "batch": 6, "lr": 1e-3, "warmup": 1},
            {"name": "join", "steps": 3, "batch": 4, "lr": 1e-3, "warmup": 1},
        ],
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve tiles of a town for training and every cell of a hamlet-sized one for validation, each described twice."""
    folder = tmp_path_factory.mktemp("data")
    for seed in (1000, 2000):
        write_town(folder / f"town-{seed}.osm", seed=seed, blocks=2)
    plan = {"train": {"town-1000.osm": 12}, "validation": {"town-2000.osm": None}}
    build_tiles(jobs(plan, folder, folder, 0), folder, processes=1)
    for split in ("train", "validation"):
        build_texts(folder, split, range(2), processes=1)
    return folder


@pytest.fixture(scope="module")
def bank(data: Path) -> Bank:
    made = train_tokenizer(CORPUS, vocab_size=400, special_tokens=(PAD, START, END))
    return load_bank(data, "train", OwnTokenizer(made, 300), cells=4)


@pytest.mark.slow
def test_tiles_and_texts_belong_together(data: Path, bank: Bank) -> None:
    tiles = TileSet.open(data)
    assert len(bank) == 12
    assert tiles.pixels.shape == (len(tiles.table), 224, 224, 3)
    assert all(len(tiles.facts(i)) == len(tiles.shown(i)) for i in range(len(tiles.table)))
    away = np.abs(bank.texts.point - bank.xy[bank.texts.tile]).max()
    assert 0 < away <= 30.5, "a witness stands in the tile's cell"
    assert set(bank.texts.table["tile_id"]) <= set(tiles.table["tile_id"])


@pytest.mark.slow
def test_an_area_kept_for_tests_is_refused(tmp_path: Path) -> None:
    for name in ("london.osm.pbf", "taipei_north.osm", "bayfront_singapore.osm.pbf", "town-3001.osm"):
        with pytest.raises(SourceError, match="kept for tests"):
            Area.read(tmp_path / name)


@pytest.mark.slow
def test_batches_follow_from_seed_and_step_alone(bank: Bank) -> None:
    one, two = (Sampler(bank, batch=6, seed=1, same_area=0.5) for _ in range(2))
    for step in (0, 7):
        for a, b in zip(one.rows(step), two.rows(step), strict=True):
            np.testing.assert_array_equal(a, b)
    tiles, texts = one.rows(0)
    assert len(set(tiles.tolist())) == 6
    np.testing.assert_array_equal(bank.texts.tile[texts], tiles)
    assert one.rows(0)[0].tolist() != one.rows(1)[0].tolist()


@pytest.mark.slow
def test_texts_of_one_batch_are_encoded_in_order_whatever_their_length(data: Path, tmp_path: Path) -> None:
    trainer = prepare(PLAN, data, tmp_path)
    rows = np.array([5, 0, 9, 3])
    with torch.inference_mode():
        together = trainer.bank.texts.encode(trainer.learner.model, rows, piece=2)
        alone = torch.cat([trainer.bank.texts.encode(trainer.learner.model, rows[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def losses_in(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "steps.jsonl").read_text().splitlines()]


def run(data: Path, out: Path, stop_after: int | None = None) -> None:
    """Train, noting every step's loss; ``stop_after`` steps it is killed in the middle."""
    trainer = prepare(PLAN, data, out)
    trainer.recipe = replace(trainer.recipe, checkpoint_s=0.0)
    seen = 0

    def note(stage: Stage, step: int, loss: float) -> None:
        nonlocal seen
        with (out / "steps.jsonl").open("a") as f:
            f.write(json.dumps({"stage": stage.name, "step": step, "loss": loss}) + "\n")
        seen += 1
        if seen == stop_after:
            raise KeyboardInterrupt

    trainer.run(note)


@pytest.mark.slow
def test_a_killed_run_goes_on_as_if_nothing_had_happened_and_its_best_becomes_a_bundle(
    data: Path, tmp_path: Path
) -> None:
    run(data, tmp_path / "whole")
    for steps in (1, 3, 4):  # in a stage, at a stage's end, in the next
        with pytest.raises(KeyboardInterrupt):
            run(data, tmp_path / "parts", stop_after=steps)
    run(data, tmp_path / "parts")
    whole, parts = losses_in(tmp_path / "whole"), losses_in(tmp_path / "parts")
    assert [(x["stage"], x["step"]) for x in whole] == [(x["stage"], x["step"]) for x in parts]
    np.testing.assert_allclose([x["loss"] for x in whole], [x["loss"] for x in parts], rtol=1e-4)

    metrics = export(PLAN, tmp_path / "whole", "tiny.yaml", tmp_path / "bundle")
    encoder = Encoder.load(tmp_path / "bundle")
    assert encoder.provenance["seed"] == 3
    assert encoder.provenance["areas"] == ["town-1000"]
    assert 0 <= metrics["mean"]["contains@10"] <= 1
    assert np.isfinite(encoder.encode_text(["a park"])).all()


@pytest.mark.slow
def test_stages_move_only_their_own_towers(data: Path, tmp_path: Path) -> None:
    trainer = prepare(PLAN, data, tmp_path)
    names = {id(p): n for n, p in trainer.learner.model.named_parameters()}
    moved = {
        s: {names[id(p)] for p in trainer.learner.parameters(s) if id(p) in names}
        for s in ("see", "words", "look", "read", "join")
    }
    assert all(n.startswith("visual.") for n in moved["see"] | moved["look"])
    assert not any(n.startswith("visual.") for n in moved["words"] | moved["read"])
    assert moved["join"] == set(names.values())


def test_a_run_without_validation_has_nothing_to_export(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no best\.pt"):
        export(PLAN, tmp_path, "tiny.yaml", tmp_path / "bundle")


def test_a_recipe_with_a_field_that_there_is_not_is_refused() -> None:
    with pytest.raises(TypeError, match="learning_rate"):
        Recipe.from_json({"stages": [{"name": "see", "steps": 1, "batch": 1, "lr": 0.1, "learning_rate": 1}]})


def test_the_learning_rate_warms_up_and_comes_down() -> None:
    stage = Stage(name="join", steps=100, batch=1, lr=1.0, warmup=10, floor=0.1)
    rates = [learning_rate(stage, s) for s in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[10] == pytest.approx(1.0)
    assert rates[99] == pytest.approx(0.1, abs=0.01)


def test_the_tile_table_knows_when_it_has_changed(tmp_path: Path) -> None:
    table = pd.DataFrame({"tile_id": ["a"], "split": ["train"], "facts": ["[]"]})
    same, other = TileSet(table, np.zeros(0, np.uint8)), TileSet(table.assign(facts="[1]"), np.zeros(0, np.uint8))
    assert same.sha256 == TileSet(table.copy(), np.zeros(0, np.uint8)).sha256 != other.sha256
