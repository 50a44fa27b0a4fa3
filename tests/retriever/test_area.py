"""Limits of the search."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from retriever.area import Area, AreaError
from retriever.geo import M_PER_DEG

LAT, LON = 51.5, -0.09
SQUARE = {"type": "Polygon", "coordinates": [[[-0.1, 51.4], [0.0, 51.4], [0.0, 51.6], [-0.1, 51.6], [-0.1, 51.4]]]}


def inside(area: Area, *points: tuple[float, float]) -> list[bool]:
    return area.contains(np.array([p[0] for p in points]), np.array([p[1] for p in points])).tolist()


def test_a_box_holds_what_lies_between_its_edges_and_the_edges() -> None:
    area = Area.parse("-0.1, 51.4, 0.0, 51.6")
    assert inside(area, (51.5, -0.05), (51.4, -0.1), (51.7, -0.05), (51.5, 0.01)) == [True, True, False, False]


@pytest.mark.parametrize("text", ["51.5,-0.09,300m", "51.5, -0.09, 0.3km", "51.5,-0.09,300 m"])
def test_a_circle_ends_at_its_radius(text: str) -> None:
    area = Area.parse(text)
    assert inside(area, (LAT + 299 / M_PER_DEG, LON), (LAT + 301 / M_PER_DEG, LON)) == [True, False]


@pytest.mark.parametrize("wrap", [lambda g: g, lambda g: {"type": "Feature", "geometry": g, "properties": {}}])
def test_a_polygon_is_read_from_text_and_from_a_file(wrap, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    text = json.dumps(wrap(SQUARE))
    file = tmp_path / "area.geojson"
    file.write_text(text, encoding="utf-8")
    for area in (Area.parse(text), Area.parse(str(file))):
        assert inside(area, (51.5, -0.05), (51.5, 0.05)) == [True, False]


def test_a_collection_is_the_union_of_its_polygons_and_holes_stay_holes() -> None:
    outer = [[1, 51], [2, 51], [2, 52], [1, 52], [1, 51]]
    hole = [[1.4, 51.4], [1.6, 51.4], [1.6, 51.6], [1.4, 51.6], [1.4, 51.4]]
    other = {"type": "Polygon", "coordinates": [outer, hole]}
    features = [{"type": "Feature", "geometry": g, "properties": {}} for g in (SQUARE, other)]
    area = Area.polygon({"type": "FeatureCollection", "features": features})
    assert inside(area, (51.5, -0.05), (51.2, 1.2), (51.5, 1.5)) == [True, True, False]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("somewhere", "no area"),
        ("1,2,3", "no area"),
        ("0.0,51.6,-0.1,51.4", "empty"),
        ("51.5,-0.09,0m", "holds nothing"),
        ("151.5,-0.09,300m", "not on the Earth"),
        ("a,b,c,d", "no number"),
        ("nan,1,2,3", "not on the Earth"),
        ("{broken", "not valid GeoJSON"),
        ('{"type": "Point", "coordinates": [0, 0]}', "other than polygons"),
        ('{"type": "Feature"}', "no GeoJSON polygon"),
        ('{"type": "FeatureCollection", "features": []}', "other than polygons"),
    ],
)
def test_what_is_no_area_is_refused_with_the_forms_that_are(text: str, says: str) -> None:
    with pytest.raises(AreaError, match=says) as caught:
        Area.parse(text)
    assert "300m" in str(caught.value)


@pytest.mark.parametrize("text", ["x" * 100_000, "1,2,3," + "4" * 100_000 + "x", "a\0b", '{"a":' * 100_000])
def test_a_text_that_no_file_can_be_called_is_refused_and_quoted_in_part(text: str) -> None:
    with pytest.raises(AreaError) as caught:
        Area.parse(text)
    assert len(str(caught.value)) < 400


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "area.geojson"
    file.write_bytes(b"\xff\xfe\x00{")
    with pytest.raises(AreaError, match="cannot be read"):
        Area.parse(str(file))


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "area.geojson"
    file.write_text(json.dumps(SQUARE), encoding="utf-8")

    def closed(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", closed)
    with pytest.raises(AreaError, match="Permission denied"):
        Area.parse(str(file))
