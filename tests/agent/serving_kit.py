"""Bundles and servers for the tests of serving: files that look like a model's, and processes that only wait."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
LAYER = "base_model.model.model.layers.0.q_proj"
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


def tensors(path: Path, shapes: dict[str, list[int]]) -> None:
    """A safetensors file with zeros."""
    header, at = {}, 0
    for name, shape in shapes.items():
        size = 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(at))


def bundle(folder: Path) -> Path:
    """A bundle that looks like one: one layer and an adapter of rank 2 for it."""
    base, adapter = folder / "base", folder / "adapter"
    base.mkdir(parents=True)
    adapter.mkdir()
    (base / "config.json").write_text('{"text_config": {"max_position_embeddings": 512}}')
    (base / "tokenizer_config.json").write_text("{}")
    tensors(base / "model.safetensors", {"model.layers.0.q_proj.weight": [6, 4]})
    (adapter / "adapter_config.json").write_text('{"r": 2}')
    tensors(adapter / "adapter_model.safetensors", {f"{LAYER}.lora_A.weight": [2, 4], f"{LAYER}.lora_B.weight": [6, 2]})
    return folder
