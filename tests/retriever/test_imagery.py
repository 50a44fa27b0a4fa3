"""Satellite galleries: pixels land where their coordinates say, gaps are left out, bad pictures are refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import mercantile
import numpy as np
import pytest
import rasterio
from osm_samples import FRAME, Extract, square
from PIL import Image
from rasterio.shutil import copy as copy_raster
from rasterio.transform import from_origin
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform

from retriever.build import build_gallery
from retriever.errors import SourceError
from retriever.gallery import Gallery
from retriever.sources import imagery
from retriever.sources.imagery import Mosaic, tile_of

ZOOM = 18


def paint(lon: Any, lat: Any) -> Any:
    """A colour for every place: uint8 [..., 3] that changes by about one step per metre."""
    x, y = FRAME.xy(lat, lon)
    return np.stack([(x + 400) / 4, (y + 400) / 4, 0 * x + 77], axis=-1).round().clip(0, 255).astype(np.uint8)


def chips(folder: Path, half_m: float, name: str = "OAM-{x}-{y}-{z}.png", skip: int = 0) -> Path:
    """Web-mercator chips that cover a square about the samples' origin; the first ``skip`` are left out."""
    south, west = FRAME.latlon(-half_m, -half_m)
    north, east = FRAME.latlon(half_m, half_m)
    for tile in list(mercantile.tiles(west, south, east, north, ZOOM))[skip:]:
        path = folder / name.format(x=tile.x, y=tile.y, z=tile.z)
        path.parent.mkdir(parents=True, exist_ok=True)
        left, bottom, right, top = mercantile.xy_bounds(tile)
        xs = left + (np.arange(256) + 0.5) * (right - left) / 256
        ys = top - (np.arange(256) + 0.5) * (top - bottom) / 256
        lon, lat = np.degrees(xs / 6378137), np.degrees(2 * np.arctan(np.exp(ys / 6378137)) - np.pi / 2)
        Image.fromarray(paint(*np.meshgrid(lon, lat))).save(path)
    return folder


def geotiff(path: Path, half_m: float, dtype: str = "uint8", bands: int = 3) -> Path:
    """The same picture in UTM, 1 m per pixel."""
    x, y = transform("EPSG:4326", "EPSG:32632", [FRAME.lon], [FRAME.lat])
    n = int(2 * half_m)
    at = from_origin(x[0] - half_m, y[0] + half_m, 1, 1)
    xs, ys = np.meshgrid(x[0] - half_m + np.arange(n) + 0.5, y[0] + half_m - np.arange(n) - 0.5)
    lon, lat = transform("EPSG:32632", "EPSG:4326", xs.ravel(), ys.ravel())
    pixels = paint(np.array(lon).reshape(n, n), np.array(lat).reshape(n, n)).astype(dtype)
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {"driver": "GTiff", "width": n, "height": n, "count": bands, "dtype": dtype, "crs": "EPSG:32632"}
    with rasterio.open(path, "w", transform=at, **profile) as raster:
        raster.write(pixels.transpose(2, 0, 1)[:bands])
    return path.parent


