"""The three scripts of the documentation run as they stand there, on small towns."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from agent.casefile import verify_case
from retriever.build import build_gallery
from retriever.town import write_town

DOCS = Path(__file__).parents[2] / "docs"
pytestmark = pytest.mark.slow


def run(name: str, tmp_path: Path, **settings: str) -> str:
    env = {**os.environ, "OUT": str(tmp_path / "out"), "SIGHTLINE_DATA_DIR": str(tmp_path / "data"),
           "SIGHTLINE_BACKEND": "none", "OMP_NUM_THREADS": "1", **settings}  # fmt: skip
    done = subprocess.run(
        [sys.executable, str(DOCS / f"{name}.py")], env=env, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_the_researchers_table_has_its_controls_in_order(tmp_path: Path) -> None:
    said = run("researcher", tmp_path, TOWN_BLOCKS="2", QUERIES="12")
    mrr = {name: float(value) for name, value in re.findall(r"^\| (\w+) \| ([\d.]+) \|", said, flags=re.MULTILINE)}
    assert set(mrr) == {"shuffle", "identity", "oracle", "rarity"}
    assert mrr["oracle"] > mrr["shuffle"]
    assert all(0 <= value <= 1 for value in mrr.values())


def test_the_evaluators_report_is_written(tmp_path: Path) -> None:
    said = run("evaluator", tmp_path, TOWN_BLOCKS="2", QUERIES="4")
    assert (tmp_path / "out" / "report" / "report.html").is_file()
    assert "baseline" in said or "oracle" in said


def test_the_analysts_case_is_a_whole_one(tmp_path: Path) -> None:
    osm = write_town(tmp_path / "town.osm", seed=7, blocks=2)
    build_gallery(tmp_path / "demo" / "gallery", osm=osm, gallery_id="demo-town", px=64)
    said = run("analyst", tmp_path, DEMO=str(tmp_path / "demo"))
    assert verify_case(tmp_path / "out" / "case.zip")
    assert (tmp_path / "out" / "first.png").read_bytes().startswith(b"\x89PNG")
    assert re.search("[一-鿿]{4}", said)
