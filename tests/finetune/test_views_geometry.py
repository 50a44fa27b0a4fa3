"""Rendered views show things where they are: bearings, pixels of nadir views, shadows, occlusion."""

import numpy as np
import pytest
import shapely

from finetune.views import SIZES, Conditions, Pose, Scene
from finetune.views.camera import pixel_of, rays
from finetune.views.poses import nadir_pose
from retriever.draw.fonts import Fonts
from retriever.geo import Frame
from retriever.sources.osm import MapObject

HERE = Frame(lat=48.1, lon=11.5)
PLAIN = Conditions(cloud=0.0, noise=0.0, blur_px=0.0, visibility_m=1e7, sun_altitude_deg=40.0, sun_azimuth_deg=180.0)


def square(osm_id, x, y, half, **tags):
    corners = [(x - half, y - half), (x + half, y - half), (x + half, y + half), (x - half, y + half)]
    return placed(osm_id, shapely.Polygon(corners), "area", {"building": "yes", **tags})


def placed(osm_id, shape, form, tags):
    def degrees(xy):
        lat, lon = HERE.latlon(xy[:, 0], xy[:, 1])
        return np.column_stack([lon, lat])

    return MapObject(osm_id=osm_id, tags=tags, shape=form, geometry=shapely.transform(shape, degrees))


def street():
    line = shapely.LineString([(-150, -20), (150, -20)])
    return placed("way/9", line, "line", {"highway": "residential"})


def scene_of(*objects):
    return Scene.from_objects([street(), *objects], name="planted", fonts=Fonts.none_cjk())


def at(view, x=0.0, y=0.0, **more):
    lat, lon = HERE.latlon(x, y)
    width, height = SIZES[view]
    usual = {"altitude_m": 1.7, "fov_deg": 360.0 if view == "panorama" else 70.0}
    return Pose(view=view, lat=float(lat), lon=float(lon), width=width, height=height, **{**usual, **more})


def owners(scene, pose):
    """Per pixel, the id of what is seen ('' for ground and sky)."""
    stage, frame = scene.stage_of(pose)
    rows, cols = np.mgrid[0 : pose.height, 0 : pose.width].astype(np.float32) + np.float32(0.5)
    hits = stage.cast(*rays(pose, frame, cols.ravel(), rows.ravel()), 0)
    mesh = stage.mesh
    solid = (hits.triangle >= 0) & (hits.triangle < len(mesh.owner))
    out = np.full(len(hits.triangle), "", dtype=object)
    out[solid] = [mesh.owners[i] for i in mesh.owner[hits.triangle[solid]]]
    return out.reshape(pose.height, pose.width)


@pytest.mark.parametrize("heading", [0.0, 77.0, 300.0])
@pytest.mark.parametrize("bearing", [15.0, 130.0, 250.0])
def test_a_planted_house_is_at_its_bearing_in_the_panorama(bearing, heading):
    away = np.radians(bearing)
    scene = scene_of(square("way/1", 40 * np.sin(away), 40 * np.cos(away), 4))
    seen = (owners(scene, at("panorama", heading_deg=heading)) == "way/1").any(axis=0)
    turns = (np.flatnonzero(seen) + 0.5) / 896 * 360 - 180 + heading
    off = (turns - bearing + 180) % 360 - 180
    assert abs(off.mean()) < 1.0
    # Eight metres wide at forty metres, seen somewhat askew.
    assert 10 < np.ptp(off) < 18


@pytest.mark.parametrize("turn", [-20.0, 0.0, 25.0])
def test_a_planted_house_is_at_the_expected_column_of_the_ground_photo(turn):
    away = np.radians(60.0)
    scene = scene_of(square("way/1", 40 * np.sin(away), 40 * np.cos(away), 3))
    seen = (owners(scene, at("ground", heading_deg=60.0 - turn)) == "way/1").any(axis=0)
    expected = 224 + 224 * np.tan(np.radians(turn)) / np.tan(np.radians(35.0))
    assert abs(np.flatnonzero(seen).mean() + 0.5 - expected) < 6


