"""Rendered views and several folders of tiles as the encoder's training data."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from finetune.encoder.merge import merge_data
from finetune.encoder.sights import VIEWS, Sights, build_sights, source_of
from finetune.encoder.texts import build_texts
from finetune.encoder.tiles import Area, TileSet, build_tiles, jobs
from finetune.encoder.train import prepare, read_json
from finetune.encoder.validate import validate_views
from retriever.build import file_sha256
from retriever.encoder import BoxResize
from retriever.errors import SourceError
from retriever.town import write_town

SETS = 6
CONFIG: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {
        "image_size": 224, "patch_size": 56, "width": 32, "layers": 1, "head_width": 16, "pool_type": "avg",
        "final_ln_after_pool": True,
    },
    "text_cfg": {
        "context_length": 300, "vocab_size": 400, "width": 32, "heads": 2, "layers": 1, "pool_type": "eos", "eos_id": 2,
        "pad_id": 0,
    },
    "preprocess": {"size": 224, "mean": [0.8, 0.8, 0.8], "std": [0.2, 0.2, 0.2]},
}  # fmt: skip
PLAN: dict[str, Any] = {
    "config": CONFIG,
    "train": {"seed": 3, "stages": [{"name": "look", "steps": 2, "batch": 4, "views": 4, "lr": 1e-3, "warmup": 1}]},
}
SEEN = BoxResize(size=224, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


def picture(seed: int) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 7, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize((448, 448), Image.Resampling.NEAREST)


def write_sets(folder: Path, osm: Path) -> Path:
    """A folder as ``sightline data views`` leaves it; every view of a set is the same picture, so turns can be told."""
    area = Area.read(osm)
    lines = []
    for i, (x, y) in enumerate(area.spots(SETS, 0)[:SETS]):
        own = folder / "sets" / f"{i:06d}"
        own.mkdir(parents=True)
        picture(i).save(own / "seen.png")
        lat, lon = (float(v) for v in area.grid.frame.latlon(x, y))
        said = {"file": f"sets/{i:06d}/seen.png", "pose": {"lat": lat, "lon": lon}}
        there = area.grid.frame.latlon(x + 12.0, y - 5.0)
        row = {"id": f"{i}", "lat": float(there[0]), "lon": float(there[1])}
        lines.append(json.dumps({**row, "views": dict.fromkeys(("satellite", *VIEWS), said)}))
    (folder / "sets.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "manifest.json").write_text(json.dumps({"source": {"name": osm.name, "sha256": file_sha256(osm)}}))
    return folder


@pytest.fixture(scope="module")
def osm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("osm")
    for seed in (1000, 2000):
        write_town(folder / f"town-{seed}.osm", seed=seed, blocks=2)
    return folder


@pytest.fixture(scope="module")
def sights(osm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("views")
    made = [
        (write_sets(base / split, osm / f"town-{seed}.osm"), osm / f"town-{seed}.osm", split)
        for split, seed in (("train", 1000), ("validation", 2000))
    ]
    build_sights(made, base / "bank", cells=4)
    return base / "bank"


@pytest.fixture(scope="module")
def data(osm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    plan = {"train": {"town-1000.osm": 8}, "validation": {"town-2000.osm": None}}
    build_tiles(jobs(plan, osm, folder, 0), folder, processes=1)
    for split in ("train", "validation"):
        build_texts(folder, split, range(1), processes=1)
    return folder


def test_every_set_has_its_pictures_its_places_and_what_the_map_has(sights: Path) -> None:
    found = Sights.open(sights, "train")
    assert len(found) == SETS
    assert found.pixels.shape == (2 * SETS, 5, 224, 224, 3)
    np.testing.assert_allclose(found.point - found.centre, np.tile([12.0, -5.0], (SETS, 1)), atol=0.05)
    labels = found.dense(np.arange(SETS))
    assert labels.shape[:2] == (SETS, 16)
    assert labels.any((1, 2)).all(), "every spot of a town has something on the map"


def test_both_pictures_of_a_pair_are_mirrored_together_and_a_map_is_turned_along(sights: Path) -> None:
    found = Sights.open(sights, "train")
    rows, rng = np.arange(SETS), np.random.default_rng(0)
    for view in ("map", "uav", "panorama"):
        asked, above = found.matched(rows, np.full(SETS, VIEWS.index(view)), SEEN, rng).chunk(2)
        same = [bool((a == b).all()) for a, b in zip(asked, above, strict=True)]
        if view == "map":
            assert all(same), "the map and the picture from above show the same ground the same way up"
        else:
            assert not all(same)
        for a, row in zip(asked, rows, strict=True):
            np.testing.assert_allclose(
                np.sort(a.numpy().ravel()), np.sort(found.pixels[row, 0].ravel() / 255.0), atol=1e-6
            )


def test_a_step_draws_the_same_sets_whenever_it_is_asked(sights: Path) -> None:
    found = Sights.open(sights, "train")
    rows, views, _ = found.draw(4, seed=1, step=5)
    again, seen, _ = found.draw(4, seed=1, step=5)
    assert rows.tolist() == again.tolist()
    assert views.tolist() == seen.tolist()
    assert len(set(rows.tolist())) == 4
    assert rows.tolist() != found.draw(4, seed=1, step=6)[0].tolist()


def test_sets_of_a_test_area_another_extract_or_none_are_refused(osm: Path, sights: Path, tmp_path: Path) -> None:
    folder = write_sets(tmp_path / "sets", osm / "town-1000.osm")
    assert source_of(folder, osm) == osm / "town-1000.osm"
    elsewhere = tmp_path / "osm"
    elsewhere.mkdir()
    (elsewhere / "town-1000.osm").write_text("<osm/>")
    with pytest.raises(SourceError, match="does not hold the extract town-1000"):
        source_of(folder, elsewhere)
    with pytest.raises(SourceError, match="no folder of rendered sets"):
        source_of(tmp_path, osm)
    with pytest.raises(SourceError, match="kept for tests"):
        build_sights([(folder, tmp_path / "london.osm.pbf", "train")], tmp_path / "bank", cells=4)
    with pytest.raises(SourceError, match="no rendered sets"):
        build_sights([], tmp_path / "bank", cells=4)
    with pytest.raises(SourceError, match="holds no views"):
        Sights.open(tmp_path, "train")


@pytest.mark.slow
def test_the_image_tower_learns_from_views_and_says_how_well_each_is_found(
    data: Path, sights: Path, tmp_path: Path
) -> None:
    trainer = prepare(PLAN, data, tmp_path / "run", sights=sights)
    head = [p.detach().clone() for p in trainer.learner.model.visual.parameters()]
    trainer.run()
    assert any((a != b).any() for a, b in zip(head, trainer.learner.model.visual.parameters(), strict=True))
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert set(log[-1]["validation"]["views"]) == set(VIEWS)
    learned = read_json(tmp_path / "run", "run.json")
    assert learned["view_sets"] == SETS
    assert learned["views_sha256"] == Sights.open(sights, "train").sha256
    same = validate_views(trainer.learner.model, Sights.open(sights, "validation"), SEEN)
    assert same["map"]["r@1"] == 1.0, "here every view is the overhead picture itself"


@pytest.mark.slow
def test_a_recipe_with_views_needs_them(data: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="--sights"):
        prepare(PLAN, data, tmp_path)
    without = deepcopy(PLAN)
    without["train"]["stages"][0]["views"] = 0
    assert not prepare(without, data, tmp_path).sights


@pytest.mark.slow
def test_folders_of_tiles_become_one_with_ids_of_their_own(data: Path, tmp_path: Path) -> None:
    table = merge_data([data, data], tmp_path / "both")
    assert table["tile_id"].is_unique
    assert (table["split"] == "train").sum() == 16
    one, both = TileSet.open(data), TileSet.open(tmp_path / "both")
    held = (one.table["split"] == "validation").sum()
    assert (both.table["split"] == "validation").sum() == held, "validation tiles are taken once"
    row = int(np.flatnonzero(both.table["tile_id"] == "1/" + one.table["tile_id"].iloc[3])[0])
    np.testing.assert_array_equal(both.pixels[row], one.pixels[3])
    texts = pd.concat(pd.read_parquet(f) for f in (tmp_path / "both" / "texts").glob("train-*.parquet"))
    assert set(texts["tile_id"]) <= set(table["tile_id"])
    assert texts["tile_id"].str.startswith("1/").any()
    with pytest.raises(SourceError, match="not empty"):
        merge_data([data], tmp_path / "both")
    with pytest.raises(SourceError, match="holds no tiles"):
        merge_data([tmp_path], tmp_path / "new")
