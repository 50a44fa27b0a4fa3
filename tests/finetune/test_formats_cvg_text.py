"""CVG-Text's layouts: read unpacked and as archives, odd copies reported, written back, and made a gallery."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from eval.protocol import read_queries, truth
from finetune.formats import cvg_text
from finetune.formats.store import DatasetError, load
from retriever.cvg_gallery import build_cvg_gallery, read_names
from retriever.errors import GalleryError, SourceError
from retriever.gallery import Gallery
from retriever.main import build
from retriever.sources.cvg_text import CvgText, Name

NAMES = [f"40.{7000 + 7 * i},-73.{9900 - 9 * i}_2019-0{i + 1}_Pa_no-{i}x_d{i * 10}.5_z1.png" for i in range(6)]
PREFIX = "mnt/somebody/disk/CVG/final/"


def png(seed: int, px: int = 512) -> bytes:
    small = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    packed = io.BytesIO()
    Image.fromarray(small).resize((px, px), Image.Resampling.NEAREST).save(packed, "PNG")
    return packed.getvalue()


def files() -> dict[str, bytes]:
    """Six points; 1 is a copy of 0, 5 has no satellite tile, 4 no caption."""
    found = {}
    for number, name in enumerate(NAMES):
        same = 0 if number == 1 else number
        if number != 5:
            found[f"reference/NewYork-satellite/{name}"] = png(same)
        found[f"reference/NewYork-OSM/{name}"] = png(100 + number)
        found[f"data/query/NewYork-ground/{name}"] = png(200 + number)
    said = {split: {NAMES[i]: f"A sign reads 'Shop {i}' left of me." for i in rows} for split, rows in
            (("train", (0, 1)), ("test", (2, 3, 5)))}  # fmt: skip
    return found | {f"annotation/NewYork/{s}.json": json.dumps(c).encode() for s, c in said.items()}


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    for name, data in files().items():
        path = tmp_path / "cvg" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "cvg"


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    root = tmp_path / "hub"
    (root / "data").mkdir(parents=True)
    with (
        zipfile.ZipFile(root / "images.zip", "w") as images,
        zipfile.ZipFile(root / "data" / "query.zip", "w") as query,
    ):
        for name, data in files().items():
            if name.startswith("reference"):
                images.writestr(PREFIX + name, data)
            elif name.startswith("data"):
                query.writestr(PREFIX + name, data)
            else:
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_bytes(data)
    return root


def run(*words: object) -> tuple[int, str, BaseException | None]:
    result = CliRunner().invoke(build(), [str(w) for w in words])
    return result.exit_code, result.output, result.exception


@given(
    lat=st.floats(-90, 90), lon=st.floats(-180, 180), yaw=st.integers(0, 35999),
    pano=st.text("abcXYZ019_-", min_size=1, max_size=22),
)  # fmt: skip
def test_names_survive_being_written_and_read(lat: float, lon: float, yaw: int, pano: str) -> None:
    name = Name(lat=lat, lon=lon, month="2021-07", pano_id=pano, yaw_deg=yaw / 100, zoom=1.0)
    again = Name.parse(str(name))
    assert again is not None
    assert (again.pano_id, again.yaw_deg, again.month) == (pano, yaw / 100, "2021-07")
    assert (again.lat, again.lon) == pytest.approx((lat, lon), abs=1e-7)


@pytest.mark.parametrize(
    "name",
    ["x.png", "91,0_2019-01_p_d0_z1.png", "1,2_2019-13_p_d0_z1.png", "1,2_2019-01_p_d0.png", "1,2_2019-01__d0_z1.png",
     "../1,2_2019-01_p_d0_z1.png\n", "1,2_2019-01_p_d0_z1.gif"],
)  # fmt: skip
def test_names_that_are_none_do_not_parse(name: str) -> None:
    assert Name.parse(name) is None


def test_both_layouts_give_the_same(unpacked: Path, hub: Path) -> None:
    a, b = cvg_text.load(unpacked, "NewYork"), cvg_text.load(hub, "NewYork")
    assert [t.id for t in a.tiles] == [t.id for t in b.tiles]
    assert len(a.tiles) == 11
    assert [(q.id, q.text, q.split, q.lat) for q in a.queries] == [(q.id, q.text, q.split, q.lat) for q in b.queries]
    assert [a.read(t.source) for t in a.tiles] == [b.read(t.source) for t in b.tiles]
    assert a.report.counts == b.report.counts


def test_odd_copies_are_counted_and_never_silently_dropped(unpacked: Path) -> None:
    (unpacked / "reference/NewYork-satellite/scratch.png").write_bytes(png(1))
    report = cvg_text.load(unpacked, "NewYork").report
    assert report.counts == {
        "groups of byte-identical satellite tiles": 1,
        "captions without a satellite tile": 1,
        "street pictures without a caption, left out": 1,
        "file names that do not parse": 1,
    }
    assert report.examples["captions without a satellite tile"] == [NAMES[5]]
    assert report.examples["groups of byte-identical satellite tiles"] == [f"{NAMES[0]} = {NAMES[1]}"]
    assert len(report.lines()) == 4


def test_captions_of_pictures_that_are_not_there_are_counted(unpacked: Path) -> None:
    stray = {"1.5,2.5_2020-01_q_d0_z1.png": "Nothing here.", "what.png": "Odd.", NAMES[2]: " "}
    (unpacked / "annotation/NewYork/test.json").write_text(json.dumps(stray))
    counts = cvg_text.load(unpacked, "NewYork").report.counts
    assert counts["captions without any tile, left out"] == 1
    assert counts["captions whose file name does not parse"] == 1
    assert counts["captions without text"] == 1


def test_archive_entries_that_lead_out_are_counted_and_nothing_is_written(hub: Path) -> None:
    with zipfile.ZipFile(hub / "images.zip", "a") as images:
        images.writestr(f"../../evil/NewYork-satellite/{NAMES[0]}", png(9))
        images.writestr("../NewYork-satellite/../../x.png", b"")
    before = sorted(hub.parent.rglob("*"))
    data = CvgText.open(hub)
    assert data.problems["entries that lead out of their archive"] == 2
    assert data.read(data.of("NewYork", "satellite")[NAMES[0]]) == png(0)
    assert sorted(hub.parent.rglob("*")) == before


def test_what_is_no_copy_is_refused_in_one_sentence(tmp_path: Path, hub: Path, unpacked: Path) -> None:
    with pytest.raises(SourceError, match="no CVG-Text folder"):
        CvgText.open(tmp_path / "absent")
    with pytest.raises(SourceError, match=r"images\.zip"):
        CvgText.open(tmp_path)
    with pytest.raises(SourceError, match="it has tiles of: NewYork"):
        cvg_text.load(hub, "Tokyo")
    (hub / "images.zip").write_bytes((hub / "images.zip").read_bytes()[:4000])
    with pytest.raises(SourceError, match=r"images\.zip is damaged"):
        CvgText.open(hub)
    (unpacked / "annotation/NewYork/test.json").write_text('["a"]')
    with pytest.raises(SourceError, match="no object"):
        cvg_text.load(unpacked, "NewYork")
    code, said, error = run("data", "import", "cvg-text", tmp_path / "absent", "--city", "NewYork")
    assert code
    assert isinstance(error, SourceError)
    assert "Traceback" not in said


def test_mixed_is_the_union_of_panoramas_and_photos(unpacked: Path) -> None:
    name = "40.9,-73.9_2020-02_q_d5_z1.png"
    for folder in ("reference/NewYork-photos-satellite", "data/query/NewYork-photos-ground"):
        (unpacked / folder).mkdir(parents=True)
        (unpacked / folder / name).write_bytes(png(50))
    (unpacked / "annotation/NewYork-photos").mkdir()
    (unpacked / "annotation/NewYork-photos/test.json").write_text(json.dumps({name: "A tall house."}))
    mixed = cvg_text.load(unpacked, "NewYork-mixed")
    assert {q.id for q in mixed.queries} == {*(NAMES[i] for i in (0, 1, 2, 3, 5)), name}
    photos = cvg_text.load(unpacked, "NewYork-photos")
    assert [q.picture.view for q in photos.queries if q.picture] == ["ground"]


def test_loading_and_exporting_leaves_everything_as_it_was(unpacked: Path, tmp_path: Path) -> None:
    loaded = cvg_text.load(unpacked, "NewYork")
    cvg_text.export(tmp_path / "out", "NewYork", cvg_text.points_of(loaded))
    again = cvg_text.load(tmp_path / "out", "NewYork")
    assert sorted(t.id for t in again.tiles) == sorted(t.id for t in loaded.tiles)
    assert {(q.id, q.text, q.split) for q in again.queries} == {(q.id, q.text, q.split) for q in loaded.queries}
    assert {(x.query_id, x.tile_id) for x in again.links} == {(x.query_id, x.tile_id) for x in loaded.links}
    for name in NAMES[:5]:
        here, there = (p / "reference/NewYork-satellite" / name for p in (unpacked, tmp_path / "out"))
        assert here.read_bytes() == there.read_bytes()
    with pytest.raises(DatasetError, match="not empty"):
        cvg_text.export(tmp_path / "out", "NewYork", [])


def test_tables_load_back_typed(unpacked: Path, tmp_path: Path) -> None:
    loaded = cvg_text.load(unpacked, "NewYork")
    loaded.write(tmp_path / "out")
    queries = load(tmp_path / "out", "queries", cache=tmp_path / "cache")
    assert {split: len(rows) for split, rows in queries.items()} == {"train": 2, "test": 3}
    first = queries["test"][0]
    assert queries["test"].features["view"].int2str(first["view"]) == "panorama"
    assert first["image"].size == (512, 512)
    sets = load(tmp_path / "out", "view_sets", cache=tmp_path / "cache")
    names = sets["train"].features["views"].feature["view"]
    assert [names.int2str(v["view"]) for v in sets["train"][0]["views"]] == ["satellite", "map", "panorama"]
    assert "CVG-Text NewYork" in (tmp_path / "out/README.md").read_text()


@pytest.mark.parametrize("layout", ["unpacked", "hub"])
def test_a_copy_becomes_a_gallery_with_one_tile_for_each_query(
    layout: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    root: Path = request.getfixturevalue(layout)
    code, said, error = run("gallery", "build", tmp_path / "g", "--cvg-text", root, "--city", "NewYork")
    assert code == 0, error
    gallery = Gallery.open(tmp_path / "g")
    gallery.verify()
    names = read_names(gallery)
    assert sorted(names) == sorted(NAMES[:5])
    assert gallery.manifest["identical"] == [[NAMES[0], NAMES[1]]]
    at = Name.parse(NAMES[3])
    assert at is not None
    tile = gallery.tile(names[NAMES[3]])
    assert (tile.lat, tile.lon, tile.facts, tile.view) == (at.lat, at.lon, None, "satellite")
    assert gallery.nearest(at.lat, at.lon) == names[NAMES[3]]
    assert names[NAMES[3]] in gallery.containing(at.lat, at.lon)
    assert len(gallery.neighbours(names[NAMES[3]])) == 4
    west, _, east, _ = tile.bounds
    assert (east - west) * gallery.frame.m_per_deg_lon == pytest.approx(61.44, abs=0.05)

    code, said, error = run(
        "data",
        "cvg-text-queries",
        root,
        "--gallery",
        tmp_path / "g",
        "--city",
        "NewYork",
        "--out",
        tmp_path / "q.jsonl",
    )
    assert code == 0, error
    assert "2 queries" in said
    queries = read_queries(tmp_path / "q.jsonl")
    right = truth(gallery, queries)
    assert [gallery.ids[t] for t in right.target] == [names[q.query.id] for q in queries]
    assert all(q.named for q in queries)


def test_the_same_build_is_opened_and_another_set_refused(unpacked: Path, tmp_path: Path) -> None:
    first = build_cvg_gallery(tmp_path / "g", unpacked, city="NewYork")
    assert build_cvg_gallery(tmp_path / "g", unpacked, city="NewYork").sha256 == first.sha256
    with pytest.raises(GalleryError, match="choose another folder"):
        build_cvg_gallery(tmp_path / "g", unpacked, city="NewYork", view="map")
    with pytest.raises(SourceError, match="no OSM tiles of 'Brisbane'"):
        build_cvg_gallery(tmp_path / "b", unpacked, city="Brisbane", view="map")


def test_tiles_that_do_not_decode_are_named_and_odd_sizes_are_cropped(unpacked: Path, tmp_path: Path) -> None:
    folder = unpacked / "reference/NewYork-satellite"
    (folder / NAMES[2]).write_bytes(b"no picture")
    wide = Image.fromarray(np.zeros((40, 80, 3), np.uint8))
    wide.paste((255, 0, 0), (20, 0, 60, 40))
    wide.save(folder / NAMES[3])
    gallery = build_cvg_gallery(tmp_path / "g", unpacked, city="NewYork")
    assert gallery.manifest["undecodable"] == [NAMES[2]]
    assert "do not decode" in gallery.manifest["passed_over"][0]
    shown = np.asarray(gallery.image(read_names(gallery)[NAMES[3]]))
    assert shown.shape == (512, 512, 3)
    assert (shown == (255, 0, 0)).all()


def test_a_gallery_and_its_queries_go_out_in_the_layout(unpacked: Path, tmp_path: Path) -> None:
    gallery = build_cvg_gallery(tmp_path / "g", unpacked, city="NewYork")
    names = read_names(gallery)
    row = {"id": "a/b c", "text": "A red shop.", "lat": 40.7, "lon": -73.99, "tile_id": names[NAMES[2]]}
    (tmp_path / "q.jsonl").write_text(json.dumps(row) + "\n")
    code, _, error = run(
        "data", "cvg-text-export", gallery.path, tmp_path / "q.jsonl", tmp_path / "o", "--city", "Town"
    )
    assert code == 0, error
    again = cvg_text.load(tmp_path / "o", "Town")
    assert [q.text for q in again.queries] == ["A red shop."]
    assert len(again.tiles) == 5
    asked = next(t for t in again.tiles if t.place == again.queries[0].place)
    assert np.array_equal(
        np.asarray(Image.open(io.BytesIO(again.read(asked.source)))), np.asarray(gallery.image(names[NAMES[2]]))
    )
    (tmp_path / "q.jsonl").write_text('{"id": 1}\n')
    code, _, error = run(
        "data", "cvg-text-export", gallery.path, tmp_path / "q.jsonl", tmp_path / "o2", "--city", "Town"
    )
    assert code
    assert "q.jsonl:1" in str(error)
