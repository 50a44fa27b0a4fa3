"""The life of a server process: how it starts, is found, waited for and ended; no model runs here."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from serving_kit import FAMILY, ROOT, bundle, members, until, watch

from agent import serving, serving_state
from agent.serving_bundle import JudgeBundle
from retriever.errors import ServerUnavailable

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="counts processes through /proc")
pytestmark = pytest.mark.usefixtures("own_files")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return bundle(tmp_path / "toy")


def test_a_server_that_ends_while_starting_says_why_and_leaves_nothing(
    folder: Path, own_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = "import sys; print('RuntimeError: no room for the cache'); sys.exit(3)"
    monkeypatch.setattr(serving, "vllm_problem", lambda: None)
    monkeypatch.setattr(serving, "vllm_build", lambda: ("cpu", "0"))
    monkeypatch.setattr(serving, "command", lambda *a, **k: [sys.executable, "-c", program])
    server = serving.ModelServer(JudgeBundle.find(folder), keep=True)
    with pytest.raises(ServerUnavailable, match="no room for the cache"):
        server.start()
    assert not list((own_files / "servers").glob("*.json"))


@needs_proc
def test_a_server_that_is_still_starting_can_be_found_and_stopped(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command that started it may be killed before it answers."""
    found: list[serving_state.ServerState] = []

    def killed(state: serving_state.ServerState) -> bool:
        found.extend(serving_state.kept_servers())
        raise KeyboardInterrupt

    monkeypatch.setattr(serving, "vllm_problem", lambda: None)
    monkeypatch.setattr(serving, "vllm_build", lambda: ("cpu", "0"))
    monkeypatch.setattr(serving, "command", lambda *a, **k: [sys.executable, "-c", FAMILY])
    monkeypatch.setattr(serving_state.ServerState, "answers", killed)
    with pytest.raises(KeyboardInterrupt):
        serving.ModelServer(JudgeBundle.find(folder), keep=True).start()
    assert len(found) == 1
    assert until(lambda: not members(found[0].pid))
    assert serving_state.kept_servers() == []


def test_a_server_that_another_command_began_is_waited_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judge, process = JudgeBundle.find(folder), watch()
    state = serving_state.ServerState(
        pid=process.pid, url="http://127.0.0.1:9", key="k", base_model="b", judge_model="j", log=""
    )
    serving_state.write_private(serving_state.state_path(judge), dataclasses.asdict(state))
    answers = iter([False, False, True])
    monkeypatch.setattr(serving, "vllm_problem", lambda: None)
    monkeypatch.setattr(serving_state.ServerState, "answers", lambda self: next(answers))
    server = serving.ModelServer(judge, keep=True)
    try:
        assert until(lambda: serving_state.is_watch(process.pid))
        assert server.start().pid == process.pid
        assert server.reused
    finally:
        serving_state.stop_group(process.pid, process)


@needs_proc
def test_a_command_that_waited_in_vain_leaves_anothers_server_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge, process = JudgeBundle.find(folder), watch()
    path = serving_state.state_path(judge)
    state = {"url": "http://127.0.0.1:9", "key": "k", "base_model": "b", "judge_model": "j", "log": ""}
    path.write_text(json.dumps({"pid": process.pid, **state}))
    monkeypatch.setattr(serving, "vllm_problem", lambda: None)
    monkeypatch.setattr(serving_state.ServerState, "answers", lambda self: False)
    try:
        assert until(lambda: len(members(process.pid)) == 3)
        with pytest.raises(ServerUnavailable, match="was not ready after 0 s"):
            serving.ModelServer(judge, keep=True, start_s=0.0).start()
        assert len(members(process.pid)) == 3
        assert path.exists(), "whoever began it, or stops it, finds it by this"
    finally:
        serving_state.stop_group(process.pid, process)

    def ends(self: serving_state.ServerState) -> bool:
        monkeypatch.setattr(serving, "is_watch", lambda pid: False)
        return False

    monkeypatch.setattr(serving, "begun_server", lambda bundle: serving_state.ServerState(pid=process.pid, **state))
    monkeypatch.setattr(serving_state.ServerState, "answers", ends)
    with pytest.raises(ServerUnavailable, match="ended while starting"):
        serving.ModelServer(judge, keep=True).start()
    assert not path.exists()


