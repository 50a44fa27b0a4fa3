"""``sightline gallery``: what is printed where, and how it fails."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import typer
from osm_samples import hamlet
from typer.testing import CliRunner

from retriever import cli_gallery, main
from retriever.errors import SourceError
from retriever.gallery import Gallery


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    cli_gallery.register(app)
    return app


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return hamlet(100.0).write(tmp_path / "hamlet.osm")


def build(app: typer.Typer, source: Path, out: Path) -> str:
    result = CliRunner().invoke(app, ["gallery", "build", str(out), "--osm", str(source), "--px", "64"])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_build_makes_a_gallery_and_says_so(app: typer.Typer, source: Path, tmp_path: Path) -> None:
    said = build(app, source, tmp_path / "g")
    gallery = Gallery.open(tmp_path / "g")
    assert gallery.sha256[:12] in said
    assert gallery.px == 64


def test_info_prints_the_manifest_as_json_alone(app: typer.Typer, source: Path, tmp_path: Path) -> None:
    build(app, source, tmp_path / "g")
    result = CliRunner().invoke(app, ["gallery", "info", str(tmp_path / "g"), "--json", "--verify"])
    assert json.loads(result.stdout) == json.loads((tmp_path / "g" / "manifest.json").read_text())


def test_info_names_source_and_licence(app: typer.Typer, source: Path, tmp_path: Path) -> None:
    build(app, source, tmp_path / "g")
    shown = CliRunner().invoke(app, ["gallery", "info", str(tmp_path / "g"), "--verify"]).stdout
    for words in ("hamlet.osm", "OpenStreetMap contributors", "ODbL", "all as recorded", "9 map tiles"):
        assert words in shown


@pytest.mark.parametrize("text", ["1,2,3", "a,b,c,d", "", "1,2,3,4,5"])
def test_a_box_needs_four_numbers(text: str) -> None:
    with pytest.raises(SourceError, match="four numbers"):
        cli_gallery.parse_box(text)


def test_a_failed_build_is_one_sentence_and_a_failing_exit(
    app: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "page.osm").write_text("<html></html>")
    monkeypatch.setattr(main, "build", lambda: app)
    monkeypatch.setattr(
        sys, "argv", ["sightline", "gallery", "build", str(tmp_path / "g"), "--osm", str(tmp_path / "page.osm")]
    )
    with pytest.raises(SystemExit) as caught:
        main.main()
    captured = capsys.readouterr()
    assert caught.value.code == 2
    assert "page.osm cannot be read as an OpenStreetMap extract" in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""
    assert not (tmp_path / "g").exists()


@pytest.mark.parametrize("folder", ["g [bold]x[red]", "a[/]"])
def test_square_brackets_in_paths_are_shown(
    app: typer.Typer,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    folder: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert f"{folder}: 9 map tiles" in build(app, source, Path(folder))
    monkeypatch.setattr(main, "build", lambda: app)
    monkeypatch.setattr(sys, "argv", ["sightline", "gallery", "info", f"no {folder}"])
    with pytest.raises(SystemExit):
        main.main()
    assert f"sightline: there is no gallery at no {folder}: build" in capsys.readouterr().err


def test_square_brackets_in_a_manifest_are_shown(app: typer.Typer, source: Path, tmp_path: Path) -> None:
    build(app, source, tmp_path / "g")
    manifest = tmp_path / "g" / "manifest.json"
    said = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**said, "id": "x[red]", "licence": "free[/]\\", "fonts": {"[dim]": "f[b]"}}))
    shown = CliRunner().invoke(app, ["gallery", "info", str(tmp_path / "g")]).stdout
    for words in ("Gallery x[red]", "free[/]\\ ", "font, [dim]", "f[b]"):
        assert words in shown


def test_an_unknown_cover_is_refused(app: typer.Typer, source: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["gallery", "build", str(tmp_path / "g"), "--osm", str(source), "--cover", "sea"])
    assert isinstance(result.exception, SourceError)
