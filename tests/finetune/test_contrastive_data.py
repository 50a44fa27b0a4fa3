"""What contrastive training learns from: sources and their splits, sure negatives, batches, pictures, estimates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from contrastive_fakes import CLIP, cvg_copy, tiny_clip, university_copy, vigor_copy, write_config

from finetune.contrastive.batches import Reader
from finetune.contrastive.estimate import estimate, image_shape
from finetune.contrastive.model import prepare
from finetune.contrastive.negatives import NONE, by_distance, by_similarity, excluded
from finetune.contrastive.pictures import Pictures
from finetune.contrastive.recipe import HardPlan, ModelPlan, Phase, Recipe, SourcePlan
from finetune.contrastive.sampling import Sampler
from finetune.contrastive.sources import TRAIN, Pairs, load_pairs
from finetune.contrastive.validate import validate
from retriever.errors import SourceError
from retriever.open_clip_bundle import Squash

SQUASH = Squash(size=8, mean=(0.5,) * 3, std=(0.5,) * 3)


def vigor_plan(path: Path, **more: Any) -> SourcePlan:
    return SourcePlan(name="v", kind="vigor", path=str(path), **{"validation": 0.0, "ambiguous_m": 0.0, **more})


@pytest.fixture
def vigor_pairs(tmp_path: Path) -> Pairs:
    return load_pairs([vigor_plan(vigor_copy(tmp_path / "v"))])


# --- negatives -------------------------------------------------------------------------------------------------------


def test_semi_positives_and_near_tiles_are_no_negatives(vigor_pairs: Pairs) -> None:
    rows = np.asarray([0, 2, 5, 9])
    out = excluded(vigor_pairs, rows).numpy()
    # Tile 2 is a semi-positive of query 0, but tile 0 is none of query 2.
    assert out.tolist() == [
        [False, True, False, False], [False, False, True, False], [False] * 4, [False] * 4,
    ]  # fmt: skip
    near = replace(vigor_pairs, reach=np.full(20, 350.0))
    assert excluded(near, rows)[1, 0]
    assert not excluded(near, rows)[0, 3]


def test_two_views_of_one_place_are_no_negatives_of_each_other(tmp_path: Path) -> None:
    found = load_pairs([SourcePlan(name="u", kind="university-1652", path=str(university_copy(tmp_path)))])
    same = np.flatnonzero(found.tile == found.tile[0])[:2]
    rows = np.asarray([*same, int(np.flatnonzero(found.tile != found.tile[0])[0])])
    assert excluded(found, rows).tolist() == [[False, True, False], [True, False, False], [False] * 3]


def test_pools_by_distance_hold_the_nearest_sure_negatives(vigor_pairs: Pairs) -> None:
    rows = vigor_pairs.rows(TRAIN)
    pool = by_distance(vigor_pairs, rows, 3)
    tiles = np.unique(vigor_pairs.tile[rows])
    for row in rows:
        unsure = vigor_pairs.unsure[row] | {vigor_pairs.tile[row]}
        away = [abs(vigor_pairs.centre[t, 0] - vigor_pairs.point[row, 0]) for t in tiles]
        wanted = [t for _, t in sorted(zip(away, tiles, strict=True)) if t not in unsure][:3]
        got = [round(abs(vigor_pairs.centre[t, 0] - vigor_pairs.point[row, 0]), 9) for t in pool[row]]
        assert got == [round(abs(vigor_pairs.centre[t, 0] - vigor_pairs.point[row, 0]), 9) for t in wanted]
        assert not unsure & set(pool[row])


def test_pools_by_similarity_skip_the_ambiguous_however_alike(vigor_pairs: Pairs) -> None:
    rows, tiles = vigor_pairs.rows(TRAIN), np.unique(vigor_pairs.tile)
    made = torch.nn.functional.normalize(torch.randn(len(tiles), 6, generator=torch.Generator().manual_seed(0)), dim=-1)
    asked = made[np.searchsorted(tiles, [min(int(t) + 1, tiles[-1]) for t in vigor_pairs.tile[rows]])]
    pool = by_similarity(vigor_pairs, rows, 4, asked, made, tiles)
    for i, row in enumerate(rows):
        unsure = vigor_pairs.unsure[row] | {int(vigor_pairs.tile[row])}
        order = [int(tiles[j]) for j in (asked[i] @ made.T).argsort(descending=True)]
        assert pool[i].tolist() == [t for t in order if t not in unsure][:4]


def test_queries_without_coordinates_have_no_pool_by_distance(tmp_path: Path) -> None:
    found = load_pairs([SourcePlan(name="u", kind="university-1652", path=str(university_copy(tmp_path)))])
    assert (by_distance(found, found.rows(TRAIN), 4) == NONE).all()


# --- batches ---------------------------------------------------------------------------------------------------------


def phase(**more: Any) -> Phase:
    return Phase(**{"name": "p", "sources": ("v",), "epochs": 1, "lr": 1.0, "batch": 4, **more})


def test_an_epoch_draws_every_query_once_and_another_epoch_in_another_order(vigor_pairs: Pairs) -> None:
    sampler = Sampler(vigor_pairs, vigor_pairs.rows(TRAIN), phase(), seed=1)
    epochs = [np.concatenate([sampler.batch(e, s) for s in range(sampler.steps)]) for e in (0, 1, 0)]
    assert all(sorted(e) == list(range(20)) for e in epochs)
    assert not np.array_equal(epochs[0], epochs[1])
    assert np.array_equal(epochs[0], epochs[2])


def test_hard_negatives_come_with_their_anchor_and_are_never_ambiguous(vigor_pairs: Pairs) -> None:
    rows = vigor_pairs.rows(TRAIN)
    sampler = Sampler(vigor_pairs, rows, phase(hard=HardPlan(per_anchor=1, pool=3)), seed=1)
    sampler.pool = by_distance(vigor_pairs, rows, 3)
    hits = 0
    for step in range(sampler.steps):
        batch = sampler.batch(0, step)
        assert np.array_equal(batch, sampler.batch(0, step))
        for anchor, hard in batch.reshape(-1, 2):
            assert vigor_pairs.tile[hard] not in vigor_pairs.unsure[anchor]
            hits += vigor_pairs.tile[hard] in sampler.pool[anchor]
    assert hits >= 0.8 * sampler.steps * 2


def test_balanced_batches_hold_every_view_alike_however_rare(tmp_path: Path) -> None:
    plans = [
        vigor_plan(vigor_copy(tmp_path / "v", 20)),
        SourcePlan(name="u", kind="university-1652", path=str(university_copy(tmp_path / "u", 3)), validation=0.0),
    ]
    found = load_pairs(plans)
    sampler = Sampler(found, found.rows(TRAIN), phase(balanced=True, batch=6), seed=0)
    for step in range(sampler.steps):
        views = list(found.view[sampler.batch(0, step)])
        assert {v: views.count(v) for v in views} == {"ground": 2, "panorama": 2, "uav": 2}


# --- pictures, texts, frozen towers ----------------------------------------------------------------------------------


def test_pictures_are_decoded_once_and_survive_the_process(vigor_pairs: Pairs, tmp_path: Path) -> None:
    first = Pictures(vigor_pairs, SQUASH, folder=tmp_path / "kept", workers=2)
    wanted = first.get(np.asarray([0, 3, first.tiles + 1]))
    for query in vigor_pairs.tiles:
        object.__setattr__(query, "read", None)
    again = Pictures(vigor_pairs, SQUASH, folder=tmp_path / "kept", workers=1)
    assert torch.equal(again.get(np.asarray([0, 3])), wanted[:2])
    assert not torch.equal(wanted[0], wanted[1])
    plain = Pictures(vigor_pairs, SQUASH, folder=None)
    assert torch.equal(plain.get([plain.tiles + 1]), wanted[2:])


def test_a_picture_that_is_none_is_named(tmp_path: Path) -> None:
    root = vigor_copy(tmp_path / "v")
    tile = sorted((root / "NewYork/satellite").iterdir())[1]
    tile.write_bytes(tile.read_bytes()[:60])
    pictures = Pictures(load_pairs([vigor_plan(root)]), SQUASH, folder=tmp_path / "kept")
    with pytest.raises(SourceError, match=tile.name):
        pictures.get([1])


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    plan = SourcePlan(name="c", kind="cvg-text", path=str(cvg_copy(tmp_path)), set="NewYork", validation=0.0)
    found = load_pairs([plan])
    dual = prepare(ModelPlan(open_clip=str(write_config(tmp_path)), context_length=120, frozen=("image",)))
    pictures = Pictures(found, dual.preprocess, folder=None)
    return Reader(found, pictures, dual, device=torch.device("cpu"), bf16=False, piece=3)


def test_texts_are_trimmed_and_come_back_in_the_order_of_the_batch(reader: Reader) -> None:
    rows = np.asarray([2, 0, 5, 1, 7, 3, 8])
    side = reader.query_side(rows)
    assert len({p.data.shape[1] for p in side.pieces}) > 1
    together = side.features()
    for i, row in enumerate(rows):
        alone = reader.dual.model.encode_text(reader.dual.tokenizer.call([reader.pairs.queries[row].text], 120))
        assert torch.allclose(together[i], alone[0], atol=1e-5)


def test_a_frozen_tower_runs_once_for_each_picture(reader: Reader) -> None:
    runs: list[int] = []
    pictures = reader.dual.pictures
    reader.dual.pictures = lambda pixels: runs.append(len(pixels)) or pictures(pixels)  # type: ignore[method-assign,func-returns-value]
    first, second = (reader.tile_side(np.arange(5)).features() for _ in range(2))
    assert sum(runs) == 5
    assert torch.equal(first, second)
    assert not first.requires_grad


# --- validation and estimate -----------------------------------------------------------------------------------------


def test_validation_ranks_among_the_area_and_ties_count_against(vigor_pairs: Pairs) -> None:
    rows, tiles = vigor_pairs.rows(TRAIN), np.unique(vigor_pairs.tile)
    constant = validate(vigor_pairs, rows, tiles, torch.ones(20, 2), torch.ones(len(tiles), 2))
    assert constant["mean"]["r@1"] <= 1 / 20
    eye = torch.eye(len(tiles))
    perfect = validate(vigor_pairs, rows, tiles, eye[np.searchsorted(tiles, vigor_pairs.tile[rows])], eye)
    assert perfect["mean"]["r@1"] == 1.0
    assert perfect["groups"]["v/NewYork/panorama"]["tiles"] == 20


def test_the_estimate_counts_state_exactly_and_activations_within_a_factor_of_two(tmp_path: Path) -> None:
    config = {**CLIP, "vision_cfg": {**CLIP["vision_cfg"], "image_size": 56, "layers": 4}}
    source = vigor_plan(vigor_copy(tmp_path / "v"))
    plan = ModelPlan(open_clip=str(write_config(tmp_path, config)), frozen=("text",))
    recipe = Recipe(model=plan, sources=(source,), phases=(phase(epochs=3),), precision="fp32")
    dual, found = prepare(plan), load_pairs([source])
    guess = estimate(recipe, dual, found, flops_per_s=1e9)
    size = {p: sum(q.numel() for q in dual.model.parameters() if q.requires_grad or p) for p in (True, False)}
    assert guess.state_bytes == 4 * size[True] + 12 * size[False]
    assert guess.steps == 15
    kept: dict[int, int] = {}
    weights = {p.data_ptr() for p in dual.model.parameters()}

    def pack(t: torch.Tensor) -> torch.Tensor:
        if t.data_ptr() not in weights:
            kept[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        # A query's panorama and its tile: two pictures for each row of the batch.
        features = dual.pictures(torch.zeros(8, 3, 56, 56, dtype=torch.uint8))
    assert features.requires_grad
    assert 0.5 < guess.activation_bytes / sum(kept.values()) < 2
    two = estimate(recipe, dual, found, processes=2, flops_per_s=1e9)
    assert two.activation_bytes == guess.activation_bytes / 2
    assert two.seconds == guess.seconds / 2
    pieces = estimate(replace(recipe, piece=1), dual, found, flops_per_s=1e9)
    assert pieces.activation_bytes == guess.activation_bytes / 8


def test_the_estimate_reads_a_towers_shape() -> None:
    shape = image_shape(tiny_clip())
    assert (shape.layers, shape.width, shape.tokens) == (2, 64, 5)
