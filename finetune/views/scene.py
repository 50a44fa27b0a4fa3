"""A place that can be looked at: features of an extract, cut to stages when a camera stands somewhere."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from PIL import Image

from finetune.views.conditions import Conditions
from finetune.views.poses import Pose
from finetune.views.stage import Stage
from retriever.draw.fonts import Fonts
from retriever.errors import SourceError
from retriever.geo import Frame
from retriever.kinds import kinds
from retriever.sources.facts import Feature, facts_on, features_of, project, seen_tags
from retriever.sources.osm import MapObject, header_box, read_osm
from retriever.spool import clip
from retriever.types import TILE_MARGIN, Box, Fact

CORE_M = 240.0
"""Side of the square of standpoints that share one stage."""
REACH_M = 420.0
"""Half the side of a stage: farther things are not drawn."""
KEPT = 10
"""Stages kept in memory (60 to 200 MiB each in a dense city). A drone stands up to 190 m from what it looks at, on a
stage beside the one of its place as often as not: with few stages kept, its own was built anew for almost every set."""


class Scene:
    """One extract, ready to be rendered anywhere. Coordinates inside are metres of ``frame``."""

    def __init__(
        self, features: Sequence[Feature], *, frame: Frame, name: str, box: Box, fonts: Fonts | None = None
    ) -> None:
        self.frame, self.name, self.features = frame, name, features
        self.fonts = fonts or Fonts.find()
        self.tree = shapely.STRtree([f.geometry for f in features])
        self.box = box
        """What the map covers, in degrees: the extract's header says, else as far as streets and houses reach."""
        self._stages: OrderedDict[tuple[int, int], Stage] = OrderedDict()

    @classmethod
    def from_osm(cls, path: Path | str, *, fonts: Fonts | None = None) -> Scene:
        """Reads an extract. Raises ``SourceError`` for one that cannot be read or shows no roads and buildings."""
        return cls.from_objects(read_osm(path), name=Path(path).name.split(".")[0], box=header_box(path), fonts=fonts)

    @classmethod
    def from_objects(
        cls, objects: Iterable[MapObject], *, name: str = "scene", box: Box | None = None, fonts: Fonts | None = None
    ) -> Scene:
        """The scene of map objects in degrees."""
        found = [feature for obj in objects for feature in (*features_of(obj), *_surfaces(obj))]
        west, south, east, north = box or _reach(found, name)
        frame = Frame(lat=(south + north) / 2, lon=(west + east) / 2)
        placed = [Feature(**{**vars(f), "geometry": project(f.geometry, frame)}) for f in found]
        return cls(placed, frame=frame, box=(west, south, east, north), name=name, fonts=fonts)

    def stage_key(self, x: float, y: float) -> tuple[int, int]:
        """Points in metres with the same key share a stage."""
        return round(x / CORE_M), round(y / CORE_M)

    def stage(self, x: float, y: float) -> Stage:
        """The stage about a point in metres; the latest few are kept."""
        key = self.stage_key(x, y)
        if key not in self._stages:
            origin = key[0] * CORE_M, key[1] * CORE_M
            box = (origin[0] - REACH_M, origin[1] - REACH_M, origin[0] + REACH_M, origin[1] + REACH_M)
            near = [self.features[i] for i in sorted(self.tree.query(shapely.box(*box)))]
            moved = [_moved(f, origin, box) for f in near]
            self._stages[key] = Stage(
                [f for f in moved if not f.geometry.is_empty], origin=origin, reach_m=REACH_M, fonts=self.fonts
            )
            while len(self._stages) > KEPT:
                self._stages.popitem(last=False)
        self._stages.move_to_end(key)
        return self._stages[key]

    def render(self, pose: Pose, conditions: Conditions) -> Image.Image:
        """The picture of a pose, RGB. The street map has no weather: its conditions change nothing."""
        if pose.view == "map":
            return self._map(pose)
        from finetune.views.render import render

        stage, frame = self.stage_of(pose)
        return render(stage, pose, conditions, frame)

    def stage_of(self, pose: Pose) -> tuple[Stage, Frame]:
        """The stage that a camera stands on, and a frame with its origin."""
        stage = self.stage(*self.frame.xy(pose.lat, pose.lon))
        lat, lon = self.frame.latlon(*stage.origin)
        return stage, _Moved(lat=lat, lon=lon, scale=self.frame.m_per_deg_lon)

    def anything_near(self, lat: float, lon: float, reach_m: float) -> bool:
        """Whether the map shows anything within so many metres east-west and north-south."""
        x, y = self.frame.xy(lat, lon)
        return len(self.tree.query(shapely.box(x - reach_m, y - reach_m, x + reach_m, y + reach_m))) > 0

    def inside_building(self, lat: float, lon: float, margin_m: float = 0.6) -> bool:
        """Whether a point lies in a house, or closer to one than ``margin_m``."""
        point = shapely.Point(*self.frame.xy(lat, lon))
        near = self.tree.query(point, predicate="dwithin", distance=margin_m)
        return any(self.features[i].kind == "building" and self.features[i].shape == "area" for i in near)

    def facts(self, pose: Pose) -> tuple[Fact, ...]:
        """What the map says inside the bounds of a nadir pose, in its tile coordinates."""
        if pose.bounds is None:
            raise ValueError(f"a {pose.view} pose has no bounds: facts lie on satellite and map views")
        west, south, east, north = pose.bounds
        x0, y0 = self.frame.xy(south, west)
        x1, y1 = self.frame.xy(north, east)
        dx, dy = (x1 - x0) * TILE_MARGIN, (y1 - y0) * TILE_MARGIN
        wide = (x0 - dx, y0 - dy, x1 + dx, y1 + dy)
        near = [self.features[i] for i in sorted(self.tree.query(shapely.box(*wide)))]
        near = [f for f in near if not _only_ground(f)]
        return facts_on(near, [clip(f.geometry, wide) for f in near], (x0, y0, x1, y1))

    def _map(self, pose: Pose) -> Image.Image:
        from retriever.draw import draw_tile

        size = (pose.gsd_m or 0) * pose.width
        return draw_tile(self.facts(pose), size_m=size, px=pose.width, fonts=self.fonts)


