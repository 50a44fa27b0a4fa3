"""One command builds a data set: the small plan whole, killed and gone on with, refused, and checked for leaks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from finetune.data import build as building
from finetune.data import steps
from finetune.data.estimate import count_cells
from finetune.data.plan import PLANS, Plan, PlanError, find_plan, read_plan
from finetune.data.steps import Workshop
from finetune.data.twins import drop_twins
from finetune.formats.rows import description_from_row
from finetune.formats.store import load, read_rows, shard_path, tables, write_shard
from finetune.splits import SplitError
from retriever.gallery import Gallery
from retriever.main import build as app
from retriever.oracle import FactIndex, check


def run(*words: object) -> Any:
    return CliRunner().invoke(app(), [str(w) for w in words])


def plan_file(path: Path, **changes: Any) -> Path:
    """Two small towns without pairs and views."""
    data = yaml.safe_load((PLANS / "small.yaml").read_text())
    data["towns"] = {"train": {"seeds": [1000, 1000], "blocks": 2}, "test": {"seeds": [3000, 3000], "blocks": 2}}
    data["tile"]["px"] = 224
    data |= {"pairs": {"places": 0}, "views": {"sets": 0}, **changes}
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return path


def tiny(folder: Path, **changes: Any) -> Plan:
    return read_plan(plan_file(folder / "plan.yaml", **changes))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    out = tmp_path_factory.mktemp("small") / "out"
    done = run("data", "build", "--config", "small", "--out", out)
    assert done.exit_code == 0, done.exception
    yield out
    shutil.rmtree(out)


@pytest.mark.slow
def test_the_small_plan_gives_every_table_in_every_split(small: Path, tmp_path: Path) -> None:
    counts = json.loads((small / "build.json").read_text())["counts"]
    assert set(counts) == {"tiles", "descriptions", "pairs", "view_sets"}
    assert all(set(splits) == {"train", "validation", "test"} for splits in counts.values())
    for table in counts:
        back = load(small / "dataset", table, cache=tmp_path / "cache")
        assert {split: len(rows) for split, rows in back.items()} == counts[table]
    sets = load(small / "dataset", "view_sets", cache=tmp_path / "cache")["train"]
    assert sorted(v["view"] for v in sets[0]["views"]) == [0, 1, 2, 3, 4]


@pytest.mark.slow
def test_built_pairs_are_balanced_and_their_evidence_lines_up(small: Path, tmp_path: Path) -> None:
    for split in ("train", "test"):
        rows = list(load(small / "dataset", "pairs", cache=tmp_path / "cache")[split])
        labels = [row["label"] for row in rows]
        assert labels.count(0) == labels.count(1) > 0
        for row in rows:
            assert [e["claim_id"] for e in row["evidence"]] == [c["id"] for c in row["claims"]]
            assert (row["negative"] is None) == (row["label"] == 0)
            assert row["explanation_en"]
            assert row["explanation_zh"]
            assert json.loads(row["record"])["id"] == row["id"]
            assert (row["query_image"] is not None) == (row["query_text"] is None)


@pytest.mark.slow
def test_built_descriptions_are_true_of_the_tile_that_they_name(small: Path) -> None:
    gallery = Gallery.open(small / "galleries" / "town-3000")
    seen = contradicted = 0
    langs, named = set(), set()
    for row in read_rows(tables(small / "dataset")["descriptions"]["test"]):
        said = description_from_row(row)
        langs.add(said.lang)
        named.add(row["named"])
        index = FactIndex(gallery.facts(row["tile_id"]), size_m=gallery.size_m)
        for claim, so in zip(said.claims, said.truth, strict=True):
            stance = check(claim, index).stance
            assert so or stance != "supports"
            seen += so
            contradicted += so and stance == "contradicts"
    assert seen > 200
    assert contradicted < 0.03 * seen
    assert langs == {"en", "zh", "mixed"}
    assert named == {True, False}


@pytest.mark.slow
def test_the_report_shows_samples_of_everything_and_its_pictures_are_there(small: Path) -> None:
    text = (small / "report" / "report.md").read_text()
    for heading in ("## Rows", "## Descriptions", "## Sample texts", "## Tiles", "## Pairs", "## Aligned views"):
        assert heading in text
    html = (small / "report" / "report.html").read_text()
    for name in ("lengths.png", "tiles.png", "pair-0.png", "views-train.png"):
        assert (small / "report" / name).stat().st_size > 1000
        assert name in text
        assert f'src="{name}"' in html
    assert "<table>" in html
    card = (small / "dataset" / "README.md").read_text()
    assert "train: town-1000; validation: town-2000; test: town-3000" in card
    assert "OpenStreetMap contributors" in card


@pytest.mark.slow
def test_a_finished_build_is_opened_and_a_planted_leak_is_found(small: Path, tmp_path: Path) -> None:
    before = (small / "build.json").read_bytes()
    assert run("data", "build", "--config", "small", "--out", small).exit_code == 0
    assert (small / "build.json").read_bytes() == before
    assert run("data", "leaks", small / "dataset").exit_code == 0
    copy = tmp_path / "copy"
    shutil.copytree(small / "dataset", copy)
    row = next(read_rows(tables(copy)["tiles"]["test"]))
    write_shard(shard_path(copy, "tiles", "train", "planted"), "tiles", [{**row, "id": "planted", "view": "map"}])
    found = run("data", "leaks", copy)
    assert found.exit_code
    assert isinstance(found.exception, SplitError)
    assert "same bytes: " in str(found.exception)
    assert f"tiles/{row['id']} (test)" in str(found.exception)


def test_a_folder_without_tables_is_not_called_free_of_leaks(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        found = run("data", "leaks", folder)
        assert found.exit_code
        assert "holds no data set" in str(found.exception)


def test_a_plan_that_is_no_yaml_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("a: [1")
    with pytest.raises(PlanError, match="cannot be read") as found:
        read_plan(tmp_path / "p.yaml")
    assert "\n" not in str(found.value)


def rows_of(out: Path) -> dict[str, list[dict[str, Any]]]:
    """Every row of a build, by file."""
    there = sorted((out / "dataset" / "data").glob("*/*.parquet"))
    return {f"{p.parent.name}/{p.name}": pq.read_table(p).to_pylist() for p in there}


def test_a_killed_build_goes_on_and_ends_as_if_nothing_had_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = tiny(tmp_path)
    building.build(plan, tmp_path / "whole")
    real, calls = steps.description_rows, []

    def killed(gallery: Any, area: Any, plan: Plan) -> Iterator[dict[str, Any]]:
        calls.append(area.name)
        for number, row in enumerate(real(gallery, area, plan)):
            if area.name == "town-3000" and number == 1 and len(calls) == 2:
                raise KeyboardInterrupt
            yield row

    monkeypatch.setattr(steps, "description_rows", killed)
    with pytest.raises(KeyboardInterrupt):
        building.build(plan, tmp_path / "killed")
    assert not (tmp_path / "killed" / "dataset").exists()
    building.build(plan, tmp_path / "killed")
    assert calls == ["town-1000", "town-3000", "town-3000"]
    assert rows_of(tmp_path / "killed") == rows_of(tmp_path / "whole")
    assert (tmp_path / "killed/dataset/README.md").read_text() == (tmp_path / "whole/dataset/README.md").read_text()


def test_a_leak_fails_the_build_with_a_list_and_publishes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = steps.tile_rows
    kept: list[dict[str, Any]] = []

    def planted(gallery: Any, area: Any) -> Iterator[dict[str, Any]]:
        rows = list(real(gallery, area))
        kept.append(rows[0])
        yield from rows
        if len(kept) == 2:
            yield {**kept[0], "id": "planted"}

    monkeypatch.setattr(steps, "tile_rows", planted)
    with pytest.raises(SplitError, match=r"planted"):
        building.build(tiny(tmp_path), tmp_path / "out")
    assert not (tmp_path / "out" / "dataset").exists()
    assert not (tmp_path / "out" / "report").exists()


def test_texts_that_two_splits_share_stay_in_the_held_out_one(tmp_path: Path) -> None:
    building.build(tiny(tmp_path), tmp_path / "out")
    folder = tmp_path / "out" / "dataset"
    test = next(read_rows(tables(folder)["descriptions"]["test"]))
    lang = ["en", "zh", "mixed"][test["lang"]]
    twin = {**test, "id": "twin", "text": test["text"].upper() + "!", "lang": lang}
    path = shard_path(folder, "descriptions", "train", "twin")
    write_shard(path, "descriptions", [twin, {**twin, "id": "other", "text": "Nothing alike."}])
    assert drop_twins(folder) == 1
    assert [row["id"] for row in read_rows([path])] == ["other"]
    assert drop_twins(folder) == 0
    assert test["id"] in {row["id"] for row in read_rows(tables(folder)["descriptions"]["test"])}


def test_another_plan_or_a_strange_folder_is_refused(tmp_path: Path) -> None:
    building.build(tiny(tmp_path), tmp_path / "out")
    with pytest.raises(PlanError, match="another plan"):
        building.build(tiny(tmp_path, seed=5), tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(PlanError, match="no build"):
        building.build(tiny(tmp_path), tmp_path / "mine")
    assert (tmp_path / "mine" / "letter.txt").is_file()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"towns": {"train": {"seeds": [3000, 3001]}}}, "town 3000 is none of train's"),
        ({"areas": {"train": {"london.osm.pbf": {}}}}, "london.osm.pbf belongs to test for good"),
        ({"towns": {"dev": {"seeds": [1000, 1000]}}}, "split 'dev' is unknown"),
        ({"towns": {}}, "neither areas nor towns"),
        ({"descriptions": {"langs": {"en": 0.5}}}, "add up to 0.5"),
        ({"descriptions": {"langs": {"fr": 1.0}}}, "shares of en, zh, mixed"),
        ({"descriptions": {"speed": 9}}, "speed"),
        ({"tile": {"px": 224}}, "'size_m' is missing"),
        ({"colour": "red"}, "entry 'colour' is unknown"),
    ],
)  # fmt: skip
def test_plans_that_cannot_be_built_say_why(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(PlanError, match=said.replace("'", ".")):
        tiny(tmp_path, **change)


def test_missing_data_and_unknown_plans_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIGHTLINE_DATA", raising=False)
    found = run("data", "build", "--config", "full", "--out", tmp_path / "out")
    assert isinstance(found.exception, PlanError)
    assert "SIGHTLINE_DATA" in str(found.exception)
    found = run("data", "build", "--config", "full", "--out", tmp_path / "out", "--osm", tmp_path)
    assert "helsinki_center.osm.pbf is missing" in str(found.exception)
    with pytest.raises(PlanError, match="give one of full, small"):
        find_plan("huge")


def test_the_full_plan_holds_the_projects_areas() -> None:
    plan = read_plan(find_plan("full"))
    real = {
        split: {a.name for a in plan.areas if a.split == split and a.file} for split in ("train", "validation", "test")
    }
    assert real["test"] == {"london", "taipei_north", "bayfront_singapore"}
    assert real["validation"] == {"moscow", "boston_beacon_hill", "nyc_small"}
    assert len(real["train"]) == 11


def test_the_estimate_counts_the_tiles_that_a_build_makes(tmp_path: Path) -> None:
    plan = tiny(tmp_path)
    said = building.build(plan, tmp_path / "out")
    shop = Workshop(plan=plan, out=tmp_path / "out", osm=None)
    made = sum(said["counts"]["tiles"].values())
    assert sum(count_cells(shop, area) for area in plan.areas) == pytest.approx(made, rel=0.05)
    told = run("data", "build", "--config", tmp_path / "plan.yaml", "--out", tmp_path / "out", "--dry-run")
    assert told.exit_code == 0
    assert " tiles, about " in told.output
    assert "hours" in told.output


def test_view_sets_come_from_a_few_neighbourhoods(tmp_path: Path) -> None:
    from finetune.data import extras
    from finetune.views.scene import Scene

    plan = tiny(tmp_path, views={"sets": 7})
    shop = Workshop(plan=plan, out=tmp_path / "out", osm=None)
    area = plan.areas[0]
    gallery = steps.build_area_gallery(shop, area)
    scene = Scene.from_osm(steps.source_of(shop, area))
    places = list(extras._view_places(scene, gallery, area, plan))
    assert len({tile_id for tile_id, _, _ in places}) == 7
    visited = [scene.stage_key(*scene.frame.xy(*(gallery.tile(t).lat, gallery.tile(t).lon))) for t, _, _ in places]
    assert max(visited.count(key) for key in visited[:5]) > 1
    changes = sum(a != b for a, b in pairwise(visited))
    assert changes < len(set(visited)) + len(places) // extras._TOGETHER + 1
    assert places == list(extras._view_places(scene, gallery, area, plan))
