"""University-1652, VIGOR and SetVL-480K by folders of their shape; tables, cards and our own records."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from finetune.data.descriptions import describe, standpoints
from finetune.formats import setvl, university, vigor
from finetune.formats.card import Card, write_card
from finetune.formats.features import TABLES
from finetune.formats.rows import description_from_row, description_row, tile_row
from finetune.formats.store import DatasetError, load, save_to_disk, shard_path, write_shard, write_table
from retriever.errors import SightlineError
from retriever.main import build
from retriever.types import Fact, Tile


def picture(path: Path, value: int = 0, size: tuple[int, int] = (8, 8)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value % 256, 40, 90)).save(path)


@pytest.fixture
def university_copy(tmp_path: Path) -> Path:
    root = tmp_path / "u"
    for place in ("0839", "0842"):
        picture(root / "train/satellite" / place / f"{place}.jpg")
        for n in (1, 2):
            picture(root / "train/drone" / place / f"image-0{n}.jpeg")
        picture(root / "train/street" / place / "1.jpg")
    picture(root / "train/google/0839/7.jpg")
    for place in ("0001", "0002"):
        picture(root / "test/gallery_satellite" / place / f"{place}.jpg")
    picture(root / "test/query_drone/0001/image-01.jpeg")
    picture(root / "test/query_street/0009/1.jpg")
    picture(root / "test/gallery_drone/0001/image-01.jpeg")
    (root / "train/drone/0850").mkdir()
    return root


def test_university_buildings_join_their_views(university_copy: Path) -> None:
    found = university.load(university_copy)
    assert sorted((t.split, t.place) for t in found.tiles) == [
        ("test", "0001"), ("test", "0002"), ("train", "0839"), ("train", "0842"),
    ]  # fmt: skip
    views = [(q.split, q.picture.view) for q in found.queries if q.picture]
    assert {v: views.count(v) for v in views} == {("train", "uav"): 4, ("train", "ground"): 3, ("test", "uav"): 1}
    tiles = {t.id: t for t in found.tiles}
    asked = {q.id: q for q in found.queries}
    assert len(found.links) == 8
    for link in found.links:
        assert (tiles[link.tile_id].place, tiles[link.tile_id].split, link.label) == (
            asked[link.query_id].place, asked[link.query_id].split, "match",
        )  # fmt: skip
    assert found.report.counts["pictures of buildings without a satellite picture, left out"] == 1
    assert found.report.counts["folders without a picture in train/drone"] == 1
    assert any("gallery_drone" in problem for problem in found.report.counts)


@pytest.fixture
def vigor_copy(tmp_path: Path) -> Path:
    root = tmp_path / "v"
    tiles = [f"satellite_41.{n}_-87.{n}.png" for n in range(5)]
    for name in tiles[:4]:
        picture(root / "Chicago/satellite" / name)
    picture(root / "Chicago/satellite/overview.png")
    panos = [f"pano{n},41.{n},-87.{n},.jpg" for n in range(3)]
    for name in panos:
        picture(root / "Chicago/panorama" / name, size=(16, 8))
    lines = [
        f"{panos[0]} {tiles[0]} 1.5 -2 {tiles[1]} 200 3 {tiles[2]} 4 -210 {tiles[3]} 1 1",
        f"{panos[1]} {tiles[4]} 0 0 {tiles[1]} 0 0 {tiles[2]} 0 0 {tiles[3]} 0 0",
        f"absent,1.0,2.0,.jpg {tiles[0]} 0 0 {tiles[1]} 0 0 {tiles[2]} 0 0 {tiles[3]} 0 0",
        "broken line",
        "",
    ]
    splits = root / "splits/Chicago"
    splits.mkdir(parents=True)
    (splits / "same_area_balanced_train.txt").write_text("\n".join(lines))
    (splits / "same_area_balanced_test.txt").write_text(
        f"{panos[2]} {tiles[3]} 5 5 {tiles[4]} 0 0 {tiles[1]} 0 0 {tiles[2]} 0 0\n"
    )
    (splits / "pano_label_balanced.txt").write_text(lines[0] + "\n")
    return root


def test_vigor_positives_match_and_semi_positives_are_ambiguous(vigor_copy: Path) -> None:
    found = vigor.load(vigor_copy)
    assert [(q.split, q.lat, q.lon) for q in found.queries] == [("train", 41.0, -87.0), ("test", 41.2, -87.2)]
    first = [link for link in found.links if link.query_id == found.queries[0].id]
    assert [link.label for link in first] == ["match", "ambiguous", "ambiguous", "ambiguous"]
    assert first[0].offset == (1.5, -2.0)
    assert [x.label for x in found.links if x.query_id == found.queries[1].id] == ["match", "ambiguous", "ambiguous"]
    assert found.report.counts == {
        "tiles whose file name does not parse, left out": 1,
        "tiles that are in the labels only": 2,
        "panoramas without their positive tile, left out": 1,
        "panoramas that are in the labels only, left out": 1,
        "label lines that are not a panorama and four tiles, left out": 1,
    }


def test_vigor_cross_area_takes_the_split_from_the_city_and_prefers_corrected_labels(vigor_copy: Path) -> None:
    found = vigor.load(vigor_copy, protocol="cross")
    assert {q.split for q in found.queries} == {t.split for t in found.tiles} == {"test"}
    corrected = vigor_copy / "splits__corrected/Chicago"
    corrected.mkdir(parents=True)
    line = (vigor_copy / "splits/Chicago/pano_label_balanced.txt").read_text().replace("1.5 -2", "9 8")
    (corrected / "pano_label_balanced.txt").write_text(line)
    assert vigor.load(vigor_copy, protocol="cross").links[0].offset == (9.0, 8.0)


def test_setvl_cells_join_their_ground_pictures(tmp_path: Path) -> None:
    root = tmp_path / "s"
    for cell in ("48.1_11.5_18", "48.2_11.6_18", "no_cell"):
        picture(root / "train/satellite" / f"{cell}.jpg")
    for n in range(3):
        picture(root / "train/ground/48.1_11.5_18" / f"pano_{n}.jpg")
    picture(root / "val/ground/1.0_2.0_18/x.jpg")
    found = setvl.load(root)
    assert len(found.tiles) == 2
    assert {(x.query_id, x.tile_id) for x in found.links} == {
        (f"train/48.1_11.5_18/pano_{n}.jpg", "train/48.1_11.5_18") for n in range(3)
    }
    assert found.report.counts == {
        "satellite pictures whose file name does not parse, left out": 1,
        "cells with ground pictures but no satellite picture, left out": 1,
    }


@pytest.mark.parametrize("kind", ["university-1652", "vigor", "setvl-480k", "cvg-text"])
def test_a_wrong_folder_is_one_sentence(kind: str, tmp_path: Path) -> None:
    picture(tmp_path / "holiday.jpg")
    words = ["data", "import", kind, str(tmp_path), *(["--city", "Tokyo"] if kind == "cvg-text" else [])]
    result = CliRunner().invoke(build(), words)
    assert result.exit_code
    assert isinstance(result.exception, SightlineError)
    assert str(tmp_path) in str(result.exception)
    assert "\n" not in str(result.exception)


def test_import_writes_tables_that_load_and_says_what_it_passed_over(university_copy: Path, tmp_path: Path) -> None:
    words = ["data", "import", "university-1652", str(university_copy), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(build(), words)
    assert result.exit_code == 0, result.exception
    assert "4 tiles, 8 queries, 8 links" in result.output
    assert "without a satellite picture" in result.output
    sets = load(tmp_path / "out", "view_sets", cache=tmp_path / "cache")
    names = sets["train"].features["views"].feature["view"]
    assert [[names.int2str(v["view"]) for v in row["views"]] for row in sets["train"]] == [
        ["satellite", "uav", "uav", "ground", "ground"], ["satellite", "uav", "uav", "ground"],
    ]  # fmt: skip
    links = load(tmp_path / "out", "links", cache=tmp_path / "cache")
    assert links["train"].features["label"].int2str(links["train"][0]["label"]) == "match"
    again = CliRunner().invoke(build(), words)
    assert isinstance(again.exception, DatasetError)
    assert "not empty" in str(again.exception)


# --- tables of our own records ------------------------------------------------------------------------------------


def some_tile() -> Tile:
    line = (((-0.06, 0.5), (0.5, 0.5), (1.06, 0.5)),)
    facts = [Fact(osm_id="way/1", kind="street", shape="line", parts=line, names={"": "Lindenallee"})]
    places = ("cafe", "pharmacy", "bank", "fountain", "bench", "church")
    facts += [
        Fact(osm_id=f"node/{i}", kind=kind, shape="point", parts=(((0.2 + 0.1 * i, 0.4 + 0.04 * i),),))
        for i, kind in enumerate(places)
    ]
    return Tile(
        id="town-r000c000", view="map", lat=48.1, lon=11.5, bounds=(11.4992, 48.0995, 11.5008, 48.1005), gsd_m=0.27,
        image="a.png", image_sha256="0" * 64, facts=tuple(facts),
    )  # fmt: skip


def test_descriptions_come_back_from_parquet_as_they_went_in(tmp_path: Path) -> None:
    tile = some_tile()
    points = standpoints(tile, size_m=120, rng=Random(1), n=6)
    said = [
        describe(tile, point, size_m=120, seed=i, lang=("en", "zh", "mixed")[i % 3], wrong_share=0.3)  # type: ignore[arg-type]
        for i, point in enumerate(points)
    ]
    rows = [
        description_row(d, id=f"t{i}", area="town", tile_id=tile.id, named=True, length="medium")
        for i, d in enumerate(said)
    ]
    assert write_table(tmp_path, "descriptions", "train", rows, size=4) == 6
    write_card(tmp_path, card(), {"descriptions": {"train": 6}})
    back = load(tmp_path, "descriptions", cache=tmp_path / "cache")["train"]
    assert back.features == TABLES["descriptions"]
    assert [description_from_row(row) for row in back] == said


def test_tiles_keep_their_picture_and_facts(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", 77)
    row = tile_row(some_tile(), "town", tmp_path / "a.png")
    write_shard(shard_path(tmp_path, "tiles", "test", "0"), "tiles", [row, {**row, "id": "b", "facts": None}])
    write_card(tmp_path, card(), {"tiles": {"test": 2}})
    back = load(tmp_path, "tiles", cache=tmp_path / "cache")["test"]
    assert back[0]["image"].getpixel((0, 0)) == (77, 40, 90)
    assert back[0]["facts"].count("osm_id") == 7
    assert back[1]["facts"] is None


def test_a_row_that_does_not_fit_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    row = tile_row(replace(some_tile()), "town", tmp_path / "a.png")
    with pytest.raises(DatasetError, match="does not fit the table tiles"):
        write_shard(tmp_path / "x.parquet", "tiles", [{**row, "view": "oblique"}])
    assert not (tmp_path / "x.parquet").exists()


def card() -> Card:
    return Card(
        title="A set: of 'tiles' & texts", summary="S.", licence="odbl", attribution="© OSM", made="M.", limits=["few"]
    )


def test_the_card_is_what_the_hub_wants_and_says_what_people_need(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    row = tile_row(some_tile(), "town", tmp_path / "a.png")
    for split in ("test", "train"):
        write_shard(shard_path(tmp_path, "tiles", split, "0"), "tiles", [row])
    text = write_card(tmp_path, card(), {"tiles": {"train": 1, "test": 1}}).read_text()
    front = yaml.safe_load(text.split("---\n")[1])
    assert front["license"] == "odbl"
    assert front["language"] == ["en", "zh"]
    assert front["pretty_name"] == "A set: of 'tiles' & texts"
    assert [f["split"] for f in front["configs"][0]["data_files"]] == ["train", "test"]
    for heading in ("## How it was made", "## Limits", "## Licence and attribution", "© OSM", "| tiles | 1 | 1 |"):
        assert heading in text


def test_the_data_set_goes_to_the_librarys_own_form_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datasets import DatasetDict, config, load_from_disk

    monkeypatch.setattr(config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    picture(tmp_path / "a.png", 5)
    write_table(tmp_path / "d", "tiles", "train", [tile_row(some_tile(), "town", tmp_path / "a.png")])
    write_card(tmp_path / "d", card(), {"tiles": {"train": 1}})
    assert save_to_disk(tmp_path / "d", tmp_path / "arrow") == ["tiles"]
    back = load_from_disk(str(tmp_path / "arrow" / "tiles"))
    assert isinstance(back, DatasetDict)
    packed = io.BytesIO()
    back["train"][0]["image"].save(packed, "PNG")
    assert Image.open(packed).getpixel((1, 1)) == (5, 40, 90)


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no table 'pairs'"):
        load(tmp_path, "pairs")
