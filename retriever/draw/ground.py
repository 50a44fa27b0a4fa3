"""The ground of a tile: land use, water, sea, buildings, walls."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence

from PIL import ImageColor
from shapely import get_parts
from shapely.geometry import LinearRing, LineString, MultiLineString, Point, Polygon, box
from shapely.ops import linemerge, polygonize, unary_union

from retriever.draw import geometry
from retriever.draw.canvas import Canvas
from retriever.draw.style import style
from retriever.kinds import kinds
from retriever.types import TILE_MARGIN, Fact, Ring


def draw(canvas: Canvas, facts: Sequence[Fact]) -> None:
    """Everything that lies under the roads."""
    _areas(canvas, facts)
    _water(canvas, facts)
    _buildings(canvas, [f for f in facts if f.kind == "building" and f.shape == "area"])
    for fact in facts:
        if fact.kind == "wall" and fact.shape != "point":
            row = style()["wall"]
            for part in fact.parts:
                line = [*part, part[0]] if fact.shape == "area" else part
                canvas.stroke(line, canvas.metres(row["width"], 3), row["ink"])


def _areas(canvas: Canvas, facts: Sequence[Fact]) -> None:
    grounds, areas = style()["grounds"], style()["areas"]
    for fact in _by_size(f for f in facts if f.shape == "area" and f.kind in grounds):
        canvas.fill(fact.parts, {"fill": grounds[fact.kind]})
    for fact in _by_size(f for f in facts if f.shape == "area" and "casing" in style()["roads"].get(f.kind, ())):
        canvas.fill(fact.parts, {"fill": style()["roads"][fact.kind]["fill"]})
    for fact in _by_size(f for f in facts if kinds()[f.kind].group == "area" and f.shape != "point"):
        row = areas[fact.kind]
        if fact.shape == "area":
            canvas.fill(fact.parts, row)
            continue
        for part in fact.parts:
            canvas.stroke(part, canvas.metres(1.4, 3), row.get("outline", row.get("ink", row["fill"])))


def _by_size(facts: Iterable[Fact]) -> list[Fact]:
    """The larger first, so that the smaller lie on top."""
    return sorted(facts, key=lambda f: (-sum(geometry.ring_area(p) for p in f.parts), f.osm_id))


def _water(canvas: Canvas, facts: Sequence[Fact]) -> None:
    areas, widths = style()["areas"], style()["waterways"]
    shores = [f for f in facts if f.kind == "coastline" and f.shape != "point"]
    for piece in sea([part for f in shores for part in f.parts]):
        canvas.fill(piece, {k: v for k, v in areas["coastline"].items() if k != "outline"})
    for fact in _by_size(
        f for f in facts if f.shape == "area" and kinds()[f.kind].group == "water" and f not in shores
    ):
        canvas.fill(fact.parts, areas[fact.kind])
    lines = [f for f in facts if f.shape == "line" and kinds()[f.kind].group == "water"]
    lines += [f for f in shores if f.shape == "area"]
    for fact in lines:
        for part in fact.parts:
            if fact.tags.get("tunnel", "no") != "no":
                canvas.dash(part, canvas.metres(1.0, 2), areas[fact.kind]["outline"], 1.6, 3.2)
            else:
                canvas.stroke(part, canvas.metres(widths[fact.kind] + 1.0, 2), areas[fact.kind]["outline"])
    for fact in (f for f in lines if f.tags.get("tunnel", "no") == "no"):
        for part in fact.parts if fact.kind != "coastline" else ():
            canvas.stroke(part, canvas.metres(widths[fact.kind], 2), areas[fact.kind]["fill"])


def sea(coast: Sequence[Ring]) -> list[list[list[tuple[float, float]]]]:
    """Sea on a tile, each piece as its rings: the pieces that the coast cuts off on its right-hand side (OSM's rule).

    A coast that neither closes nor crosses the tile cuts nothing off and gives no sea.
    """
    if not coast:
        return []
    frame = box(-TILE_MARGIN, -TILE_MARGIN, 1 + TILE_MARGIN, 1 + TILE_MARGIN)
    lines = unary_union([LineString(part) for part in coast if len(part) > 1]).intersection(frame)
    merged = linemerge(lines) if isinstance(lines, MultiLineString) else lines
    whole = [
        line
        for line in get_parts(merged)
        if isinstance(line, LineString) and (line.is_ring or _ends_on(line, frame.exterior))
    ]
    out = []
    for piece in polygonize(unary_union([frame.boundary, *whole])) if whole else ():
        if piece.area > 1e-5 and _on_the_right(piece, coast):
            out.append([list(ring.coords) for ring in (piece.exterior, *piece.interiors)])
    return out


def _ends_on(line: LineString, edge: LinearRing) -> bool:
    return all(edge.distance(Point(end)) < 1e-6 for end in (line.coords[0], line.coords[-1])) if line.coords else False


def _on_the_right(piece: Polygon, coast: Sequence[Ring]) -> bool:
    at: Point = piece.representative_point()
    best, side = math.inf, 0.0
    for part in coast:
        for a, b in itertools.pairwise(part):
            away = LineString([a, b]).distance(at)
            cross = (b[0] - a[0]) * (at.y - a[1]) - (b[1] - a[1]) * (at.x - a[0])
            if away < best - 1e-12 and cross != 0:
                best, side = away, cross
    # y grows downwards, so a positive cross product is the right-hand side.
    return side > 0


def _buildings(canvas: Canvas, facts: Sequence[Fact]) -> None:
    row = style()["building"]
    ordered = _by_size(facts)
    for fact in ordered:
        reach = min(levels_of(fact) or 1.0, 25.0) * 0.28 / canvas.size_m
        low = [[(x + reach, y + reach) for x, y in part] for part in fact.parts]
        canvas.fill(low, {"fill": row["shadow"]})
    for fact in ordered:
        canvas.fill(fact.parts, {"fill": _face(fact, row["fill"]), "outline": row["outline"]})


def levels_of(fact: Fact) -> float | None:
    """Storeys of a building where its tags give a number."""
    text = fact.tags.get("building:levels", fact.tags.get("levels", ""))
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


def _face(fact: Fact, plain: str) -> str:
    """The building's own colour, a little paler, or the usual one."""
    own = fact.tags.get("building:colour", fact.tags.get("building:color", ""))
    try:
        rgb = ImageColor.getrgb(own.strip().lower().replace(" ", ""))[:3]
    except ValueError:
        return plain
    base = ImageColor.getrgb(plain)[:3]
    return "#{:02x}{:02x}{:02x}".format(*(round(0.72 * c + 0.28 * b) for c, b in zip(rgb, base, strict=True)))
