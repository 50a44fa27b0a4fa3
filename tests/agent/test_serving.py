"""The judge's bundle, golden answers, and the life of a server process; no model runs here."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from agent import cli_serve, serving, serving_flags, serving_state
from agent.serving_bundle import JudgeBundle
from agent.serving_golden import check_golden
from agent.serving_open import REQUIRE_VLLM, open_judge
from prompts.clients import ChatReply, ChatRequest, Message
from prompts.clients.golden import Golden, load_golden, write_golden
from prompts.clients.recorded import RecordedClient
from retriever.errors import ModelError, ServerUnavailable, SightlineError

ROOT = Path(__file__).parent.parent.parent
QUESTIONS = tuple(
    ChatRequest(messages=(Message.of("user", f"claim {i}"),), choices=("yes", "no"), max_tokens=1) for i in range(4)
)
needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="counts processes through /proc")


@pytest.fixture(autouse=True)
def own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "own"
    monkeypatch.setenv("SIGHTLINE_DATA_DIR", str(folder))
    return folder


def tensors(path: Path, shapes: dict[str, list[int]]) -> None:
    """A safetensors file with zeros."""
    header, at = {}, 0
    for name, shape in shapes.items():
        size = 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(at))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle that looks like one: one layer and an adapter of rank 2 for it."""
    base, adapter = tmp_path / "toy" / "base", tmp_path / "toy" / "adapter"
    base.mkdir(parents=True)
    adapter.mkdir()
    (base / "config.json").write_text('{"text_config": {"max_position_embeddings": 512}}')
    (base / "tokenizer_config.json").write_text("{}")
    tensors(base / "model.safetensors", {"model.layers.0.q_proj.weight": [6, 4]})
    (adapter / "adapter_config.json").write_text('{"r": 2}')
    layer = "base_model.model.model.layers.0.q_proj"
    tensors(adapter / "adapter_model.safetensors", {f"{layer}.lora_A.weight": [2, 4], f"{layer}.lora_B.weight": [6, 2]})
    return tmp_path / "toy"


def fake(name: str, p: float) -> RecordedClient:
    return RecordedClient(
        lambda request: ChatReply(text="yes", choice_logprobs={"yes": math.log(p), "no": math.log(1 - p)}), name=name
    )


# --- bundles ------------------------------------------------------------------------------------------------------


def test_a_bundle_is_named_by_what_it_holds(folder: Path) -> None:
    bundle = JudgeBundle.find(folder)
    assert (bundle.rank, bundle.window, bundle.golden) == (2, 512, None)
    assert bundle.judge_model.startswith("toy-")
    assert bundle.judge_model != bundle.base_model
    (folder / "adapter" / "adapter_config.json").write_text('{"r": 2, "lora_alpha": 4}')
    changed = JudgeBundle.find(folder)
    assert changed.judge_model != bundle.judge_model
    assert changed.base_model == bundle.base_model


def test_a_file_that_is_missing_is_named(folder: Path) -> None:
    (folder / "base" / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="no base model"):
        JudgeBundle.find(folder)


def test_an_adapter_of_another_base_is_refused(folder: Path) -> None:
    tensors(folder / "base" / "model.safetensors", {"model.layers.0.q_proj.weight": [6, 8]})
    with pytest.raises(ModelError, match="not an adapter of"):
        JudgeBundle.find(folder)
    tensors(folder / "base" / "model.safetensors", {"model.layers.7.q_proj.weight": [6, 4]})
    with pytest.raises(ModelError, match="the base has no layer"):
        JudgeBundle.find(folder)


