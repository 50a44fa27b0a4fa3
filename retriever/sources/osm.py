"""OpenStreetMap extracts: ``.osm``, ``.osm.gz``, ``.osm.bz2``, ``.osm.pbf`` (pyosmium) and GeoJSON with OSM tags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import osmium
import shapely
from shapely.geometry.base import BaseGeometry

from retriever.errors import SourceError
from retriever.types import Box, Shape

ATTRIBUTION = "© OpenStreetMap contributors"
LICENCE = "ODbL 1.0"

_OSM_SUFFIXES = (".osm", ".osm.gz", ".osm.bz2", ".osm.pbf", ".pbf", ".xml")
_JSON_SUFFIXES = (".geojson", ".json")


@dataclass(frozen=True, kw_only=True)
class MapObject:
    """One geometry of one tagged OSM object. A closed way comes twice: as its line and as its area."""

    osm_id: str
    """``node/1``, ``way/2`` or ``relation/3``."""
    tags: Mapping[str, str]
    shape: Shape
    geometry: BaseGeometry
    """Shapely, x = longitude, y = latitude, WGS 84 degrees."""


def read_osm(path: Path | str) -> Iterator[MapObject]:
    """Every tagged object of an extract that has a place, in the file's order.

    Raises:
        SourceError: the file is missing, not an extract, damaged or cut short.
    """
    path = _checked(Path(path))
    if path.name.lower().endswith(_JSON_SUFFIXES):
        from retriever.sources.geojson import read_geojson

        yield from read_geojson(path)
        return
    wkb = osmium.geom.WKBFactory()
    try:
        with_areas = osmium.FileProcessor(str(path)).with_areas().with_filter(osmium.filter.EmptyTagFilter())
        for obj in with_areas:
            yield from _objects(obj, wkb)
    except (RuntimeError, OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def header_box(path: Path | str) -> Box | None:
    """The box that the extract says it covers, None where it says nothing (or not for this format)."""
    path = _checked(Path(path))
    if path.name.lower().endswith(_JSON_SUFFIXES):
        return None
    try:
        reader = osmium.io.Reader(str(path), osmium.osm.osm_entity_bits.NOTHING)
        box = reader.header().box()
        reader.close()
    except (RuntimeError, OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if not box.valid() or not box.bottom_left.valid() or not box.top_right.valid():
        return None
    found = (box.bottom_left.lon, box.bottom_left.lat, box.top_right.lon, box.top_right.lat)
    return found if found[0] < found[2] and found[1] < found[3] else None


def _checked(path: Path) -> Path:
    if not path.is_file():
        raise SourceError(f"there is no map extract at {path}: give the path of an .osm, .osm.pbf or .geojson file")
    if not path.name.lower().endswith(_OSM_SUFFIXES + _JSON_SUFFIXES):
        raise SourceError(
            f"{path.name} does not end in {', '.join(_OSM_SUFFIXES[:4])} or .geojson, so it is not read as a map "
            "extract: give one of these"
        )
    if path.stat().st_size == 0:
        raise SourceError(f"{path.name} is empty: fetch the extract again")
    return path


def _unreadable(path: Path, error: BaseException) -> SourceError:
    return SourceError(
        f"{path.name} cannot be read as an OpenStreetMap extract ({str(error).strip() or type(error).__name__}): "
        "it is damaged, cut short or something else; fetch it again"
    )


def _objects(obj: Any, wkb: Any) -> Iterator[MapObject]:
    if obj.is_node():
        if obj.location.valid():
            point = shapely.Point(obj.location.lon, obj.location.lat)
            yield MapObject(osm_id=f"node/{obj.id}", tags=dict(obj.tags), shape="point", geometry=point)
    elif obj.is_way():
        line = _line(obj)
        if line is not None:
            yield MapObject(osm_id=f"way/{obj.id}", tags=dict(obj.tags), shape="line", geometry=line)
    elif obj.is_area():
        yield from _area(obj, wkb)


def _line(way: Any) -> BaseGeometry | None:
    """The way's line. Nodes that the extract leaves out break it, because a chord across the gap would be invented."""
    runs: list[list[tuple[float, float]]] = [[]]
    for node in way.nodes:
        if node.location.valid():
            runs[-1].append((node.location.lon, node.location.lat))
        elif runs[-1]:
            runs.append([])
    lines = [run for run in runs if len(set(run)) > 1]
    if not lines:
        return None
    return shapely.LineString(lines[0]) if len(lines) == 1 else shapely.MultiLineString(lines)


def _area(area: Any, wkb: Any) -> Iterator[MapObject]:
    tags = dict(area.tags)
    kind = "way" if area.from_way() else "relation"
    if kind == "relation" and "highway" in tags:
        # A multipolygon of a street is a surface, which a way has to say with area=yes.
        tags["area"] = "yes"
    try:
        shape = shapely.from_wkb(wkb.create_multipolygon(area))
    except (RuntimeError, shapely.GEOSException):
        # An area without a valid outline has no place on a map; the rest of the extract is still good.
        return
    yield MapObject(osm_id=f"{kind}/{area.orig_id()}", tags=tags, shape="area", geometry=shape)
