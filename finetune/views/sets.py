"""The five aligned views of one place, with the known pose of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from finetune.views import camera
from finetune.views.conditions import Conditions
from finetune.views.poses import SIZES, VIEWS, Pose, ViewName, nadir_pose
from finetune.views.scene import Scene
from finetune.views.seeds import generator
from retriever.errors import SourceError

JITTER_M = 30.0
"""The nadir views' centre is up to this far from the place, east-west and north-south: a tile of a gallery would be."""
HEADINGS = 10
WALL_SHARE, WALL_M = 0.45, 12.0
"""A ground photo shows mostly one wall if one house nearer than this fills more than this part of it."""
_PROBE = (32, 24)


class RenderedView(NamedTuple):
    image: Image.Image
    pose: Pose
    conditions: Conditions


@dataclass(frozen=True, kw_only=True)
class ViewSet:
    """Views of one place by name."""

    scene: str
    lat: float
    """Where the ground camera stands."""
    lon: float
    seed: int
    views: dict[ViewName, RenderedView]
    turns: int
    """How many headings of the ground photo were tried before one did not look at a wall."""

    def __getitem__(self, view: ViewName) -> RenderedView:
        return self.views[view]

    def __iter__(self) -> Iterator[ViewName]:
        return iter(self.views)

    def to_json(self) -> dict[str, Any]:
        """Everything but the pixels."""
        rows = {v: {"pose": r.pose.to_json(), "conditions": r.conditions.to_json()} for v, r in self.views.items()}
        head = {"scene": self.scene, "lat": self.lat, "lon": self.lon, "seed": self.seed, "turns": self.turns}
        return {**head, "synthetic": True, "views": rows}


def render_set(
    scene: Scene, lat: float, lon: float, *, seed: int, views: tuple[ViewName, ...] = VIEWS, jitter_m: float = JITTER_M
) -> ViewSet:
    """Renders a place as seen from above, from a drone, from the street, all around, and as a drawn map.

    The same arguments give the same pixels on the same machine; each view has a date, a sun and a camera of its own.

    Raises:
        SourceError: the place lies inside a building.
    """
    if scene.inside_building(lat, lon):
        raise SourceError(f"{lat:.6f}, {lon:.6f} lies inside a building of {scene.name}: choose a place in the open")
    conditions = {v: Conditions.drawn(seed, view=v, lat=lat) for v in views}
    poses, turns = poses_of(scene, lat, lon, seed, jitter_m)
    rendered = {v: RenderedView(scene.render(poses[v], conditions[v]), poses[v], conditions[v]) for v in views}
    return ViewSet(scene=scene.name, lat=lat, lon=lon, seed=seed, views=rendered, turns=turns)


def poses_of(
    scene: Scene, lat: float, lon: float, seed: int, jitter_m: float = JITTER_M
) -> tuple[dict[ViewName, Pose], int]:
    """The pose of every view of a place, and how many headings of the ground photo were tried."""
    rng = generator("poses", seed, f"{lat:.7f}", f"{lon:.7f}")
    frame = scene.frame
    x, y = frame.xy(lat, lon)
    dx, dy = rng.uniform(-jitter_m, jitter_m, 2)
    centre = tuple(float(v) for v in frame.latlon(x + dx, y + dy))
    poses: dict[ViewName, Pose] = {
        "satellite": nadir_pose("satellite", *centre),
        "map": nadir_pose("map", *centre),
        "panorama": _standing("panorama", lat, lon, rng, heading=float(rng.uniform(0, 360))),
    }
    poses["uav"] = _flying(scene, lat, lon, rng)
    poses["ground"], turns = _looking(scene, lat, lon, rng)
    return poses, turns


def _standing(view: ViewName, lat: float, lon: float, rng: np.random.Generator, *, heading: float) -> Pose:
    width, height = SIZES[view]
    fov, pitch = (360.0, 0.0) if view == "panorama" else (float(rng.uniform(62, 90)), float(rng.normal(3, 3)))
    eye = float(rng.uniform(1.5, 1.85)) if view == "ground" else float(rng.uniform(1.6, 2.6))
    return Pose(
        view=view, lat=lat, lon=lon, width=width, height=height, altitude_m=eye, heading_deg=heading,
        pitch_deg=pitch, fov_deg=fov,
    )  # fmt: skip


def _looking(scene: Scene, lat: float, lon: float, rng: np.random.Generator) -> tuple[Pose, int]:
    """A ground camera that does not look at one wall; if it does everywhere, the least of it."""
    best: tuple[float, Pose] | None = None
    start = float(rng.uniform(0, 360))
    for turn in range(HEADINGS):
        # Steps of the golden angle spread any number of headings evenly.
        pose = _standing("ground", lat, lon, rng, heading=(start + turn * 137.508) % 360.0)
        share = _one_wall(scene, pose)
        if best is None or share < best[0]:
            best = (share, pose)
        if share <= WALL_SHARE:
            return pose, turn + 1
    assert best is not None
    return best[1], HEADINGS


def _one_wall(scene: Scene, pose: Pose) -> float:
    """The part of a picture that the object nearest and largest in it fills, 0..1."""
    stage, frame = scene.stage_of(pose)
    cols, rows = np.meshgrid(*((np.arange(n, dtype=np.float32) + 0.5) / n for n in _PROBE))
    origins, ahead = camera.rays(pose, frame, cols.reshape(-1) * pose.width, rows.reshape(-1) * pose.height)
    hits = stage.cast(origins, ahead, 0)
    owners = stage.mesh.owner
    solid = (hits.triangle >= 0) & (hits.triangle < len(owners)) & (hits.distance < WALL_M)
    if not solid.any():
        return 0.0
    return float(np.bincount(owners[hits.triangle[solid]]).max() / len(ahead))


def _flying(scene: Scene, lat: float, lon: float, rng: np.random.Generator) -> Pose:
    """A drone that sees the place in the middle of its picture, from steeper above where houses hide it."""
    width, height = SIZES["uav"]
    frame = scene.frame
    x, y = frame.xy(lat, lon)
    altitude, fov = float(rng.uniform(55, 120)), float(rng.uniform(48, 72))
    start, pitch = float(rng.uniform(0, 360)), float(rng.uniform(32, 60))
    for turn in range(HEADINGS):
        steep = pitch + (80.0 - pitch) * turn / (HEADINGS - 1)
        heading = (start + turn * 137.508) % 360.0
        back = altitude / np.tan(np.radians(steep))
        h = np.radians(heading)
        at = frame.latlon(x - back * np.sin(h), y - back * np.cos(h))
        pose = Pose(
            view="uav", lat=float(at[0]), lon=float(at[1]), width=width, height=height, altitude_m=altitude,
            heading_deg=heading, pitch_deg=-steep, fov_deg=fov,
        )  # fmt: skip
        if turn == HEADINGS - 1 or _sees(scene, pose):
            break
    away = altitude / np.sin(np.radians(-pose.pitch_deg))
    return Pose(**{**vars(pose), "gsd_m": float(away / camera.focal_px(pose))})


def _sees(scene: Scene, pose: Pose) -> bool:
    """Whether nothing stands between a camera and the ground in the middle of its picture."""
    stage, frame = scene.stage_of(pose)
    middle = np.array([pose.width / 2], np.float32), np.array([pose.height / 2], np.float32)
    hits = stage.cast(*camera.rays(pose, frame, *middle), 0)
    return bool(hits.triangle[0] >= len(stage.mesh.owner))
