"""Reading map extracts, and what their objects become on a map."""

from __future__ import annotations

import bz2
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import osmium
import pytest
import shapely
from osm_samples import FRAME, Extract, hamlet, square

from retriever.errors import SourceError
from retriever.sources.facts import Feature, features_of, names_of, project, seen_tags
from retriever.sources.osm import MapObject, header_box, read_osm


def features(path: Path) -> list[Feature]:
    return [feature for obj in read_osm(path) for feature in features_of(obj)]


def summary(path: Path) -> list[tuple[str, str, str, bytes]]:
    """Everything about the features, in an order that does not depend on the format."""
    found = [(f.osm_id, f.kind, json.dumps([f.names, f.tags]), shapely.to_wkb(f.geometry)) for f in features(path)]
    return sorted(found)


def pbf(source: Path, target: Path) -> Path:
    writer = osmium.SimpleWriter(str(target))
    for obj in osmium.FileProcessor(str(source)):
        writer.add(obj)
    writer.close()
    return target


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return hamlet().write(tmp_path / "hamlet.osm")


def test_every_packing_of_an_extract_says_the_same(plain: Path, tmp_path: Path) -> None:
    data = plain.read_bytes()
    (tmp_path / "a.osm.gz").write_bytes(gzip.compress(data))
    (tmp_path / "a.osm.bz2").write_bytes(bz2.compress(data))
    pbf(plain, tmp_path / "a.osm.pbf")
    expected = summary(plain)
    assert len(expected) == 13
    for name in ("a.osm.gz", "a.osm.bz2", "a.osm.pbf"):
        assert summary(tmp_path / name) == expected


def test_a_multipolygon_keeps_its_island(plain: Path) -> None:
    water = next(f for f in features(plain) if f.kind == "water")
    assert water.shape == "area"
    assert water.osm_id.startswith("relation/")
    assert project(water.geometry, FRAME).area == pytest.approx(100**2 - 20**2, rel=1e-3)


def test_a_way_is_broken_where_the_extract_leaves_nodes_out(tmp_path: Path) -> None:
    extract = Extract()
    extract.way([(0, 0), (10, 0), (20, 50), (30, 0), (40, 0)], missing=[2], highway="service")
    (road,) = features(extract.write(tmp_path / "gap.osm"))
    assert project(road.geometry, FRAME).length == pytest.approx(20, abs=0.1)


def test_a_way_without_two_known_nodes_is_left_out(tmp_path: Path) -> None:
    extract = Extract()
    extract.way([(0, 0), (10, 0)], missing=[1], highway="service")
    extract.node((5, 5), amenity="cafe")
    assert [f.kind for f in features(extract.write(tmp_path / "x.osm"))] == ["cafe"]


RING = shapely.Polygon([(0, 0), (1, 0), (1, 1), (0, 1)])