def _reach(found: Sequence[Feature], name: str) -> Box:
    """As far as streets and houses reach, in degrees: what the drawn gallery covers too."""
    solid = [f.geometry for f in found if kinds()[f.kind].group in ("road", "building")]
    if not solid:
        raise SourceError(f"{name} has neither streets nor buildings, so there is nothing to render: give another map")
    west, south, east, north = (float(v) for v in shapely.total_bounds(solid))
    return west, south, east, north


@dataclass(frozen=True, kw_only=True)
class _Moved(Frame):
    """A frame with another origin and the scale of the scene's, so that moving the origin changes no length."""

    scale: float

    @property
    def m_per_deg_lon(self) -> float:
        return self.scale


def _moved(feature: Feature, origin: tuple[float, float], box: Box) -> Feature:
    """A feature cut to a box, in metres from the origin. Houses stay whole, so that no wall is invented."""
    shape = feature.geometry if feature.kind == "building" else clip(feature.geometry, box)
    moved = shapely.transform(shape, lambda xy: xy - np.array(origin))
    return Feature(**{**vars(feature), "geometry": moved})


def _surfaces(obj: MapObject) -> Iterable[Feature]:
    """Grounds that the map draws as points but that are seen as surfaces."""
    if obj.shape != "area" or obj.tags.get("building", "no") != "no" or "parking" not in obj.tags.get("amenity", ""):
        return
    if obj.tags.get("parking", "surface") == "surface":
        yield Feature(
            osm_id=obj.osm_id, kind="parking", shape="area", names={}, tags=seen_tags(obj.tags), geometry=obj.geometry
        )


def _only_ground(feature: Feature) -> bool:
    return feature.kind == "parking" and feature.shape == "area"
