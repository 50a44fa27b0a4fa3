"""Runs one model server and sees that it ends: ``python -m agent.serving_watch OPTIONS -- COMMAND...``.

It leads the process group. The server stops with it on a signal, when the process that wanted it is gone
(``--parent``), or when nothing was asked for a while (``--idle``). A server that crashes is started again.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from types import FrameType

POLL_S = 2.0
STOP_S = 15.0
RESTARTS = 3
HEALTHY_S = 60.0
"""A server that lived this long before it crashed is worth starting again."""


class Watch:
    def __init__(self, argv: list[str], *, url: str, idle: float, parent: int) -> None:
        self._argv = argv
        self._url = url
        self._idle = idle
        self._parent = parent
        self._stop = False
        self._calls = -1.0
        self._busy_at = time.monotonic()
        self._polled_at = 0.0

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        for _ in range(RESTARTS + 1):
            began = time.monotonic()
            child = subprocess.Popen(self._argv, stdin=subprocess.DEVNULL)
            code = self._watch(child)
            if self._stop or time.monotonic() - began < HEALTHY_S:
                return code
            print(f"the model server ended with code {code}; starting it again", flush=True)
        return 1

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stop = True

    def _watch(self, child: subprocess.Popen[bytes]) -> int:
        while not self._stop and child.poll() is None:
            time.sleep(POLL_S / 10)
            if time.monotonic() - self._polled_at > POLL_S:
                self._polled_at = time.monotonic()
                self._stop = self._stop or self._orphaned() or self._unused()
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(STOP_S)
            except subprocess.TimeoutExpired:
                child.kill()
        return child.wait()

    def _orphaned(self) -> bool:
        if not self._parent:
            return False
        try:
            os.kill(self._parent, 0)
        except ProcessLookupError:
            return True
        return False

    def _unused(self) -> bool:
        if not self._idle:
            return False
        calls = requests_served(self._url, os.environ.get("VLLM_API_KEY", ""))
        if calls != self._calls:
            self._calls, self._busy_at = calls, time.monotonic()
        return time.monotonic() - self._busy_at > self._idle


def requests_served(url: str, key: str) -> float:
    """How many requests the server has finished, by its own count; -1 while it does not say."""
    request = urllib.request.Request(f"{url}/metrics", headers={"Authorization": f"Bearer {key}"})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            text = answer.read(4_000_000).decode("utf-8", "replace")
    except (OSError, urllib.error.URLError, ValueError):
        return -1.0
    lines = [line for line in text.splitlines() if line.startswith("vllm:request_success_total")]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="agent.serving_watch", description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument(
        "--idle", type=float, default=0.0, help="seconds without a request after which it stops; 0: never"
    )
    parser.add_argument("--parent", type=int, default=0, help="process id with which it ends; 0: none")
    parser.add_argument("argv", nargs="+")
    options = parser.parse_args()
    code = Watch(options.argv, url=options.url, idle=options.idle, parent=options.parent).run()
    # Whatever the server left behind is in our group, and so are we.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(os.getpgrp(), signal.SIGTERM)
    return code


if __name__ == "__main__":
    sys.exit(main())
