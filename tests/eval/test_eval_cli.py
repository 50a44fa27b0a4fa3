"""``sightline eval retrieval`` on a small real gallery."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from arena_kit import PHARMACY, street_grid
from typer.testing import CliRunner, Result

from eval.cli import register
from retriever.build import build_gallery
from retriever.errors import SightlineError
from retriever.gallery import Gallery

"""Degrees between the crossings of the little town: some 67 m north, 41 m east."""


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    """A street grid of 6 by 6 crossings, with one pharmacy."""
    folder = tmp_path_factory.mktemp("town")
    source = street_grid(folder, PHARMACY)
    return build_gallery(folder / "gallery", osm=source, cover="touched", px=64)


def run(gallery: Gallery, tmp_path: Path, *more: str) -> Result:
    lines = [
        {"id": "a", "text": "by the pharmacy", "lang": "en", "lat": 51.5006, "lon": 0.0006, "named": False},
        {"id": "b", "text": "路口旁边有药店", "lang": "zh", "lat": 51.5007, "lon": 0.0005, "named": False},
    ]
    queries = tmp_path / "q.jsonl"
    queries.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    app = typer.Typer()
    register(app)
    arguments = ["eval", "retrieval", "--gallery", str(gallery.path), "--queries", str(queries), *more]
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "300"})


def test_json_goes_to_stdout_alone_and_the_warning_of_the_prior_to_stderr(gallery: Gallery, tmp_path: Path) -> None:
    result = run(gallery, tmp_path, "--methods", "random", "--protocol", "nearest100", "--json")
    made = json.loads(result.stdout)
    assert made["protocol"] == "nearest100"
    assert "random scores get 1 %" in " ".join(result.stderr.split())
    rows = {row["method"]: row for row in made["tables"][0]["rows"]}
    assert rows["constant"]["values"]["recall@1"]["value"] == 0
    assert rows["constant"]["values"]["contains@10"]["value"] == 0


def test_the_table_names_controls_protocol_and_count(gallery: Gallery, tmp_path: Path) -> None:
    result = run(gallery, tmp_path, "--methods", "constant")
    assert result.exit_code == 0
    assert "N = 2 queries" in result.stdout
    assert "protocol `full`" in result.stdout
    assert "random" in result.stdout


def test_rankings_become_a_row_compared_with_nothing_when_fused_is_not_asked_for(
    gallery: Gallery, tmp_path: Path
) -> None:
    ranked = tmp_path / "r.jsonl"
    right = gallery.nearest(51.5006, 0.0006)
    ranked.write_text(
        json.dumps({"query_id": "a", "method": "mine", "candidates": [{"tile_id": right, "rank": 1, "score": 0.7}]})
    )
    result = run(gallery, tmp_path, "--methods", "constant", "--rankings", str(ranked), "--json")
    rows = {row["method"]: row for row in json.loads(result.stdout)["tables"][0]["rows"]}
    assert rows["mine"]["values"]["recall@1"]["value"] == 0.5
    assert rows["mine"]["failed"] == 1


def test_the_oracle_row_sees_the_pharmacy(gallery: Gallery, tmp_path: Path) -> None:
    result = run(gallery, tmp_path, "--methods", "oracle", "--json")
    rows = {row["method"]: row for row in json.loads(result.stdout)["tables"][0]["rows"]}
    assert rows["oracle only"]["saw"] == "facts"
    assert rows["oracle only"]["values"]["MRR"]["value"] > 2 * rows["constant"]["values"]["MRR"]["value"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--methods", "psychic"], "unknown method 'psychic'"),
        (["--protocol", "easy"], "unknown protocol 'easy'"),
        (["--methods", "random", "--rankings", "nowhere.jsonl"], "cannot read rankings"),
    ],
)
def test_bad_options_are_one_sentence(gallery: Gallery, tmp_path: Path, more: list[str], message: str) -> None:
    result = run(gallery, tmp_path, *more)
    assert isinstance(result.exception, SightlineError)
    assert message in str(result.exception)
