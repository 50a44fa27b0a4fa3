"""Streets, bridges, rails and water as OSM ways."""

from __future__ import annotations

import random

from shapely.geometry import LineString, Point, Polygon
from shapely.geometry.base import BaseGeometry
from shapely.ops import substring

from retriever.town import furniture
from retriever.town.osm_xml import OsmXml
from retriever.town.plan import BANK_M, Plan, joined, road_land
from retriever.town.shapes import points_of, polygons, simplified, strings
from retriever.town.streets import WIDTHS, Street


def write_lines(out: OsmXml, plan: Plan, rng: random.Random) -> None:
    """Everything long: water, streets, rails and the paths along them."""
    _water(out, plan, rng)
    meets = furniture.junctions(plan)
    furniture.set_signals(out, plan, meets, rng)
    trunk = rng.random() < 0.4
    for number, street in enumerate(plan.streets):
        tags = _street_tags(street, rng, trunk=trunk and number == 0)
        if street.name is not None:
            tags.update(plan.names.tags(street.name))
        for line in street.lines:
            spots = furniture.crossing_spots(line, street, meets, rng)
            out.way(furniture.with_crossings(out, line, spots, rng), tags)
        for bridge in street.bridges:
            out.way(points_of(bridge), {**tags, "bridge": "yes", "layer": "1"})
    for ring in plan.rings:
        out.way(points_of(ring), {"highway": "primary", "junction": "roundabout", "oneway": "yes"})
        for middle in polygons(Polygon(ring).buffer(-5.5)):
            out.area(simplified(middle, 0.2), {"landuse": "grass"})
            at = middle.centroid
            out.node((at.x, at.y), rng.choice([{"amenity": "fountain"}, {"historic": "monument"}, {"natural": "tree"}]))
    _rails(out, plan, rng)
    _paths(out, plan, rng)


def _street_tags(street: Street, rng: random.Random, *, trunk: bool) -> dict[str, str]:
    if street.kind == "main":
        tags = {"highway": "trunk" if trunk else rng.choice(["primary", "secondary"]), "lanes": rng.choice(["2", "4"])}
    elif street.kind == "pedestrian":
        tags = {"highway": "pedestrian", "surface": "paving_stones"}
    elif street.kind == "alley":
        tags = {"highway": rng.choice(["service", "service", "service", "footway", "steps"])}
    else:
        tags = {"highway": rng.choice(["residential", "residential", "tertiary", "unclassified", "living_street"])}
    if street.oneway:
        tags["oneway"] = "yes"
    return tags


def _water(out: OsmXml, plan: Plan, rng: random.Random) -> None:
    if plan.shore is not None:
        out.way(points_of(plan.shore), {"natural": "coastline"})
        low = plan.shore.interpolate(0.5, True)
        out.node((low.x + 15.0, low.y - 45.0), {"natural": "bay", **plan.names.tags(plan.names.of_group("bay"))})
        for start in (rng.uniform(0.3, 0.42), rng.uniform(0.55, 0.65)):
            piece = substring(plan.shore, start, start + 0.06, normalized=True)
            sand = piece.buffer(11, single_sided=True)
            if isinstance(sand, Polygon):
                out.area(simplified(sand, 0.3), {"natural": "beach", **plan.names.tags(plan.names.of_group("beach"))})
    if plan.waterway is not None:
        kind = "canal" if plan.canal else "river"
        named = plan.names.tags(plan.names.of_group(kind))
        reach = plan.box.buffer(80)
        out.way(points_of(plan.waterway.intersection(reach)), {"waterway": kind, **named})
        for part in polygons(plan.water.intersection(reach)):
            out.area(part, {"natural": "water", "water": kind, **named})


def _rails(out: OsmXml, plan: Plan, rng: random.Random) -> None:
    if plan.railway is not None:
        for away in (-2.2, 2.2):
            for line in strings(plan.railway.parallel_offset(abs(away), "left" if away > 0 else "right")):
                _rail_line(out, plan, line)
        at = plan.railway.interpolate(rng.uniform(0.45, 0.55), True)
        out.node((at.x, at.y), {"railway": "station", **plan.names.tags(plan.names.unique(("Station", "站")))})
    if plan.tram is not None:
        for line in joined([*plan.tram.lines, *plan.tram.bridges]):
            out.way(points_of(line), {"railway": "tram"})
        for line in plan.tram.lines:
            for at_ in furniture.beside(line, 1.5, 150, rng, keep=20):
                if rng.random() < 0.8:
                    out.node(at_, {"railway": "tram_stop", **plan.names.tags(plan.names.unique())})
    if rng.random() < 0.7:
        _subway(out, plan, rng)


