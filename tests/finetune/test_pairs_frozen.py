"""The frozen test set comes out of its command again, byte for byte."""

from __future__ import annotations

from random import Random

import pytest

from finetune.cli_data_pairs import FROZEN
from finetune.data.pairs.checks import problems
from finetune.data.pairs.frozen import FILES, SEED, TOWN_SEEDS, check_town, read_alike
from finetune.data.pairs.making import Maker
from finetune.data.pairs.picking import Tiles
from finetune.data.pairs.witnesses import generated
from retriever.build import build_gallery
from retriever.pair_frozen import load_frozen, read_manifest
from retriever.pair_galleries import TOWN_BLOCKS
from retriever.pairs import read_bytes, to_line
from retriever.town import write_town

SLICE, SLICE_TOWN = 2, 3002


@pytest.fixture(scope="module")
def towns(tmp_path_factory):
    return tmp_path_factory.mktemp("towns")


def first_lines(seed: int, n: int) -> list[str]:
    lines = read_bytes(FROZEN / FILES["towns"]).decode().split("\n")
    return [line + "\n" for line in lines if f'"area":"town-{seed}"' in line][:n]


@pytest.mark.slow
def test_every_promise_holds_in_the_frozen_set() -> None:
    assert problems(load_frozen(FROZEN).pairs) == []


def test_the_manifest_says_how_it_was_made() -> None:
    manifest = read_manifest(FROZEN)
    assert (manifest["seed"], tuple(manifest["town_seeds"])) == (SEED, TOWN_SEEDS)
    assert manifest["command"] == "sightline data testset build"
    assert set(manifest["sources"]) >= {"london.osm.pbf", "bayfront_singapore.osm.pbf", "taipei_north.osm"}
    assert set(manifest["parts"]["towns"]["towns"]) == {str(seed) for seed in TOWN_SEEDS}


def test_the_first_places_of_a_town_come_out_the_same(towns) -> None:
    osm = write_town(towns / "small.osm", seed=SLICE_TOWN, blocks=TOWN_BLOCKS)
    # Small pictures: pairs are made from facts, and these places ask for no look-alike, which would be drawn anyway.
    gallery = build_gallery(towns / "small", osm=osm, gallery_id=f"town-{SLICE_TOWN}", px=32)
    tiles = Tiles(gallery)
    groups = generated(tiles, n=SLICE, seed=SEED, langs=("en", "zh"), wrong_share=0.0)
    made = [to_line(p) for p in Maker(tiles, SEED, f"v1-town-{SLICE_TOWN}").pairs(groups)]
    assert len(made) == 4 * SLICE
    assert made == first_lines(SLICE_TOWN, len(made))


def test_look_alikes_that_were_chosen_are_not_chosen_again(towns) -> None:
    osm = write_town(towns / "alike.osm", seed=SLICE_TOWN, blocks=TOWN_BLOCKS)
    gallery = build_gallery(towns / "alike", osm=osm, gallery_id="alike", px=32)
    true, *others = gallery.ids[:4]
    lat, lon = float(gallery.lat[0]), float(gallery.lon[0])
    tiles = Tiles(gallery, {f"{true} {lat:.7f} {lon:.7f}": others})
    tiles.look = lambda row: pytest.fail("an encoder was asked")  # type: ignore[method-assign]
    assert sorted(tiles.wrong("lookalike", true, lat, lon, Random(1))) == sorted(others)


def test_every_area_of_the_frozen_set_has_its_look_alikes_recorded() -> None:
    alike = read_alike(FROZEN)
    assert set(alike) == {"london", "singapore", "taipei", *(f"town-{seed}" for seed in TOWN_SEEDS)}
    asked = {p.area for p in load_frozen(FROZEN).pairs if p.negative == "lookalike"}
    assert asked <= {area for area, chosen in alike.items() if chosen}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", TOWN_SEEDS[:1])
def test_a_whole_town_comes_out_byte_for_byte(towns, seed: int) -> None:
    assert check_town(FROZEN, seed, towns) == []
