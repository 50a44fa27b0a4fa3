"""Buildings: walls from outlines, storeys and heights from tags (or likely ones), roofs by shape."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import mapbox_earcut
import numpy as np
import shapely
import yaml
from numpy.typing import NDArray
from shapely.geometry import Polygon
from shapely.geometry.polygon import orient

from finetune.views.mesh import PLAIN, ROOF, WALL, MeshBuilder, Wall, linear
from finetune.views.seeds import generator

Colour = tuple[float, float, float]
XY = tuple[float, float]
_NUMBER = re.compile(r"\s*(\d+(?:\.\d+)?)")
TALLEST_M = 390.0
RIBBON, GLASS, PANES = 1.0, 2.0, 0.0
"""Styles of windows: bands, whole walls, single ones."""


@cache
def palette() -> dict[str, Any]:
    table: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("palette.yaml").read_text(encoding="utf-8"))
    return table


def number_in(tags: Mapping[str, str], key: str) -> float | None:
    """A tag's leading number; feet where it says so."""
    found = _NUMBER.match(tags.get(key, ""))
    if not found:
        return None
    value = float(found[1])
    return value * 0.3048 if "'" in tags[key] or "ft" in tags[key] else value


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is decided about a building before it is built."""

    low: float
    eaves: float
    """Where the walls end."""
    storeys: int
    wall: Colour
    roof: Colour
    frame: Colour
    material: str
    pitched: bool
    shape: str
    """The roof's, as tagged; empty where it is not."""
    seed: float


def plan_of(osm_id: str, tags: Mapping[str, str], area: float) -> Plan:
    """Heights, materials and colours: from tags, else likely ones, the same for the same object everywhere."""
    rng = generator("building", osm_id)
    use = tags.get("building", "yes")
    row = palette()["buildings"].get(use, palette()["buildings"]["default"])
    storeys, eaves, low = _heights(tags, row, area, rng)
    material = _material(tags, row, storeys, rng)
    pitched = bool(rng.random() < row["pitched"]) and eaves - low < 22 and area < 1500
    shape = tags.get("roof:shape", "")
    if shape:
        pitched = shape != "flat"
    roofs = palette()["roofs"]["tiles" if pitched and rng.random() < 0.75 else "metal" if pitched else "flat"]
    walls = palette()["walls"][material]
    frames = palette()["frames"]
    shade = float(rng.normal(1.0, 0.07))
    wall = tagged_colour(tags, "building:colour") or linear(walls[rng.integers(len(walls))])
    return Plan(
        low=low,
        eaves=eaves,
        storeys=storeys,
        wall=_times(wall, shade),
        roof=_times(tagged_colour(tags, "roof:colour") or linear(roofs[rng.integers(len(roofs))]), shade),
        frame=linear(frames[rng.integers(len(frames))]),
        material=material,
        pitched=pitched,
        shape=shape,
        seed=float(rng.random()),
    )


def _heights(
    tags: Mapping[str, str], row: Mapping[str, Any], area: float, rng: np.random.Generator
) -> tuple[int, float, float]:
    usual, levels = palette()["storey_m"], number_in(tags, "building:levels")
    likely = int(rng.integers(row["levels"][0], row["levels"][1] + 1))
    if area < 45:
        likely = 1
    height = number_in(tags, "height")
    roof = number_in(tags, "roof:height") or 0.0
    if height is not None and height > 1.5:
        eaves = max(height - roof, height * 0.5)
        storeys = round(levels) if levels else max(1, round(eaves / usual))
    else:
        storeys = max(1, round(levels)) if levels is not None else likely
        eaves = storeys * usual + (0.9 if storeys > 1 else 0.2)
    low = number_in(tags, "min_height") or (number_in(tags, "building:min_level") or 0.0) * usual
    eaves = min(eaves, TALLEST_M)
    return max(1, storeys), eaves, min(low, eaves - 1.0) if low > 0 else 0.0


_MATERIALS = {"cement_block": "concrete", "timber_framing": "plaster", "sandstone": "stone", "steel": "metal"}


