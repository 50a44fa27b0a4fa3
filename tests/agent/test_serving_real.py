"""A real vLLM server and the model in this process, side by side: they give the same numbers."""

from __future__ import annotations

import asyncio
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from tiny_qwen3vl import make_tiny_qwen3vl

from agent import serving, serving_state
from agent.serving_bundle import JudgeBundle
from agent.serving_flags import vllm_problem
from agent.serving_golden import check_golden
from agent.serving_open import REQUIRE_VLLM, OpenJudge, open_judge
from prompts.clients import ChatRequest, Message
from prompts.clients.golden import load_golden, probabilities, write_golden
from prompts.clients.local import LocalClient
from retriever.errors import ModelError, ReplyError, ServerUnavailable

pytestmark = pytest.mark.slow
SCHEMA = {
    "type": "object",
    "properties": {"verdict": {"enum": ["match", "no_match"]}, "n": {"type": "integer", "minimum": 0, "maximum": 9}},
    "required": ["verdict", "n"],
    "additionalProperties": False,
}


def picture(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (448, 448, 3), dtype=np.uint8))


def question(seed: int, text: str = "Is there a pharmacy on the left?") -> ChatRequest:
    message = Message.of("user", picture(seed), f"{text} {'c1 ' * seed}")
    return ChatRequest(messages=(message,), choices=("yes", "no"), max_tokens=1)


QUESTIONS = [question(seed) for seed in range(6)]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> JudgeBundle:
    folder = tmp_path_factory.mktemp("judge") / "tiny"
    base, adapter = make_tiny_qwen3vl(folder)

    async def golden() -> None:
        client = LocalClient(base, adapter)
        await write_golden(folder / "golden.json", QUESTIONS, client)
        await client.close()

    asyncio.run(golden())
    return JudgeBundle.find(folder)


@pytest.fixture(scope="module")
def local(bundle: JudgeBundle) -> Iterator[LocalClient]:
    client = LocalClient(bundle.base, bundle.adapter)
    yield client
    asyncio.run(client.close())


@pytest.fixture(scope="module")
def own_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("own")
        patch.setenv("SIGHTLINE_DATA_DIR", str(folder))
        yield folder


def require_vllm() -> None:
    problem = vllm_problem()
    if problem is not None:
        if os.environ.get(REQUIRE_VLLM) == "1":
            pytest.fail(f"vLLM must be used here, but: {problem}")
        pytest.skip(problem)


@pytest.fixture(scope="module")
def served(bundle: JudgeBundle, own_files: Path) -> Iterator[OpenJudge]:
    require_vllm()
    try:
        yield open_judge(bundle, backend="vllm", keep=True)
    finally:
        serving_state.stop_kept()


# --- in this process ----------------------------------------------------------------------------------------------


async def test_waiting_requests_share_a_pass_and_answer_as_if_alone(local: LocalClient) -> None:
    alone = [(await probabilities(local, [q]))[0] for q in QUESTIONS]
    together = await probabilities(local, QUESTIONS)
    assert together == pytest.approx(alone, abs=1e-5)
    assert max(alone) - min(alone) > 1e-3


async def test_the_answer_depends_on_the_picture_and_on_the_words(local: LocalClient) -> None:
    one, other_picture, other_words = await probabilities(local, [question(0), question(1), question(0, "A river?")])
    assert abs(one - other_picture) > 1e-4
    assert abs(one - other_words) > 1e-4


async def test_the_base_answers_otherwise(local: LocalClient) -> None:
    plain = await probabilities(local.without_adapter(), QUESTIONS)
    tuned = await probabilities(local, QUESTIONS)
    assert max(abs(a - b) for a, b in zip(plain, tuned, strict=True)) > 1e-3


async def test_one_bad_request_spoils_no_other(local: LocalClient) -> None:
    long = question(0, "pharmacy " * 2000)
    replies = await asyncio.gather(
        *(local.complete(q) for q in (question(1), long, question(2))), return_exceptions=True
    )
    assert isinstance(replies[1], ReplyError)
    assert "tokens, and the model has 1024" in str(replies[1])
    assert not isinstance(replies[0], BaseException)
    assert not isinstance(replies[2], BaseException)


async def test_prose_where_json_was_asked_for_is_an_error(local: LocalClient) -> None:
    with pytest.raises(ReplyError):
        await local.complete(ChatRequest(messages=(Message.of("user", "hello"),), json_schema=SCHEMA, max_tokens=12))


async def test_a_choice_that_is_not_one_token_is_an_error(local: LocalClient) -> None:
    with pytest.raises(ReplyError, match="must be one"):
        await local.complete(ChatRequest(messages=(Message.of("user", "hello"),), choices=("yes", "absolutely not")))


