"""What lies on lots that are not built up: parks, squares, schoolyards, graves, fields, building sites."""

from __future__ import annotations

import math
import random

import shapely
from shapely import affinity
from shapely.geometry import LineString, Point, Polygon
from shapely.geometry.base import BaseGeometry

from retriever.town.buildings import Building, courtyard_line
from retriever.town.names import Names
from retriever.town.osm_xml import OsmXml
from retriever.town.plan import Lot, Plan


def lay(out: OsmXml, plan: Plan, lot: Lot, built: list[Building], rng: random.Random) -> None:
    """Write one lot's ground and what stands on it besides buildings."""
    makers = {
        "park": _park, "pond_park": _park, "square": _square, "cemetery": _cemetery, "pitch": _pitch, "school": _campus,
        "university": _campus, "hospital": _campus, "parking": _parking, "construction": _site, "playground": _playground,
        "forest": _forest, "farmland": _field, "grass": _grass,
    }  # fmt: skip
    if lot.use in makers:
        makers[lot.use](out, plan.names, lot, built, rng)
    elif lot.use in ("core", "mixed", "homes"):
        _courtyard(out, lot, built, rng)


def _yard_path(out: OsmXml, yard: Polygon, rng: random.Random) -> None:
    """A short path or drive across a yard, along its long side."""
    axis = courtyard_line(Lot(yard))
    if axis is not None:
        out.way([(x, y) for x, y in axis.coords], {"highway": rng.choice(["footway", "footway", "service", "path"])})


def _stream(out: OsmXml, names: Names, ground: Polygon, rng: random.Random) -> None:
    axis = courtyard_line(Lot(ground))
    if axis is None:
        return
    (ax, ay), (bx, by) = axis.coords[0], axis.coords[-1]
    length, swing, phase = axis.length, rng.uniform(3, 9), rng.uniform(0, 6)
    nx, ny = -(by - ay) / length, (bx - ax) / length
    points = []
    for i in range(17):
        t, bend = i / 16, swing * math.sin(i / 2.2 + phase)
        points.append((ax + (bx - ax) * t + nx * bend, ay + (by - ay) * t + ny * bend))
    for part in shapely.get_parts(LineString(points).intersection(ground)):
        if part.geom_type == "LineString" and part.length > 20:
            out.way([(x, y) for x, y in part.coords], {"waterway": rng.choice(["stream", "ditch"])})


def _inner(shape: Polygon, by: float) -> Polygon | None:
    parts = [p for p in shapely.get_parts(shape.buffer(-by)) if p.geom_type == "Polygon"]
    best = max(parts, key=lambda p: p.area, default=None)
    return best if best is not None and best.area > 60 else None


def scatter(out: OsmXml, ground: BaseGeometry, count: int, tags: dict[str, str], rng: random.Random) -> list[Point]:
    """Nodes at random places of a ground."""
    west, south, east, north = ground.bounds
    found: list[Point] = []
    for _ in range(count * 6):
        if len(found) == count:
            break
        at = Point(round(rng.uniform(west, east), 2), round(rng.uniform(south, north), 2))
        if ground.contains(at) and not out.has_tags((at.x, at.y)):
            out.node((at.x, at.y), tags)
            found.append(at)
    return found


def _paths(out: OsmXml, ground: Polygon, rng: random.Random, kind: str = "footway") -> list[LineString]:
    """Two or three paths through the middle to the edge."""
    centre = ground.representative_point()
    turn, arms, lines = rng.uniform(0, 180), rng.choice([2, 3, 3]), []
    for i in range(arms):
        a = math.radians(turn + 180 / arms * i)
        far = (math.cos(a) * 600, math.sin(a) * 600)
        line = LineString([(centre.x - far[0], centre.y - far[1]), (centre.x, centre.y), (centre.x + far[0], centre.y + far[1])])
        inside = line.intersection(ground)
        for part in shapely.get_parts(inside):
            if part.geom_type == "LineString" and part.length > 15:
                lines.append(part)
                if part.length > 50 and rng.random() < 0.3:
                    _stepped(out, part, kind)
                else:
                    out.way([(x, y) for x, y in part.coords], {"highway": kind})
    return lines


def _stepped(out: OsmXml, line: LineString, kind: str) -> None:
    """A path with a flight of steps in it."""
    for low, high, way in ((0.0, 0.2, kind), (0.2, 0.32, "steps"), (0.32, 1.0, kind)):
        piece = shapely.ops.substring(line, low, high, normalized=True)
        out.way([(x, y) for x, y in piece.coords], {"highway": way})


