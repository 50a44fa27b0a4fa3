"""The grid and the gallery on disk: ids, places, neighbours, damage."""

from __future__ import annotations

import hashlib
import json
import pickle
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from osm_samples import hamlet
from PIL import Image

from retriever.build import build_gallery
from retriever.errors import GalleryError, SourceError
from retriever.gallery import MANIFEST, TABLE, Gallery
from retriever.geo import distance_m
from retriever.grid import Grid, cell_of, check_box, overlap


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    folder = tmp_path_factory.mktemp("gallery")
    return build_gallery(folder / "g", osm=hamlet().write(folder / "hamlet.osm"), px=64)


def copy(gallery: Gallery, to: Path) -> Path:
    import shutil

    return Path(shutil.copytree(gallery.path, to))


def row_filters(png: bytes) -> set[int]:
    """The filter types of a PNG's rows (W3C PNG, 9.2): RGB of 8 bits, not interlaced."""
    at, packed = 8, b""
    while at < len(png):
        length = int.from_bytes(png[at : at + 4])
        packed += png[at + 8 : at + 8 + length] if png[at + 4 : at + 8] == b"IDAT" else b""
        at += 12 + length
    return set(zlib.decompress(packed)[:: 1 + 3 * int.from_bytes(png[16:20])])


def test_drawings_are_packed_without_row_filters_and_without_loss(gallery: Gallery) -> None:
    painted = pq.read_table(gallery.path / TABLE, columns=["id", "pixels_sha256"]).to_pylist()
    for row in painted:
        assert row_filters(gallery.image_path(row["id"]).read_bytes()) == {0}
        assert hashlib.sha256(gallery.image(row["id"]).tobytes()).hexdigest() == row["pixels_sha256"]
    assert len({row["pixels_sha256"] for row in painted}) > 1


def test_a_grid_covers_its_box_in_whole_cells() -> None:
    grid = Grid.over((11.0, 48.0, 11.02, 48.01), size_m=120, stride_m=60)
    width, height = grid.cols * 60, grid.rows * 60
    assert abs(width - 0.02 * grid.frame.m_per_deg_lon) <= 30
    assert abs(height - float(distance_m(48.0, 11, 48.01, 11))) <= 30
    assert grid.cell_at(*grid.centre((3, 5))) == (3, 5)
    assert Grid.from_json(json.loads(json.dumps(grid.to_json()))) == grid


def test_a_tile_is_as_large_as_said_and_row_0_is_north() -> None:
    grid = Grid.over((11.0, 48.0, 11.02, 48.01), size_m=120, stride_m=60)
    west, south, east, north = grid.bounds((0, 0))
    assert float(distance_m(south, west, north, west)) == pytest.approx(120, rel=1e-6)
    assert float(distance_m(south, west, south, east)) == pytest.approx(120, rel=1e-3)
    assert grid.bounds((1, 0))[3] < north
    assert grid.bounds((0, 1))[0] > west


def test_boxes_that_are_none_are_refused() -> None:
    for box in ((1, 0, 0, 1), (0, 1, 1, 0), (0, 0, 181, 1), (0, 0, 1, 89), (0, 0, float("nan"), 1)):
        with pytest.raises(SourceError, match="west,south,east,north"):
            check_box(box)
    assert overlap((0, 0, 1, 1), (1, 0, 2, 1)) is None
    assert overlap((0, 0, 2, 2), (1, 1, 3, 3)) == (1, 1, 2, 2)


def test_ids_sort_like_rows_and_columns(gallery: Gallery) -> None:
    assert gallery.ids == sorted(gallery.ids)
    assert [cell_of(i) for i in gallery.ids] == [(r, c) for r in range(10) for c in range(10)]
    assert gallery.ids[0] == "hamlet-r000c000"
    assert all(gallery.row(id_) == row for row, id_ in enumerate(gallery.ids))
    with pytest.raises(ValueError, match="not a tile id"):
        cell_of("hamlet")


def test_arrays_and_tiles_say_the_same(gallery: Gallery) -> None:
    for row in (0, 37, 99):
        tile = gallery.tile(gallery.ids[row])
        assert (tile.lat, tile.lon) == (gallery.lat[row], gallery.lon[row])
        assert tile.bounds == tuple(gallery.bounds[row])
        assert tile.gsd_m == 120 / 64
        assert gallery.image(tile.id).size == (64, 64)
        assert gallery.image_path(tile.id) == gallery.path / tile.image


def test_containing_is_what_the_bounds_say(gallery: Gallery) -> None:
    rng = np.random.default_rng(3)
    west, south, east, north = gallery.manifest["bounds"]
    for lat, lon in zip(rng.uniform(south, north, 50), rng.uniform(west, east, 50), strict=True):
        b = gallery.bounds
        inside = (b[:, 0] <= lon) & (lon <= b[:, 2]) & (b[:, 1] <= lat) & (lat <= b[:, 3])
        assert gallery.containing(lat, lon) == [gallery.ids[i] for i in np.flatnonzero(inside)]


def test_nearest_is_the_tile_of_least_distance(gallery: Gallery) -> None:
    rng = np.random.default_rng(4)
    for lat, lon in zip(rng.uniform(47.99, 48.01, 20), rng.uniform(10.99, 11.01, 20), strict=True):
        best = gallery.ids[int(np.argmin(distance_m(lat, lon, gallery.lat, gallery.lon)))]
        assert gallery.nearest(lat, lon) == best


