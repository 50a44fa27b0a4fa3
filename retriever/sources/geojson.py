"""GeoJSON whose properties are OSM tags, as osmtogeojson, Overpass and labelled data sets write it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shapely
from shapely.geometry import shape as to_shape
from shapely.geometry.base import BaseGeometry

from retriever.errors import SourceError
from retriever.types import Shape

if TYPE_CHECKING:
    from retriever.sources.osm import MapObject

_NOT_TAGS = {"osm_id", "osm_type", "@id", "@type", "id", "type", "label"}
_SHAPES: dict[str, tuple[Shape, str]] = {
    "Point": ("point", "node"),
    "LineString": ("line", "way"),
    "MultiLineString": ("line", "relation"),
    "Polygon": ("area", "way"),
    "MultiPolygon": ("area", "relation"),
}


def read_geojson(path: Path) -> Iterator[MapObject]:
    """Every feature with tags and a geometry. Raises ``SourceError`` for anything that is not WGS 84 GeoJSON."""
    for number, feature in enumerate(_features(path), start=1):
        geometry = _member(path, number, feature, "geometry")
        _member(path, number, feature, "properties")
        type_ = geometry.get("type")
        if not isinstance(type_, str) and geometry:
            raise SourceError(f"feature {number} of {path.name} has a geometry without a type: correct the file")
        if type_ not in _SHAPES:
            continue
        try:
            found = to_shape(geometry)
        except (KeyError, TypeError, ValueError, shapely.GEOSException) as error:
            raise SourceError(
                f"feature {number} of {path.name} has a geometry that is none ({error}): correct the file"
            ) from error
        if not found.is_empty:
            _check_degrees(path, number, found)
            yield from _objects(feature, type_, found, number)


def _features(path: Path) -> list[dict[str, Any]]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path.name} is not JSON ({error}): it is damaged or cut short; fetch it again") from error
    features = data.get("features") if isinstance(data, dict) else None
    if not isinstance(features, list) or not all(isinstance(f, dict) for f in features):
        raise SourceError(f"{path.name} is JSON but not a GeoJSON FeatureCollection: give one")
    crs = _crs(data.get("crs"))
    if not crs.endswith(("CRS84", "4326")):
        raise SourceError(f"{path.name} is in {crs}, and GeoJSON is read in WGS 84 only: convert it with ogr2ogr")
    return features


def _crs(said: Any) -> str:
    """The name of the coordinate system that a file carries: an object by the old rule, a plain string in the wild."""
    if isinstance(said, dict):
        said = said.get("properties")
    if isinstance(said, dict):
        said = said.get("name")
    return str(said or "CRS84")


def _member(path: Path, number: int, feature: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An object of a feature, empty where the feature has none. Raises ``SourceError`` for anything else."""
    value = feature.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise SourceError(f"{name} of feature {number} of {path.name} is no JSON object ({_clip(value)}): correct it")
    return value


def _clip(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"


def _check_degrees(path: Path, number: int, geometry: BaseGeometry) -> None:
    west, south, east, north = geometry.bounds
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        raise SourceError(f"feature {number} of {path.name} lies outside the globe in degrees: convert it to WGS 84")


def _objects(feature: Mapping[str, Any], type_: str, geometry: BaseGeometry, number: int) -> Iterator[MapObject]:
    from retriever.sources.osm import MapObject

    shape, kind = _SHAPES[type_]
    properties = dict(feature.get("properties") or {})
    inner = properties.pop("tags", None)
    if isinstance(inner, dict):
        properties.update(inner)
    tags = {key: str(value) for key, value in properties.items() if value is not None and key not in _NOT_TAGS}
    if not tags:
        return
    osm_id = _osm_id(feature, kind, number)
    if shape == "area" and "highway" in tags:
        tags["area"] = "yes"
    yield MapObject(osm_id=osm_id, tags=tags, shape=shape, geometry=geometry)
    if type_ == "LineString" and geometry.is_closed and len(geometry.coords) > 3:
        yield MapObject(osm_id=osm_id, tags=tags, shape="area", geometry=shapely.Polygon(geometry.coords))


def _osm_id(feature: Mapping[str, Any], kind: str, number: int) -> str:
    """``way/2`` from any of the places where writers put it; a feature without one counts as never uploaded (< 0)."""
    properties = feature.get("properties") or {}
    for value in (properties.get("@id"), feature.get("id"), properties.get("id")):
        if isinstance(value, str) and value.split("/")[0] in ("node", "way", "relation"):
            return value
    number_known = properties.get("osm_id")
    kind = str(properties.get("osm_type") or properties.get("@type") or kind)
    return f"{kind}/{number_known}" if number_known is not None else f"{kind}/{-number}"