async def test_a_deadline_in_process_is_kept(local: LocalClient) -> None:
    asked = ChatRequest(messages=(Message.of("user", "hello"),), max_tokens=900, deadline_s=0.02)
    with pytest.raises(ServerUnavailable, match="within 0"):
        await local.complete(asked)


def test_a_folder_without_a_model_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model could be loaded"):
        LocalClient(tmp_path)


# --- the server ---------------------------------------------------------------------------------------------------


@pytest.mark.vllm
async def test_server_and_process_give_the_same_numbers_with_and_without_the_adapter(
    served: OpenJudge, bundle: JudgeBundle, local: LocalClient
) -> None:
    assert (served.backend, served.note) == ("vllm", "")
    assert served.golden is not None
    assert served.golden.mean_abs_diff < 1e-3
    state = serving_state.find_server(bundle)
    assert state is not None
    assert await probabilities(served.client, QUESTIONS) == pytest.approx(
        await probabilities(local, QUESTIONS), abs=1e-3
    )
    base, plain = state.client(base=True), local.without_adapter()
    assert await probabilities(base, QUESTIONS) == pytest.approx(await probabilities(plain, QUESTIONS), abs=1e-3)
    await base.close()
    await served.client.close()


@pytest.mark.vllm
async def test_both_continue_what_the_assistant_began(served: OpenJudge, local: LocalClient) -> None:
    asked = ChatRequest(
        messages=(Message.of("user", picture(3), "And?"), Message.of("assistant", "A river")), max_tokens=5
    )
    # Half a character at the end is shown by one and left out by the other.
    texts = [(await client.complete(asked)).text.rstrip("\ufffd") for client in (served.client, local)]
    assert texts[0] == texts[1] != ""
    chosen = ChatRequest(messages=asked.messages, max_tokens=1, choices=("yes", "no"))
    assert await probabilities(served.client, [chosen]) == pytest.approx(await probabilities(local, [chosen]), abs=1e-3)
    await served.client.close()


@pytest.mark.vllm
async def test_even_an_untrained_model_writes_json_to_the_schema(served: OpenJudge) -> None:
    asked = ChatRequest(messages=(Message.of("user", picture(1), "Judge."),), json_schema=SCHEMA, max_tokens=40)
    value = json.loads((await served.client.complete(asked)).text)
    assert value["verdict"] in ("match", "no_match")
    await served.client.close()


@pytest.mark.vllm
async def test_a_request_longer_than_the_window_is_an_error_never_cut(served: OpenJudge) -> None:
    with pytest.raises(ReplyError, match="refused the request"):
        await served.client.complete(question(0, "pharmacy " * 2000))
    await served.client.close()


@pytest.mark.vllm
def test_the_server_wants_its_key_and_fetches_nothing(served: OpenJudge, bundle: JudgeBundle) -> None:
    state = serving_state.find_server(bundle)
    assert state is not None
    assert state.url.startswith("http://127.0.0.1:")
    picture_part = {"type": "image_url", "image_url": {"url": f"{state.url}/health"}}
    body = {"model": state.judge_model, "messages": [{"role": "user", "content": [picture_part]}], "max_tokens": 1}
    where = f"{state.url}/v1/chat/completions"
    assert httpx.post(where, json=body, timeout=60, trust_env=False).status_code == 401
    key = {"Authorization": f"Bearer {state.key}"}
    refused = httpx.post(where, json=body, headers=key, timeout=60, trust_env=False)
    assert refused.status_code == 400
    assert "domain" in refused.text


@pytest.mark.vllm
def test_a_kept_server_is_found_again(served: OpenJudge, bundle: JudgeBundle) -> None:
    before = serving_state.find_server(bundle)
    server = serving.ModelServer(bundle, keep=True)
    assert server.start() == before
    assert server.reused


@pytest.mark.vllm
async def test_the_shipped_judge_gives_its_golden_answers_on_the_server(own_files: Path, served: OpenJudge) -> None:
    shipped = JudgeBundle.find()
    assert shipped.golden is not None
    golden = load_golden(shipped.golden)
    server = serving.ModelServer(shipped)
    state = await asyncio.to_thread(server.start)
    try:
        judge, base = state.client(), state.client(base=True)
        report = await check_golden(judge, base, golden, limit=len(golden.requests))
        await judge.close()
        await base.close()
    finally:
        await asyncio.to_thread(server.stop)
    assert report.n == len(golden.requests)
    assert report.adapter_change is not None


async def test_the_shipped_judge_gives_its_golden_answers_in_this_process() -> None:
    shipped = JudgeBundle.find()
    assert shipped.golden is not None
    golden = load_golden(shipped.golden)
    client = LocalClient(shipped.base, shipped.adapter)
    report = await check_golden(client, client.without_adapter(), golden, limit=len(golden.requests))
    await client.close()
    assert math.isfinite(report.mean_abs_diff)
