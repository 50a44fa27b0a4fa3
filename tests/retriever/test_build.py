"""Building a gallery from a map: facts against a slow reference, stops and resumes, full disks, what is refused."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from osm_samples import FRAME, Extract, hamlet, square
from PIL import Image

from retriever.build import build_gallery
from retriever.errors import GalleryError, SourceError
from retriever.gallery import Gallery, fact_from_json, fact_to_json
from retriever.grid import cell_of
from retriever.painters import MapPainter
from retriever.sources.facts import features_of, project
from retriever.sources.osm import read_osm
from retriever.types import TILE_MARGIN, Fact, Tile


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return hamlet().write(tmp_path / "hamlet.osm")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Counts drawings, and draws quickly: a picture that depends on the facts only."""
    calls: list[Any] = []

    def paint(self: MapPainter, cell: Any, facts: Any) -> Image.Image:
        calls.append(cell)
        return Image.new("RGB", (self.px, self.px), (len(facts) % 256, len(str(facts)) % 256, 0))

    monkeypatch.setattr(MapPainter, "paint", paint)
    return calls


def scatter(path: Path, seed: int) -> Path:
    """Roads, rings and points at random, some far larger than a block, some outside."""
    rng = np.random.default_rng(seed)
    extract = Extract(600.0)
    for _ in range(30):
        start, steps = rng.uniform(-700, 700, 2), rng.normal(0, 150, (int(rng.integers(2, 9)), 2))
        extract.way([(float(x), float(y)) for x, y in start + np.cumsum(steps, axis=0)], highway="residential")
    for _ in range(40):
        x, y = (float(v) for v in rng.uniform(-650, 650, 2))
        extract.way(square(x, y, float(rng.choice([8, 30, 200, 900]))), building="yes")
    for _ in range(60):
        x, y = (float(v) for v in rng.uniform(-650, 650, 2))
        extract.node((x, y), amenity="cafe")
    return extract.write(path)


def test_facts_are_what_the_slow_obvious_way_finds(tmp_path: Path, drawn: list[Any]) -> None:
    gallery = build_gallery(tmp_path / "g", osm=scatter(tmp_path / "s.osm", 1), px=32)
    frame, features = gallery.frame, [f for o in read_osm(tmp_path / "s.osm") for f in features_of(o)]
    shapes = [(f, project(f.geometry, frame)) for f in features]
    assert gallery.grid.rows > 16, "the sample must span several blocks"
    for id_ in gallery.ids[::7]:
        cell = cell_of(id_)
        tile, wide = shapely.box(*gallery.grid.tile_box(cell)), shapely.box(*gallery.grid.tile_box(cell, TILE_MARGIN))
        expected = {f.osm_id: g.intersection(wide) for f, g in shapes if g.intersects(tile)}
        facts = {fact.osm_id: fact for fact in gallery.facts(id_) or ()}
        assert set(facts) == set(expected)
        for osm_id, fact in facts.items():
            check_same(fact, expected[osm_id], gallery, tile.bounds)


def check_same(fact: Fact, geometry: Any, gallery: Gallery, box: tuple[float, float, float, float]) -> None:
    """The fact's size and centre, brought back to metres, are those of the cut geometry."""
    parts = [[(box[0] + x * 120, box[3] - y * 120) for x, y in part] for part in fact.parts]
    if fact.shape == "point":
        assert shapely.Point(parts[0][0]).distance(geometry) < 0.02
    elif fact.shape == "line":
        assert sum(shapely.LineString(p).length for p in parts) == pytest.approx(geometry.length, abs=0.3)
    else:
        assert sum(shapely.Polygon(p).area for p in parts) == pytest.approx(geometry.area, abs=3)


def test_tile_coordinates_run_east_and_south(tmp_path: Path, drawn: list[Any]) -> None:
    extract = Extract(300.0)
    extract.node((20, 40), amenity="cafe")
    gallery = build_gallery(tmp_path / "g", osm=extract.write(tmp_path / "s.osm"), px=32)
    id_ = gallery.nearest(*FRAME.latlon(20, 40))
    ((x, y),) = next(f for f in gallery.facts(id_) or () if f.kind == "cafe").parts[0]
    tile = gallery.tile(id_)
    east, north = FRAME.xy(tile.lat, tile.lon)
    assert x == pytest.approx(0.5 + (20 - east) / 120, abs=1e-3)
    assert y == pytest.approx(0.5 - (40 - north) / 120, abs=1e-3)


def test_the_facts_of_a_tile_survive_the_table(source: Path, tmp_path: Path, drawn: list[Any]) -> None:
    gallery = build_gallery(tmp_path / "g", osm=source, px=32)
    facts = [fact for id_ in gallery.ids for fact in gallery.facts(id_) or ()]
    cafe = next(f for f in facts if f.kind == "cafe")
    assert cafe.names == {"": "咖啡", "en": "Cafe"}
    assert "source" not in cafe.tags
    assert all(fact_from_json(json.loads(json.dumps(fact_to_json(f)))) == f for f in facts)
    tile = gallery.tile(gallery.ids[44])
    assert Tile.from_json(json.loads(json.dumps(tile.to_json()))) == tile