def test_neighbours_are_the_cells_around(gallery: Gallery) -> None:
    assert gallery.neighbours("hamlet-r000c000") == ["hamlet-r000c001", "hamlet-r001c000", "hamlet-r001c001"]
    assert len(gallery.neighbours("hamlet-r005c005")) == 8
    assert "hamlet-r005c005" not in gallery.neighbours("hamlet-r005c005")


def test_a_stranger_has_no_row(gallery: Gallery) -> None:
    with pytest.raises(GalleryError, match="no tile 'x'"):
        gallery.row("x")
    with pytest.raises(GalleryError, match="no tile"):
        gallery.tile("hamlet-r099c000")


def test_another_process_can_be_given_a_gallery(gallery: Gallery) -> None:
    again = pickle.loads(pickle.dumps(gallery))
    assert again.ids == gallery.ids
    assert again.facts(gallery.ids[44]) == gallery.facts(gallery.ids[44])


def test_no_folder_and_no_gallery_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match="there is no gallery"):
        Gallery.open(tmp_path / "none")
    with pytest.raises(GalleryError, match="not a finished gallery"):
        Gallery.open(tmp_path)


def test_damage_is_reported(gallery: Gallery, tmp_path: Path) -> None:
    gallery.verify()
    path = copy(gallery, tmp_path / "a")
    picture = path / gallery.tile(gallery.ids[5]).image
    picture.write_bytes(picture.read_bytes()[:100])
    broken = Gallery.open(path)
    with pytest.raises(GalleryError, match="missing or damaged"):
        broken.image(gallery.ids[5])
    with pytest.raises(GalleryError, match="missing or changed"):
        broken.verify()
    (path / TABLE).write_bytes((path / TABLE).read_bytes()[:-50])
    with pytest.raises(GalleryError, match="damaged"):
        Gallery.open(path)


def test_a_manifest_that_does_not_fit_is_refused(gallery: Gallery, tmp_path: Path) -> None:
    path = copy(gallery, tmp_path / "a")
    said = json.loads((path / MANIFEST).read_text())
    for change, words in (({"format": 99}, "format 99"), ({"counts": {"tiles": 3}}, "3; build it again")):
        (path / MANIFEST).write_text(json.dumps({**said, **change}))
        with pytest.raises(GalleryError, match=words):
            Gallery.open(path)
    (path / MANIFEST).write_text("{")
    with pytest.raises(GalleryError, match="damaged"):
        Gallery.open(path)


def received(gallery: Gallery, to: Path, **first: Any) -> Path:
    """A copy of a gallery whose table says other things about its first tile."""
    path = copy(gallery, to)
    table = pq.read_table(path / TABLE)
    for name, value in first.items():
        column = [value, *table.column(name).to_pylist()[1:]]
        table = table.set_column(
            table.schema.get_field_index(name), name, pa.array(column, table.schema.field(name).type)
        )
    pq.write_table(table, path / TABLE)
    return path


@pytest.mark.parametrize(
    "id_",
    ["../../x-r000c000", "a/b-r000c000", "", "hamlet", "hamlet-r000c000\n", "<b>-r000c000", "c:\\x-r0c0", "-r0c0x"],
)
def test_a_received_gallery_with_an_id_that_is_none_is_refused(gallery: Gallery, tmp_path: Path, id_: str) -> None:
    with pytest.raises(GalleryError, match="damaged"):
        Gallery.open(received(gallery, tmp_path / "a", id=id_))


@pytest.mark.parametrize(
    "image", ["/etc/hostname", "../b/x.png", "images/../../x.png", "..\\x.png", "c:x.png", "", None]
)
def test_a_received_gallery_shows_no_picture_from_outside_its_folder(
    gallery: Gallery, tmp_path: Path, image: str | None
) -> None:
    with pytest.raises(GalleryError, match="damaged"):
        Gallery.open(received(gallery, tmp_path / "a", image=image))


def test_a_link_out_of_the_folder_is_not_followed(gallery: Gallery, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "private.png")
    path = copy(gallery, tmp_path / "a")
    id_ = gallery.ids[0]
    picture = path / gallery.tile(id_).image
    picture.unlink()
    picture.symlink_to(tmp_path / "private.png")
    opened = Gallery.open(path)
    for show in (opened.image_path, opened.image, lambda _: opened.verify()):
        with pytest.raises(GalleryError, match="outside"):
            show(id_)


@pytest.mark.parametrize("format_", ["BMP", "GIF", "TIFF", "PPM"])
def test_a_picture_in_another_format_is_refused(gallery: Gallery, tmp_path: Path, format_: str) -> None:
    path = copy(gallery, tmp_path / "a")
    Image.new("RGB", (64, 64)).save(path / gallery.tile(gallery.ids[0]).image, format_)
    with pytest.raises(GalleryError, match="missing or damaged"):
        Gallery.open(path).image(gallery.ids[0])


def test_a_picture_that_would_unpack_to_very_much_is_refused(gallery: Gallery, tmp_path: Path) -> None:
    path = copy(gallery, tmp_path / "a")
    Image.new("1", (5000, 5000)).save(path / gallery.tile(gallery.ids[0]).image)
    with pytest.raises(GalleryError, match="5000 x 5000"):
        Gallery.open(path).image(gallery.ids[0])
