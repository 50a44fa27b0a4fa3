"""What lies on lots that are not built up: parks, squares, schoolyards, graves, fields, building sites."""

from __future__ import annotations

import math
import random

import shapely
from shapely import affinity
from shapely.geometry import Point, Polygon
from shapely.geometry.base import BaseGeometry

from retriever.town.buildings import Building
from retriever.town.ground import courtyard_line, cross_paths, inner_part, scatter, stream, yard_path
from retriever.town.names import Names
from retriever.town.osm_xml import OsmXml
from retriever.town.plan import Lot, Plan
from retriever.town.shapes import outline, points_of, polygons, simplified


def lay(out: OsmXml, plan: Plan, lot: Lot, built: list[Building], rng: random.Random) -> None:
    """Write one lot's ground and what stands on it besides buildings."""
    makers = {
        "park": _park, "pond_park": _park, "square": _square, "cemetery": _cemetery, "pitch": _pitch, "school": _campus,
        "university": _campus, "hospital": _campus, "parking": _parking, "construction": _site,
        "playground": _playground, "forest": _forest, "farmland": _field, "grass": _grass,
    }  # fmt: skip
    if lot.use in makers:
        makers[lot.use](out, plan.names, lot, built, rng)
    elif lot.use in ("core", "mixed", "homes"):
        _courtyard(out, lot, built, rng)


def _park(out: OsmXml, names: Names, lot: Lot, built: list[Building], rng: random.Random) -> None:
    out.area(lot.shape, {"leisure": rng.choice(["park", "park", "garden"]), **names.tags(names.of_group("park"))})
    ground: BaseGeometry = lot.shape
    if lot.use == "pond_park" or (lot.shape.area > 9000 and rng.random() < 0.35):
        reach = math.sqrt(lot.shape.area) * 0.17
        pond = affinity.scale(
            Point(lot.shape.representative_point()).buffer(reach), rng.uniform(0.8, 1.5), rng.uniform(0.7, 1.0)
        )
        pond = simplified(affinity.rotate(pond, rng.uniform(0, 180)), 0.4)
        if pond.within(lot.shape.buffer(-3)):
            tags = {"natural": "water", "water": "pond"}
            out.area(pond, {**tags, **(names.tags(names.of_group("water")) if rng.random() < 0.5 else {})})
            ground = ground.difference(pond.buffer(3))
            out.way(outline(pond.buffer(4).simplify(0.5)), {"highway": "footway"})
    elif rng.random() < 0.8:
        cross_paths(out, lot.shape, rng, rng.choice(["footway", "path"]))
        at = lot.shape.representative_point()
        thing = rng.choice(
            [{"amenity": "fountain"}, {"historic": "memorial"}, {"tourism": "artwork", "artwork_type": "statue"}]
        )
        out.node(
            (at.x + 3.0, at.y + 2.0), {**thing, **(names.tags(names.pick("person")) if "amenity" not in thing else {})}
        )
    if lot.shape.area > 5000:
        corner = inner_part(lot.shape, 8)
        if corner is not None and rng.random() < 0.55:
            spot = affinity.rotate(
                Point(corner.exterior.coords[0]).buffer(11, cap_style="square"), rng.uniform(0, 90)
            ).intersection(corner)
            if isinstance(spot, Polygon) and spot.area > 60:
                out.area(spot, {"leisure": "playground"})
                ground = ground.difference(spot.buffer(2))
    inner = ground.buffer(-3)
    if not inner.is_empty:
        scatter(out, inner, min(45, int(lot.shape.area / 420)), {"natural": "tree"}, rng)
        scatter(out, inner, min(14, 1 + int(lot.shape.area / 1500)), {"amenity": "bench"}, rng)
        if rng.random() < 0.4:
            scatter(out, inner, 1, {"amenity": "toilets"}, rng)


def _square(out: OsmXml, names: Names, lot: Lot, built: list[Building], rng: random.Random) -> None:
    out.area(
        lot.shape, {"highway": "pedestrian", "area": "yes", "place": "square", **names.tags(names.of_group("square"))}
    )
    at = lot.shape.representative_point()
    thing = rng.choice(
        [{"amenity": "fountain"}, {"historic": "monument"}, {"historic": "memorial"}, {"amenity": "marketplace"}]
    )
    named = names.tags(names.unique(("Market", "市集"))) if thing.get("amenity") == "marketplace" else {}
    if "historic" in thing:
        named = names.tags(names.pick("person"))
    out.node((at.x, at.y), {**thing, **named})
    inner = inner_part(lot.shape, 4)
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
    out.way(outline(lot.shape.buffer(-0.6)), {"barrier": "wall"})
    cross_paths(out, lot.shape, rng, "footway")
    scatter(out, lot.shape.buffer(-4), int(lot.shape.area / 500), {"natural": "tree"}, rng)


