"""Where to look: a box, a circle or a polygon that limits the search before anything is ranked."""

from __future__ import annotations

import errno
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import shape as geometry_of
from shapely.geometry.base import BaseGeometry

from retriever.errors import SightlineError
from retriever.geo import M_PER_DEG, distance_m


class AreaError(SightlineError):
    """A limit that cannot be read as a place."""


HELP = 'write a box "west,south,east,north", a circle "lat,lon,300m", or a GeoJSON polygon or the path of its file'
QUOTED = 80
"""Most characters of a text that a message repeats."""
_RADIUS = re.compile(r"(\d+(?:\.\d+)?)\s*(m|km)$")


@dataclass(frozen=True)
class Area:
    """A part of the Earth's surface."""

    text: str
    """As it was written, for the record."""
    shape: BaseGeometry | None = None
    """Longitude, latitude; None for a circle."""
    centre: tuple[float, float] | None = None
    """lat, lon"""
    radius_m: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Area:
        """Read any of the three forms. Raises ``AreaError`` with what was wrong."""
        words = [w.strip() for w in text.strip().split(",")]
        if text.strip().startswith("{"):
            return cls.polygon(_json(text, "the text"))
        if len(words) == 3 and (found := _RADIUS.match(words[2])):
            metres = float(found[1]) * (1000.0 if found[2] == "km" else 1.0)
            lat, lon = _numbers(words[:2], text)
            return cls.radius(lat, lon, metres)
        written = _file_text(text)
        if written is not None:
            return cls.polygon(_json(written, _quoted(text)))
        if len(words) == 4:
            west, south, east, north = _numbers(words, text)
            return cls.box(west, south, east, north)
        raise AreaError(f"{_quoted(text)} is no area: {HELP}")

    @classmethod
    def box(cls, west: float, south: float, east: float, north: float) -> Area:
        """Raises ``AreaError`` where the edges are out of order or off the Earth."""
        _on_earth(((south, west), (north, east)))
        if not (west < east and south < north):
            raise AreaError(f"the box {west},{south},{east},{north} is empty: {HELP}")
        return cls(f"{west},{south},{east},{north}", shape=shapely.box(west, south, east, north))

    @classmethod
    def radius(cls, lat: float, lon: float, metres: float) -> Area:
        """Raises ``AreaError`` for a centre off the Earth or a radius that is not positive."""
        _on_earth(((lat, lon),))
        if not (math.isfinite(metres) and metres > 0):
            raise AreaError(f"a radius of {metres} m holds nothing: {HELP}")
        return cls(f"{lat},{lon},{metres:g}m", centre=(lat, lon), radius_m=metres)

    @classmethod
    def polygon(cls, geojson: dict[str, Any]) -> Area:
        """A GeoJSON Polygon or MultiPolygon, alone or in features. Raises ``AreaError`` for anything else."""
        try:
            features = geojson["features"] if geojson.get("type") == "FeatureCollection" else [geojson]
            shapes = [geometry_of(f["geometry"] if f.get("type") == "Feature" else f) for f in features]
        except (AttributeError, KeyError, TypeError, ValueError, IndexError, shapely.GEOSException) as error:
            raise AreaError(f"the area is no GeoJSON polygon ({_clipped(repr(error))}): {HELP}") from error
        if not shapes or any(s.geom_type not in ("Polygon", "MultiPolygon") or s.is_empty for s in shapes):
            raise AreaError(f"the area holds something other than polygons: {HELP}")
        merged = shapely.union_all([shapely.make_valid(s) for s in shapes])
        west, south, east, north = merged.bounds
        _on_earth(((south, west), (north, east)))
        return cls(json.dumps(geojson), shape=merged)

    @classmethod
    def cells(cls, lat: NDArray[np.float64], lon: NDArray[np.float64], stride_m: float) -> Area:
        """The squares of ``stride_m`` metres around these centres [N] as one polygon. Raises ``AreaError`` for none."""
        if not len(lat):
            raise AreaError("no tile of the gallery lies there; name a wider area")
        half = stride_m / 2 / M_PER_DEG
        wide = half / np.cos(np.radians(float(np.mean(lat))))
        # A thousandth over the half closes the slits that rounding leaves between neighbours.
        squares = shapely.box(lon - 1.001 * wide, lat - 1.001 * half, lon + 1.001 * wide, lat + 1.001 * half)
        merged = shapely.simplify(shapely.union_all(squares), half / 100)
        return cls.polygon(json.loads(shapely.to_geojson(shapely.set_precision(merged, 1e-7))))

    def contains(self, lat: NDArray[np.float64], lon: NDArray[np.float64]) -> NDArray[np.bool_]:
        """bool [N]: which points lie inside; the edge counts."""
        if self.centre is not None:
            return np.asarray(distance_m(*self.centre, lat, lon) <= self.radius_m)
        return np.asarray(shapely.intersects_xy(self.shape, lon, lat))


def _clipped(text: str) -> str:
    return text if len(text) <= QUOTED else text[: QUOTED - 1] + "…"


def _quoted(text: str) -> str:
    """What a person wrote, as a message can carry it."""
    return repr(_clipped(text))


def _file_text(path: str) -> str | None:
    """What a file holds, None where there is none of that name. Raises ``AreaError`` where it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8") if Path(path).is_file() else None
    except UnicodeDecodeError as error:
        raise AreaError(f"{_quoted(path)} cannot be read as text ({error.reason}): {HELP}") from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return None
        raise AreaError(f"{_quoted(path)} cannot be read ({error.strerror}): {HELP}") from error
    except ValueError:
        return None  # text that no file system takes as a name


def _numbers(words: Sequence[str], text: str) -> list[float]:
    try:
        return [float(w) for w in words]
    except ValueError as error:
        raise AreaError(f"{_quoted(text)} holds something that is no number: {HELP}") from error


def _json(text: str, where: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AreaError(f"{where} is not valid GeoJSON ({error}): {HELP}") from error
    if not isinstance(data, dict):
        raise AreaError(f"{where} is not a GeoJSON object: {HELP}")
    return data


def _on_earth(points: Sequence[tuple[float, float]]) -> None:
    for lat, lon in points:
        if not (-90 <= lat <= 90 and -180 <= lon <= 180):
            raise AreaError(f"latitude {lat}, longitude {lon} is not on the Earth (is the order right?): {HELP}")
