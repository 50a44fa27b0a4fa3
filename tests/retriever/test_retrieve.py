"""From a query to tiles, over a real small gallery with a random encoder."""

from __future__ import annotations

import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest
from osm_samples import hamlet
from tiny_encoder import write_bundle
from typer.testing import CliRunner

from retriever.area import Area
from retriever.build import build_gallery
from retriever.encoder import Encoder, TruncationWarning
from retriever.errors import GalleryError, IndexMismatch
from retriever.gallery import Gallery
from retriever.index_embed import embed_gallery
from retriever.index_plan import Plan
from retriever.main import build
from retriever.retrieve import Mode, QueryError, Retriever, build_index, index_folder
from retriever.types import Claim, Query

QUERY = Query(id="q1", text="Two streets cross near a pond with an island.")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A gallery with its index, and the encoder's folder."""
    folder = tmp_path_factory.mktemp("place")
    extract = hamlet(150.0)
    extract.node((60, 60), amenity="bank", name="Hop Kee Bank")
    gallery = build_gallery(folder / "gallery", osm=extract.write(folder / "a.osm"), px=64, gallery_id="hamlet")
    bundle = write_bundle(folder / "tiny")
    build_index(gallery, Encoder.load(bundle), index_folder(gallery.path, str(bundle)), batch=7)
    return gallery.path, str(bundle)


@pytest.fixture(scope="module")
def retriever(place: tuple[Path, str]) -> Retriever:
    return Retriever.open(*place)


def test_all_candidates_are_the_gallery_ranked_by_score_then_id(retriever: Retriever) -> None:
    found = retriever.retrieve(QUERY, k=1000)
    assert sorted(c.tile_id for c in found) == retriever.gallery.ids
    assert [c.rank for c in found] == list(range(1, len(found) + 1))
    assert [(c.tile_id) for c in sorted(found, key=lambda c: (-c.score, c.tile_id))] == [c.tile_id for c in found]
    assert retriever.retrieve(QUERY, k=3) == found[:3]


def test_dense_scores_are_the_cosines_of_text_and_tiles(retriever: Retriever, place: tuple[Path, str]) -> None:
    encoder = Encoder.load(place[1])
    tiles = encoder.encode_images([retriever.gallery.image(i) for i in retriever.gallery.ids])
    expected = encoder.encode_text([QUERY.text])[0] @ tiles.T
    np.testing.assert_allclose(retriever.scores(QUERY, mode="dense"), expected, atol=1e-5)


def test_a_named_place_comes_first_when_fused_and_alone_when_by_names(retriever: Retriever) -> None:
    claim = Claim(id="c1", span="Hop Kee", kind="name", value="Hop Kee Bank")
    with_bank = {
        t
        for t in retriever.gallery.ids
        if any(f.names.get("") == "Hop Kee Bank" for f in retriever.gallery.facts(t) or ())
    }
    assert with_bank
    by_names = retriever.retrieve(QUERY, [claim], k=len(with_bank), mode="names")
    fused = retriever.retrieve(QUERY, [claim], k=len(with_bank))
    assert {c.tile_id for c in by_names} == {c.tile_id for c in fused} == with_bank


def test_without_names_fused_is_the_dense_order(retriever: Retriever) -> None:
    dense = [c.tile_id for c in retriever.retrieve(QUERY, k=50, mode="dense")]
    assert [c.tile_id for c in retriever.retrieve(QUERY, k=50)] == dense


def test_a_limit_keeps_only_tiles_inside_it_and_their_order(retriever: Retriever) -> None:
    gallery = retriever.gallery
    within = Area.radius(float(gallery.lat[0]), float(gallery.lon[0]), 100.0)
    inside = {t for t, ok in zip(gallery.ids, within.contains(gallery.lat, gallery.lon), strict=True) if ok}
    found = [c.tile_id for c in retriever.retrieve(QUERY, k=1000, within=within)]
    assert set(found) == inside != set(gallery.ids)
    assert found == [c.tile_id for c in retriever.retrieve(QUERY, k=1000) if c.tile_id in inside]


