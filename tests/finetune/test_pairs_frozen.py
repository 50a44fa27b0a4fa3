"""The frozen test set comes out of its command again, byte for byte."""

from __future__ import annotations

import pytest

from finetune.cli_data_pairs import FROZEN
from finetune.data.pairs.checks import problems
from finetune.data.pairs.frozen import FILES, SEED, TOWN_SEEDS, check_town, pairs_of
from finetune.data.pairs.making import Maker
from finetune.data.pairs.picking import Tiles
from finetune.data.pairs.witnesses import generated
from retriever.pair_frozen import load_frozen, read_manifest
from retriever.pair_galleries import town_gallery
from retriever.pairs import read_pairs, to_line

SLICE = 2


@pytest.fixture(scope="module")
def towns(tmp_path_factory):
    return tmp_path_factory.mktemp("towns")


def first_lines(seed: int, n: int) -> list[str]:
    return [to_line(p) for p in read_pairs(FROZEN / FILES["towns"]) if p.area == f"town-{seed}"][:n]


def test_every_promise_holds_in_the_frozen_set() -> None:
    assert problems(load_frozen(FROZEN).pairs) == []


def test_the_manifest_says_how_it_was_made() -> None:
    manifest = read_manifest(FROZEN)
    assert (manifest["seed"], tuple(manifest["town_seeds"])) == (SEED, TOWN_SEEDS)
    assert manifest["command"] == "sightline data testset build"
    assert set(manifest["sources"]) >= {"london.osm.pbf", "bayfront_singapore.osm.pbf", "taipei_north.osm"}
    assert set(manifest["parts"]["towns"]["towns"]) == {str(seed) for seed in TOWN_SEEDS}


@pytest.mark.slow
def test_the_first_places_of_a_town_come_out_the_same(towns) -> None:
    seed = TOWN_SEEDS[1]
    tiles = Tiles(town_gallery(seed, towns))
    groups = generated(tiles, n=SLICE, seed=SEED, langs=("en", "zh"), wrong_share=0.0)
    made = [to_line(p) for p in Maker(tiles, SEED, f"v1-town-{seed}").pairs(groups)]
    assert len(made) == 4 * SLICE
    assert made == first_lines(seed, len(made))


@pytest.mark.slow
def test_a_changed_record_is_noticed(towns) -> None:
    made = [to_line(p) for p in pairs_of(town_gallery(TOWN_SEEDS[1], towns), towns / "none.osm", (1, 0, 0))]
    assert made == first_lines(TOWN_SEEDS[1], len(made))
    assert made != first_lines(TOWN_SEEDS[2], len(made))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", TOWN_SEEDS[:1])
def test_a_whole_town_comes_out_byte_for_byte(towns, seed: int) -> None:
    assert check_town(FROZEN, seed, towns) == []