def _park(out: OsmXml, names: Names, lot: Lot, built: list[Building], rng: random.Random) -> None:
    out.area(lot.shape, {"leisure": rng.choice(["park", "park", "garden"]), **names.tags(names.of_group("park"))})
    ground = lot.shape
    if lot.use == "pond_park" or (lot.shape.area > 9000 and rng.random() < 0.35):
        reach = math.sqrt(lot.shape.area) * 0.17
        pond = affinity.scale(Point(lot.shape.representative_point()).buffer(reach), rng.uniform(0.8, 1.5), rng.uniform(0.7, 1.0))
        pond = affinity.rotate(pond, rng.uniform(0, 180)).simplify(0.4)
        if pond.within(lot.shape.buffer(-3)):
            tags = {"natural": "water", "water": "pond"}
            out.area(pond, {**tags, **(names.tags(names.of_group("water")) if rng.random() < 0.5 else {})})
            ground = ground.difference(pond.buffer(3))
            ring = pond.buffer(4).simplify(0.5)
            out.way([(x, y) for x, y in ring.exterior.coords], {"highway": "footway"})
    elif rng.random() < 0.8:
        _paths(out, lot.shape, rng, rng.choice(["footway", "path"]))
        at = lot.shape.representative_point()
        thing = rng.choice([{"amenity": "fountain"}, {"historic": "memorial"}, {"tourism": "artwork", "artwork_type": "statue"}])
        out.node((at.x + 3.0, at.y + 2.0), {**thing, **(names.tags(names.pick("person")) if "amenity" not in thing else {})})
    if lot.shape.area > 5000:
        corner = _inner(lot.shape, 8)
        if corner is not None and rng.random() < 0.55:
            spot = affinity.rotate(Point(corner.exterior.coords[0]).buffer(11, cap_style="square"), rng.uniform(0, 90)).intersection(corner)
            if spot.geom_type == "Polygon" and spot.area > 60:
                out.area(spot, {"leisure": "playground"})
                ground = ground.difference(spot.buffer(2))
    inner = ground.buffer(-3)
    if not inner.is_empty:
        scatter(out, inner, min(45, int(lot.shape.area / 420)), {"natural": "tree"}, rng)
        scatter(out, inner, min(14, 1 + int(lot.shape.area / 1500)), {"amenity": "bench"}, rng)
        if rng.random() < 0.4:
            scatter(out, inner, 1, {"amenity": "toilets"}, rng)


def _square(out: OsmXml, names: Names, lot: Lot, built: list[Building], rng: random.Random) -> None:
    out.area(lot.shape, {"highway": "pedestrian", "area": "yes", "place": "square", **names.tags(names.of_group("square"))})
    at = lot.shape.representative_point()
    thing = rng.choice([{"amenity": "fountain"}, {"historic": "monument"}, {"historic": "memorial"}, {"amenity": "marketplace"}])
    named = names.tags(names.unique(("Market", "市集"))) if thing.get("amenity") == "marketplace" else {}
    if "historic" in thing:
        named = names.tags(names.pick("person"))
    out.node((at.x, at.y), {**thing, **named})
    inner = _inner(lot.shape, 4)
    if inner is not None:
        scatter(out, inner, min(12, 2 + int(lot.shape.area / 400)), {"amenity": "bench"}, rng)
        edge = inner.exterior
        for i in range(int(edge.length / 14)):
            p = edge.interpolate(i * 14.0)
            out.node((p.x, p.y), {"natural": "tree"})
        if rng.random() < 0.5:
            scatter(out, inner, 1, {"amenity": "bicycle_parking", "capacity": "12"}, rng)


def _cemetery(out: OsmXml, names: Names, lot: Lot, built: list[Building], rng: random.Random) -> None:
    out.area(lot.shape, {"landuse": "cemetery", **names.tags(names.of_group("cemetery"))})
    out.way([(x, y) for x, y in lot.shape.buffer(-0.6).exterior.coords], {"barrier": "wall"})
    _paths(out, lot.shape, rng, "footway")
    scatter(out, lot.shape.buffer(-4), int(lot.shape.area / 500), {"natural": "tree"}, rng)


def _pitch(out: OsmXml, names: Names, lot: Lot, built: list[Building], rng: random.Random) -> None:
    out.area(lot.shape, {"landuse": "recreation_ground", **names.tags(names.of_group("pitch"))})
    inner = _inner(lot.shape, 7)
    axis = courtyard_line(lot)
    if inner is None or axis is None:
        return
    (ax, ay), (bx, by) = axis.coords[0], axis.coords[-1]
    angle = math.degrees(math.atan2(by - ay, bx - ax))
    size = math.sqrt(inner.area)
    for share in (0.85, 0.65, 0.5, 0.35):
        half = (size * share * 0.62, size * share * 0.4)
        c = inner.representative_point()
        shape = affinity.rotate(shapely.box(c.x - half[0], c.y - half[1], c.x + half[0], c.y + half[1]), angle)
        if shape.within(inner):
            out.area(shape, {"leisure": "pitch", "sport": rng.choice(["soccer", "basketball", "tennis"])})
            break


