"""Model servers that were left running: how the next command finds them, and how they are ended.

A kept server has a state file (address, key, model) that only its user can read. Whoever finds one asks that address
whether it still serves the same model, by content hash.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from agent.serving_bundle import JudgeBundle
from agent.settings import Settings
from prompts.clients.http import OpenAIClient


@dataclass(frozen=True, kw_only=True)
class ServerState:
    """What the next command needs to find a running server."""

    pid: int
    """Of the watch, which is also the process group."""
    url: str
    """Without ``/v1``."""
    key: str
    base_model: str
    judge_model: str
    log: str
    beside: tuple[str, ...] = ()
    """Names of the other adapters that it serves."""

    def client(self, *, base: bool = False, model: str = "", concurrency: int = 16) -> OpenAIClient:
        """A client for the judge, for the base model without an adapter, or for another adapter by its name."""
        model = model or (self.base_model if base else self.judge_model)
        return OpenAIClient(f"{self.url}/v1", model, self.key, concurrency=concurrency, dialect="vllm")

    def answers(self) -> bool:
        """Whether this very server is up and offers these very models."""
        try:
            reply = httpx.get(
                f"{self.url}/v1/models", headers={"Authorization": f"Bearer {self.key}"}, timeout=10, trust_env=False
            )
            names = {entry["id"] for entry in reply.json()["data"]} if reply.status_code == 200 else set()
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return False
        return {self.base_model, self.judge_model, *self.beside} <= names


def state_path(bundle: JudgeBundle) -> Path:
    """Where the state of a kept server for this bundle lies."""
    return Settings().folder("servers") / f"{'+'.join([bundle.base_model, bundle.judge_model, *bundle.beside])}.json"


def find_server(bundle: JudgeBundle) -> ServerState | None:
    """The kept server of this bundle, if it answers."""
    state = _read_state(state_path(bundle))
    return state if state is not None and state.answers() else None


def begun_server(bundle: JudgeBundle) -> ServerState | None:
    """The kept server of this bundle that lives and does not answer yet, or is too busy to."""
    state = _read_state(state_path(bundle))
    return state if state is not None and is_watch(state.pid) else None


def kept_servers(settings: Settings | None = None) -> list[ServerState]:
    """Every kept server that lives, busy or not; state files of those that are gone are removed."""
    found = []
    for path in sorted((settings or Settings()).folder("servers").glob("*.json")):
        state = _read_state(path)
        if state is not None and is_watch(state.pid):
            found.append(state)
        else:
            path.unlink(missing_ok=True)
    return found


def is_watch(pid: int) -> bool:
    """Whether this process is a server's watch: its number may belong to another program by now."""
    if Path("/proc/self/cmdline").exists():
        try:
            return b"agent.serving_watch" in Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False
    shown = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return "agent.serving_watch" in shown.stdout


def stop_kept(settings: Settings | None = None) -> int:
    """Stop every kept server, of another data folder if ``settings`` name one. Returns how many there were."""
    servers = kept_servers(settings)
    for state in servers:
        stop_group(state.pid, None)
    kept_servers(settings)
    return len(servers)


def stop_group(pid: int, process: subprocess.Popen[bytes] | None, *, patience_s: float = 20.0) -> None:
    """End a watch and its process group: politely, then not."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(pid, number)
        except (ProcessLookupError, PermissionError):
            break
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline and _group_lives(pid, process):
            time.sleep(0.1)
    if process is not None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1)


def _group_lives(pid: int, process: subprocess.Popen[bytes] | None) -> bool:
    # A child of ours stays in the group as a zombie until it is waited for.
    if process is not None:
        process.poll()
    else:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
    try:
        os.killpg(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _read_state(path: Path) -> ServerState | None:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return ServerState(**(data | {"beside": tuple(data.get("beside", ()))}))
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def write_private(path: Path, data: dict[str, object]) -> None:
    """The key in it is for this user alone, from the first byte on."""
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        json.dump(data, out, indent=2)
    os.replace(part, path)