def test_a_state_file_of_a_server_that_is_gone_is_not_believed(folder: Path) -> None:
    judge = JudgeBundle.find(folder)
    path = serving_state.state_path(judge)
    path.write_text("{nonsense")
    assert serving_state.find_server(judge) is None
    gone = {"pid": 1, "url": "http://127.0.0.1:9", "key": "k", "base_model": "b", "judge_model": "j", "log": ""}
    path.write_text(json.dumps(gone))
    assert serving_state.find_server(judge) is None
    assert serving_state.kept_servers() == []
    assert not path.exists()


# --- how it ends --------------------------------------------------------------------------------------------------


@needs_proc
def test_stopping_ends_the_server_and_everything_it_started() -> None:
    process = watch()
    assert until(lambda: len(members(process.pid)) == 3)
    serving_state.stop_group(process.pid, process)
    assert members(process.pid) == []
    assert process.poll() is not None


@needs_proc
def test_stopping_a_server_that_another_part_of_this_process_started_is_no_wait_for_a_corpse() -> None:
    process = watch()
    assert until(lambda: len(members(process.pid)) == 3)
    serving_state.stop_group(process.pid, None, patience_s=300.0)
    assert members(process.pid) == []
    assert not serving_state._group_lives(process.pid, None)


@needs_proc
@pytest.mark.slow
def test_a_kept_server_is_stopped_by_name_and_a_stranger_with_its_number_is_not(folder: Path) -> None:
    process = watch()
    path = serving_state.state_path(JudgeBundle.find(folder))
    state = {"url": "http://127.0.0.1:9", "key": "k", "base_model": "b", "judge_model": "j", "log": ""}
    path.write_text(json.dumps({"pid": os.getpid(), **state}))
    assert serving_state.stop_kept() == 0
    path.write_text(json.dumps({"pid": process.pid, **state}))
    assert until(lambda: len(members(process.pid)) == 3)
    assert serving_state.stop_kept() == 1
    assert members(process.pid) == []
    assert not path.exists()


@pytest.mark.slow
def test_a_server_that_crashes_is_started_again_but_not_for_ever(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    child = f"open({str(starts)!r}, 'a').write('x'); raise SystemExit(7)"
    program = (
        "import sys; from agent import serving_watch as w; w.HEALTHY_S = 0.0; "
        f"sys.exit(w.Watch([sys.executable, '-c', {child!r}], url='http://127.0.0.1:9', idle=0, parent=0).run())"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, starts.read_text()) == (1, "xxxx")
    assert "starting it again" in done.stdout


@needs_proc
def test_a_server_that_ignores_polite_signals_is_killed() -> None:
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(300)"
    )
    process = watch(program=deaf)
    assert until(lambda: len(members(process.pid)) == 2)
    time.sleep(0.5)
    serving_state.stop_group(process.pid, process, patience_s=1.0)
    assert members(process.pid) == []


@needs_proc
@pytest.mark.slow
def test_a_server_ends_with_the_process_that_wanted_it() -> None:
    wanted_by = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    process = watch("--parent", str(wanted_by.pid))
    assert until(lambda: len(members(process.pid)) == 3)
    wanted_by.kill()
    wanted_by.wait()
    assert until(lambda: process.poll() is not None)
    assert until(lambda: members(process.pid) == [])


@needs_proc
@pytest.mark.slow
def test_a_server_that_nobody_asks_ends() -> None:
    process = watch("--idle", "1")
    assert until(lambda: process.poll() is not None)
    assert until(lambda: members(process.pid) == [])


def test_two_commands_at_once_wait_for_each_other(tmp_path: Path) -> None:
    order: list[str] = []

    def work(name: str, seconds: float) -> None:
        with serving._only_one(tmp_path / "state.json"):
            order.append(f"{name} begins")
            time.sleep(seconds)
            order.append(f"{name} ends")

    async def both() -> None:
        await asyncio.gather(asyncio.to_thread(work, "a", 0.2), asyncio.to_thread(work, "b", 0.0))

    asyncio.run(both())
    assert [line.split()[1] for line in order] == ["begins", "ends", "begins", "ends"]


def test_the_key_is_readable_by_its_user_alone(tmp_path: Path) -> None:
    serving_state.write_private(tmp_path / "state.json", {"key": "k"})
    assert os.stat(tmp_path / "state.json").st_mode & 0o077 == 0