def _material(tags: Mapping[str, str], row: Mapping[str, Any], storeys: int, rng: np.random.Generator) -> str:
    said = tags.get("building:material", "")
    said = _MATERIALS.get(said, said)
    drawn = str(row["wall"][rng.integers(len(row["wall"]))])
    if storeys > 10:
        drawn = ("glass", "glass", "concrete")[int(rng.integers(3))]
    return said if said in palette()["walls"] else drawn


def tagged_colour(tags: Mapping[str, str], key: str) -> Colour | None:
    """The colour that a tag names, a little greyer and darker than the pure one; None where it names none."""
    said = tags.get(key, tags.get(key.replace("colour", "color"), "")).strip().lower()
    said = palette()["colour_names"].get(said.replace(" ", "_"), said.replace(" ", "").replace("_", ""))
    try:
        pure = linear(said)
    except ValueError:
        return None
    grey = sum(pure) / 3
    r, g, b = (min(0.75, 0.78 * (0.85 * c + 0.15 * grey) + 0.012) for c in pure)
    return r, g, b


def _times(colour: Colour, by: float) -> Colour:
    r, g, b = (float(np.clip(c * by, 0.01, 0.9)) for c in colour)
    return r, g, b


def raise_house(out: MeshBuilder, shape: Polygon, plan: Plan) -> list[int]:
    """Adds a building on an outline (metres); returns the rows of its walls, outer ones first."""
    plain = shape.simplify(0.15)
    if not isinstance(plain, Polygon) or plain.area < 1.0:
        return []
    outline = orient(plain, 1.0)
    rows = [
        row
        for ring in (outline.exterior, *outline.interiors)
        for row in _ring(out, np.asarray(ring.coords)[:, :2], plan)
    ]
    _roof(out, outline, plan)
    return rows


def _ring(out: MeshBuilder, points: NDArray[np.float64], plan: Plan) -> list[int]:
    rows = []
    for (x0, y0), (x1, y1) in pairwise(points):
        length = math.hypot(x1 - x0, y1 - y0)
        if length < 0.05:
            continue
        rows.append(_wall(out, (x0, y0), (x1, y1), length, plan))
    return rows


def _wall(out: MeshBuilder, a: XY, b: XY, length: float, plan: Plan) -> int:
    style = PANES
    wide, tall = 0.34 + 0.16 * plan.seed, 0.46 + 0.14 * ((plan.seed * 7) % 1)
    if plan.material == "glass":
        style, wide, tall = GLASS, 0.92, 0.9
    elif plan.material in ("concrete", "metal") and plan.seed > 0.5:
        style, wide, tall = RIBBON, 0.96, 0.45
    bay = 2.4 + 1.6 * ((plan.seed * 13) % 1) if style != GLASS else 1.6
    bays = float(max(1, round(length / bay))) if length > 1.6 else 0.0
    row = len(out.walls)
    wall = Wall(
        *a, (b[0] - a[0]) / length, (b[1] - a[1]) / length, length, plan.low, plan.eaves,
        (plan.eaves - plan.low) / plan.storeys, bays, wide, tall, style, plan.seed, 0.0, 0.0, 0.0, *plan.frame,
    )  # fmt: skip
    out.walls.append(wall)
    low, high = plan.low, plan.eaves
    out.quad((*a, low), (*b, low), (*b, high), (*a, high), WALL, plan.wall, row)
    return row


def cap(out: MeshBuilder, shape: Polygon, z: float, colour: Colour, material: int = ROOF) -> None:
    """A level surface over an outline."""
    rings = [np.asarray(r.coords)[:-1, :2] for r in (shape.exterior, *shape.interiors)]
    points = np.concatenate(rings).astype(np.float64)
    ends = np.cumsum([len(r) for r in rings]).astype(np.uint32)
    faces = mapbox_earcut.triangulate_float64(points, ends).reshape(-1, 3)
    corners = np.concatenate([points, np.full((len(points), 1), z)], axis=1)
    out.add(corners[faces], material, colour)