@pytest.mark.parametrize("content", [b"", b"\xff" * 64, (9).to_bytes(8, "little") + b"not json!"])
def test_damaged_weights_are_one_sentence(folder: Path, content: bytes) -> None:
    (folder / "adapter" / "adapter_model.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match="is damaged"):
        JudgeBundle.find(folder)


# --- golden answers -----------------------------------------------------------------------------------------------


async def test_golden_answers_survive_the_file(tmp_path: Path) -> None:
    written = await write_golden(tmp_path / "golden.json", QUESTIONS, fake("judge", 0.8))
    read = load_golden(tmp_path / "golden.json")
    assert read.p == pytest.approx(written.p)
    assert [r.key for r in read.requests] == [r.key for r in QUESTIONS]


async def test_a_server_that_agrees_passes_with_its_numbers() -> None:
    report = await check_golden(fake("judge", 0.805), fake("base", 0.5), Golden(requests=QUESTIONS, p=(0.8,) * 4))
    assert report.mean_abs_diff == pytest.approx(0.005)
    assert report.adapter_change == pytest.approx(0.305)


async def test_a_server_with_other_numbers_is_refused() -> None:
    with pytest.raises(ModelError, match=r"off by 0\.0200"):
        await check_golden(fake("judge", 0.82), None, Golden(requests=QUESTIONS, p=(0.8,) * 4))


async def test_an_adapter_that_changes_nothing_is_refused() -> None:
    with pytest.raises(ModelError, match="the adapter was not applied"):
        await check_golden(fake("judge", 0.8), fake("base", 0.8), Golden(requests=QUESTIONS, p=(0.8,) * 4))


async def test_golden_answers_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="off by nan"):
        await check_golden(fake("judge", 0.8), None, Golden(requests=QUESTIONS, p=(float("nan"),) * 4))
    (tmp_path / "golden.json").write_text('{"items": [{"p": 1}]}')
    with pytest.raises(ModelError, match="holds no golden answers"):
        load_golden(tmp_path / "golden.json")
    with pytest.raises(ModelError, match="is empty"):
        await check_golden(fake("judge", 0.8), None, Golden(requests=(), p=()))


# --- whether and how the server starts ----------------------------------------------------------------------------


def test_the_command_serves_base_and_adapter_on_loopback_without_the_key(folder: Path) -> None:
    bundle = JudgeBundle.find(folder)
    argv = serving_flags.command(bundle, host="127.0.0.1", port=1234, kind="cpu")
    pairs = dict(itertools.pairwise(argv))
    assert pairs["--host"] == "127.0.0.1"
    assert pairs["--max-lora-rank"] == "8"
    assert pairs["--lora-modules"] == f"{bundle.judge_model}={bundle.adapter}"
    assert pairs["--max-model-len"] == "512"
    env = serving_flags.environment(key="secret-key", kind="cpu")
    assert env["VLLM_API_KEY"] == "secret-key"
    assert "secret-key" not in " ".join(argv)


def test_what_keeps_vllm_from_running_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving_flags, "vllm_build", lambda: ("cpu", "0.32.0"))
    monkeypatch.setattr("ctypes.util.find_library", lambda name: None)
    assert "libnuma is missing" in str(serving_flags.vllm_problem())
    monkeypatch.setattr("ctypes.util.find_library", lambda name: "libnuma.so.1")
    assert serving_flags.vllm_problem() is None
    monkeypatch.setattr(serving_flags, "vllm_build", lambda: None)
    assert "make setup" in str(serving_flags.vllm_problem()) or sys.platform != "linux"


def test_where_the_server_is_required_nothing_else_will_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REQUIRE_VLLM, "1")
    with pytest.raises(ServerUnavailable, match="would run in process"):
        open_judge(JudgeBundle.find(folder), backend="transformers")


