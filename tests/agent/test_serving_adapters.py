"""Several adapters on one server: what is asked of vLLM, how they are named, found and proven; no model runs here."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest
from serving_kit import LAYER, tensors

from agent import serving_flags, serving_state
from agent.serving_bundle import JudgeBundle
from agent.serving_golden import check_golden
from prompts.clients import ChatReply, ChatRequest, Message
from prompts.clients.golden import Golden
from prompts.clients.recorded import RecordedClient
from retriever.errors import ModelError

QUESTION = ChatRequest(messages=(Message.of("user", "Is it here?"),), choices=("yes", "no"), max_tokens=1)


def adapter(folder: Path, rank: int) -> Path:
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"r": rank}))
    shapes = {f"{LAYER}.lora_A.weight": [rank, 4], f"{LAYER}.lora_B.weight": [6, rank]}
    tensors(folder / "adapter_model.safetensors", shapes)
    return folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIGHTLINE_DATA_DIR", str(tmp_path / "own"))
    base = tmp_path / "toy" / "base"
    base.mkdir(parents=True)
    (base / "config.json").write_text('{"text_config": {"max_position_embeddings": 512}}')
    (base / "tokenizer_config.json").write_text("{}")
    tensors(base / "model.safetensors", {"model.layers.0.q_proj.weight": [6, 4]})
    adapter(tmp_path / "toy" / "adapter", 2)
    return tmp_path / "toy"


def test_every_adapter_is_served_under_a_name_of_its_own_content(folder: Path, tmp_path: Path) -> None:
    more = [adapter(tmp_path / "b", 3), adapter(tmp_path / "c", 9)]
    bundle = JudgeBundle.find(folder, beside=more)
    names = list(bundle.adapters)
    assert names[0] == bundle.judge_model == JudgeBundle.find(folder).judge_model
    assert len(set(names)) == 3
    argv = serving_flags.command(bundle, host="127.0.0.1", port=1, kind="cpu")
    at = argv.index("--lora-modules") + 1
    paths = [folder / "adapter", *more]
    assert argv[at : at + 3] == [f"{n}={p.resolve()}" for n, p in zip(names, paths, strict=True)]
    assert argv[argv.index("--max-loras") + 1] == "3"
    # Room for the largest: rank 9 does not fit into 8.
    assert argv[argv.index("--max-lora-rank") + 1] == "16"


def test_prefix_caching_is_on_unless_it_is_measured_without(folder: Path) -> None:
    bundle = JudgeBundle.find(folder)
    assert "--enable-prefix-caching" in serving_flags.command(bundle, host="h", port=1, kind="gpu")
    off = serving_flags.command(bundle, host="h", port=1, kind="gpu", prefix_caching=False)
    assert "--no-enable-prefix-caching" in off
    assert "--enable-prefix-caching" not in off


def test_a_second_adapter_of_another_base_is_refused(folder: Path, tmp_path: Path) -> None:
    other = adapter(tmp_path / "b", 3)
    tensors(other / "adapter_model.safetensors", {f"{LAYER}.lora_A.weight": [3, 8]})
    with pytest.raises(ModelError, match="not an adapter of"):
        JudgeBundle.find(folder, beside=[other])


def test_a_kept_server_with_other_adapters_is_another_server(folder: Path, tmp_path: Path) -> None:
    alone, both = JudgeBundle.find(folder), JudgeBundle.find(folder, beside=[adapter(tmp_path / "b", 3)])
    assert serving_state.state_path(alone) != serving_state.state_path(both)
    state = {"pid": 1, "url": "http://127.0.0.1:9", "key": "k", "base_model": "b", "judge_model": "j", "log": ""}
    path = serving_state.state_path(both)
    serving_state.write_private(path, {**state, "beside": list(both.beside)})
    read = serving_state._read_state(path)
    assert read is not None
    assert read.beside == tuple(both.beside)
    assert read.client(model=read.beside[0]).model == read.beside[0]
    # Of an earlier version, which had one adapter.
    serving_state.write_private(path, dict(state))
    read = serving_state._read_state(path)
    assert read is not None
    assert read.beside == ()


async def test_an_adapter_beside_the_judge_must_change_something(folder: Path) -> None:
    def fake(name: str, p: float) -> RecordedClient:
        return RecordedClient(
            lambda request: ChatReply(text="yes", choice_logprobs={"yes": math.log(p), "no": math.log(1 - p)}),
            name=name,
        )

    golden = Golden(requests=(QUESTION,), p=(0.8,))
    report = await check_golden(fake("judge", 0.8), fake("base", 0.5), golden, beside=[fake("other", 0.2)])
    assert report.adapter_change == pytest.approx(0.3)
    with pytest.raises(ModelError, match="other answers like its base"):
        await check_golden(fake("judge", 0.8), fake("base", 0.5), golden, beside=[fake("other", 0.5)])


def test_a_folder_that_is_the_same_adapter_twice_is_served_once(folder: Path, tmp_path: Path) -> None:
    twin = tmp_path / "twin"
    shutil.copytree(folder / "adapter", twin)
    bundle = JudgeBundle.find(folder, beside=[twin])
    assert list(bundle.adapters) == [bundle.judge_model]