def _rail_line(out: OsmXml, plan: Plan, line: LineString) -> None:
    wet = plan.water.buffer(4)
    for part in strings(line.difference(wet)):
        out.way(points_of(part), {"railway": "rail"})
    for part in strings(line.intersection(wet), 2):
        out.way(points_of(part), {"railway": "rail", "bridge": "yes", "layer": "1"})


def _subway(out: OsmXml, plan: Plan, rng: random.Random) -> None:
    """Entrances at the corners of one or two large junctions."""
    meets = [at for at, streets in furniture.junctions(plan).items() if sum(s.kind == "main" for s in streets) >= 2]
    meets = [
        at for at in meets if max(abs(at[0]), abs(at[1])) < plan.side * 0.35 and plan.water.distance(Point(at)) > 30
    ]
    rng.shuffle(meets)
    for at in meets[: max(2, int(plan.side / 500))]:
        name = plan.names.tags(plan.names.unique(("Underground", "地铁站")))
        for letter, dx, dy in (("A", 11, 11), ("B", -11, -11), ("C", 11, -11)):
            out.node((at[0] + dx, at[1] + dy), {"railway": "subway_entrance", "ref": letter, **name})


def _paths(out: OsmXml, plan: Plan, rng: random.Random) -> None:
    """A walk and a cycle path on the banks, with steps down from the streets."""
    if plan.waterway is not None:
        roads = road_land(plan, 0.5)
        for away, kind in ((1, "footway"), (-1, "cycleway")):
            edge = _bank(plan, away)
            for part in strings(edge.intersection(plan.box.buffer(60)).difference(roads), 15):
                out.way(points_of(part), {"highway": kind})
        for street in plan.streets:
            for bridge in street.bridges:
                _steps_at(out, bridge, plan)
    if plan.shore is not None:
        walk = plan.shore.parallel_offset(14, "left")
        for part in strings(walk.intersection(plan.box.buffer(60))):
            out.way(points_of(part), {"highway": rng.choice(["cycleway", "footway"])})
    if rng.random() < 0.5:
        _pavements(out, plan, rng)
    for street in plan.streets[: max(2, len(plan.streets) // 20)]:
        for line in street.lines:
            path = line.parallel_offset(6.9, "left") if street.kind == "main" and line.length > 60 else LineString()
            if path.geom_type == "LineString" and not path.is_empty and rng.random() < 0.5:
                middle = substring(path, 0.15, 0.85, normalized=True)
                out.way(points_of(middle), {"highway": "cycleway"})


def _pavements(out: OsmXml, plan: Plan, rng: random.Random) -> None:
    """Pavements drawn as ways of their own, as some mappers do."""
    roads = road_land(plan, 0.2)
    for street in plan.streets:
        for line in street.lines:
            if street.kind not in ("main", "street") or line.length < 40 or rng.random() < 0.4:
                continue
            for side in ("left", "right"):
                path = line.parallel_offset(WIDTHS[street.kind] / 2 + 1.3, side)
                for part in strings(path.difference(roads), 12):
                    out.way(points_of(part), {"highway": "footway", "footway": "sidewalk"})


def _bank(plan: Plan, side: int) -> BaseGeometry:
    assert plan.waterway is not None
    width = plan.water.area / plan.waterway.length / 2
    return plan.waterway.parallel_offset(width + 3.8, "left" if side > 0 else "right").simplify(0.5)


def _steps_at(out: OsmXml, bridge: LineString, plan: Plan) -> None:
    """Steps from one end of a bridge to the walk on the bank."""
    (ax, ay), (bx, by) = bridge.coords[0], bridge.coords[-1]
    size = bridge.length or 1.0
    ux, uy = (bx - ax) / size, (by - ay) / size
    foot = (ax - ux * 1.2 - uy * 7.5, ay - uy * 1.2 + ux * 7.5)
    flight = LineString([foot, (foot[0] - uy * 9, foot[1] + ux * 9)])
    if flight.distance(plan.water) > 1 and flight.within(plan.water.buffer(BANK_M - 0.5)):
        out.way(points_of(flight), {"highway": "steps"})