def _pitch(out: OsmXml, names: Names, lot: Lot, built: list[Building], rng: random.Random) -> None:
    out.area(lot.shape, {"landuse": "recreation_ground", **names.tags(names.of_group("pitch"))})
    inner = inner_part(lot.shape, 7)
    axis = courtyard_line(lot.shape)
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
    endings = {
        "school": [("School", "小学"), ("Secondary School", "中学")],
        "university": [("University", "大学"), ("College", "学院")],
        "hospital": [("Hospital", "医院"), ("General Hospital", "总医院")],
    }
    name = names.unique(rng.choice(endings[lot.use]))
    out.area(lot.shape, {"amenity": lot.use, **names.tags(name)})
    if rng.random() < 0.5:
        out.way(outline(lot.shape.buffer(-0.5)), {"barrier": "wall"})
    yard: BaseGeometry = lot.shape.buffer(-3).difference(shapely.union_all([b.shape.buffer(2) for b in built]))
    best = max(polygons(yard), key=lambda p: p.area, default=None)
    if best is None:
        return
    tags = {"leisure": "pitch", "sport": "soccer"} if lot.use == "school" else {"landuse": "grass"}
    core = inner_part(best, 6)
    if core is not None and core.area > 250:
        spot = core.representative_point().buffer(math.sqrt(core.area) * 0.45, cap_style="square").intersection(core)
        if isinstance(spot, Polygon):
            out.area(spot, tags)
            yard = yard.difference(spot)
    scatter(out, yard, int(lot.shape.area / 600), {"natural": "tree"}, rng)
    scatter(out, yard, 1, {"amenity": "bicycle_parking"}, rng)


def _parking(out: OsmXml, names: Names, lot: Lot, built: list[Building], rng: random.Random) -> None:
    out.area(lot.shape, {"amenity": "parking", "surface": "asphalt"})
    axis = courtyard_line(lot.shape)
    if axis is not None:
        out.way(points_of(axis), {"highway": "service", "service": "parking_aisle"})


def _site(out: OsmXml, names: Names, lot: Lot, built: list[Building], rng: random.Random) -> None:
    out.area(lot.shape, {"landuse": rng.choice(["construction", "construction", "brownfield"])})


def _playground(out: OsmXml, names: Names, lot: Lot, built: list[Building], rng: random.Random) -> None:
    out.area(lot.shape, {"leisure": "playground"})
    scatter(out, lot.shape.buffer(-2), 4, {"amenity": "bench"}, rng)


def _forest(out: OsmXml, names: Names, lot: Lot, built: list[Building], rng: random.Random) -> None:
    out.area(lot.shape, {"landuse": "forest", **names.tags(names.of_group("forest"))})
    cross_paths(out, lot.shape, rng, "path")
    if rng.random() < 0.7:
        stream(out, lot.shape, rng)


def _field(out: OsmXml, names: Names, lot: Lot, built: list[Building], rng: random.Random) -> None:
    out.area(lot.shape, {"landuse": rng.choice(["farmland", "vineyard", "orchard", "allotments"])})
    if rng.random() < 0.6:
        cross_paths(out, lot.shape, rng, "track")
    if rng.random() < 0.6:
        stream(out, lot.shape, rng)


def _grass(out: OsmXml, names: Names, lot: Lot, built: list[Building], rng: random.Random) -> None:
    out.area(lot.shape, {"landuse": rng.choice(["grass", "meadow", "village_green"])})
    scatter(out, lot.shape.buffer(-2), 3 + int(lot.shape.area / 600), {"natural": "tree"}, rng)


def _courtyard(out: OsmXml, lot: Lot, built: list[Building], rng: random.Random) -> None:
    """Behind the houses: a lawn, a car park, trees, sometimes a path or a playground."""
    if not built:
        return
    left = lot.shape.buffer(-2).difference(shapely.union_all([b.shape.buffer(3.0) for b in built])).buffer(-2).buffer(2)
    for yard in [simplified(p, 0.8) for p in polygons(left) if p.area > 220]:
        if not yard.is_valid:
            continue
        draw = rng.random()
        if rng.random() < 0.3:
            yard_path(out, yard, rng)
        if rng.random() < 0.07:
            out.way(outline(yard), {"barrier": "wall"})
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
