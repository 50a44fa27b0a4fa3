"""The ground as a raster of surfaces: land use, water, streets with lanes and crossings, rails."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from shapely.geometry import LineString, Polygon
from shapely.geometry.base import BaseGeometry

from finetune.views.sheet import CODE, XY, Sheet
from retriever.draw import geometry
from retriever.draw.ground import sea
from retriever.draw.style import style
from retriever.sources.facts import Feature

_AREAS = {
    "grass": "grass", "park": "park", "forest": "forest", "farmland": "field", "cemetery": "park", "pitch": "pitch",
    "playground": "rubber", "square": "plaza", "beach": "sand", "construction": "soil", "water": "water",
    "river": "water", "stream": "water", "pedestrian_street": "plaza", "footway": "pavement", "parking": "lot",
    "street": "asphalt", "main_road": "asphalt", "alley": "asphalt", "bridge": "deck", "school": "yard",
    "steps": "steps", "cycleway": "cycleway",
}  # fmt: skip
_PATHS = {"footway": "gravel", "steps": "steps", "cycleway": "cycleway"}
_PAVED = ("asphalt", "paved", "concrete", "paving_stones", "concrete:plates", "sett", "cobblestone")
CARRIAGE = ("alley", "pedestrian_street", "street", "main_road", "motorway")
"""Later ones lie on top."""
_WALKS = {"street": 2.0, "main_road": 2.6}
"""Pavement on either side, in metres."""
MARKING_M = 0.16


def buried(feature: Feature) -> bool:
    return feature.tags.get("tunnel", "no") in ("yes", "culvert", "building_passage", "flooded")


def road_width(feature: Feature) -> float:
    """Metres of carriageway: by lanes where tagged, else as the street map draws the class."""
    usual = float(style()["roads"][feature.kind]["width"])
    lanes = feature.tags.get("lanes", "")
    if lanes.isdigit() and 0 < int(lanes) < 12 and feature.kind in ("street", "main_road", "motorway"):
        return max(3.2, int(lanes) * 3.1 + 0.6)
    if feature.tags.get("oneway") == "yes" and feature.kind in ("street", "main_road"):
        return usual * 0.75
    return usual * 0.88 if feature.kind == "pedestrian_street" else usual


def point_of(feature: Feature) -> XY:
    x, y = shapely.get_coordinates(feature.geometry)[0]
    return float(x), float(y)


def lines_of(shape: BaseGeometry) -> Iterator[list[XY]]:
    for piece in shapely.get_parts(shape):
        if piece.geom_type in ("LineString", "LinearRing"):
            yield [(x, y) for x, y, *_ in piece.coords]


class GroundMap:
    """Paints windows of the ground around a stage; features are in metres of the stage."""

    def __init__(self, features: Sequence[Feature], salt: tuple[float, float]) -> None:
        self.features = features
        self.salt = salt
        self.tree = shapely.STRtree([f.geometry for f in features])
        self.roads = sorted(
            (f for f in features if f.kind in CARRIAGE and f.shape == "line" and not buried(f)),
            key=lambda f: (CARRIAGE.index(f.kind), f.osm_id),
        )

        self._roads = shapely.STRtree([f.geometry for f in self.roads])

    def paint(self, west: float, north: float, pixels: int, metres: float) -> NDArray[np.uint8]:
        """Surface codes [pixels, pixels] of the square whose upper left corner is given; ``metres`` per pixel."""
        side = pixels * metres
        box = (west, north - side, west + side, north)
        found = {int(i) for i in self.tree.query(shapely.box(*box).buffer(14.0))}
        sheet = Sheet(west, north, pixels, metres, self._base(west, north, pixels, metres))
        near = [self.features[i] for i in sorted(found)]
        self._areas(sheet, near, box)
        self._paths(sheet, near)
        self._streets(sheet, [f for f in self.roads if shapely.box(*f.geometry.bounds).intersects(shapely.box(*box))])
        if metres <= 0.25:
            self._marks(sheet, near)
        self._rails(sheet, near)
        for feature in near:
            if feature.kind == "building" and feature.shape == "area" and feature.tags.get("building") != "roof":
                sheet.fill(feature.geometry, "footprint")
        return sheet.array()

    def _base(self, west: float, north: float, pixels: int, metres: float) -> NDArray[np.uint8]:
        """Ground of which the map says nothing: paved close to houses and streets, rough grass farther off."""
        side, low = pixels * metres, 128
        step = side / low
        built = Image.new("L", (low, low))
        pen = ImageDraw.Draw(built)
        for i in sorted(self.tree.query(shapely.box(west - 30, north - side - 30, west + side + 30, north + 30))):
            feature = self.features[i]
            if feature.kind == "building" or feature.kind in CARRIAGE:
                _smudge(pen, feature, (west, north), step)
        near = np.asarray(built.filter(ImageFilter.GaussianBlur(9.0 / step)), np.float32) / 255
        at = (np.arange(low) + 0.5) * step
        x, y = (west + self.salt[0] + at)[None, :], (north + self.salt[1] - at)[:, None]
        wave = np.sin(x * 0.11 + y * 0.05) + np.sin(y * 0.13 - x * 0.07) + 0.6 * np.sin(x * 0.31 + y * 0.23)
        green = Image.fromarray((0.28 + 0.07 * wave - near).astype(np.float32))
        full = np.asarray(green.resize((pixels, pixels), Image.Resampling.BILINEAR))
        return np.where(full > 0, np.uint8(CODE["rough"]), np.uint8(CODE["yard"]))

    def _areas(self, sheet: Sheet, near: Sequence[Feature], box: tuple[float, float, float, float]) -> None:
        flats = [f for f in near if f.shape == "area" and f.kind in _AREAS]
        wet = {"water", "river", "stream"}
        for feature in sorted(flats, key=lambda f: (f.kind in wet, -f.geometry.area, f.osm_id)):
            sheet.fill(feature.geometry, _surface(feature))
        for feature in near:
            if feature.kind in ("river", "stream") and feature.shape == "line" and not buried(feature):
                width = float(style()["waterways"][feature.kind])
                for line in lines_of(feature.geometry):
                    sheet.stroke(line, width, "water")
        for piece in _sea([f for f in near if f.kind == "coastline"], box):
            sheet.fill(piece, "water")
        for feature in near:
            if feature.kind == "bridge" and feature.shape == "area":
                sheet.fill(feature.geometry, "deck")

    def _paths(self, sheet: Sheet, near: Sequence[Feature]) -> None:
        for feature in near:
            if feature.shape == "line" and feature.kind in _PATHS and not buried(feature):
                name = _PATHS[feature.kind]
                paved = feature.tags.get("surface") in _PAVED or feature.tags.get("footway") in ("sidewalk", "crossing")
                for line in lines_of(feature.geometry):
                    width = float(style()["roads"][feature.kind]["width"]) * 1.15
                    sheet.stroke(line, width, "pavement" if paved and name == "gravel" else name)

    def _streets(self, sheet: Sheet, roads: Sequence[Feature]) -> None:
        for kerb_m, name in ((None, "pavement"), (0.14, "kerb")):
            for feature in roads:
                walk = _WALKS.get(feature.kind, 0.0)
                if walk and feature.tags.get("sidewalk") not in ("no", "none"):
                    for line in lines_of(feature.geometry):
                        sheet.stroke(line, road_width(feature) + 2 * (kerb_m or walk), name)
        for feature in roads:
            for line in lines_of(feature.geometry):
                sheet.stroke(line, road_width(feature), _carriageway(feature))

    def _marks(self, sheet: Sheet, near: Sequence[Feature]) -> None:
        for feature in near:
            if feature.shape != "line" or feature.kind not in ("street", "main_road", "motorway") or buried(feature):
                continue
            width = road_width(feature)
            two_way = feature.tags.get("oneway") not in ("yes", "-1", "1")
            middle = feature.tags.get("lanes") != "1" and (two_way or width > 6.4)
            if middle and (feature.kind != "street" or width > 6.0):
                on, off = (3.0, 4.5) if feature.kind == "street" else (6.0, 6.0)
                for line in lines_of(feature.geometry):
                    for dash in geometry.dashes(_trimmed(line, 7.0), on, off):
                        sheet.stroke(dash, MARKING_M, "marking", round_ends=False)
        for feature in near:
            if feature.kind == "crossing" and feature.shape == "point":
                self._zebra(sheet, feature)

    def _zebra(self, sheet: Sheet, feature: Feature) -> None:
        road = self.nearest_road(feature.geometry, 6.0)
        if road is None or feature.tags.get("crossing") in ("unmarked", "no"):
            return
        (ux, uy), width = direction_at(road, feature.geometry), road_width(road)
        x, y = point_of(feature)
        count = max(3, int(width / 1.0))
        for i in range(count):
            side = -width / 2 + (i + 0.5) * width / count
            a = (x - uy * side - ux * 1.7, y + ux * side - uy * 1.7)
            b = (x - uy * side + ux * 1.7, y + ux * side + uy * 1.7)
            sheet.stroke([a, b], 0.5 * width / count, "marking", round_ends=False)

    def _rails(self, sheet: Sheet, near: Sequence[Feature]) -> None:
        for feature in near:
            if feature.kind not in ("tram", "railway") or feature.shape != "line" or buried(feature):
                continue
            for line in lines_of(feature.geometry):
                if feature.kind == "railway":
                    sheet.stroke(line, 3.0, "ballast")
                for side in (-0.72, 0.72):
                    sheet.stroke(geometry.shifted(line, side), 0.16, "rail", round_ends=False)

    def nearest_road(self, point: BaseGeometry, within: float) -> Feature | None:
        """The carriageway whose line is nearest."""
        if not self.roads:
            return None
        best = self.roads[int(self._roads.nearest(point))]
        return best if best.geometry.distance(point) <= within else None


def _smudge(pen: ImageDraw.ImageDraw, feature: Feature, corner: XY, step: float) -> None:
    """An outline or a street on a coarse sheet."""
    for piece in shapely.get_parts(feature.geometry):
        line = piece.exterior.coords if isinstance(piece, Polygon) else piece.coords
        points = [((x - corner[0]) / step, (corner[1] - y) / step) for x, y, *_ in line]
        if isinstance(piece, Polygon):
            pen.polygon(points, fill=255)
        elif len(points) > 1:
            pen.line(points, fill=255, width=max(1, round(8 / step)))


def _surface(feature: Feature) -> str:
    if feature.kind == "pitch" and feature.tags.get("surface") in ("asphalt", "tartan", "clay", "concrete", "acrylic"):
        return "court"
    if feature.kind == "pitch" and feature.tags.get("sport") in ("basketball", "tennis"):
        return "court"
    return _AREAS[feature.kind]


def _carriageway(feature: Feature) -> str:
    if feature.kind == "pedestrian_street":
        return "plaza"
    return "gravel" if feature.tags.get("surface") in ("gravel", "unpaved", "dirt", "ground") else "asphalt"


def _trimmed(line: list[XY], by: float) -> list[XY]:
    """A line without its ends, which lie on junctions; empty where nothing is left."""
    shape = LineString(line)
    if shape.length < 2 * by + 4:
        return []
    cut = shapely.ops.substring(shape, by, shape.length - by)
    return [(x, y) for x, y, *_ in cut.coords]


def direction_at(road: Feature, point: BaseGeometry) -> XY:
    """Unit direction of a road beside a point."""
    best, found = math.inf, (1.0, 0.0)
    x, y = shapely.get_coordinates(point)[0]
    at = float(x), float(y)
    for line in lines_of(road.geometry):
        away, along = geometry.nearest_direction(at, line)
        if away < best:
            best, found = away, along
    return found


def _sea(shores: Sequence[Feature], box: tuple[float, float, float, float]) -> Iterable[Polygon]:
    """What lies to the right of coastlines inside a box."""
    west, _, east, north = box
    side = east - west
    lines = [shapely.LineString(line) for f in shores for line in lines_of(f.geometry)]
    merged = shapely.get_parts(shapely.line_merge(shapely.MultiLineString(lines)))
    whole = [_onwards([(x, y) for x, y, *_ in line.coords], box) for line in merged]
    parts = [tuple(((x - west) / side, (north - y) / side) for x, y in line) for line in whole]
    for rings in sea(parts):
        outer, *holes = [[(west + x * side, north - y * side) for x, y in ring] for ring in rings]
        yield Polygon(outer, holes)


def _onwards(line: list[XY], box: tuple[float, float, float, float]) -> list[XY]:
    """A coast that ends inside the box, where its extract was cut, goes straight on: else there would be no sea."""
    if line[0] == line[-1]:
        return line
    far = 3 * (box[2] - box[0])
    out = list(line)
    for end, before, at in ((line[0], line[1], 0), (line[-1], line[-2], len(line))):
        if box[0] < end[0] < box[2] and box[1] < end[1] < box[3]:
            length = math.dist(end, before) or 1.0
            step = (end[0] - before[0]) / length, (end[1] - before[1]) / length
            out.insert(at if at == 0 else len(out), (end[0] + far * step[0], end[1] + far * step[1]))
    return out