def test_a_url_that_is_no_model_server_is_said() -> None:
    with pytest.raises(ServerUnavailable, match="does not list its models"):
        open_judge(url=f"http://127.0.0.1:{serving.free_port()}/v1")


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
    bundle, process = JudgeBundle.find(folder), watch()
    state = serving_state.ServerState(
        pid=process.pid, url="http://127.0.0.1:9", key="k", base_model="b", judge_model="j", log=""
    )
    serving_state.write_private(serving_state.state_path(bundle), dataclasses.asdict(state))
    answers = iter([False, False, True])
    monkeypatch.setattr(serving, "vllm_problem", lambda: None)
    monkeypatch.setattr(serving_state.ServerState, "answers", lambda self: next(answers))
    server = serving.ModelServer(bundle, keep=True)
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
    bundle, process = JudgeBundle.find(folder), watch()
    path = serving_state.state_path(bundle)
    state = {"url": "http://127.0.0.1:9", "key": "k", "base_model": "b", "judge_model": "j", "log": ""}
    path.write_text(json.dumps({"pid": process.pid, **state}))
    monkeypatch.setattr(serving, "vllm_problem", lambda: None)
    monkeypatch.setattr(serving_state.ServerState, "answers", lambda self: False)
    try:
        assert until(lambda: len(members(process.pid)) == 3)
        with pytest.raises(ServerUnavailable, match="was not ready after 0 s"):
            serving.ModelServer(bundle, keep=True, start_s=0.0).start()
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
        serving.ModelServer(bundle, keep=True).start()
    assert not path.exists()


def test_a_state_file_of_a_server_that_is_gone_is_not_believed(folder: Path) -> None:
    bundle = JudgeBundle.find(folder)
    path = serving_state.state_path(bundle)
    path.write_text("{nonsense")
    assert serving_state.find_server(bundle) is None
    gone = {"pid": 1, "url": "http://127.0.0.1:9", "key": "k", "base_model": "b", "judge_model": "j", "log": ""}
    path.write_text(json.dumps(gone))
    assert serving_state.find_server(bundle) is None
    assert serving_state.kept_servers() == []
    assert not path.exists()


# --- how it ends --------------------------------------------------------------------------------------------------

FAMILY = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
time.sleep(300)
"""


def watch(*options: str, program: str = FAMILY) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-m", "agent.serving_watch", "--url", "http://127.0.0.1:9", *options, "--"]
    return subprocess.Popen([*argv, sys.executable, "-c", program], start_new_session=True, cwd=ROOT)


def members(group: int) -> list[int]:
    """Living processes of a process group, zombies left out."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, pgrp = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(pgrp) == group and state != "Z":
            found.append(int(stat.parent.name))
    return found


def until(condition: object, seconds: float = 30.0) -> bool:
    assert callable(condition)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


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


# --- the command --------------------------------------------------------------------------------------------------


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer()
    cli_serve.register(made)
    return made


def test_with_no_server_running_the_command_says_so(app: typer.Typer) -> None:
    assert "stopped 0 model server(s)" in CliRunner().invoke(app, ["serve-model", "--stop"]).stderr
    assert "no model server is running" in CliRunner().invoke(app, ["serve-model", "--status"]).stderr


def test_an_unknown_backend_or_a_folder_without_a_model_is_refused(app: typer.Typer, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["serve-model", "--backend", "gpt"])
    assert isinstance(result.exception, SightlineError)
    assert "none of auto, vllm, transformers" in str(result.exception)
    result = CliRunner().invoke(app, ["serve-model", "--base", str(tmp_path)])
    assert isinstance(result.exception, ModelError)
    assert "is no base model" in str(result.exception)


def test_a_command_whose_server_ends_stops_with_the_reason(
    app: typer.Typer, folder: Path, own_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = "import sys; print('RuntimeError: no such adapter'); sys.exit(3)"
    monkeypatch.setattr(serving_flags, "vllm_problem", lambda: None)
    monkeypatch.setattr(serving, "vllm_problem", lambda: None)
    monkeypatch.setattr(serving, "vllm_build", lambda: ("cpu", "0"))
    monkeypatch.setattr(serving, "command", lambda *a, **k: [sys.executable, "-c", program])
    result = CliRunner().invoke(app, ["serve-model", "--model", str(folder)])
    assert isinstance(result.exception, ServerUnavailable)
    assert "no such adapter" in str(result.exception)
