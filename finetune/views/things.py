"""What stands in the street: shop fronts and signs, stops, signals, benches, statues, parked cars."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import shapely
from shapely.geometry import LineString, Point

from finetune.views.boards import Boards
from finetune.views.ground import GroundMap, direction_at, point_of, road_width
from finetune.views.mesh import PLAIN, SIGN, Board, MeshBuilder, linear
from finetune.views.plants import post
from finetune.views.seeds import part
from retriever.draw.style import icons
from retriever.kinds import kinds
from retriever.sources.facts import Feature

STEEL, DARK, WOOD, STONE = linear("#8d9296"), linear("#2c2e31"), linear("#7a5636"), linear("#a8a196")
BOARD_M = 0.62
"""Height of a shop's sign."""
REACH_M = 16.0
"""A place is at most this far from the wall that bears its sign."""


def board(
    out: MeshBuilder,
    left: tuple[float, float],
    along: tuple[float, float],
    z: float,
    size: tuple[float, float],
    picture: int,
) -> None:
    """A flat sign from its lower left corner; ``along`` is to the reader's right."""
    row = len(out.boards)
    out.boards.append(Board(*left, z, *along, *size, picture))
    x, y = left
    x1, y1 = x + along[0] * size[0], y + along[1] * size[0]
    out.quad((x, y, z), (x1, y1, z), (x1, y1, z + size[1]), (x, y, z + size[1]), SIGN, (1, 1, 1), row)


class Fronts:
    """Puts places on the walls of the houses that they are in."""

    def __init__(self, out: MeshBuilder, walls: Sequence[int], boards: Boards, ground: GroundMap) -> None:
        self.out, self.boards, self.ground = out, boards, ground
        rows = [r for r in walls if out.walls[r].length > 2.5 and out.walls[r].low < 2.5]
        self.rows = rows
        lines = [
            LineString([(w.x, w.y), (w.x + w.dx * w.length, w.y + w.dy * w.length)])
            for w in (out.walls[r] for r in rows)
        ]
        self.tree = shapely.STRtree(lines)
        self.lines = lines
        self.taken: dict[int, list[tuple[float, float]]] = {}
        self._road: dict[int, float] = {}

    def _to_road(self, i: int) -> float:
        """How far the nearest road is from a point just outside a wall: fronts look at streets."""
        if i not in self._road:
            wall = self.out.walls[self.rows[i]]
            half = wall.length / 2
            outside = Point(wall.x + wall.dx * half + wall.dy * 3.0, wall.y + wall.dy * half - wall.dx * 3.0)
            near = self.ground.nearest_road(outside, 40.0)
            self._road[i] = near.geometry.distance(outside) if near is not None else 40.0
        return self._road[i]

    def open(self, feature: Feature) -> bool:
        """Gives a place its shop windows and its sign; False where no wall is near."""
        point = feature.geometry
        found = [int(i) for i in self.tree.query(point, predicate="dwithin", distance=REACH_M)]
        if not found:
            return False
        best = min(found, key=lambda i: (self.lines[i].distance(point) + 0.8 * self._to_road(i), i))
        row = self.rows[best]
        wall = self.out.walls[row]
        at = self.lines[best].project(Point(point_of(feature)))
        half = min(3.6, wall.length / 2 - 0.2)
        at = min(max(at, half), wall.length - half)
        shop = (at - half, at + half)
        if wall.shop_to > 0:
            shop = (min(shop[0], wall.shop_from), max(shop[1], wall.shop_to))
        self.out.walls[row] = wall._replace(
            shop_from=max(shop[0], 0.15), shop_to=shop[1], trim=part(feature.osm_id, "trim")
        )
        self._sign(feature, row, at)
        return True

    def _sign(self, feature: Feature, row: int, at: float) -> None:
        wall = self.out.walls[row]
        text = self.boards.written(feature.names)
        if text is None:
            picture, shape = self.boards.badge(feature.kind) if feature.kind in icons() else (-1, 0.0)
        else:
            picture, shape = self.boards.shop(text, feature.kind, part(feature.osm_id, "board"))
        if picture < 0:
            return
        width = min(BOARD_M * shape, wall.length - 0.2, 9.0)
        left = min(max(at - width / 2, 0.1), wall.length - width - 0.1)
        z = self._free(row, left, width, min(3.05, max(2.3, wall.floor * 0.86)))
        if z + BOARD_M > wall.high:
            return
        # Outer walls run counter-clockwise: whoever looks at one from outside has its direction on the right.
        x, y = wall.x + wall.dx * left + wall.dy * 0.16, wall.y + wall.dy * left - wall.dx * 0.16
        board(
            self.out,
            (x, y),
            (wall.dx, wall.dy),
            z,
            (width, BOARD_M * min(1.0, width / (BOARD_M * shape) + 0.25)),
            picture,
        )

    def _free(self, row: int, left: float, width: float, z: float) -> float:
        """Signs that would cover each other are put one above the other."""
        taken = self.taken.setdefault(row, [])
        level = sum(a < left + width and left < b for a, b in taken)
        taken.append((left, left + width))
        return z + level * (BOARD_M + 0.12)


