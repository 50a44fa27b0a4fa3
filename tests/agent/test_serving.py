"""The judge's bundle, golden answers, what is asked of vLLM, and the command; no model runs here."""

from __future__ import annotations

import itertools
import math
import sys
from pathlib import Path

import pytest
import typer
from serving_kit import bundle, tensors
from typer.testing import CliRunner

from agent import cli_serve, serving, serving_flags
from agent.serving_bundle import JudgeBundle
from agent.serving_golden import check_golden
from agent.serving_open import REQUIRE_VLLM, open_judge
from prompts.clients import ChatReply, ChatRequest, Message
from prompts.clients.golden import Golden, load_golden, write_golden
from prompts.clients.recorded import RecordedClient
from retriever.errors import ModelError, ServerUnavailable, SightlineError

QUESTIONS = tuple(
    ChatRequest(messages=(Message.of("user", f"claim {i}"),), choices=("yes", "no"), max_tokens=1) for i in range(4)
)
pytestmark = pytest.mark.usefixtures("own_files")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return bundle(tmp_path / "toy")


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
