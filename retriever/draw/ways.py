"""Roads by class with one-way arrows, bridges, railways and tramways."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from retriever.draw import geometry
from retriever.draw.canvas import Canvas, Point
from retriever.draw.style import style
from retriever.types import Fact

CARRIAGEWAYS = ("motorway", "main_road", "street", "alley", "pedestrian_street")
ONE_WAY = {"yes": 1, "1": 1, "true": 1, "-1": -1, "reverse": -1}


def draw(canvas: Canvas, facts: Sequence[Fact]) -> None:
    """Bridges lie over everything at ground level; arrows come last."""
    bridges = [f for f in facts if f.kind == "bridge" and f.shape != "point"]
    raised = {f.osm_id for f in bridges}
    classes = list(style()["roads"])
    roads = sorted(
        (f for f in facts if f.kind in classes and f.shape != "point"), key=lambda f: (classes.index(f.kind), f.osm_id)
    )
    rails = [f for f in facts if f.kind in style()["rails"] and f.shape != "point"]
    _level(canvas, [f for f in roads if f.osm_id not in raised], [f for f in rails if f.osm_id not in raised])
    for fact in bridges:
        _bridge(canvas, fact, facts)
    _level(canvas, [f for f in roads if f.osm_id in raised], [f for f in rails if f.osm_id in raised])
    for fact in roads:
        _arrows(canvas, fact)


def _lines(fact: Fact) -> list[Sequence[Point]]:
    return [[*part, part[0]] if fact.shape == "area" else part for part in fact.parts if len(part) > 1]


def is_buried(fact: Fact) -> bool:
    """Whether a way runs under the ground, where a witness in the street does not see it."""
    return fact.tags.get("tunnel", "no") in ("yes", "culvert", "flooded", "avalanche_protector")


def _buried(canvas: Canvas, facts: Sequence[Fact]) -> None:
    table = {**style()["roads"], **style()["rails"]}
    for fact in facts:
        row = table[fact.kind]
        colour = str(row.get("casing", row.get("ink", row.get("fill"))))
        for line in _lines(fact):
            canvas.dash(line, canvas.metres(float(row["width"]) * 0.3, 2), colour, 1.6, 3.2)


def _level(canvas: Canvas, roads: Sequence[Fact], rails: Sequence[Fact]) -> None:
    table = style()["roads"]
    _buried(canvas, [f for f in [*roads, *rails] if is_buried(f)])
    roads, rails = [f for f in roads if not is_buried(f)], [f for f in rails if not is_buried(f)]
    for fact in roads:
        row = table[fact.kind]
        if fact.shape == "area" and "casing" in row:
            # The fill lies under the squares, which often are the same object.
            for line in _lines(fact):
                canvas.stroke(line, canvas.metres(1.0, 3), row["casing"])
            continue
        for line in _lines(fact):
            edge = row["width"] + 2 * style()["casing_m"]
            canvas.stroke(line, canvas.metres(edge, 3), row.get("casing", "#fbf8f2"), caps="casing" in row)
    for fact in roads:
        if fact.shape != "area" or "casing" not in table[fact.kind]:
            _surface(canvas, fact, table[fact.kind])
    for fact in rails:
        _rail(canvas, fact)


def _surface(canvas: Canvas, fact: Fact, row: dict[str, Any]) -> None:
    width = canvas.metres(row["width"], 2)
    for line in _lines(fact):
        if "dash" in row:
            canvas.dash(line, width, row["fill"], *row["dash"])
        else:
            canvas.stroke(line, width, row["fill"], caps="casing" in row)
        if "ladder" in row:
            canvas.dash(line, width * 0.86, "#ffffff", *row["ladder"])


def _bridge(canvas: Canvas, fact: Fact, facts: Sequence[Fact]) -> None:
    row = style()["bridge"]
    if fact.shape == "area":
        canvas.fill(fact.parts, {"fill": row["fill"], "outline": row["ink"]})
        return
    tables = {**style()["roads"], **style()["rails"]}
    carried = max((tables[f.kind]["width"] for f in facts if f.osm_id == fact.osm_id and f.kind in tables), default=3.0)
    for line in _lines(fact):
        canvas.stroke(
            line, canvas.metres(carried + 2 * (row["margin"] + style()["casing_m"]), 4), row["ink"], caps=False
        )
        canvas.stroke(line, canvas.metres(carried + 2 * style()["casing_m"], 2), row["fill"], caps=False)


def _rail(canvas: Canvas, fact: Fact) -> None:
    row = style()["rails"][fact.kind]
    for line in _lines(fact):
        if fact.kind == "railway":
            canvas.stroke(line, canvas.metres(row["width"], 3), row["ink"], caps=False)
            canvas.dash(line, canvas.metres(row["width"] * 0.56, 2), row["second"], *row["tie"])
            continue
        for side in (-0.5, 0.5):
            parallel = geometry.shifted(line, side * row["gauge"] / canvas.size_m)
            canvas.stroke(parallel, canvas.metres(0.55, 2), row["ink"], caps=False)
        for (x, y), (ux, uy) in geometry.along(line, 4.0 / canvas.size_m, 2.0 / canvas.size_m):
            half = row["width"] * 0.75 / canvas.size_m
            canvas.stroke(
                [(x - uy * half, y + ux * half), (x + uy * half, y - ux * half)], canvas.metres(0.5, 2), row["ink"]
            )


def _arrows(canvas: Canvas, fact: Fact) -> None:
    way = ONE_WAY.get(fact.tags.get("oneway", ""), 1 if fact.tags.get("junction") == "roundabout" else 0)
    if way == 0 or is_buried(fact) or fact.kind not in CARRIAGEWAYS or fact.shape != "line":
        return
    length, half = 7.0 / canvas.size_m, 1.5 / canvas.size_m
    for part in fact.parts:
        line = part if way > 0 else part[::-1]
        for (x, y), (ux, uy) in geometry.along(
            line, 26.0 / canvas.size_m, min(12.0 / canvas.size_m, geometry.line_length(line) / 2)
        ):
            tip = (x + ux * length / 2, y + uy * length / 2)
            neck = (x + ux * length * 0.05, y + uy * length * 0.05)
            canvas.stroke(
                [(x - ux * length / 2, y - uy * length / 2), neck],
                canvas.metres(0.95, 2),
                style()["arrow"]["ink"],
                caps=False,
            )
            head = [tip, (neck[0] - uy * half, neck[1] + ux * half), (neck[0] + uy * half, neck[1] - ux * half)]
            canvas.draw.polygon(canvas.points(head), fill=style()["arrow"]["ink"])


def road_at(point: Point, roads: Sequence[Fact], size_m: float) -> tuple[Point, float]:
    """Direction and width in metres of the nearest road within 8 m; an east-west street where there is none."""
    best, direction, width = 8.0 / size_m, (1.0, 0.0), float(style()["roads"]["street"]["width"])
    for fact in roads:
        for part in fact.parts:
            away, along = geometry.nearest_direction(point, part)
            if away < best and math.isfinite(away):
                best, direction, width = away, along, float(style()["roads"][fact.kind]["width"])
    return direction, width
