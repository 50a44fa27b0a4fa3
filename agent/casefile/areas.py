"""Areas in a case file: GeoJSON shapes and circles, never names of files, so that reading a case opens nothing else."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from retriever.area import Area, AreaError
from retriever.geo import M_PER_DEG

Json = dict[str, Any]
_CORNERS = 72


def area_json(text: str | None) -> Json | None:
    """An area limit as :meth:`retriever.area.Area.parse` reads it, as JSON that stands alone."""
    if not text:
        return None
    area = Area.parse(str(text))
    if area.centre is not None:
        return {"type": "Circle", "lat": area.centre[0], "lon": area.centre[1], "radius_m": area.radius_m}
    found: Json = json.loads(str(shapely.to_geojson(area.shape)))
    return found


def area_of(data: Json | None) -> Area | None:
    """The area again. Raises ``AreaError`` for what :func:`area_json` never wrote."""
    if data is None:
        return None
    if data.get("type") == "Circle":
        try:
            return Area.radius(float(data["lat"]), float(data["lon"]), float(data["radius_m"]))
        except (KeyError, TypeError, ValueError) as error:
            raise AreaError(f"the circle of the case file cannot be read ({error})") from None
    return Area.polygon(data)


def outline(area: Area) -> BaseGeometry:
    """The area as a shape in longitude and latitude; a circle with 72 corners."""
    if area.centre is None:
        assert area.shape is not None
        return area.shape
    lat, lon = area.centre
    turn = np.linspace(0.0, 2.0 * np.pi, _CORNERS, endpoint=False)
    north = area.radius_m / M_PER_DEG
    east = north / max(float(np.cos(np.radians(lat))), 1e-6)
    return shapely.Polygon(np.column_stack([lon + east * np.sin(turn), lat + north * np.cos(turn)]))
