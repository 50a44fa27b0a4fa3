"""From map objects to facts: which kinds an object is, what form each takes on a map, and its part on one tile."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from retriever.geo import Frame
from retriever.kinds import Kind, kinds, kinds_of
from retriever.sources.osm import MapObject
from retriever.types import Box, Fact, Ring, Shape

DIGITS = 4
"""Decimals of tile coordinates: a centimetre on a 120 m tile."""

_POINT_GROUPS = ("place", "transport", "street")
_LINE_GROUPS = ("road", "rail")
_LINE_WATERWAYS = ("river", "canal", "stream", "ditch", "drain")
_LANG = re.compile(r"name:([a-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*)$")
_SEEN = {
    "height", "building", "oneway", "lanes", "surface", "cuisine", "brand", "operator", "religion", "denomination",
    "sport", "highway", "railway", "bridge", "tunnel", "junction", "crossing", "ref", "layer", "covered", "lit",
    "amenity", "shop", "tourism", "leisure", "natural", "landuse", "waterway", "water", "historic", "man_made",
    "barrier", "office", "artwork_type", "memorial", "leaf_type", "network", "local_ref", "service", "footway",
    "sidewalk", "cycleway", "start_date", "addr:housenumber", "addr:street", "addr:housename", "outdoor_seating",
    "tracks", "electrified", "parking", "access", "tower:type", "material", "colour", "place",
}  # fmt: skip
"""Tags that somebody standing there could see; house numbers and street names hang on signs."""
_SEEN_PREFIXES = ("building:", "roof:", "crossing:")


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One kind of one object, in metres of a frame (or degrees, before :func:`project`)."""

    osm_id: str
    kind: str
    shape: Shape
    names: Mapping[str, str]
    tags: Mapping[str, str]
    geometry: BaseGeometry


def _buried(kind: Kind, tags: Mapping[str, str]) -> bool:
    """Water and rails under the ground: mapped, but nobody standing there sees them. Streets in tunnels are seen."""
    hidden = tags.get("tunnel") in ("yes", "culvert", "flooded", "covered") or tags.get("location") == "underground"
    return hidden and kind.group in ("water", "rail")


def features_of(obj: MapObject) -> Iterator[Feature]:
    """What an object shows on a map: one feature for each of its kinds, none where it shows nothing."""
    found = [kind for kind in kinds_of(obj.tags) if not _buried(kind, obj.tags)]
    if not found:
        return
    names, tags = names_of(obj.tags), seen_tags(obj.tags)
    for kind in found:
        shape = _shape_on_map(kind, obj)
        if shape is not None:
            geometry = obj.geometry if shape == obj.shape else _middle(obj.geometry)
            yield Feature(osm_id=obj.osm_id, kind=kind.id, shape=shape, names=names, tags=tags, geometry=geometry)


def names_of(tags: Mapping[str, str]) -> dict[str, str]:
    """Names by language; the plain ``name`` is under the empty string."""
    names = {"": tags["name"]} if tags.get("name") else {}
    for key, value in sorted(tags.items()):
        found = _LANG.match(key)
        if found and value:
            names[found[1]] = value
    return names


def seen_tags(tags: Mapping[str, str]) -> dict[str, str]:
    return {k: v for k, v in sorted(tags.items()) if k in _SEEN or k.startswith(_SEEN_PREFIXES)}


def _linear(kind: Kind, tags: Mapping[str, str]) -> bool:
    if kind.group in _LINE_GROUPS:
        return True
    if kind.group == "barrier":
        return tags.get("man_made") != "bridge"
    if kind.group == "water":
        return kind.id == "coastline" or tags.get("waterway") in _LINE_WATERWAYS
    return kind.id == "tree" and tags.get("natural") == "tree_row"


def _shape_on_map(kind: Kind, obj: MapObject) -> Shape | None:
    """The form that one kind of an object takes, None where another geometry of the same object carries it."""
    if obj.shape == "point":
        return "point"
    surface = kind.group in _LINE_GROUPS and obj.tags.get("area") == "yes"
    if _linear(kind, obj.tags):
        return "line" if obj.shape == "line" and not surface else None
    pointlike = kind.group in _POINT_GROUPS
    if obj.shape == "area":
        return "point" if pointlike else "area"
    return "point" if pointlike and not obj.geometry.is_closed else None


def _middle(geometry: BaseGeometry) -> BaseGeometry:
    if geometry.geom_type == "LineString":
        return geometry.interpolate(0.5, normalized=True)
    return geometry.representative_point()


def project(geometry: BaseGeometry, frame: Frame) -> BaseGeometry:
    """Degrees to metres of a frame."""

    def plane(lonlat: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        x, y = frame.xy(lonlat[:, 1], lonlat[:, 0])
        return np.column_stack([x, y])

    moved: BaseGeometry = shapely.transform(geometry, plane)
    return moved


@cache
def _kind_order() -> Mapping[str, int]:
    return {kind: number for number, kind in enumerate(kinds())}


def feature_order(feature: Feature) -> tuple[int, str, int, str]:
    """Sort key: the table of kinds first, then the object; the same on every machine."""
    type_, _, number = feature.osm_id.partition("/")
    return _kind_order()[feature.kind], type_, int(number) if number.lstrip("-").isdigit() else 0, feature.osm_id


def facts_on(features: Sequence[Feature], clipped: Sequence[BaseGeometry], box: Box) -> tuple[Fact, ...]:
    """Facts of one tile.

    ``clipped`` are the features' geometries cut to the tile and its margin, in metres; ``box`` is the tile's box in
    the same metres. Features that left nothing are dropped.
    """
    facts = []
    for feature, geometry in sorted(zip(features, clipped, strict=True), key=lambda pair: feature_order(pair[0])):
        parts = _parts(geometry, feature.shape, box)
        if parts:
            facts.append(
                Fact(
                    osm_id=feature.osm_id,
                    kind=feature.kind,
                    shape=feature.shape,
                    parts=parts,
                    names=feature.names,
                    tags=feature.tags,
                )
            )
    return tuple(facts)


def _parts(geometry: BaseGeometry, shape: Shape, box: Box) -> tuple[Ring, ...]:
    if shape == "point":
        return () if geometry.is_empty else (_ring(geometry, box),)
    parts = []
    for piece in shapely.get_parts(geometry):
        if shape == "line" and piece.geom_type in ("LineString", "LinearRing"):
            parts.append(_ring(piece, box))
        elif shape == "area" and piece.geom_type == "Polygon" and piece.area > 0:
            parts.append(_ring(piece.exterior, box))
            parts.extend(_ring(hole, box) for hole in piece.interiors)
    return tuple(part for part in parts if len(part) > 1)


def _ring(geometry: BaseGeometry, box: Box) -> Ring:
    """Metres to tile coordinates; points that rounding made equal to the one before are dropped."""
    west, south, east, north = box
    xy = shapely.get_coordinates(geometry)
    x = np.round((xy[:, 0] - west) / (east - west), DIGITS) + 0.0
    y = np.round((north - xy[:, 1]) / (north - south), DIGITS) + 0.0
    points = list(zip(x.tolist(), y.tolist(), strict=True))
    return tuple(p for i, p in enumerate(points) if i == 0 or p != points[i - 1])