def check_colours(gallery: Gallery, within: int = 1) -> None:
    for id_ in gallery.ids:
        tile, pixels = gallery.tile(id_), np.asarray(gallery.image(id_)).astype(int)
        west, south, east, north = tile.bounds
        for px, py in ((5, 5), (gallery.px // 2, gallery.px // 3), (gallery.px - 6, gallery.px - 6)):
            lon = west + (px + 0.5) / gallery.px * (east - west)
            lat = north - (py + 0.5) / gallery.px * (north - south)
            assert np.abs(pixels[py, px] - paint(np.array(lon), np.array(lat)).astype(int)).max() <= within


@pytest.mark.parametrize("name", ["OAM-{x}-{y}-{z}.png", "{z}/{x}/{y}.jpg", "{z}_{x}_{y}.png", "OAM-{x}-{y}-{z}.tif"])
def test_chips_are_joined_where_they_belong(tmp_path: Path, name: str) -> None:
    gallery = build_gallery(tmp_path / "g", imagery=chips(tmp_path / "oam", 250, name), px=64, gallery_id="sat")
    assert gallery.view == "satellite"
    assert len(gallery) >= 25
    assert all(gallery.tile(id_).facts is None for id_ in gallery.ids)
    check_colours(gallery, within=4 if name.endswith("jpg") else 1)


def test_a_geotiff_is_warped_from_its_own_coordinates(tmp_path: Path) -> None:
    gallery = build_gallery(tmp_path / "g", imagery=geotiff(tmp_path / "tif" / "a.tif", 200), px=64)
    assert len(gallery) >= 16
    check_colours(gallery)


def test_grey_pictures_are_shown_grey(tmp_path: Path) -> None:
    gallery = build_gallery(tmp_path / "g", imagery=geotiff(tmp_path / "tif" / "a.tif", 150, bands=1), px=64)
    pixels = np.asarray(gallery.image(gallery.ids[0]))
    assert (pixels[..., 0] == pixels[..., 1]).all()
    assert pixels.std() > 1


def test_tiles_over_a_gap_are_left_out(tmp_path: Path) -> None:
    whole = build_gallery(tmp_path / "a", imagery=chips(tmp_path / "one" / "oam", 180), px=64)
    holed = build_gallery(tmp_path / "b", imagery=chips(tmp_path / "two" / "oam", 180, skip=1), px=64)
    assert set(holed.ids) < set(whole.ids)
    for id_ in holed.ids:
        assert (np.asarray(holed.image(id_))[..., 2] == 77).mean() >= 0.95


def test_what_is_see_through_counts_as_a_gap(tmp_path: Path) -> None:
    folder = chips(tmp_path / "oam", 250)
    for path in folder.iterdir():
        picture = Image.open(path).convert("RGBA")
        picture.putalpha(0)
        picture.save(path)
    with pytest.raises(SourceError, match="nothing to show"):
        build_gallery(tmp_path / "g", imagery=folder, px=64)
    assert not (tmp_path / "g").exists()


def test_facts_come_where_the_map_speaks_and_nowhere_else(tmp_path: Path) -> None:
    extract = Extract()
    extract.way(square(-100, 0, 80), building="yes")
    extract.way(square(-40, 0, 10), building="yes")
    gallery = build_gallery(
        tmp_path / "g", imagery=chips(tmp_path / "oam", 250), osm=extract.write(tmp_path / "m.osm"), px=64
    )
    known = {id_ for id_ in gallery.ids if gallery.facts(id_) is not None}
    assert 0 < len(known) < len(gallery)
    assert all(FRAME.xy(gallery.lat[gallery.row(i)], gallery.lon[gallery.row(i)])[0] < -35 for i in known)
    assert any(gallery.facts(id_) for id_ in known)
    assert "OpenStreetMap" in gallery.manifest["attribution"]


def test_the_user_says_whose_imagery_it_is(tmp_path: Path) -> None:
    folder = chips(tmp_path / "oam", 150)
    silent = build_gallery(tmp_path / "a", imagery=folder, px=64)
    told = build_gallery(tmp_path / "b", imagery=folder, px=64, attribution="OpenAerialMap", licence="CC BY 4.0")
    assert silent.manifest["licence"] == "not stated"
    assert (told.manifest["attribution"], told.manifest["licence"]) == ("OpenAerialMap", "CC BY 4.0")
    assert told.sha256 == silent.sha256


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a/19/386690/220241.png", (386690, 220241, 19)),
        ("OAM-386690-220241-19.tif", (386690, 220241, 19)),
        ("x/18_139264_90112.jpeg", (139264, 90112, 18)),
        ("holiday.png", None),
        ("2024-05-31.png", None),
        ("OAM-99-99-3.png", None),
    ],
)
def test_places_are_read_out_of_names(path: str, expected: Any) -> None:
    assert tile_of(path) == expected


def test_pictures_without_a_place_are_refused(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "holiday.png")
    with pytest.raises(SourceError, match="no georeference"):
        Mosaic.scan(tmp_path)


def test_folders_without_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no imagery"):
        Mosaic.scan(tmp_path)
    with pytest.raises(SourceError, match="no folder of imagery"):
        Mosaic.scan(tmp_path / "none")


