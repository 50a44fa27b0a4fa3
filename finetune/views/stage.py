"""The part of a scene that one camera can see, as triangles that rays are cast at."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import shapely
from embreex.mesh_construction import TriangleMesh  # type: ignore[import-untyped]
from embreex.rtcore_scene import EmbreeScene  # type: ignore[import-untyped]
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from shapely.geometry import Polygon

from finetune.views import things
from finetune.views.boards import Boards
from finetune.views.ground import CARRIAGE, GroundMap, buried, lines_of, point_of, road_width
from finetune.views.houses import cap, plan_of, raise_house
from finetune.views.mesh import PLAIN, Mesh, MeshBuilder, linear
from finetune.views.plants import plant
from finetune.views.seeds import part
from finetune.views.sheet import CODE
from finetune.views.traffic import Kerbs, Traffic
from retriever.draw import geometry
from retriever.draw.fonts import Fonts
from retriever.sources.facts import Feature

Floats = NDArray[np.float32]
FAR_M = 4000.0
"""Half the side of the ground plane."""
FINE = (192.0, 0.1)
"""Side of a window of the ground in metres, and metres per pixel: what lies near a camera."""
COARSE_M = 0.4
_WINDOWS = 6
MAX_TREES = 2500


@dataclass(frozen=True, kw_only=True)
class Hits:
    """What rays met. ``triangle`` counts through the mesh, then the ground, then the cars; it is -1 for the sky."""

    triangle: NDArray[np.int32]
    distance: Floats
    normal: Floats
    """[N, 3] unit, towards the camera."""


class Stage:
    """Features about a point, in metres from it, built once and shown at several ages."""

    def __init__(
        self, features: Sequence[Feature], *, origin: tuple[float, float], reach_m: float, fonts: Fonts
    ) -> None:
        self.origin, self.reach_m = origin, reach_m
        self.ground = GroundMap(features, origin)
        self.kerbs = Kerbs(self.ground.roads)
        self.mesh = _build(features, self.ground, origin, fonts)
        self._scenes: dict[int, tuple[EmbreeScene, NDArray[np.int32]]] = {}
        self._windows: OrderedDict[tuple[int, int], NDArray[np.uint8]] = OrderedDict()
        self._coarse: NDArray[np.uint8] | None = None
        self._open: NDArray[np.uint8] | None = None

    def _scene(self, age: int) -> tuple[EmbreeScene, NDArray[np.int32]]:
        if age not in self._scenes:
            rows = np.flatnonzero(self.mesh.standing(age)).astype(np.int32)
            f = FAR_M
            plane = np.array([[[-f, -f, 0], [f, -f, 0], [f, f, 0]], [[-f, -f, 0], [f, f, 0], [-f, f, 0]]], np.float32)
            scene = EmbreeScene()
            TriangleMesh(scene, np.ascontiguousarray(np.concatenate([self.mesh.corners[rows], plane])))
            size = len(self.mesh.material)
            self._scenes[age] = scene, np.append(rows, [size, size]).astype(np.int32)
        return self._scenes[age]

    def cast(self, origins: Floats, directions: Floats, age: int, traffic: Traffic | None = None) -> Hits:
        """The first thing that each ray [N, 3] meets."""
        scene, rows = self._scene(age)
        origins, directions = np.ascontiguousarray(origins), np.ascontiguousarray(directions)
        found = scene.run(origins, directions, query="INTERSECT", output=True)
        hit, distance, normal = found["primID"], found["tfar"], found["Ng"]
        triangle = np.where(hit < 0, -1, rows[np.maximum(hit, 0)]).astype(np.int32)
        if traffic is not None and traffic.scene is not None:
            cars = traffic.scene.run(origins, directions, query="INTERSECT", output=True)
            nearer = np.flatnonzero((cars["primID"] >= 0) & ((hit < 0) | (cars["tfar"] < distance)))
            triangle[nearer] = self.ground_code + 1 + cars["primID"][nearer]
            distance[nearer], normal[nearer] = cars["tfar"][nearer], cars["Ng"][nearer]
        length = np.linalg.norm(normal, axis=1, keepdims=True)
        facing = np.where(np.einsum("ij,ij->i", normal, directions) > 0, np.float32(-1), np.float32(1))
        normal = normal / np.maximum(length, 1e-12) * facing[:, None]
        return Hits(triangle=triangle, distance=distance, normal=normal.astype(np.float32))

    @property
    def ground_code(self) -> int:
        """What ``Hits.triangle`` is where a ray met the ground; cars follow it."""
        return len(self.mesh.material)

    def shadowed(
        self, points: Floats, towards: tuple[float, float, float], age: int, traffic: Traffic | None = None
    ) -> NDArray[np.bool_]:
        """Whether something stands between points [N, 3] and the sun."""
        points = np.ascontiguousarray(points)
        directions = np.ascontiguousarray(np.broadcast_to(np.array(towards, np.float32), points.shape))
        dark = np.asarray(self._scene(age)[0].run(points, directions, query="OCCLUDED") == 0)
        if traffic is not None and traffic.scene is not None:
            low = np.flatnonzero(~dark & (points[:, 2] < 2.2))
            dark[low] = traffic.scene.run(points[low], directions[low], query="OCCLUDED") == 0
        return dark

    def window(self, x: float, y: float) -> tuple[float, float, NDArray[np.uint8]]:
        """West and north edge and surface codes of the fine window about a point."""
        side, metres = FINE
        key = round(x / 32), round(y / 32)
        west, north = key[0] * 32 - side / 2, key[1] * 32 + side / 2
        if key not in self._windows:
            self._windows[key] = self.ground.paint(west, north, round(side / metres), metres)
            while len(self._windows) > _WINDOWS:
                self._windows.popitem(last=False)
        self._windows.move_to_end(key)
        return west, north, self._windows[key]

    def coarse(self) -> tuple[float, float, NDArray[np.uint8]]:
        """The same for the whole stage, at ``COARSE_M``."""
        if self._coarse is None:
            pixels = round(2 * self.reach_m / COARSE_M)
            self._coarse = self.ground.paint(-self.reach_m, self.reach_m, pixels, COARSE_M)
        return -self.reach_m, self.reach_m, self._coarse

    def openness(self, x: Floats, y: Floats) -> Floats:
        """Part of the sky that houses leave open over points of the ground [N], 0..1."""
        if self._open is None:
            self._open = _openness(self.coarse()[2])
        size = self._open.shape[0]
        scale = size / (2 * self.reach_m)
        j = np.clip(((x + self.reach_m) * scale).astype(np.int32), 0, size - 1)
        i = np.clip(((self.reach_m - y) * scale).astype(np.int32), 0, size - 1)
        return np.asarray(self._open[i, j] / np.float32(255))


def _openness(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """How much sky there is above the ground (0..255), by how much is built nearby; quarter the size of ``codes``."""
    built = Image.fromarray((codes == CODE["footprint"]).astype(np.uint8) * 255).reduce(4)
    return 255 - np.asarray(built.filter(ImageFilter.GaussianBlur(2.2)))


_STAYS = {"building": 0.008, "tree": 0.02, "place": 0.05, "other": 0.01}
"""Part of the objects of a group that are new in a year."""


def since(osm_id: str, group: str) -> float:
    """Years since when an object stands; 99 for what has always been there."""
    years = part(osm_id, "since") / _STAYS[group]
    return years if years < 15.5 else 99.0


def _build(features: Sequence[Feature], ground: GroundMap, origin: tuple[float, float], fonts: Fonts) -> Mesh:
    out, boards = MeshBuilder(), Boards(fonts)
    walls: list[int] = []
    for feature in features:
        if feature.kind == "building" and feature.shape == "area":
            out.begin(feature.osm_id, since(feature.osm_id, "building"))
            walls += _house(out, feature)
    fronts = things.Fronts(out, walls, boards, ground)
    furniture = things.Furniture(out, boards, ground)
    for feature in features:
        if things.is_place(feature):
            out.begin(feature.osm_id, since(feature.osm_id, "place"))
            fronts.open(feature)
        elif feature.kind == "wall" and feature.shape == "line":
            out.begin(feature.osm_id, since(feature.osm_id, "other"))
            _barrier(out, feature)
        elif feature.kind != "tree":
            out.begin(feature.osm_id, since(feature.osm_id, "other"))
            furniture.place(feature)
    _street_names(out, boards, ground)
    _trees(out, features, ground, origin)
    return out.finish(boards.stack())


def _house(out: MeshBuilder, feature: Feature) -> list[int]:
    walls = []
    for piece in shapely.get_parts(feature.geometry):
        if isinstance(piece, Polygon) and piece.area > 2:
            plan = plan_of(feature.osm_id, feature.tags, piece.area)
            if feature.tags.get("building") == "roof":
                cap(out, piece, max(3.2, plan.eaves), plan.roof)
                continue
            walls += raise_house(out, piece, plan)
    return walls


def _barrier(out: MeshBuilder, feature: Feature) -> None:
    colour = linear("#9a8f80")
    for line in lines_of(feature.geometry):
        for side in (-0.12, 0.12):
            p = geometry.shifted(line, side)
            for a, b in pairwise(p):
                out.quad((*a, 0), (*b, 0), (*b, 1.9), (*a, 1.9), PLAIN, colour)
        left, right = geometry.shifted(line, -0.12), geometry.shifted(line, 0.12)
        for i in range(len(line) - 1):
            out.quad((*left[i], 1.9), (*left[i + 1], 1.9), (*right[i + 1], 1.9), (*right[i], 1.9), PLAIN, colour)


def _street_names(out: MeshBuilder, boards: Boards, ground: GroundMap) -> None:
    """A plate with the street's name on a post near either end of each of its ways."""
    for road in ground.roads:
        text = boards.written(road.names)
        if text is None or road.geometry.length < 25:
            continue
        picture, shape = boards.street(text)
        out.begin(road.osm_id, 99.0)
        for line in lines_of(road.geometry):
            length = geometry.line_length(line)
            if length < 25:
                continue
            (x, y), (ux, uy) = next(geometry.along(line, length, min(9.0, length / 3)))
            aside = road_width(road) / 2 + 0.9
            x, y, turn = x - uy * aside, y + ux * aside, float(np.arctan2(uy, ux))
            things.pole(out, x, y, 2.75, 0.05)
            things.two_sided(out, x, y, turn, 2.35, (min(0.3 * shape, 2.4), 0.3), picture)