def test_its_roof_is_as_high_in_the_photo_as_its_tags_say():
    scene = scene_of(square("way/1", 0, 60, 6, height="20", **{"roof:shape": "flat"}))
    pose = at("ground", pitch_deg=8.0)
    top = np.flatnonzero((owners(scene, pose) == "way/1").any(axis=1))[0]
    _, expected = pixel_of(pose, scene.stage_of(pose)[1], (*scene.frame.xy(*HERE.latlon(0, 54)), 20.0))
    assert abs(top - expected) < 2


@pytest.mark.parametrize("offset", [(0.0, 0.0), (33.0, -21.0)])
def test_nadir_pixels_agree_with_the_frame(offset):
    scene = scene_of(square("way/1", 12, 30, 5), square("way/2", 4000, 3000, 5))
    lat, lon = HERE.latlon(*offset)
    pose = nadir_pose("satellite", lat, lon)
    rows, cols = np.nonzero(owners(scene, pose) == "way/1")
    own = Frame(lat=lat, lon=lon)
    x, y = own.xy(*HERE.latlon(12, 30))
    assert cols.mean() + 0.5 == pytest.approx((x + 60) / 120 * 448, abs=0.6)
    assert rows.mean() + 0.5 == pytest.approx((60 - y) / 120 * 448, abs=0.6)
    assert np.ptp(cols) + 1 == pytest.approx(10 / 120 * 448, abs=1.5)


@pytest.mark.parametrize("azimuth", [90.0, 180.0, 300.0])
def test_shadows_fall_away_from_the_sun(azimuth):
    house = square("way/1", 0, 10, 5, height="15", **{"roof:shape": "flat"})
    pose = nadir_pose("satellite", *HERE.latlon(0, 10))
    sun = Conditions(**{**vars(PLAIN), "sun_azimuth_deg": azimuth})
    far = square("way/2", 900, 0, 5)
    # The same ground with and without the house.
    with_it, without = (np.asarray(s.render(pose, sun), float) for s in (scene_of(house, far), scene_of(far)))
    change = with_it.mean(axis=2) / without.mean(axis=2)
    away = np.array([-np.sin(np.radians(azimuth)), np.cos(np.radians(azimuth))])

    def near(direction):
        col, row = np.array([224, 224]) + direction * 11 / 120 * 448
        return change[round(row) - 3 : round(row) + 4, round(col) - 3 : round(col) + 4].mean()

    assert near(away) < 0.75
    assert near(-away) > 0.9


def test_a_house_hides_what_stands_behind_it():
    behind = square("way/2", 0, 60, 3, height="6")
    assert (owners(scene_of(behind), at("ground")) == "way/2").any()
    hidden = owners(scene_of(behind, square("way/1", 0, 25, 6, height="15")), at("ground"))
    assert (hidden == "way/1").any()
    assert not (hidden == "way/2").any()


def test_every_camera_sends_its_rays_where_it_sees_points():
    frame = HERE
    for pose in (
        at("ground", heading_deg=33.0, pitch_deg=7.0),
        at("panorama", heading_deg=200.0),
        at("uav", heading_deg=120.0, pitch_deg=-50.0, altitude_m=80.0),
        nadir_pose("satellite", HERE.lat, HERE.lon),
    ):
        cols, rows = np.array([100.0, 300.0], np.float32), np.array([210.0, 300.0], np.float32)
        origins, ahead = rays(pose, frame, cols, rows)
        assert np.allclose(np.linalg.norm(ahead, axis=1), 1, atol=1e-5)
        for i in range(2):
            found = pixel_of(pose, frame, tuple(origins[i].astype(float) + 30 * ahead[i].astype(float)))
            assert found == pytest.approx((cols[i], rows[i]), abs=0.05)