def test_box_covers_all_cells_and_touched_those_with_streets_or_houses(
    source: Path, tmp_path: Path, drawn: list[Any]
) -> None:
    box = build_gallery(tmp_path / "box", osm=source, px=32)
    touched = build_gallery(tmp_path / "touched", osm=source, cover="touched", px=32)
    assert len(box) == 100
    shapes = [
        project(f.geometry, touched.frame)
        for o in read_osm(source)
        for f in features_of(o)
        if f.kind in ("street", "footway", "building")
    ]
    expected = set()
    for id_ in box.ids:
        x, y = touched.grid.centre(cell_of(id_))
        if any(s.intersects(shapely.box(x - 30, y - 30, x + 30, y + 30)) for s in shapes):
            expected.add(id_)
    assert set(touched.ids) == expected
    assert 20 < len(expected) < 60


def test_without_a_header_box_the_touched_cells_are_covered(tmp_path: Path, drawn: list[Any]) -> None:
    source = hamlet(None)
    source.way([(5_000, 5_000), (90_000, 9_000)], boundary="administrative")
    gallery = build_gallery(tmp_path / "g", osm=source.write(tmp_path / "hamlet.osm"), px=32)
    assert gallery.grid.rows * gallery.grid.cols < 150
    assert len(gallery) < 60


def test_a_box_given_is_cut_to_the_header_box(source: Path, tmp_path: Path, drawn: list[Any]) -> None:
    south, west = FRAME.latlon(-900, -120)
    north, east = FRAME.latlon(0, 120)
    gallery = build_gallery(tmp_path / "g", osm=source, bbox=(west, south, east, north), px=32)
    assert (gallery.grid.rows, gallery.grid.cols) == (4, 5)
    with pytest.raises(SourceError, match="lies outside"):
        build_gallery(tmp_path / "h", osm=source, bbox=(1.0, 1.0, 1.1, 1.1))
    assert not (tmp_path / "h").exists()


def test_a_second_run_reuses_what_is_there(source: Path, tmp_path: Path, drawn: list[Any]) -> None:
    first = build_gallery(tmp_path / "g", osm=source, px=32)
    count = len(drawn)
    again = build_gallery(tmp_path / "g", osm=source, px=32)
    assert len(drawn) == count == 100
    assert again.sha256 == first.sha256


def test_the_content_hash_depends_on_the_content_alone(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    one = build_gallery(tmp_path / "a", osm=hamlet().write(tmp_path / "hamlet.osm"), px=64)
    two = build_gallery(tmp_path / "deep" / "b", osm=hamlet().write(tmp_path / "deep" / "hamlet.osm"), px=64)
    changed = hamlet()
    changed.node((-200, 100), amenity="bank")
    three = build_gallery(tmp_path / "c", osm=changed.write(tmp_path / "deep" / "hamlet.osm"), px=64)
    assert one.sha256 == two.sha256 != three.sha256
    assert str(tmp_path) not in (one.path / "manifest.json").read_text()


@pytest.mark.slow
def test_several_processes_build_the_same_gallery(source: Path, tmp_path: Path) -> None:
    one = build_gallery(tmp_path / "a", osm=source, px=64)
    two = build_gallery(tmp_path / "b", osm=source, px=64, jobs=2)
    assert one.sha256 == two.sha256


def test_a_stopped_build_goes_on_where_it_was(source: Path, tmp_path: Path, drawn: list[Any], monkeypatch: Any) -> None:
    whole = build_gallery(tmp_path / "whole", osm=source, px=32, gallery_id="hamlet")
    drawn.clear()

    def stop(stage: str, done: int, total: int) -> None:
        if stage == "drawing tiles":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_gallery(tmp_path / "g", osm=source, px=32, progress=stop)
    assert len(drawn) == 64
    assert not (tmp_path / "g").exists()
    gallery = build_gallery(tmp_path / "g", osm=source, px=32)
    assert len(drawn) == 100, "no tile is drawn twice"
    assert gallery.sha256 == whole.sha256
    assert sorted(p.name for p in tmp_path.iterdir()) == ["g", "hamlet.osm", "whole"]


def test_work_for_other_inputs_is_not_reused(source: Path, tmp_path: Path, drawn: list[Any]) -> None:
    def stop(stage: str, done: int, total: int) -> None:
        if stage == "drawing tiles":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_gallery(tmp_path / "g", osm=source, px=32, progress=stop)
    drawn.clear()
    build_gallery(tmp_path / "g", osm=source, px=40)
    assert len(drawn) == 100


KILLED = """
import sys, time
from retriever import batch
from retriever.build import build_gallery
write = batch._png
batch._png = lambda picture, **how: (time.sleep(0.2), write(picture, **how))[1]
build_gallery(sys.argv[2], osm=sys.argv[1], px=64)
"""


@pytest.mark.slow
def test_a_killed_build_leaves_no_gallery_and_goes_on(source: Path, tmp_path: Path) -> None:
    whole = build_gallery(tmp_path / "whole", osm=source, px=64, gallery_id="hamlet")
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(source), str(tmp_path / "g")])
    parts, deadline = tmp_path / ".g.partial" / "parts", time.monotonic() + 60
    while not (parts.is_dir() and list(parts.glob("*.parquet"))) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "g").exists()
    assert len(list(parts.glob("*.parquet"))) >= 1
    with pytest.raises(GalleryError):
        Gallery.open(tmp_path / ".g.partial")
    assert build_gallery(tmp_path / "g", osm=source, px=64).sha256 == whole.sha256


