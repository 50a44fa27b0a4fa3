"""The judge's server: started on loopback, found again by the next command, stopped whole.

Each server runs under :mod:`agent.serving_watch`, which ends it when it is no longer wanted; one that is kept is found
again through :mod:`agent.serving_state`.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from agent.serving_bundle import JudgeBundle
from agent.serving_flags import command, environment, vllm_build, vllm_problem
from agent.serving_state import (
    ServerState,
    begun_server,
    find_server,
    is_watch,
    state_path,
    stop_group,
    write_private,
)
from agent.settings import Settings
from retriever.errors import ServerUnavailable

START_S = 480.0
IDLE_S = 1800.0
LOOPBACK = "127.0.0.1"
Say = Callable[[str], None]


class ModelServer:
    """A vLLM server for one bundle. ``with ModelServer(bundle) as server: server.state.client()``.

    ``keep``: other commands find it, it outlives this process, and stops after ``idle_s`` seconds without a request.
    ``bound``: it ends with this process all the same. ``prefix_caching``: off only to measure what it gains.
    """

    def __init__(
        self,
        bundle: JudgeBundle,
        *,
        port: int = 0,
        keep: bool = False,
        bound: bool = False,
        idle_s: float = IDLE_S,
        start_s: float = START_S,
        prefix_caching: bool = True,
        say: Say = lambda line: None,
    ) -> None:
        self.bundle = bundle
        self.reused = False
        self._port = port
        self._keep = keep
        self._bound = bound or not keep
        self._idle_s = idle_s
        self._start_s = start_s
        self._prefix_caching = prefix_caching
        self._say = say
        self._state: ServerState | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def state(self) -> ServerState:
        if self._state is None:
            raise ServerUnavailable("the model server has not been started")
        return self._state

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if not self._keep:
            self.stop()

    def start(self) -> ServerState:
        """Find the running server or start one, and wait until it is healthy. Raises ``ServerUnavailable``."""
        problem = vllm_problem()
        if problem is not None:
            raise ServerUnavailable(problem)
        with _only_one(state_path(self.bundle)):
            if self._keep and (found := find_server(self.bundle)) is not None:
                self._state, self.reused = found, True
                return found
            if self._keep and (begun := begun_server(self.bundle)) is not None:
                self._say("the model server is still starting, or busy; it is waited for")
                self._wait(begun)
                self._state, self.reused = begun, True
                return begun
            self._state = self._launch()
        return self._state

    def check(self) -> None:
        """Raises ``ServerUnavailable`` if the server that this process started has ended."""
        if self._process is not None and self._process.poll() is not None:
            raise ServerUnavailable(f"the model server ended: {_why(Path(self.state.log))}")

    def stop(self) -> None:
        """End the server and everything it started. Doing it twice is fine."""
        if self._state is not None:
            stop_group(self._state.pid, self._process)
        if self._keep:
            state_path(self.bundle).unlink(missing_ok=True)
        self._state = self._process = None

    def _launch(self) -> ServerState:
        build = vllm_build()
        assert build is not None
        port = self._port or free_port()
        key = secrets.token_urlsafe(24)
        log = Settings().folder("servers") / f"{self.bundle.judge_model}-{port}.log"
        url = f"http://{LOOPBACK}:{port}"
        inner = command(self.bundle, host=LOOPBACK, port=port, kind=build[0], prefix_caching=self._prefix_caching)
        owner = ["--idle", str(self._idle_s if self._keep else 0.0)]
        owner += ["--parent", str(os.getpid())] if self._bound else []
        argv = [sys.executable, "-m", "agent.serving_watch", "--url", url, *owner, "--", *inner]
        self._say(f"starting vLLM {build[1]} ({build[0].upper()}) with {self.bundle.judge_model}; log: {log}")
        with log.open("wb") as out:
            os.chmod(log, 0o600)
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=environment(key=key, kind=build[0]),
                cwd=Path(__file__).parent.parent,
                start_new_session=True,
            )
        state = ServerState(
            pid=self._process.pid,
            url=url,
            key=key,
            base_model=self.bundle.base_model,
            judge_model=self.bundle.judge_model,
            beside=tuple(self.bundle.beside),
            log=str(log),
        )
        if self._keep:
            # Before it answers: should this command be killed meanwhile, the server can still be found and stopped.
            write_private(state_path(self.bundle), asdict(state))
        self._wait(state)
        return state

    def _wait(self, state: ServerState) -> None:
        began = time.monotonic()
        try:
            while not state.answers():
                if not is_watch(state.pid) if self._process is None else self._process.poll() is not None:
                    raise ServerUnavailable(f"the model server ended while starting: {_why(Path(state.log))}")
                if time.monotonic() - began > self._start_s:
                    raise ServerUnavailable(
                        f"the model server was not ready after {self._start_s:.0f} s: {_why(Path(state.log))}"
                    )
                time.sleep(0.25)
        except BaseException:
            # Own: a failure or Ctrl-C must not leave it behind. Another command's: it may be in use, however long it
            # takes to answer us, so it is only forgotten, and only once it is gone.
            if self._process is not None:
                stop_group(state.pid, self._process)
            if self._keep and (self._process is not None or not is_watch(state.pid)):
                state_path(self.bundle).unlink(missing_ok=True)
            raise
        self._say(f"the model server is ready after {time.monotonic() - began:.0f} s")


def free_port() -> int:
    """A loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _only_one(path: Path) -> Iterator[None]:
    """Two commands started at once must not start two servers: the second waits, and finds the first's."""
    import fcntl

    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _why(log: Path, lines: int = 15) -> str:
    """The log's last lines, errors first if there are any."""
    text = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
    told = [line for line in text if "Error" in line or "error" in line][-3:] or text[-lines:]
    return "\n".join([*told, f"(the whole log: {log})"])