def _roof(out: MeshBuilder, shape: Polygon, plan: Plan) -> None:
    if plan.pitched and not shape.interiors:
        frame = shapely.minimum_rotated_rectangle(shape)
        if isinstance(frame, Polygon) and shape.area > 0.86 * frame.area > 0:
            _saddle(out, np.asarray(frame.exterior.coords)[:4, :2], plan)
            return
    cap(out, shape, plan.eaves, plan.roof)
    if plan.pitched:
        _tier(out, shape, plan)
    elif shape.area > 120:
        _clutter(out, shape, plan)


def _saddle(out: MeshBuilder, c: NDArray[np.float64], plan: Plan) -> None:
    """Gabled, hipped or pyramidal over a rectangle, with a little overhang."""
    if np.hypot(*(c[1] - c[0])) < np.hypot(*(c[2] - c[1])):
        c = np.roll(c, -1, axis=0)
    middle = c.mean(axis=0)
    c = middle + (c - middle) * (1 + 0.5 / max(4.0, np.hypot(*(c[0] - middle))))
    width = float(np.hypot(*(c[2] - c[1])))
    rise = min(width * (0.3 + 0.25 * plan.seed), 7.0)
    hip = plan.shape in ("hipped", "pyramidal") or (plan.shape == "" and plan.seed > 0.6)
    left, right = (c[0] + c[3]) / 2, (c[1] + c[2]) / 2
    pull = min(0.5 * width / max(np.hypot(*(right - left)), 0.1), 0.5) if hip else 0.0
    pull = 0.5 if plan.shape == "pyramidal" else pull
    ridge = left + (right - left) * pull, right + (left - right) * pull
    z, top = plan.eaves - 0.15, plan.eaves + rise
    low = [(*p, z) for p in c]
    a, b = (*ridge[0], top), (*ridge[1], top)
    out.quad(low[0], low[1], b, a, ROOF, plan.roof)
    out.quad(low[2], low[3], a, b, ROOF, plan.roof)
    ends = (plan.roof, ROOF) if hip else (plan.wall, PLAIN)
    out.add([(low[1], low[2], b), (low[3], low[0], a)], ends[1], ends[0])


def _tier(out: MeshBuilder, shape: Polygon, plan: Plan) -> None:
    """A set-back top storey with sloping sides, for outlines that no simple saddle fits."""
    inner = shape.buffer(-1.6, join_style="mitre")
    top = inner.buffer(-1.2, join_style="mitre")
    for piece in shapely.get_parts(inner):
        piece = piece.simplify(0.2)
        if isinstance(piece, Polygon) and piece.area > 12 and not top.is_empty:
            piece = orient(piece, 1.0)
            for ring in (piece.exterior, *piece.interiors):
                p = np.asarray(ring.coords)[:, :2]
                for a, b in pairwise(p):
                    z0, z1 = plan.eaves, plan.eaves + 2.4
                    out.quad((*a, z0), (*b, z0), (*b, z1), (*a, z1), ROOF, plan.roof)
            cap(out, piece, plan.eaves + 2.4, plan.roof)


def _clutter(out: MeshBuilder, shape: Polygon, plan: Plan) -> None:
    """Lift houses and air handlers, which make a flat roof look like one from above."""
    inner = shape.buffer(-3.0)
    if inner.is_empty:
        return
    rng = generator("roof", plan.seed)
    west, south, east, north = inner.bounds
    p = np.asarray(shape.exterior.coords)
    longest = int(np.argmax(np.hypot(*np.diff(p[:, :2], axis=0).T)))
    turn = math.atan2(*(p[longest + 1] - p[longest])[1::-1])
    spots = rng.uniform((west, south), (east, north), size=(min(14, 2 + int(shape.area / 160)), 2))
    for (x, y), keep in zip(spots, shapely.contains_xy(inner, spots), strict=True):
        size = (float(rng.uniform(1.0, 4.5)), float(rng.uniform(1.0, 3.0)), float(rng.uniform(0.6, 2.4)))
        shade = _times(plan.roof, float(rng.uniform(0.75, 1.5)))
        if keep:
            out.box(x, y, plan.eaves, size, turn, shade)
