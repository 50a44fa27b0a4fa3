"""Building a gallery from a map: facts against a slow reference, what is covered, used again and refused."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from osm_samples import FRAME, Extract, hamlet, square

from retriever.build import build_gallery
from retriever.errors import SourceError
from retriever.gallery import Gallery, fact_from_json, fact_to_json
from retriever.grid import cell_of
from retriever.sources.facts import features_of, project
from retriever.sources.osm import read_osm
from retriever.types import TILE_MARGIN, Fact, Tile


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
