"""What serves the page for its pictures is gone when they are made, or could not be; no browser and no model here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from serving_kit import FAMILY, ROOT, members, until

from agent.page import screenshots
from retriever.errors import SightlineError

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="counts processes through /proc")
DESK = """
import json, os, pathlib, signal, subprocess, sys, time

watch = [sys.executable, "-m", "agent.serving_watch", "--url", "http://127.0.0.1:9", "--", sys.executable, "-c"]
server = subprocess.Popen([*watch, os.environ["FAMILY"]], stderr=subprocess.DEVNULL, start_new_session=True)
state = {"pid": server.pid, "url": "http://127.0.0.1:9", "key": "k", "base_model": "b", "judge_model": "j", "log": ""}
folder = pathlib.Path(os.environ["SIGHTLINE_DATA_DIR"], "servers")
folder.mkdir(parents=True)
(folder / "b+j.json").write_text(json.dumps(state))
pathlib.Path(os.environ["PIDS"]).write_text(f"{os.getpid()} {server.pid}")
if "deaf" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("the desk is full" if "full" in sys.argv else "serving town at http://127.0.0.1:9", file=sys.stderr, flush=True)
time.sleep(0 if "full" in sys.argv else 300)
"""
"""A desk that begins a model server as a kept one is begun, and says where it is."""


@pytest.fixture
def pids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which the desk leaves its process id and that of its model server."""
    monkeypatch.setenv("PIDS", str(tmp_path / "pids"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("FAMILY", FAMILY)
    monkeypatch.setattr(screenshots, "_PATIENCE_S", 1.0)
    return tmp_path / "pids"


def desk(monkeypatch: pytest.MonkeyPatch, *manner: str) -> None:
    monkeypatch.setattr(screenshots, "_command", lambda: [sys.executable, "-c", DESK, *manner])


def gone(pids: Path) -> bool:
    process, server = map(int, pids.read_text().split())
    return until(lambda: not members(server)) and not Path(f"/proc/{process}").exists()


@needs_proc
@pytest.mark.parametrize("manner", ["", "deaf"])
def test_desk_and_model_server_end_with_the_pictures(
    tmp_path: Path, pids: Path, monkeypatch: pytest.MonkeyPatch, manner: str
) -> None:
    desk(monkeypatch, manner)
    with screenshots.served(tmp_path / "data") as url:
        assert url == "http://127.0.0.1:9"
        server = int(pids.read_text().split()[1])
        assert until(lambda: len(members(server)) == 3)
    assert gone(pids)


@needs_proc
def test_they_end_when_a_picture_fails(tmp_path: Path, pids: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk(monkeypatch)
    with pytest.raises(ZeroDivisionError), screenshots.served(tmp_path / "data"):
        raise ZeroDivisionError
    assert gone(pids)


@needs_proc
def test_a_desk_that_is_not_served_leaves_no_model_server(
    tmp_path: Path, pids: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk(monkeypatch, "full")
    with pytest.raises(SightlineError, match="the desk is full"), screenshots.served(tmp_path / "data"):
        pass
    assert gone(pids)


@needs_proc
def test_they_end_when_the_command_is_ended(tmp_path: Path, pids: Path) -> None:
    program = (
        "import contextlib, sys, time\n"
        "from agent.page import screenshots\n"
        f"screenshots._command = lambda: [sys.executable, '-c', {DESK!r}]\n"
        "screenshots.chromium = lambda: contextlib.nullcontext()\n"
        "screenshots.pictures = lambda *_: time.sleep(300)\n"
        "screenshots.main()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "out")])
    assert until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    server = int(pids.read_text().split()[1])
    assert until(lambda: len(members(server)) == 3)
    process.terminate()
    assert process.wait(60) == 143
    assert gone(pids)