def test_a_limit_without_tiles_and_a_query_without_text_are_told(retriever: Retriever) -> None:
    with pytest.raises(QueryError, match="no tile of hamlet"):
        retriever.retrieve(QUERY, within=Area.radius(0.0, 0.0, 10.0))
    with pytest.raises(QueryError, match="no text"):
        retriever.retrieve(Query(id="q", text=" \n"))
    with pytest.raises(ValueError, match="none of fused, dense, names"):
        retriever.scores(QUERY, mode="best")  # type: ignore[arg-type]


def test_the_same_question_gets_the_same_answer(place: tuple[Path, str], retriever: Retriever) -> None:
    assert Retriever.open(*place).retrieve(QUERY, k=10) == retriever.retrieve(QUERY, k=10)


def test_without_an_index_the_command_to_make_one_is_named(place: tuple[Path, str], tmp_path: Path) -> None:
    with pytest.raises(IndexMismatch, match="sightline index"):
        Retriever.open(place[0], str(write_bundle(tmp_path / "other")))


def test_an_index_of_an_encoder_that_has_changed_since_is_refused(place: tuple[Path, str], tmp_path: Path) -> None:
    shutil.copytree(place[0], tmp_path / "g")
    changed = write_bundle(tmp_path / "tiny", seed=9)
    with pytest.raises(IndexMismatch, match="another encoder"):
        Retriever.open(tmp_path / "g", str(changed)).retrieve(QUERY)


def test_a_damaged_picture_is_skipped_and_told_and_the_rest_is_kept(place: tuple[Path, str], tmp_path: Path) -> None:
    shutil.copytree(place[0], tmp_path / "g")
    gallery = Gallery.open(tmp_path / "g")
    bad = gallery.ids[3]
    gallery.image_path(bad).write_bytes(b"\x89PNG not really")
    folder = index_folder(gallery.path, place[1])
    skipped = build_index(gallery, Encoder.load(place[1]), folder)
    assert list(skipped) == [bad]
    found = Retriever.open(tmp_path / "g", place[1]).retrieve(QUERY, k=1000, mode="dense")
    assert {c.tile_id for c in found} == set(gallery.ids) - {bad}


def test_a_gallery_without_one_readable_picture_has_no_index(place: tuple[Path, str], tmp_path: Path) -> None:
    shutil.copytree(place[0], tmp_path / "g")
    gallery = Gallery.open(tmp_path / "g")
    folder = index_folder(gallery.path, place[1])
    shutil.rmtree(folder)
    for tile in gallery.ids:
        gallery.image_path(tile).write_bytes(b"")
    with pytest.raises(GalleryError, match="no picture"):
        build_index(gallery, Encoder.load(place[1]), folder)
    assert not folder.exists()


def test_the_command_makes_an_index_and_a_second_run_has_nothing_to_do(place: tuple[Path, str], tmp_path: Path) -> None:
    shutil.copytree(place[0], tmp_path / "g")
    shutil.rmtree(index_folder(tmp_path / "g", place[1]))
    run = CliRunner().invoke(build(), ["index", str(tmp_path / "g"), "--encoder", place[1]])
    assert run.exit_code == 0, run.output
    assert "tiles of hamlet indexed" in run.stderr
    assert Retriever.open(tmp_path / "g", place[1]).retrieve(QUERY, k=1)
    again = CliRunner().invoke(build(), ["index", str(tmp_path / "g"), "--encoder", place[1]])
    assert again.exit_code == 0
    assert "up to date" in again.stderr.replace("\n", " ")


