"""From a limit in words to an area on the ground, by what the gallery holds; or why that cannot be done."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from agent.context import Context
from agent.state import Json
from prompts.claims import extract_claims
from prompts.claims_.area import AreaLimit
from retriever.errors import SightlineError
from retriever.types import Claim, Query

RADIUS_M = 300.0
"""Around a thing that was named without a distance."""
FAR_DEG = 2.0
"""How far a half-plane reaches, in degrees: beyond any gallery of one city."""

_POINT = re.compile(r"(-?\d{1,2}\.\d+)\s*[,，]\s*(-?\d{1,3}\.\d+)")
_REACH = re.compile(r"(?<![\d.])(\d+(?:\.\d+)?)\s*(km|公里|千米|m\b|met(?:re|er)s?|米)", re.IGNORECASE)
_WHOLE = r"(?:everywhere|(?:in |over )?the whole (?:area|gallery|city|town|map))"
_EVERYWHERE = re.compile(
    rf"\b(?:search|look|try|find it)(?: again| now)? {_WHOLE}\b|^\W*{_WHOLE}(?: again| now)?(?:,? please)?\W*$"
    r"|\bno area limit\b|^\W*(?:no|without(?: a| any| the)?|(?:remove|drop|lift) (?:the|any)) (?:area )?limit\b"
    r"|(?:搜索?|找|看)(?:一下)?(?:全部|整个)(?:区域|图库|城市)|^\W*(?:全部|整个)区域\W*$|不限区域|不限范围|取消范围",
    re.IGNORECASE,
)
"""A wish to search without a limit: words such as "bikes everywhere" describe a place and are no wish."""


class NoArea(SightlineError):
    """A limit that the gallery cannot place."""


def written(text: str) -> tuple[bool, str | None]:
    """``(whether the turn sets a limit by numbers, the limit)``: "within 300 m of 51.5, -0.12", "search everywhere".

    >>> written("within 300 m of 51.50000, -0.12000")
    (True, '51.5,-0.12,300m')
    >>> written("a cafe 30 m away")
    (False, None)
    """
    if len(text) < 80 and _EVERYWHERE.search(text) and not extract_claims(text):
        return True, None
    point, reach = _POINT.search(text), _REACH.search(text)
    if point is None or reach is None or len(text) > 120:
        return False, None
    metres = float(reach[1]) * (1000.0 if reach[2].lower() in ("km", "公里", "千米") else 1.0)
    return True, circle(float(point[1]), float(point[2]), metres)


def circle(lat: float, lon: float, metres: float) -> str:
    """A circle as :meth:`retriever.area.Area.parse` reads it."""
    return f"{round(lat, 6)},{round(lon, 6)},{metres:g}m"


def resolve(limit: AreaLimit, context: Context, result: Json) -> str:
    """The limit as text for ``Area.parse``. Raises ``NoArea`` with what is missing."""
    if limit.exclude:
        raise NoArea("leaving a part out of the search is not possible; name the part to search in")
    lat, lon = _anchor(limit, context, result)
    if limit.bearing_deg is not None:
        return _side(lat, lon, limit.bearing_deg)
    return circle(lat, lon, limit.radius_m or RADIUS_M)


def _anchor(limit: AreaLimit, context: Context, result: Json) -> tuple[float, float]:
    if limit.rank is not None:
        listed = result["candidates"]
        if limit.rank > len(listed):
            raise NoArea(f"there is no number {limit.rank}: {len(listed)} candidates are listed")
        return listed[limit.rank - 1]["lat"], listed[limit.rank - 1]["lon"]
    if limit.anchor is None or not limit.anchor_is_name:
        what = (limit.anchor or "that").replace("_", " ")
        raise NoArea(f"{what} is not one place on this map; give its name, a candidate's number, or coordinates")
    return _named(limit.anchor, context)


def _named(name: str, context: Context) -> tuple[float, float]:
    """Centre of the tile that holds the name best."""
    claim = Claim(id="c1", span=name, kind="name", value=name)
    scores: Any = context.retriever.scores(Query(id="area", text=name), [claim], mode="names")
    if not len(scores) or float(np.max(scores)) <= 0.0:
        raise NoArea(f"nothing called {name!r} is on this gallery's map")
    row = int(np.argmax(scores))
    return float(context.gallery.lat[row]), float(context.gallery.lon[row])


def _side(lat: float, lon: float, bearing: float) -> str:
    """Everything on one side of a point, as a box; between the four sides the nearest one is taken."""
    side = round(bearing / 90.0) % 4
    reach = FAR_DEG
    west, south, east, north = lon - reach, lat - reach, lon + reach, lat + reach
    if side == 0:
        south = lat
    elif side == 1:
        west = lon
    elif side == 2:
        north = lat
    else:
        east = lon
    return f"{west:.6f},{south:.6f},{east:.6f},{north:.6f}"
