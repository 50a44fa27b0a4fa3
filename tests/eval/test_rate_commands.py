"""Rating studies from the terminal: made from judgements, resumed, and reported unless tampered with."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import typer
from PIL import Image
from rate_study_kit import rate_all
from typer.testing import CliRunner, Result

from eval.cli import register
from eval.rate.study import Study
from retriever.build import build_gallery
from retriever.errors import SightlineError
from retriever.gallery import Gallery


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    """A street with a pharmacy at one end and a church at the other."""
    folder = tmp_path_factory.mktemp("street")
    points = [(51.4996, 0.0), (51.5004, 0.004)]
    nodes = "".join(f'<node id="{n}" lat="{lat}" lon="{lon}"/>' for n, (lat, lon) in enumerate(points, 1))
    nodes += '<node id="8" lat="51.50005" lon="0.0002"><tag k="amenity" v="pharmacy"/></node>'
    nodes += '<node id="9" lat="51.50005" lon="0.0038"><tag k="amenity" v="place_of_worship"/></node>'
    way = '<way id="1"><nd ref="1"/><nd ref="2"/><tag k="highway" v="residential"/></way>'
    (folder / "s.osm").write_text(f'<osm version="0.6">{nodes}{way}</osm>')
    return build_gallery(folder / "g", osm=folder / "s.osm", cover="touched", px=64)


def judgements(gallery: Gallery, path: Path) -> Path:
    west, east = gallery.nearest(51.50005, 0.0002), gallery.nearest(51.50005, 0.0038)
    rows = []
    for place, (tile, thing, absent) in enumerate(((west, "pharmacy", "church"), (east, "church", "pharmacy"))):
        for system in ("alpha", "beta"):
            en = f"Description and tile agree on the {thing}. They differ on the {absent}."
            rows.append({
                "system": system, "query_id": f"q{place}", "tile_id": tile, "text": f"I stand by the {thing}.",
                "verdict": "match", "confidence": 0.7, "explanation": {"en": en + " " * (system == "beta")},
                "evidence": [{"words": f"the {thing}", "stance": "supports", "region": [0.2, 0.2, 0.6, 0.6]}],
                "location": f"place{place}",
            })  # fmt: skip
    rows.append({"system": "alpha", "query_id": "q9", "tile_id": "nowhere-r0c0", "text": "x", "explanation": "A park."})
    path.write_text("".join(json.dumps(r) + "\n" for r in rows) + "{broken\n", "utf-8")
    return path


def command(*words: object) -> Result:
    app = typer.Typer()
    register(app)
    return CliRunner().invoke(app, [str(w) for w in words], env={"COLUMNS": "300"})


def test_the_command_makes_a_study_names_what_is_left_out_and_resumes(gallery: Gallery, tmp_path: Path) -> None:
    file, out = judgements(gallery, tmp_path / "j.jsonl"), tmp_path / "study.sqlite"
    words = ("rate", file, "--gallery", gallery.path, "--raters", "anna,ben", "--out", out, "--no-serve")
    made = command(*words, "--overlap", 1, "--checks", 0.25)
    assert made.exit_code == 0, made.output
    assert "j.jsonl:6" in made.output
    assert "nowhere-r0c0" in made.output
    study = Study.open(out)
    plain = [i for i in study.items.values() if not i.check]
    assert len(plain) == 4
    assert all(i.boxed != i.picture for i in plain)
    assert Image.open(io.BytesIO(study.picture(plain[0].boxed))).size == (64, 64)
    checks = [i for i in study.items.values() if i.check]
    assert checks
    for check in checks:
        own = next(i for i in plain if i.query_id == check.query_id)
        other = next(i for i in plain if i.explanation == check.explanation)
        assert other.location != own.location == check.location
        assert check.description == own.description
        assert check.system == ""
        assert check.checked
    again = command("rate", "--out", out, "--no-serve", "--json")
    assert json.loads(again.stdout)["items"] == {"anna": 5, "ben": 5}
    other = command(*words, "--overlap", 0.5, "--checks", 0.25)
    assert isinstance(other.exception, SightlineError)
    assert "another overlap" in str(other.exception)


def test_the_report_command_refuses_a_tampered_study(gallery: Gallery, tmp_path: Path) -> None:
    file, out = judgements(gallery, tmp_path / "j.jsonl"), tmp_path / "study.sqlite"
    command("rate", file, "--gallery", gallery.path, "--raters", "anna,ben", "--out", out, "--no-serve", "--overlap", 1)
    study = Study.open(out)
    for a in study.assignments():
        rate_all(study, a.rater, a.item, "right", 2)
    shown = command("rate-report", out, "--json", "--export", tmp_path / "x")
    assert shown.exit_code == 0, shown.output
    result = json.loads(shown.stdout)
    assert {r["rater"]: (r["checks"], r["passed"]) for r in result["raters"]} == {"anna": (1, 1), "ben": (1, 1)}
    assert {s["system"] for s in result["systems"]} == {"alpha", "beta"}
    assert sorted(p.name for p in (tmp_path / "x").iterdir()) == [
        "decided.jsonl", "label_studio.json", "label_studio.xml", "ratings.csv", "ratings.jsonl", "tiles",
    ]  # fmt: skip
    assert command("rate-report", out, "--head", f"{result['head'][0]}:{result['head'][1]}").exit_code == 0
    study.db.executescript("DROP TRIGGER log_is_never_changed; UPDATE log SET value = '5' WHERE field = 'scale:clear'")
    found = command("rate-report", out)
    assert isinstance(found.exception, SightlineError)
    assert "was changed" in str(found.exception)