def test_pictures_that_do_not_decode_are_refused(tmp_path: Path) -> None:
    folder = chips(tmp_path / "oam", 250, "OAM-{x}-{y}-{z}.jpg")
    victim = sorted(folder.iterdir())[-1]
    whole = victim.read_bytes()
    for data in (whole[: len(whole) // 2], b"no picture"):
        victim.write_bytes(data)
        with pytest.raises(SourceError, match=f"{victim.name} does not decode"):
            build_gallery(tmp_path / "g", imagery=folder, px=64)
        assert not (tmp_path / "g").exists()


def test_a_raster_that_points_at_other_files_is_refused(tmp_path: Path) -> None:
    geotiff(tmp_path / "private" / "a.tif", 50)
    (tmp_path / "tif").mkdir()
    with rasterio.open(tmp_path / "private" / "a.tif") as raster, WarpedVRT(raster) as virtual:
        copy_raster(virtual, tmp_path / "tif" / "x.tif", driver="VRT")
    assert b"private" in (tmp_path / "tif" / "x.tif").read_bytes()
    with pytest.raises(SourceError, match=r"x\.tif does not decode"):
        Mosaic.scan(tmp_path / "tif")


def test_a_chip_that_becomes_another_format_is_refused(tmp_path: Path) -> None:
    mosaic = Mosaic.scan(chips(tmp_path / "oam", 50))
    for picture in mosaic.pictures:
        Image.new("RGB", (256, 256)).save(picture.path, "GIF")
    with pytest.raises(SourceError, match="does not decode"):
        mosaic.read(mosaic.bounds, 64)
    with pytest.raises(SourceError, match="does not decode"):
        Mosaic.scan(mosaic.folder)


def test_a_decompression_bomb_is_refused(tmp_path: Path) -> None:
    folder = chips(tmp_path / "oam", 150)
    victim = sorted(folder.iterdir())[0]
    Image.new("1", (9000, 9000)).save(victim)
    with pytest.raises(SourceError, match="9000 x 9000"):
        build_gallery(tmp_path / "g", imagery=folder, px=64)
    assert not (tmp_path / "g").exists()


def test_unpacked_pictures_stay_within_a_fixed_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imagery, "CACHE_BYTES", 3 * 256 * 256 * 4)
    mosaic = Mosaic.scan(chips(tmp_path / "oam", 150))
    assert len(mosaic.pictures) > 3
    _, valid = mosaic.read(mosaic.bounds, 64)
    assert valid.mean() > 0.95
    assert sum(pixels.nbytes for pixels in mosaic._unpacked.values()) <= imagery.CACHE_BYTES


def test_a_raster_in_huge_blocks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imagery, "MAX_PIXELS", 100)
    with pytest.raises(SourceError, match="rewrite it as a COG"):
        Mosaic.scan(geotiff(tmp_path / "tif" / "a.tif", 50))


def test_rasters_of_other_depths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="not 8-bit"):
        Mosaic.scan(geotiff(tmp_path / "tif" / "a.tif", 50, dtype="uint16"))


@pytest.fixture
def data() -> Path:
    if not os.environ.get("SIGHTLINE_DATA"):
        pytest.skip("SIGHTLINE_DATA is not set")
    return Path(os.environ["SIGHTLINE_DATA"]) / "imagery"


@pytest.mark.shared
@pytest.mark.slow
def test_banepa_becomes_satellite_tiles_with_its_buildings(data: Path, tmp_path: Path) -> None:
    (osm,) = (data / "banepa" / "train" / "osm").glob("*.geojson")
    gallery = build_gallery(tmp_path / "g", imagery=data / "banepa" / "train" / "oam", osm=osm, gallery_id="banepa")
    assert len(gallery) == 35
    assert all(len(gallery.facts(id_) or ()) > 20 for id_ in gallery.ids)
    assert all(np.asarray(gallery.image(id_)).std() > 20 for id_ in gallery.ids)


@pytest.mark.shared
@pytest.mark.parametrize(("name", "least"), [("kampala", 10), ("catanduanes", 5)])
def test_scattered_chips_become_small_tiles(data: Path, tmp_path: Path, name: str, least: int) -> None:
    gallery = build_gallery(tmp_path / "g", imagery=data / name, size_m=40, px=128)
    assert len(gallery) >= least