def test_the_command_shows_square_brackets_in_paths(
    place: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(place[0], tmp_path / "g[red]")
    monkeypatch.chdir(tmp_path)
    gallery = Gallery.open("g[red]")
    gallery.image_path(gallery.ids[0]).write_bytes(b"")
    run = CliRunner().invoke(build(), ["index", "g[red]", "--encoder", place[1], "--force"])
    assert run.exit_code == 0, run.output
    assert f"skipped {gallery.ids[0]}: the picture g[red]/images/" in run.stderr
    assert f" in {index_folder(gallery.path, place[1])}\n" in run.stderr
    again = CliRunner().invoke(build(), ["index", "g[red]", "--encoder", place[1]])
    assert f"{index_folder(gallery.path, place[1])} is up to date" in again.stderr


@pytest.mark.parametrize("mode", ["dense", "fused"])
def test_a_gallery_searched_by_codes_is_ranked_as_one_searched_exactly(
    place: tuple[Path, str], retriever: Retriever, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: Mode
) -> None:
    shutil.copytree(place[0], tmp_path / "g")
    gallery, folder = Gallery.open(tmp_path / "g"), index_folder(tmp_path / "g", place[1])
    plan = Plan(factory="HNSW8", effort=len(gallery), depth=len(gallery))
    monkeypatch.setattr("retriever.index.choose", lambda tiles, dim: plan)
    build_index(gallery, Encoder.load(place[1]), folder)
    coded = Retriever.open(tmp_path / "g", place[1])
    assert coded.dense[1].approximate is not None
    claim = Claim(id="c1", span="Hop Kee", kind="name", value="Hop Kee Bank")
    within = Area.radius(float(gallery.lat[0]), float(gallery.lon[0]), 200.0)
    for limit in (None, within):
        exact = {c.tile_id: c.score for c in retriever.retrieve(QUERY, [claim], k=1000, mode=mode, within=limit)}
        found = coded.retrieve(QUERY, [claim], k=8, mode=mode, within=limit)
        assert [c.score for c in found] == pytest.approx(sorted(exact.values(), reverse=True)[: len(found)], abs=0.05)
        assert all(c.score == pytest.approx(exact[c.tile_id], abs=0.05) for c in found)
    with pytest.raises(QueryError, match="no text"):
        coded.retrieve(Query(id="q", text=" "), mode=mode)


def test_vectors_do_not_depend_on_how_pictures_are_read(place: tuple[Path, str]) -> None:
    gallery, encoder = Gallery.open(place[0]), Encoder.load(place[1])
    slow = np.concatenate(
        [encoder.encode_images([gallery.image(t) for t in gallery.ids[i : i + 7]]) for i in range(0, len(gallery), 7)]
    )
    told: list[int] = []
    found, skipped = embed_gallery(gallery, encoder, batch=7, readers=3, on_tiles=told.append)
    np.testing.assert_array_equal(found, slow)
    assert skipped == {}
    assert sum(told) == len(gallery)


def test_a_picture_that_lies_about_its_size_is_skipped_and_told(place: tuple[Path, str], tmp_path: Path) -> None:
    shutil.copytree(place[0], tmp_path / "g")
    gallery = Gallery.open(tmp_path / "g")
    huge, short = gallery.ids[2], gallery.ids[len(gallery) // 2]
    for tile, width in ((huge, 300_000), (short, 65)):
        path = gallery.image_path(tile)
        data = bytearray(path.read_bytes())
        data[16:20] = width.to_bytes(4)
        data[29:33] = zlib.crc32(data[12:29]).to_bytes(4)
        path.write_bytes(data)
    vectors, skipped = embed_gallery(gallery, Encoder.load(place[1]), batch=4)
    assert list(skipped) == [huge, short]
    assert "pixels are more than" in skipped[huge]
    assert vectors.any(axis=1).sum() == len(gallery) - 2


def test_a_text_of_ten_thousand_words_is_cut_and_told(retriever: Retriever) -> None:
    with pytest.warns(TruncationWarning, match="1 of 1 texts were longer"):
        found = retriever.retrieve(Query(id="q", text="a quiet street beside water " * 2000), k=3)
    assert len(found) == 3


def test_an_index_of_a_gallery_with_the_same_ids_is_refused(place: tuple[Path, str], tmp_path: Path) -> None:
    """Ids come from the gallery's name and cells: two builds may share them all and show different tiles."""
    extract = hamlet(150.0)
    extract.node((20, 20), amenity="cafe")
    other = build_gallery(tmp_path / "other", osm=extract.write(tmp_path / "b.osm"), px=64, gallery_id="hamlet")
    assert other.ids == Gallery.open(place[0]).ids
    shutil.copytree(index_folder(place[0], place[1]), index_folder(other.path, place[1]))
    with pytest.raises(IndexMismatch, match="another gallery"):
        Retriever.open(other.path, place[1])
