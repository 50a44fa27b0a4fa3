"""A small map of the candidates' footprints: lines and boxes only, no pictures from anywhere."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from agent.casefile.areas import area_of, outline
from agent.casefile.case import Case
from retriever.geo import M_PER_DEG

Json = dict[str, Any]
Points = tuple[tuple[float, float], ...]
WIDTH = 640.0
"""Units; the height follows from the ground that is shown."""
_LOW, _HIGH = 170.0, 400.0
_MARGIN = 26.0
_STEPS = (1, 2, 5)
_FRAME_M = 60.0


@dataclass(frozen=True, kw_only=True)
class Foot:
    """One candidate on the map, in the map's units, y down."""

    rank: int
    box: tuple[float, float, float, float]
    confidence: float
    verdict: str


@dataclass(frozen=True, kw_only=True)
class Locator:
    height: float
    feet: tuple[Foot, ...]
    """The first candidate last, so that it is drawn on top."""
    limits: tuple[Points, ...]
    scale_m: int
    scale: float
    """Length of the scale bar in the map's units."""


def locator_of(case: Case) -> Locator:
    """Candidates in metres around their middle, north up, scaled to fit :data:`WIDTH`."""
    boxes = [c["bounds"] for c in case.candidates]
    west, south = min(b[0] for b in boxes), min(b[1] for b in boxes)
    east, north = max(b[2] for b in boxes), max(b[3] for b in boxes)
    lat, lon = (south + north) / 2, (west + east) / 2
    wide = M_PER_DEG * max(math.cos(math.radians(lat)), 1e-6)
    span_x, span_y = (east - west) * wide + 2 * _FRAME_M, (north - south) * M_PER_DEG + 2 * _FRAME_M
    unit = min((WIDTH - 2 * _MARGIN) / span_x, (_HIGH - 2 * _MARGIN) / span_y)
    height = round(max(_LOW, span_y * unit + 2 * _MARGIN), 2)

    def place(x: float, y: float) -> tuple[float, float]:
        return round(WIDTH / 2 + (x - lon) * wide * unit, 2), round(height / 2 - (y - lat) * M_PER_DEG * unit, 2)

    feet = []
    for c in reversed(case.candidates):
        w, s, e, n = c["bounds"]
        box = (*place(w, n), *place(e, s))
        feet.append(Foot(rank=c["rank"], box=box, confidence=c["confidence"], verdict=c["verdict"] or "not_judged"))
    area = area_of(case.query["within"])
    shape = None if area is None else outline(area)
    parts = [] if shape is None else list(getattr(shape, "geoms", [shape]))
    limits = tuple(tuple(place(x, y) for x, y in part.exterior.coords) for part in parts)
    metres = _round(span_x / 5)
    return Locator(height=height, feet=tuple(feet), limits=limits, scale_m=metres, scale=round(metres * unit, 2))


def _round(metres: float) -> int:
    """The nearest 1, 2 or 5 times a power of ten that is not longer."""
    power = 10 ** math.floor(math.log10(max(metres, 1.0)))
    return max(int(step * power) for step in _STEPS if step * power <= max(metres, 1.0))
