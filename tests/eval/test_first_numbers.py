"""The hand-written queries are what they claim to be, and the benchmark says so when its data is missing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from eval.protocol import LocatedQuery, read_queries, truth
from retriever.build import build_gallery

ROOT = Path(__file__).parents[2]
FILES = {"london": "london.osm.pbf", "singapore": "bayfront_singapore.osm.pbf"}
DATA = Path(os.environ.get("SIGHTLINE_DATA") or "/nonexistent")
needs_data = pytest.mark.skipif(not (DATA / "osm").is_dir(), reason="set SIGHTLINE_DATA to the folder with osm/")


@pytest.fixture(scope="module")
def queries() -> list[LocatedQuery]:
    return read_queries(ROOT / "benchmarks" / "queries" / "first_numbers.jsonl")


def test_the_set_is_large_mixed_and_hand_written(queries: list[LocatedQuery]) -> None:
    assert len(queries) >= 24
    for share in (sum(q.query.lang == "zh" for q in queries), sum(q.named for q in queries)):
        assert 0.4 <= share / len(queries) <= 0.6
    assert {q.area for q in queries} == set(FILES)
    assert {q.source for q in queries} == {"hand"}


def test_no_text_gives_coordinates_or_tile_ids_away(queries: list[LocatedQuery]) -> None:
    for q in queries:
        assert not re.search(r"\d+\.\d{2,}|r\d{3}c\d{3}|\b(node|way)/\d", q.query.text), q.query.id


def test_chinese_texts_are_chinese_and_english_ones_are_not(queries: list[LocatedQuery]) -> None:
    for q in queries:
        chinese = len(re.findall(r"[\u4e00-\u9fff]", q.query.text))
        assert (chinese > 20) == (q.query.lang == "zh"), q.query.id


@pytest.mark.shared
@pytest.mark.slow
@needs_data
@pytest.mark.parametrize("area", FILES)
def test_named_queries_name_something_nearby_and_unnamed_ones_nothing(
    area: str, queries: list[LocatedQuery], tmp_path: Path
) -> None:
    gallery = build_gallery(tmp_path / "g", osm=DATA / "osm" / FILES[area], cover="touched", px=64)
    here = [q for q in queries if q.area == area]
    truth(gallery, here)
    for q in here:
        tiles = gallery.containing(q.lat, q.lon)
        names = {n.lower() for t in tiles for f in gallery.facts(t) or () for n in f.names.values() if len(n) > 3}
        said = [n for n in names if n in q.query.text.lower()]
        assert bool(said) == q.named, (q.query.id, said)


def test_the_benchmark_skips_with_a_message_where_the_data_is_absent(tmp_path: Path) -> None:
    environment = {**os.environ, "SIGHTLINE_DATA": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "first_numbers.py"), "--out", str(tmp_path / "out")],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "")
    assert "skipped" in done.stderr
    assert "london.osm.pbf" in done.stderr
    assert not (tmp_path / "out").exists()
