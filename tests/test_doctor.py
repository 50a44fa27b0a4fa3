"""The doctor finds what is there, and says what to do about what is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from agent import cli_serve, doctor
from agent.doctor import Finding, able


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    monkeypatch.setenv("SIGHTLINE_DATA_DIR", str(tmp_path / "own"))
    made = typer.Typer()
    cli_serve.register(made)
    return made


def test_every_part_is_examined_and_every_gap_has_a_remedy(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["doctor", "--json"])
    report = json.loads(result.stdout)
    names = {f["name"] for f in report["findings"]}
    assert {
        "python",
        "packages",
        "faiss",
        "judge served by vLLM",
        "judge in process",
        "judge mini-judge",
        "fonts",
    } <= names
    assert all(f["todo"] for f in report["findings"] if f["status"] != "ok")
    assert result.exit_code == (0 if report["ok"] else 1)


def test_a_setting_that_is_none_is_named_and_fails(app: typer.Typer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_REASONS", "sung")
    result = CliRunner().invoke(app, ["doctor", "--json"])
    first = json.loads(result.stdout)["findings"][0]
    assert (first["name"], first["status"], result.exit_code) == ("settings", "missing", 1)
    assert "the setting reasons is not usable" in first["found"]
    monkeypatch.delenv("SIGHTLINE_REASONS")
    assert doctor._settings() == []


def test_a_missing_model_is_named_and_fails(app: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retriever.models.SHIPPED", {})
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["doctor", "--json"])
    report = json.loads(result.stdout)
    missing = {f["name"] for f in report["findings"] if f["status"] == "missing"}
    assert missing == {"encoder sightline-mini", "judge mini-judge"}
    assert result.exit_code == 1


def test_a_server_that_cannot_run_is_no_obstacle_where_the_judge_runs_in_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agent.serving_flags.vllm_problem", lambda: "libnuma is missing; install it")
    served, local = doctor._backends()
    assert (served.status, served.todo) == ("note", "libnuma is missing; install it")
    assert able([served, local])


def test_one_examination_that_breaks_spoils_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_DATA_DIR", str(tmp_path))

    def broken() -> list[Finding]:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(doctor, "_gpu", broken)
    findings = doctor.examine()
    assert any("no such thing" in f.found for f in findings)
    assert any(f.name == "fonts" for f in findings)


@pytest.mark.parametrize(("asked", "status", "told"), [("auto", "ok", "cpu"), ("cuda:1", "missing", "torch sees none")])
def test_the_encoders_device_is_told_and_one_that_is_not_there_is_a_gap(
    app: typer.Typer, monkeypatch: pytest.MonkeyPatch, asked: str, status: str, told: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setenv("SIGHTLINE_DEVICE", asked)
    found = next(f for f in doctor.examine() if f.name == "encoder's device")
    assert found.status == status
    assert told in found.found
    assert bool(found.todo) == (status == "missing")