def _campus(out: OsmXml, names: Names, lot: Lot, built: list[Building], rng: random.Random) -> None:
    endings = {"school": [("School", "小学"), ("Secondary School", "中学")], "university": [("University", "大学"), ("College", "学院")], "hospital": [("Hospital", "医院"), ("General Hospital", "总医院")]}
    name = names.unique(rng.choice(endings[lot.use]))
    out.area(lot.shape, {"amenity": lot.use, **names.tags(name)})
    if rng.random() < 0.5:
        out.way([(x, y) for x, y in lot.shape.buffer(-0.5).exterior.coords], {"barrier": "wall"})
    yard = lot.shape.buffer(-3).difference(shapely.union_all([b.shape.buffer(2) for b in built]))
    best = max((p for p in shapely.get_parts(yard) if p.geom_type == "Polygon"), key=lambda p: p.area, default=None)
    if best is None:
        return
    tags = {"leisure": "pitch", "sport": "soccer"} if lot.use == "school" else {"landuse": "grass"}
    core = _inner(best, 6)
    if core is not None and core.area > 250:
        spot = core.representative_point().buffer(math.sqrt(core.area) * 0.45, cap_style="square").intersection(core)
        if spot.geom_type == "Polygon":
            out.area(spot, tags)
            yard = yard.difference(spot)
    scatter(out, yard, int(lot.shape.area / 600), {"natural": "tree"}, rng)
    scatter(out, yard, 1, {"amenity": "bicycle_parking"}, rng)


def _parking(out: OsmXml, names: Names, lot: Lot, built: list[Building], rng: random.Random) -> None:
    out.area(lot.shape, {"amenity": "parking", "surface": "asphalt"})
    axis = courtyard_line(lot)
    if axis is not None:
        out.way([(x, y) for x, y in axis.coords], {"highway": "service", "service": "parking_aisle"})


def _site(out: OsmXml, names: Names, lot: Lot, built: list[Building], rng: random.Random) -> None:
    out.area(lot.shape, {"landuse": rng.choice(["construction", "construction", "brownfield"])})


def _playground(out: OsmXml, names: Names, lot: Lot, built: list[Building], rng: random.Random) -> None:
    out.area(lot.shape, {"leisure": "playground"})
    scatter(out, lot.shape.buffer(-2), 4, {"amenity": "bench"}, rng)


def _forest(out: OsmXml, names: Names, lot: Lot, built: list[Building], rng: random.Random) -> None:
    out.area(lot.shape, {"landuse": "forest", **names.tags(names.of_group("forest"))})
    _paths(out, lot.shape, rng, "path")
    if rng.random() < 0.7:
        _stream(out, names, lot.shape, rng)


def _field(out: OsmXml, names: Names, lot: Lot, built: list[Building], rng: random.Random) -> None:
    out.area(lot.shape, {"landuse": rng.choice(["farmland", "vineyard", "orchard", "allotments"])})
    if rng.random() < 0.6:
        _paths(out, lot.shape, rng, "track")
    if rng.random() < 0.6:
        _stream(out, names, lot.shape, rng)


def _grass(out: OsmXml, names: Names, lot: Lot, built: list[Building], rng: random.Random) -> None:
    out.area(lot.shape, {"landuse": rng.choice(["grass", "meadow", "village_green"])})
    scatter(out, lot.shape.buffer(-2), 3 + int(lot.shape.area / 600), {"natural": "tree"}, rng)


def _courtyard(out: OsmXml, lot: Lot, built: list[Building], rng: random.Random) -> None:
    """Behind the houses: a lawn, a car park, trees, sometimes a path or a playground."""
    if not built:
        return
    left = lot.shape.buffer(-2).difference(shapely.union_all([b.shape.buffer(3.0) for b in built])).buffer(-2).buffer(2)
    yards = [p.simplify(0.8) for p in shapely.get_parts(left) if p.geom_type == "Polygon" and p.area > 220]
    for yard in yards:
        if not yard.is_valid or yard.geom_type != "Polygon":
            continue
        draw = rng.random()
        if rng.random() < 0.3:
            _yard_path(out, yard, rng)
        if rng.random() < 0.07:
            out.way([(x, y) for x, y in yard.exterior.coords], {"barrier": "wall"})
        if draw < 0.22:
            out.area(yard, {"landuse": "grass"})
            scatter(out, yard, int(yard.area / 400), {"natural": "tree"}, rng)
        elif draw < 0.42:
            out.area(yard, {"amenity": "parking"})
        elif draw < 0.52 and yard.area < 2500:
            out.area(yard, {"leisure": "playground"})
        elif draw < 0.6:
            out.area(yard, {"leisure": "garden"})
            scatter(out, yard, int(yard.area / 300), {"natural": "tree"}, rng)
        elif draw < 0.75:
            scatter(out, yard, 2 + int(yard.area / 500), {"natural": "tree"}, rng)