def pole(
    out: MeshBuilder, x: float, y: float, high: float, wide: float = 0.06, colour: tuple[float, float, float] = STEEL
) -> None:
    out.add(post(x, y, 0.0, high, wide), PLAIN, colour)


def two_sided(
    out: MeshBuilder, x: float, y: float, turn: float, z: float, size: tuple[float, float], picture: int
) -> None:
    """A board about a point and one behind it, so that it reads from both sides; ``turn`` is its direction."""
    for sign in (1.0, -1.0):
        ux, uy = math.cos(turn) * sign, math.sin(turn) * sign
        left = (x - ux * size[0] / 2 + uy * 0.05, y - uy * size[0] / 2 - ux * 0.05)
        board(out, left, (ux, uy), z, size, picture)


class Furniture:
    """Small things of the street, by kind."""

    def __init__(self, out: MeshBuilder, boards: Boards, ground: GroundMap) -> None:
        self.out, self.boards, self.ground = out, boards, ground
        self.makers: dict[str, Callable[[Feature, float, float, float], None]] = {
            "traffic_signals": self._signals, "bus_stop": self._stop, "tram_stop": self._stop, "taxi": self._badge,
            "bench": self._bench, "post_box": self._box, "memorial": self._memorial, "fountain": self._fountain,
            "tower": self._tower, "subway_entrance": self._entrance, "bicycle_parking": self._bikes,
            "parking": self._badge, "atm": self._badge, "toilets": self._badge,
        }  # fmt: skip

    def place(self, feature: Feature) -> None:
        """Adds what a point feature looks like; kinds without a look are left out."""
        maker = self.makers.get(feature.kind)
        if maker is None or feature.shape != "point":
            return
        x, y, turn = self._aside(feature)
        maker(feature, x, y, turn)

    def _aside(self, feature: Feature) -> tuple[float, float, float]:
        """Where it stands, off the carriageway, and the direction of the road beside it."""
        x, y = point_of(feature)
        road = self.ground.nearest_road(feature.geometry, 12.0)
        if road is None:
            return x, y, part(feature.osm_id) * math.pi
        ux, uy = direction_at(road, feature.geometry)
        turn = math.atan2(uy, ux)
        clear = road_width(road) / 2 + 0.8
        away = road.geometry.distance(feature.geometry)
        if away < clear and feature.kind not in ("fountain", "memorial", "tower"):
            foot = road.geometry.interpolate(road.geometry.project(Point(x, y)))
            side = (x - foot.x) * -uy + (y - foot.y) * ux
            sign = 1.0 if side > 0.05 or (abs(side) <= 0.05 and part(feature.osm_id) > 0.5) else -1.0
            x, y = foot.x - uy * sign * clear, foot.y + ux * sign * clear
        return x, y, turn

    def _signals(self, feature: Feature, x: float, y: float, turn: float) -> None:
        pole(self.out, x, y, 3.4, 0.07, DARK)
        self.out.box(x, y, 2.5, (0.34, 0.3, 0.95), turn, DARK)
        for z, colour in ((3.18, "#ff3b30"), (2.88, "#c8901a"), (2.6, "#2fbf5f")):
            self.out.box(x, y, z, (0.4, 0.2, 0.18), turn, linear(colour))

    def _stop(self, feature: Feature, x: float, y: float, turn: float) -> None:
        pole(self.out, x, y, 2.9)
        self._flag(feature.kind, x, y, turn, 2.2)
        name = self.boards.written(feature.names)
        if name is not None:
            picture, shape = self.boards.street(name)
            two_sided(self.out, x, y, turn, 1.75, (min(0.3 * shape, 2.6), 0.3), picture)
        if part(feature.osm_id, "shelter") < 0.55 and feature.kind == "bus_stop":
            self.out.box(x - 2.2 * math.cos(turn), y - 2.2 * math.sin(turn), 2.35, (3.2, 1.5, 0.12), turn, DARK)
            for dx in (-3.7, -0.7):
                pole(self.out, x + dx * math.cos(turn), y + dx * math.sin(turn), 2.35, 0.05, DARK)

    def _flag(self, kind: str, x: float, y: float, turn: float, z: float) -> None:
        picture, _ = self.boards.badge(kind)
        for angle in (turn, turn + math.pi / 2):
            two_sided(self.out, x, y, angle, z, (0.62, 0.62), picture)

    def _badge(self, feature: Feature, x: float, y: float, turn: float) -> None:
        pole(self.out, x, y, 2.6)
        self._flag(feature.kind, x, y, turn, 2.0)

    def _bench(self, feature: Feature, x: float, y: float, turn: float) -> None:
        self.out.box(x, y, 0.4, (1.7, 0.45, 0.08), turn, WOOD)
        self.out.box(x - 0.22 * math.sin(turn), y + 0.22 * math.cos(turn), 0.48, (1.7, 0.06, 0.4), turn, WOOD)
        self.out.box(x, y, 0.0, (1.3, 0.3, 0.4), turn, DARK)

    def _box(self, feature: Feature, x: float, y: float, turn: float) -> None:
        self.out.box(x, y, 0.0, (0.45, 0.45, 1.4), turn, linear(icons()["post_box"].fill))

    def _memorial(self, feature: Feature, x: float, y: float, turn: float) -> None:
        high = 1.2 + 1.5 * part(feature.osm_id)
        self.out.box(x, y, 0.0, (1.6, 1.6, high), turn, STONE)
        self.out.add(post(x, y, high, high + 1.9, 0.32, 7), PLAIN, linear("#4c5a50"))

    def _fountain(self, feature: Feature, x: float, y: float, turn: float) -> None:
        self.out.add(post(x, y, 0.0, 0.6, 2.6, 18), PLAIN, STONE)
        self.out.add(post(x, y, 0.0, 2.2, 0.35, 8), PLAIN, linear("#9fb8c4"))

    def _tower(self, feature: Feature, x: float, y: float, turn: float) -> None:
        self.out.add(post(x, y, 0.0, 18 + 16 * part(feature.osm_id), 2.0, 12), PLAIN, STONE)

    def _entrance(self, feature: Feature, x: float, y: float, turn: float) -> None:
        for side in (-1.3, 1.3):
            self.out.box(x - side * math.sin(turn), y + side * math.cos(turn), 0.0, (4.5, 0.15, 1.0), turn, STEEL)
        self._badge(feature, x, y, turn)

    def _bikes(self, feature: Feature, x: float, y: float, turn: float) -> None:
        for i in range(5):
            dx = (i - 2) * 0.7
            self.out.box(x + dx * math.cos(turn), y + dx * math.sin(turn), 0.0, (0.06, 1.5, 0.85), turn, STEEL)


def is_place(feature: Feature) -> bool:
    return feature.shape == "point" and feature.kind in kinds() and kinds()[feature.kind].group == "place"
