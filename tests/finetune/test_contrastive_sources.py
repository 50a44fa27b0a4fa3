"""What contrastive training reads: sources, their splits, and which of them may be seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from contrastive_fakes import cvg_copy, setvl_copy, university_copy, views_copy, vigor_copy

from finetune.contrastive.recipe import SourcePlan
from finetune.contrastive.sources import HELD, TRAIN, load_pairs
from retriever.errors import SourceError
from retriever.geo import distance_m


def vigor_plan(path: Path, **more: Any) -> SourcePlan:
    return SourcePlan(name="v", kind="vigor", path=str(path), **{"validation": 0.0, "ambiguous_m": 0.0, **more})


# --- sources and splits ----------------------------------------------------------------------------------------------


def test_texts_of_the_test_split_are_never_listed(tmp_path: Path) -> None:
    plan = SourcePlan(name="c", kind="cvg-text", path=str(cvg_copy(tmp_path)), set="NewYork", validation=0.0)
    found = load_pairs([plan])
    assert len(found.queries) == 20
    assert {q.text.count("shop") for q in found.queries if q.text} == {1, 2, 3}
    assert all(found.tiles[t].id == f"satellite/{q.id}" for q, t in zip(found.queries, found.tile, strict=True))


@pytest.mark.parametrize("tile", ["satellite", "map"])
def test_the_recipe_chooses_the_kind_of_tile(tmp_path: Path, tile: Any) -> None:
    plan = SourcePlan(name="c", kind="cvg-text", path=str(cvg_copy(tmp_path)), set="NewYork", tile=tile)
    assert {t.id.split("/")[0] for t in load_pairs([plan]).tiles} == {tile}


def test_validation_is_a_strip_and_nothing_near_it_is_trained_on(tmp_path: Path) -> None:
    found = load_pairs([vigor_plan(vigor_copy(tmp_path, 40), validation=0.25, buffer_m=500.0)])
    train, held = found.rows(TRAIN), found.rows(HELD)
    assert 5 <= len(held) <= 10
    assert len(train) + len(held) < 40
    away = distance_m(*found.point[train].T[:, :, None], *found.point[held].T[:, None, :])
    assert away.min() >= 500.0


def test_places_without_coordinates_are_held_out_whole(tmp_path: Path) -> None:
    plan = SourcePlan(name="u", kind="university-1652", path=str(university_copy(tmp_path, 30)), validation=0.3)
    found = load_pairs([plan])
    places = {part: {found.tiles[t].place for t in found.tile[found.rows(part)]} for part in (TRAIN, HELD)}
    assert places[TRAIN]
    assert places[HELD]
    assert not places[TRAIN] & places[HELD]
    assert sorted(set(found.view)) == ["ground", "uav"]


def test_a_data_sets_own_validation_split_is_kept(tmp_path: Path) -> None:
    found = load_pairs([SourcePlan(name="s", kind="setvl-480k", path=str(setvl_copy(tmp_path)))])
    assert {found.queries[r].id.split("/")[0] for r in found.rows(HELD)} == {"validation"}
    assert len(found.rows(TRAIN)) == 12


def test_rendered_sets_give_every_view_its_satellite_picture(tmp_path: Path) -> None:
    found = load_pairs([SourcePlan(name="r", kind="views", path=str(views_copy(tmp_path)), validation=0.0)])
    assert sorted(set(found.view)) == ["ground", "map", "panorama", "uav"]
    assert all(q.id.startswith(found.tiles[t].id) for q, t in zip(found.queries, found.tile, strict=True))


def test_sources_of_one_run_share_a_numbering(tmp_path: Path) -> None:
    plans = [
        SourcePlan(name="u", kind="university-1652", path=str(university_copy(tmp_path / "u")), validation=0.0),
        SourcePlan(name="m", kind="cvg-maps", path=str(cvg_copy(tmp_path / "c")), set="NewYork", validation=0.0),
    ]
    found = load_pairs(plans)
    maps = found.rows(TRAIN, ["m"])
    assert set(found.view[maps]) == {"map"}
    assert all(found.tiles[found.tile[r]].id == found.queries[r].id.replace("map/", "satellite/") for r in maps)
    other = load_pairs([replace(p, validation=0.5 if p.name == "u" else 0.0) for p in plans])
    assert other.sha256 != found.sha256


def test_a_source_without_training_queries_is_an_error(tmp_path: Path) -> None:
    root = cvg_copy(tmp_path, train=0)
    with pytest.raises(SourceError, match="no queries for training"):
        load_pairs([SourcePlan(name="c", kind="cvg-text", path=str(root), set="NewYork")])