def test_a_full_disk_is_said_and_the_build_goes_on_later(source: Path, tmp_path: Path, drawn: list[Any]) -> None:
    real, written = Path.write_bytes, []

    def full(self: Path, data: bytes) -> int:
        written.append(self)
        if len(written) > 80:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(GalleryError, match="the disk is full"):
            build_gallery(tmp_path / "g", osm=source, px=32)
    assert not (tmp_path / "g").exists()
    assert len(build_gallery(tmp_path / "g", osm=source, px=32)) == 100
    assert len(drawn) == 64 + 16 + 1 + 20, "batches that were finished are kept"


def test_a_full_disk_at_the_table_leaves_no_gallery(source: Path, tmp_path: Path, drawn: list[Any]) -> None:
    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pyarrow.parquet.write_table", full)
        with pytest.raises(GalleryError, match="the disk is full"):
            build_gallery(tmp_path / "g", osm=source, px=32)
    assert not (tmp_path / "g").exists()


def test_what_is_in_the_way_is_never_touched(source: Path, tmp_path: Path, drawn: list[Any]) -> None:
    build_gallery(tmp_path / "g", osm=source, px=32)
    with pytest.raises(GalleryError, match="other inputs or settings"):
        build_gallery(tmp_path / "g", osm=source, px=48)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(GalleryError, match="is not a gallery"):
        build_gallery(tmp_path / "mine", osm=source, px=32)
    with pytest.raises(GalleryError, match="is not a gallery"):
        build_gallery(source, osm=source, px=32)
    with pytest.raises(GalleryError, match="cannot be written"):
        build_gallery(source / "inside", osm=source, px=32)
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"
    assert Gallery.open(tmp_path / "g").px == 32


def test_an_empty_folder_may_become_the_gallery(source: Path, tmp_path: Path, drawn: list[Any]) -> None:
    (tmp_path / "g").mkdir()
    assert len(build_gallery(tmp_path / "g", osm=source, px=32)) == 100


def test_two_builds_of_one_gallery_do_not_meet(source: Path, tmp_path: Path, drawn: list[Any]) -> None:
    def second(stage: str, done: int, total: int) -> None:
        with pytest.raises(GalleryError, match="another process is building"):
            build_gallery(tmp_path / "g", osm=source, px=32)

    assert len(build_gallery(tmp_path / "g", osm=source, px=32, progress=second)) == 100


@pytest.mark.parametrize("where", ["nowhere near", "no streets"])
def test_an_extract_with_nothing_to_show_is_refused(tmp_path: Path, where: str, drawn: list[Any]) -> None:
    extract = Extract(300.0 if where == "nowhere near" else None)
    if where == "nowhere near":
        extract.way([(5000, 0), (6000, 0)], highway="service")
    source = extract.write(tmp_path / "s.osm")
    with pytest.raises(SourceError, match="nothing inside" if where == "nowhere near" else "neither roads nor"):
        build_gallery(tmp_path / "g", osm=source)
    assert [p.name for p in tmp_path.iterdir()] == ["s.osm"]


@pytest.mark.parametrize(
    "wrong",
    [{"size_m": 1.0}, {"size_m": float("nan")}, {"stride": 0.0}, {"px": 8}, {"gallery_id": "../x"}, {"osm": None}],
)
def test_settings_that_make_no_sense_are_refused(source: Path, tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(SourceError):
        build_gallery(tmp_path / "g", **{"osm": source, **wrong})


@pytest.mark.shared
@pytest.mark.slow
def test_a_real_city_builds(tmp_path: Path, drawn: list[Any]) -> None:
    if not os.environ.get("SIGHTLINE_DATA"):
        pytest.skip("SIGHTLINE_DATA is not set")
    gallery = build_gallery(
        tmp_path / "g", osm=Path(os.environ["SIGHTLINE_DATA"]) / "osm" / "moscow.osm.pbf", cover="touched", px=32
    )
    facts = [fact for id_ in gallery.ids for fact in gallery.facts(id_) or ()]
    assert len(gallery) == 154
    assert any("Ж" in name or "а" in name for fact in facts for name in fact.names.values())
    assert max(abs(v) for fact in facts for part in fact.parts for point in part for v in point) <= 1 + TILE_MARGIN
