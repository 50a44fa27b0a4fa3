"""Where a thing may lie, in metres from the tile's centre, given what the witness said of it.

A witness at offset ``w`` with ``|w| <= slack`` who sees a thing on bearing ``b`` within 45 degrees puts it in a cone
with its apex at ``w``. The union of these cones over all ``w`` is the cone at the centre widened by ``slack`` on every
side; that is the same as allowing an object at offset ``v`` an angular error of ``45 + asin(slack / |v|)`` degrees, and
any bearing at all when ``|v| <= slack``. One polygon therefore answers for points, lines and areas alike.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

SLACK_M = 25.0
"""How far off the centre a witness is taken to stand when a claim is to be *supported*. The match radius is 42.4 m, but
a point spread evenly over the 60 m cell lies within 25 m in over half of the cases and 42 m would let nearly anything
support anything on a 120 m tile."""

MATCH_RADIUS_M = 42.4
"""The farthest a witness can stand from the centre of a tile that matches: used where a claim is *contradicted*."""

HALF_ANGLE = 45.0
"""Said "north" or "on my left", a thing is taken to lie within 45 degrees of that bearing."""

HERE_M = 20.0
"""Said "here" or "I am standing at", a thing is taken to lie within this distance of the witness."""

_FAR_M = 400.0
_QUADRANT = 16


def distance_tolerance(distance_m: float) -> float:
    """Metres by which people misjudge ``distance_m``: 40 %, at least 15 m."""
    return max(15.0, 0.4 * distance_m)


def cone(bearing: float) -> BaseGeometry:
    """The sector of ``HALF_ANGLE`` on both sides of a compass bearing, apex at the centre."""
    angles = np.radians(bearing + np.linspace(-HALF_ANGLE, HALF_ANGLE, 7))
    rim = np.stack([np.sin(angles), np.cos(angles)], axis=1) * _FAR_M
    return shapely.Polygon(np.vstack([[0.0, 0.0], rim]))


def disc(radius: float) -> BaseGeometry:
    return shapely.Point(0.0, 0.0).buffer(radius, quad_segs=_QUADRANT)


@lru_cache(maxsize=8192)
def zone(bearing: int | None, distance: int | None, slack: float, here: bool = False) -> BaseGeometry | None:
    """Where the thing may lie for a witness within ``slack`` metres of the centre; None means anywhere.

    ``bearing`` in whole degrees and ``distance`` in whole metres, so that the polygons can be kept.
    """
    area: BaseGeometry | None = None
    if bearing is not None:
        area = cone(bearing).buffer(slack, quad_segs=_QUADRANT)
    if distance is not None:
        reach = distance_tolerance(distance) + slack
        ring = disc(distance + reach)
        if distance > reach:
            ring = ring.difference(disc(distance - reach))
        area = ring if area is None else area.intersection(ring)
    elif here:
        area = disc(HERE_M + slack) if area is None else area.intersection(disc(HERE_M + slack))
    if area is not None:
        shapely.prepare(area)
    return area


@lru_cache(maxsize=1024)
def core(bearing: int | None, slack: float) -> BaseGeometry:
    """Where a thing is plain to see on that bearing from *every* place within ``slack``: it can be denied only there.

    Without a bearing: the disc in which a thing is near every such witness.
    """
    near = disc(HERE_M + slack)
    area = near if bearing is None else cone(bearing).buffer(-slack, quad_segs=_QUADRANT).intersection(disc(3 * slack))
    shapely.prepare(area)
    return area


def edge_distance(bearing: float | None, half_m: float) -> float:
    """Metres from the centre to the tile's edge along a bearing (the nearest edge without one)."""
    if bearing is None:
        return half_m
    angle = np.radians(bearing)
    return half_m / float(max(abs(np.sin(angle)), abs(np.cos(angle))))