@pytest.mark.parametrize(
    ("shape", "geometry", "tags", "expected"),
    [
        ("area", RING, {"building": "yes", "amenity": "cafe"}, {("cafe", "point"), ("building", "area")}),
        ("line", RING.exterior, {"building": "yes", "amenity": "cafe"}, set()),
        ("line", RING.exterior, {"highway": "residential", "junction": "roundabout"}, {("street", "line")}),
        ("area", RING, {"highway": "residential", "junction": "roundabout"}, set()),
        ("area", RING, {"highway": "pedestrian", "area": "yes"}, {("square", "area")}),
        ("line", RING.exterior, {"highway": "pedestrian", "area": "yes"}, set()),
        ("line", shapely.LineString([(0, 0), (1, 1)]), {"waterway": "river"}, {("river", "line")}),
        ("area", RING, {"natural": "water", "water": "river"}, {("river", "area")}),
        ("line", shapely.LineString([(0, 0), (1, 1)]), {"natural": "coastline"}, {("coastline", "line")}),
        ("line", shapely.LineString([(0, 0), (1, 1)]), {"natural": "tree_row"}, {("tree", "line")}),
        ("line", shapely.LineString([(0, 0), (1, 1)]), {"barrier": "wall"}, {("wall", "line")}),
        ("area", RING, {"man_made": "bridge"}, {("bridge", "area")}),
        ("area", RING, {"amenity": "parking"}, {("parking", "point")}),
        ("area", RING, {"leisure": "park"}, {("park", "area")}),
        ("point", shapely.Point(0, 0), {"highway": "bus_stop", "shelter": "yes"}, {("bus_stop", "point")}),
        ("point", shapely.Point(0, 0), {"ele": "3"}, set()),
        ("line", shapely.LineString([(0, 0), (1, 1)]), {"waterway": "river", "tunnel": "culvert"}, set()),
        (
            "line",
            shapely.LineString([(0, 0), (1, 1)]),
            {"highway": "primary", "tunnel": "yes"},
            {("main_road", "line")},
        ),
    ],
)
def test_each_kind_takes_its_form(shape: Any, geometry: Any, tags: dict[str, str], expected: set[Any]) -> None:
    obj = MapObject(osm_id="way/1", tags=tags, shape=shape, geometry=geometry)
    assert {(f.kind, f.shape) for f in features_of(obj)} == expected


def test_the_point_of_a_place_lies_inside_its_area() -> None:
    horseshoe = shapely.Polygon([(0, 0), (9, 0), (9, 9), (8, 9), (8, 1), (1, 1), (1, 9), (0, 9)])
    obj = MapObject(osm_id="way/1", tags={"amenity": "school"}, shape="area", geometry=horseshoe)
    (school,) = features_of(obj)
    assert horseshoe.contains(school.geometry)


def test_names_are_kept_by_language() -> None:
    tags = {
        "name": "北京",
        "name:en": "Beijing",
        "name:zh-Hant": "北京",
        "name:left": "x",
        "name:etymology": "y",
        "name:zh": "",
    }
    assert names_of(tags) == {"": "北京", "en": "Beijing", "zh-Hant": "北京"}


def test_only_what_can_be_seen_is_kept() -> None:
    tags = {
        "building:levels": "3",
        "roof:colour": "red",
        "source": "survey",
        "note": "x",
        "wikidata": "Q1",
        "oneway": "yes",
    }
    assert seen_tags(tags) == {"building:levels": "3", "roof:colour": "red", "oneway": "yes"}


def test_the_header_box_is_read_where_there_is_one(tmp_path: Path) -> None:
    box = header_box(hamlet(300.0).write(tmp_path / "with.osm"))
    assert box is not None
    assert project(shapely.box(*box), FRAME).area == pytest.approx(600**2, rel=1e-3)
    assert header_box(hamlet(None).write(tmp_path / "without.osm")) is None


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("page.osm", b"<html><body>404</body></html>"),
        ("empty.osm", b""),
        ("picture.osm.pbf", b"\x89PNG\r\n\x1a\n" + bytes(200)),
        ("noise.osm.gz", b"not gzip at all"),
        ("noise.osm.bz2", b"not bzip2 at all"),
        ("list.geojson", b"[1, 2]"),
        ("cut.geojson", b'{"type": "FeatureCollection", "features": [{'),
        ("notes.txt", b"hello"),
    ],
)
def test_what_is_no_extract_is_refused_in_one_sentence(tmp_path: Path, name: str, data: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(SourceError, match=name) as caught:
        list(read_osm(path))
    assert "\n" not in str(caught.value)


def test_a_missing_extract_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is no map extract"):
        header_box(tmp_path / "none.osm")


@pytest.mark.parametrize("suffix", [".osm", ".osm.gz", ".osm.bz2", ".osm.pbf"])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
def test_an_extract_cut_short_is_refused(plain: Path, tmp_path: Path, suffix: str, part: float) -> None:
    pack: dict[str, Callable[[bytes], bytes]] = {".osm": bytes, ".osm.gz": gzip.compress, ".osm.bz2": bz2.compress}
    whole = tmp_path / f"whole{suffix}"
    if suffix == ".osm.pbf":
        pbf(plain, whole)
    else:
        whole.write_bytes(pack[suffix](plain.read_bytes()))
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * part)])
    with pytest.raises(SourceError, match="cut short"):
        list(read_osm(cut))


