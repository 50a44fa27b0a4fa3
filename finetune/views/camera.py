"""Rays of a pose and pixels of a point: pinhole, equirectangular and orthographic nadir cameras.

Coordinates are metres of a frame: x east, y north, z up. Pixel (0, 0) has its centre at (0.5, 0.5); columns run to the
right, rows down.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from finetune.views.poses import Pose
from retriever.geo import Frame

Floats = NDArray[np.float32]

SKY_M = 400.0
"""Height from which orthographic rays fall; nothing in a scene is higher."""


def rays(pose: Pose, frame: Frame, cols: Floats, rows: Floats) -> tuple[Floats, Floats]:
    """Origins [N, 3] and unit directions [N, 3], metres of ``frame``, for points of the picture [N] each."""
    if pose.bounds is not None:
        return _falling(pose, frame, cols, rows)
    x, y = frame.xy(pose.lat, pose.lon)
    origin = np.array([x, y, pose.altitude_m], np.float32)
    ahead = _panoramic(pose, cols, rows) if pose.view == "panorama" else _pinhole(pose, cols, rows)
    return np.broadcast_to(origin, ahead.shape), ahead


def _falling(pose: Pose, frame: Frame, cols: Floats, rows: Floats) -> tuple[Floats, Floats]:
    assert pose.bounds is not None
    west, south, east, north = pose.bounds
    lon = west + (east - west) * np.asarray(cols, np.float64) / pose.width
    lat = north - (north - south) * np.asarray(rows, np.float64) / pose.height
    x, y = frame.xy(lat, lon)
    origins = np.stack([x, y, np.full_like(x, SKY_M)], axis=1).astype(np.float32)
    return origins, np.broadcast_to(np.array([0, 0, -1], np.float32), origins.shape)


def _panoramic(pose: Pose, cols: Floats, rows: Floats) -> Floats:
    azimuth = np.radians(pose.heading_deg + (cols / pose.width - 0.5) * 360.0)
    elevation = np.radians(90.0 - rows / pose.height * 180.0)
    flat = np.cos(elevation)
    return np.stack([flat * np.sin(azimuth), flat * np.cos(azimuth), np.sin(elevation)], axis=1).astype(np.float32)


def axes(pose: Pose) -> NDArray[np.float64]:
    """Rows: right, up and forward of a pinhole camera [3, 3]."""
    h, p = np.radians(pose.heading_deg), np.radians(pose.pitch_deg)
    right = (np.cos(h), -np.sin(h), 0.0)
    up = (-np.sin(p) * np.sin(h), -np.sin(p) * np.cos(h), np.cos(p))
    ahead = (np.cos(p) * np.sin(h), np.cos(p) * np.cos(h), np.sin(p))
    return np.array([right, up, ahead])


def focal_px(pose: Pose) -> float:
    """Focal length in pixels."""
    assert pose.fov_deg is not None
    return float(pose.width / 2 / np.tan(np.radians(pose.fov_deg) / 2))


def _pinhole(pose: Pose, cols: Floats, rows: Floats) -> Floats:
    f = focal_px(pose)
    across, above = (cols - pose.width / 2) / f, (pose.height / 2 - rows) / f
    local = np.stack([across, above, np.ones_like(across)], axis=1)
    world = local @ axes(pose)
    return np.asarray(world / np.linalg.norm(world, axis=1, keepdims=True), np.float32)


def pixel_of(pose: Pose, frame: Frame, point: tuple[float, float, float]) -> tuple[float, float] | None:
    """Column and row of a point (metres of ``frame``); None behind the camera. It may lie outside the picture."""
    if pose.bounds is not None:
        west, south, east, north = pose.bounds
        lat, lon = frame.latlon(point[0], point[1])
        col, row = (lon - west) / (east - west) * pose.width, (north - lat) / (north - south) * pose.height
        return float(col), float(row)
    assert pose.altitude_m is not None
    x, y = frame.xy(pose.lat, pose.lon)
    away = np.array([point[0] - x, point[1] - y, point[2] - pose.altitude_m])
    if pose.view == "panorama":
        azimuth = np.degrees(np.arctan2(away[0], away[1]))
        turn = (azimuth - pose.heading_deg + 180.0) % 360.0
        elevation = np.degrees(np.arctan2(away[2], np.hypot(away[0], away[1])))
        return float(turn / 360.0 * pose.width), float((90.0 - elevation) / 180.0 * pose.height)
    across, above, ahead = axes(pose) @ away
    if ahead <= 0:
        return None
    f = focal_px(pose)
    return float(pose.width / 2 + f * across / ahead), float(pose.height / 2 - f * above / ahead)


def pixel_angle(pose: Pose) -> float:
    """What one pixel spans: radians for cameras at a point; 0 for orthographic views."""
    if pose.bounds is not None:
        return 0.0
    return 2 * np.pi / pose.width if pose.view == "panorama" else 1.0 / focal_px(pose)
