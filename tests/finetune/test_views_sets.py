"""Aligned sets: the same seed gives the same pixels, standpoints are in the open, folders are whole and resumable."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from finetune.views import SIZES, VIEWS, Conditions, Scene, render_set
from finetune.views import dataset as sets_folder
from finetune.views import sets as sets_module
from finetune.views.boards import Boards
from finetune.views.conditions import sun_position
from finetune.views.dataset import Order, read_sets, write_sets
from finetune.views.imagery import Flight, build_satellite_gallery
from finetune.views.places import grid_over, places
from finetune.views.poses import nadir_pose
from finetune.views.stage import since
from retriever.build import build_gallery
from retriever.draw.fonts import Fonts
from retriever.errors import SourceError
from retriever.geo import distance_m
from retriever.main import build
from retriever.town import write_town


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    return write_town(tmp_path_factory.mktemp("town") / "town.osm", seed=2001, blocks=2)


@pytest.fixture(scope="module")
def scene(town):
    return Scene.from_osm(town, fonts=Fonts.none_cjk())


@pytest.fixture(scope="module")
def spots(scene):
    return places(scene, grid_over(scene.box), n=8, seed=4)


@pytest.fixture(scope="module")
def one(scene, spots):
    return render_set(scene, spots[0].lat, spots[0].lon, seed=11)


def pixels(picture):
    return np.asarray(picture.image)


def test_a_set_has_all_views_at_their_sizes_with_their_poses(one):
    assert tuple(one) == VIEWS
    for view in VIEWS:
        image, pose, _ = one[view]
        assert image.size == SIZES[view] == (pose.width, pose.height)
        assert image.mode == "RGB"
        assert np.asarray(image).std() > 12
        assert distance_m(pose.lat, pose.lon, one.lat, one.lon) < (230 if view == "uav" else 43)
    assert one["satellite"].pose.bounds == one["map"].pose.bounds
    assert json.loads(json.dumps(one.to_json()))["views"]["uav"]["pose"]["gsd_m"] > 0


def test_the_same_seed_gives_the_same_pixels_and_another_does_not(town, one):
    fresh = Scene.from_osm(town, fonts=Fonts.none_cjk())
    # In another order and without the panorama: a view depends on nothing that was rendered before it.
    again = render_set(fresh, one.lat, one.lon, seed=11, views=("ground", "map", "satellite", "uav"))
    other = render_set(fresh, one.lat, one.lon, seed=12, views=("ground", "map"))
    assert all(np.array_equal(pixels(one[v]), pixels(again[v])) for v in again)
    assert all(again[v].pose == one[v].pose for v in again)
    assert all(not np.array_equal(pixels(one[v]), pixels(other[v])) for v in other)


def test_standpoints_are_in_the_open_and_in_their_cells(scene, spots):
    grid = grid_over(scene.box)
    for place in spots:
        assert not scene.inside_building(place.lat, place.lon)
        assert grid.cell_at(*grid.frame.xy(place.lat, place.lon)) == (place.row, place.col)
    assert len({(p.row, p.col) for p in spots}) == len(spots)
    assert places(scene, grid, n=3, seed=4) == spots[:3]


def test_a_place_inside_a_house_is_refused(scene):
    house = next(f for f in scene.features if f.kind == "building")
    point = house.geometry.representative_point()
    lat, lon = scene.frame.latlon(point.x, point.y)
    with pytest.raises(SourceError, match="inside a building"):
        render_set(scene, lat, lon, seed=0)


def test_a_photo_of_one_wall_is_turned_away_from(scene, spots, monkeypatch):
    asked = []

    def walls(_, pose):
        asked.append(pose.heading_deg)
        return 0.9 if len(asked) < 4 else 0.1

    monkeypatch.setattr(sets_module, "_one_wall", walls)
    made = render_set(scene, spots[1].lat, spots[1].lon, seed=3, views=("ground",))
    assert made.turns == 4
    assert made["ground"].pose.heading_deg == asked[3]


def test_the_share_of_one_wall_is_what_it_fills(scene):
    house = max((f for f in scene.features if f.kind == "building"), key=lambda f: f.geometry.area)
    west, south, _, north = house.geometry.bounds
    at = scene.frame.latlon(west - 2.0, (south + north) / 2)
    base = nadir_pose("map", *(float(v) for v in at))
    look = {**vars(base), "view": "ground", "bounds": None, "altitude_m": 1.7, "fov_deg": 70.0, "pitch_deg": 0.0}
    toward, back = (type(base)(**{**look, "heading_deg": h}) for h in (90.0, 270.0))
    assert sets_module._one_wall(scene, toward) > 0.5
    assert sets_module._one_wall(scene, toward) > sets_module._one_wall(scene, back)


def test_old_imagery_lacks_what_is_new(scene):
    stage, _ = scene.stage_of(nadir_pose("satellite", scene.frame.lat, scene.frame.lon))
    today, old = stage.mesh.standing(0), stage.mesh.standing(15)
    gone = {stage.mesh.owners[i] for i in np.unique(stage.mesh.owner[today & ~old])}
    assert today.all()
    assert gone
    years = [since(f"way/{i}", "building") for i in range(4000)]
    assert 0.05 < np.mean(np.array(years) < 15) < 0.2


def test_conditions_follow_the_sun_and_the_seed():
    assert sun_position(48.0, 171, 12.0) == pytest.approx((65.4, 180.0), abs=0.3)
    assert sun_position(-35.0, 354, 12.0)[1] == pytest.approx(0.0, abs=0.5)
    assert sun_position(48.0, 171, 8.0)[1] < 120
    drawn = [Conditions.drawn(i, view="satellite", lat=60.0) for i in range(300)]
    assert {c.season for c in drawn} == {"spring", "summer", "autumn", "winter"}
    assert {c.age_years for c in drawn} == {0, 3, 8, 15}
    assert all(5 < c.sun_altitude_deg < 55 for c in drawn)
    assert {c.direct == 0 for c in drawn} == {True, False}


def test_signs_are_written_in_scripts_that_have_a_font():
    boards = Boards(Fonts.none_cjk())
    assert boards.written({"": "永康牛肉麵", "en": "Beef Noodles"}) == "Beef Noodles"
    assert boards.written({"": "永康牛肉麵"}) is None
    number, shape = boards.shop("Café Zimt", "cafe", 0.9)
    assert boards.shop("Café Zimt", "cafe", 0.9) == (number, shape)
    assert shape > 2
    assert boards.stack()[number].std() > 20


def test_folders_are_whole_resumable_and_the_same(town, tmp_path, monkeypatch):
    order = Order(osm=town, out=tmp_path / "sets", n=3, seed=9)
    real, made = sets_folder.render_set, []

    def stops(*args, **more):
        if len(made) == 1:
            raise KeyboardInterrupt
        made.append(real(*args, **{**more, "views": ("ground", "map")}))
        return made[-1]

    monkeypatch.setattr(sets_folder, "render_set", stops)
    with pytest.raises(KeyboardInterrupt):
        write_sets(order)
    with pytest.raises(SourceError, match="no finished sets"):
        list(read_sets(order.out))
    half = order.out / "sets" / ".000002.partial"
    half.mkdir()
    monkeypatch.setattr(sets_folder, "render_set", lambda *a, **k: real(*a, **{**k, "views": ("ground", "map")}))
    done = write_sets(order)
    records = list(read_sets(order.out))
    assert (done.sets, done.made) == (3, 2)
    assert [r["id"] for r in records] == [f"town-{i:06d}" for i in range(3)]
    for record in records:
        assert record["synthetic"] is True
        for row in record["views"].values():
            assert (order.out / row["file"]).stat().st_size > 1000
    first = (order.out / records[0]["views"]["ground"]["file"]).read_bytes()
    write_sets(Order(osm=town, out=tmp_path / "again", n=1, seed=9))
    assert (tmp_path / "again" / "sets" / "000000" / "ground.jpg").read_bytes() == first
    with pytest.raises(SourceError, match="another extract, seed"):
        write_sets(Order(osm=town, out=order.out, n=3, seed=10))


@pytest.mark.parametrize("command", ["views", "satellite"])
def test_an_extract_that_is_not_there_is_named(tmp_path, command):
    for osm in (tmp_path / "none.osm.pbf", tmp_path):
        ran = CliRunner().invoke(build(), ["data", command, "--osm", str(osm), "--out", str(tmp_path / "out")])
        assert ran.exit_code
        assert isinstance(ran.exception, SourceError)
        assert "there is no map extract" in str(ran.exception)


@pytest.mark.slow
def test_the_command_writes_sets_in_two_processes(town, tmp_path):
    out = tmp_path / "out"
    ran = CliRunner().invoke(build(), ["data", "views", "--osm", str(town), "--out", str(out), "--n", "2", "--json"])
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.stdout)["made"] == 2
    assert (out / "contact.jpg").is_file()
    assert "Synthetic" in (out / "report.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_satellite_gallery_has_the_drawn_galleries_tiles(town, tmp_path):
    flight = Flight(osm=town, out=tmp_path / "imagery", seed=5, age_years=0)
    sky = build_satellite_gallery(flight, tmp_path / "sky")
    drawn = build_gallery(tmp_path / "drawn", osm=town)
    assert sky.view == "satellite"
    assert sky.ids == drawn.ids
    middle = drawn.ids[len(drawn.ids) // 2]
    assert sky.tile(middle).bounds == pytest.approx(drawn.tile(middle).bounds, abs=1e-9)
    assert sky.tile(middle).facts == drawn.tile(middle).facts
    # The tile is what a camera over its middle sees at that moment.
    scene = Scene.from_osm(town)
    tile = sky.tile(middle)
    pose = nadir_pose("satellite", tile.lat, tile.lon)
    direct = np.asarray(scene.render(pose, flight.conditions(scene.frame.lat)), float)
    assert np.abs(np.asarray(sky.image(middle), float) - direct).mean() < 8