def collection(*features: dict[str, Any], **extra: Any) -> str:
    return json.dumps({"type": "FeatureCollection", "features": list(features), **extra})


def feature(geometry: dict[str, Any] | None, **properties: Any) -> dict[str, Any]:
    return {"type": "Feature", "geometry": geometry, "properties": properties}


POINT = {"type": "Point", "coordinates": [11.0, 48.0]}
POLYGON = {"type": "Polygon", "coordinates": [[[11, 48], [11.001, 48], [11.001, 48.001], [11, 48]]]}


def test_geojson_ids_are_found_wherever_writers_put_them(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    path.write_text(
        collection(
            feature(POLYGON, building="yes", osm_id=7, osm_type="relation", shop=None),
            feature(POINT, **{"@id": "node/8", "amenity": "cafe"}),
            {**feature(POINT, amenity="bank"), "id": "node/9"},
            feature(POINT, amenity="bar"),
            feature(None, amenity="pub"),
            feature(POINT, tags={"amenity": "school"}, osm_id=3),
        )
    )
    found = [(f.osm_id, f.kind) for f in features(path)]
    assert found == [
        ("relation/7", "building"),
        ("node/8", "cafe"),
        ("node/9", "bank"),
        ("node/-4", "bar"),
        ("node/3", "school"),
    ]


def test_a_closed_line_of_geojson_is_also_an_area(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    line = {"type": "LineString", "coordinates": POLYGON["coordinates"][0]}
    path.write_text(collection(feature(line, building="yes", osm_id=1)))
    assert [(f.kind, f.shape) for f in features(path)] == [("building", "area")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (collection(feature({"type": "Point", "coordinates": [4e6, 5e6]}, amenity="cafe")), "outside the globe"),
        (collection(feature({"type": "Polygon", "coordinates": 3}, building="yes")), "geometry"),
        (collection(crs={"properties": {"name": "urn:ogc:def:crs:EPSG::3857"}}), "WGS 84"),
    ],
)
def test_geojson_that_is_not_in_degrees_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "a.geojson"
    path.write_text(text)
    with pytest.raises(SourceError, match=words):
        list(read_osm(path))


@pytest.mark.parametrize(
    "odd",
    [
        {"geometry": "POINT (11 48)"},
        {"geometry": [11.0, 48.0]},
        {"geometry": {**POINT, "type": ["Point"]}},
        {"geometry": {**POINT, "coordinates": "11 48"}},
        {"properties": "amenity=cafe"},
        {"properties": ["amenity", "cafe"]},
    ],
)
def test_an_odd_member_of_a_feature_is_refused_with_the_features_number(tmp_path: Path, odd: dict[str, Any]) -> None:
    path = tmp_path / "a.geojson"
    path.write_text(collection(feature(POINT, amenity="bank"), {**feature(POINT, amenity="cafe"), **odd}))
    with pytest.raises(SourceError, match=r"feature 2 of a\.geojson"):
        list(read_osm(path))


@pytest.mark.parametrize("crs", ["EPSG:3857", ["EPSG:3857"], {"properties": "EPSG:3857"}, {"properties": ["name"]}])
def test_an_odd_coordinate_system_is_refused(tmp_path: Path, crs: Any) -> None:
    path = tmp_path / "a.geojson"
    path.write_text(collection(feature(POINT, amenity="cafe"), crs=crs))
    with pytest.raises(SourceError, match="WGS 84"):
        list(read_osm(path))


def test_projected_squares_keep_their_size() -> None:
    ring = [FRAME.latlon(x, y)[::-1] for x, y in square(0, 0, 100)]
    assert project(shapely.Polygon(ring), FRAME).area == pytest.approx(10_000, rel=1e-6)