def _trees(out: MeshBuilder, features: Sequence[Feature], ground: GroundMap, origin: tuple[float, float]) -> None:
    spots: list[tuple[float, float, str, bool]] = []
    for feature in features:
        if feature.kind == "tree":
            spots += _mapped(feature)
    mapped = len(spots)
    spots += _wild(features, ground, origin)
    for number, (x, y, key, needles) in enumerate(spots[:MAX_TREES]):
        out.begin(f"tree {key}", since(key, "tree"))
        plant(out, x, y, key, needles=needles, detail=1 if number < mapped and number < 900 else 0)


def _mapped(feature: Feature) -> list[tuple[float, float, str, bool]]:
    needles = feature.tags.get("leaf_type") == "needleleaved"
    if feature.shape == "point":
        return [(*point_of(feature), feature.osm_id, needles)]
    return [
        (x, y, f"{feature.osm_id} {i}", needles)
        for line in lines_of(feature.geometry)
        for i, ((x, y), _) in enumerate(geometry.along(line, 8.0, 1.0))
    ]


_STANDS = {"forest": (6.0, 0.9), "park": (13.0, 0.4), "cemetery": (14.0, 0.35)}
"""Metres between trees that no map tells of, and how many of the places are taken."""


def _wild(
    features: Sequence[Feature], ground: GroundMap, origin: tuple[float, float]
) -> list[tuple[float, float, str, bool]]:
    """Trees of woods and parks, on a jittered grid that is fixed in the world, clear of roads, water and houses."""
    found = []
    solid = [
        f.geometry.buffer(road_width(f) / 2 + 2.0 if f.kind in CARRIAGE else 2.5)
        for f in features
        if (f.kind in CARRIAGE and not buried(f))
        or (f.shape == "area" and f.kind in ("building", "water", "river", "pitch", "playground"))
        or f.kind in ("footway", "railway", "tram")
    ]
    tree = shapely.STRtree(solid)
    for feature in features:
        if feature.kind not in _STANDS or feature.shape != "area":
            continue
        step, share = _STANDS[feature.kind]
        west, south, east, north = feature.geometry.bounds
        cols = np.arange(np.ceil((west + origin[0]) / step), np.floor((east + origin[0]) / step) + 1).astype(int)
        rows = np.arange(np.ceil((south + origin[1]) / step), np.floor((north + origin[1]) / step) + 1).astype(int)
        for i in cols:
            for j in rows:
                if part("stand", i, j, step) > share:
                    continue
                x = (i + 0.8 * (part("x", i, j) - 0.5)) * step - origin[0]
                y = (j + 0.8 * (part("y", i, j) - 0.5)) * step - origin[1]
                found.append((x, y, f"{feature.osm_id} {i} {j}", part("needles", i, j) < 0.12, feature.geometry))
    if not found:
        return []
    points = shapely.points([(x, y) for x, y, *_ in found])
    inside = [bool(shapely.contains_xy(g, x, y)) for x, y, _, _, g in found]
    blocked = set(tree.query(points, predicate="intersects")[0].tolist()) if solid else set()
    return [spot[:4] for k, spot in enumerate(found) if inside[k] and k not in blocked]
