"""Where a camera stands and what it covers: one record for every kind of view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from retriever.geo import Frame
from retriever.types import Box, Record

ViewName = Literal["satellite", "uav", "ground", "panorama", "map"]
VIEWS: tuple[ViewName, ...] = ("satellite", "uav", "ground", "panorama", "map")

SIZES: dict[ViewName, tuple[int, int]] = {
    "satellite": (448, 448),
    "uav": (448, 448),
    "ground": (448, 336),
    "panorama": (896, 448),
    "map": (448, 448),
}
"""Width and height in pixels. The encoder sees 224; an equirectangular panorama is twice as wide as high."""

TILE_M = 120.0
"""Side of the nadir views, which is the side of a gallery's tile."""


@dataclass(frozen=True, kw_only=True)
class Pose(Record):
    """A camera. Angles in degrees; heading clockwise from north, pitch up from the horizon."""

    view: ViewName
    lat: float
    """Of the camera; of the picture's centre for ``satellite`` and ``map``."""
    lon: float
    width: int
    height: int
    """Pixels."""
    altitude_m: float | None = None
    """Above the ground; None for the orthographic views."""
    heading_deg: float = 0.0
    """Of the optical axis; of the middle column for ``panorama``; of the upper edge for nadir views."""
    pitch_deg: float = 0.0
    fov_deg: float | None = None
    """Horizontal; 360 for ``panorama``, None for the orthographic views."""
    bounds: Box | None = None
    """West, south, east, north of a nadir view."""
    gsd_m: float | None = None
    """Metres on the ground per pixel: of nadir views, and at the middle of a drone picture."""


def nadir_pose(
    view: Literal["satellite", "map"], lat: float, lon: float, *, size_m: float = TILE_M, px: int | None = None
) -> Pose:
    """The square of ``size_m`` about a point, as a gallery's tile has it."""
    width = px or SIZES[view][0]
    frame = Frame(lat=lat, lon=lon)
    south, west = frame.latlon(-size_m / 2, -size_m / 2)
    north, east = frame.latlon(size_m / 2, size_m / 2)
    bounds = (float(west), float(south), float(east), float(north))
    return Pose(
        view=view, lat=lat, lon=lon, width=width, height=width, pitch_deg=-90.0, bounds=bounds, gsd_m=size_m / width
    )
