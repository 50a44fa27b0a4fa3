"""One way to a judge, wherever it runs: a server named by URL, our own vLLM server, or this process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from agent.serving import ModelServer, Say
from agent.serving_bundle import JudgeBundle
from agent.serving_flags import vllm_build, vllm_problem
from agent.serving_golden import Golden, GoldenReport, check_golden, load_golden
from agent.serving_state import ServerState
from prompts.clients.base import ChatClient
from retriever.errors import ServerUnavailable

Backend = Literal["auto", "vllm", "transformers"]
REQUIRE_VLLM = "SIGHTLINE_REQUIRE_VLLM"
"""Environment variable: set to 1, a judge that does not run on our vLLM server is an error."""


@dataclass(frozen=True, kw_only=True)
class OpenJudge:
    """A client that answers, and what stands behind it."""

    client: ChatClient
    backend: Literal["vllm", "transformers", "url"]
    label: str
    """For the screen: ``vLLM 0.32.0 (CPU) at http://127.0.0.1:41239, mini-judge-1a2b3c4d5e``."""
    golden: GoldenReport | None
    """None where there was nothing to compare with."""
    note: str
    """Why it is not the server that was wanted first; empty otherwise."""
    stop: Callable[[], None]
    """End what was started and is not kept."""
    taught: bool = False
    """Whether it is a bundle of ours with its adapter: one that was taught to be read behind each claim."""


def open_judge(
    bundle: JudgeBundle | None = None,
    *,
    backend: Backend = "auto",
    url: str | None = None,
    model: str | None = None,
    key: str = "",
    keep: bool = True,
    concurrency: int = 16,
    say: Say = lambda line: None,
) -> OpenJudge:
    """A judge that has shown its golden answers. Call it outside any event loop.

    ``auto`` is vLLM where it can run and this process elsewhere. Raises ``ServerUnavailable`` or ``ModelError``.
    """
    if url is not None:
        return _by_url(url, model, key, concurrency)
    bundle = bundle or JudgeBundle.find()
    problem = vllm_problem() if backend == "auto" else None
    if backend == "vllm" or (backend == "auto" and problem is None):
        return _by_vllm(bundle, keep, concurrency, say)
    if os.environ.get(REQUIRE_VLLM) == "1":
        raise ServerUnavailable(f"{REQUIRE_VLLM} is set, but the judge would run in process: {problem or backend}")
    return _in_process(bundle, problem or "", say)


def _by_vllm(bundle: JudgeBundle, keep: bool, concurrency: int, say: Say) -> OpenJudge:
    server = ModelServer(bundle, keep=keep, say=say)
    state = server.start()
    try:
        golden = verify(bundle, state)
    except BaseException:
        server.stop()
        raise
    build = vllm_build()
    version = f"{build[1]} ({build[0].upper()})" if build is not None else ""
    return OpenJudge(
        client=state.client(concurrency=concurrency),
        backend="vllm",
        label=f"vLLM {version} at {state.url}, {state.judge_model}",
        golden=golden,
        note="",
        stop=(lambda: None) if keep else server.stop,
        taught=bundle.adapter is not None,
    )


def _in_process(bundle: JudgeBundle, note: str, say: Say) -> OpenJudge:
    from importlib.metadata import version

    from prompts.clients.local import LocalClient

    say(f"loading {bundle.judge_model} into this process")
    client = LocalClient(bundle.base, bundle.adapter, name=bundle.judge_model)
    golden = _golden(bundle, client, client.without_adapter() if bundle.adapter is not None else None)
    return OpenJudge(
        client=client,
        backend="transformers",
        label=f"transformers {version('transformers')} in this process, {bundle.judge_model}",
        golden=golden,
        note=note,
        stop=lambda: asyncio.run(client.close()),
        taught=bundle.adapter is not None,
    )


def _by_url(url: str, model: str | None, key: str, concurrency: int) -> OpenJudge:
    from prompts.clients.http import OpenAIClient

    key = key or os.environ.get("SIGHTLINE_SERVER_KEY", "")
    name = model or os.environ.get("SIGHTLINE_SERVER_MODEL") or _only_model(url, key)
    client = OpenAIClient(url, name, key, concurrency=concurrency)
    return OpenJudge(client=client, backend="url", label=f"{name} at {url}", golden=None, note="", stop=lambda: None)


def _only_model(url: str, key: str) -> str:
    """The model that a server offers, if it offers one."""
    import httpx

    try:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        reply = httpx.get(f"{url.rstrip('/')}/models", headers=headers, timeout=10)
        names = [str(entry["id"]) for entry in reply.json()["data"]]
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise ServerUnavailable(f"{url} does not list its models ({type(error).__name__}); is it an /v1 URL?") from None
    if len(names) != 1:
        raise ServerUnavailable(f"{url} offers {len(names)} models; choose one with SIGHTLINE_SERVER_MODEL")
    return names[0]


def verify(bundle: JudgeBundle, state: ServerState) -> GoldenReport | None:
    """Have a server show the bundle's golden answers; None if the bundle has none. Raises ``ModelError``."""
    base = state.client(base=True) if bundle.adapter is not None else None
    return _golden(bundle, state.client(), base, [state.client(model=name) for name in bundle.beside])


def _golden(
    bundle: JudgeBundle, client: ChatClient, base: ChatClient | None, beside: Sequence[ChatClient] = ()
) -> GoldenReport | None:
    if bundle.golden is None:
        return None
    golden = load_golden(bundle.golden)
    return asyncio.run(_check(client, base, golden, beside))


async def _check(
    client: ChatClient, base: ChatClient | None, golden: Golden, beside: Sequence[ChatClient]
) -> GoldenReport:
    from prompts.clients.http import OpenAIClient

    try:
        return await check_golden(client, base, golden, beside=beside)
    finally:
        for each in (client, base, *beside):
            # An in-process client's base shares its thread, and both are still wanted.
            if isinstance(each, OpenAIClient):
                await each.close()
