"""A page in headless Chromium: for the tests that drive the real pages and for the pictures in the documents.

Needs playwright, which comes with the ``dev`` extra, and a Chromium.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retriever.errors import SightlineError

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


def chromium_path() -> str | None:
    """``$SIGHTLINE_CHROMIUM``, else the first Chromium or Chrome on the path; None where there is none."""
    named = os.environ.get("SIGHTLINE_CHROMIUM")
    names = ("chromium", "chromium-browser", "google-chrome")
    return named or next((found for name in names if (found := shutil.which(name))), None)


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Raises ``SightlineError`` where there is no Chromium."""
    from playwright.sync_api import sync_playwright

    path = chromium_path()
    if path is None:
        raise SightlineError("there is no Chromium; install it, or name it in SIGHTLINE_CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


def connected(page: Page) -> None:
    """Wait until the page hears keys: what is pressed before its socket is open goes nowhere and marks nothing."""
    page.wait_for_function("window.did_handshake === true")


@dataclass
class Served:
    """A page that is being served by a process of its own."""

    process: subprocess.Popen[str]
    links: dict[str, str]

    def kill(self) -> None:
        """As the kernel would: nothing in the process gets to run any more."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextlib.contextmanager
def served(command: Sequence[str | Path]) -> Iterator[Served]:
    """``sightline <command> --json``, which prints its links first. Raises ``SightlineError`` where it ends instead."""
    # NiceGUI changes its ways under pytest; the real page is what is wanted.
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "NICEGUI_"))}
    words = [sys.executable, "-m", "retriever.main", *map(str, command), "--json"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=clean)
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise SightlineError(f"sightline {' '.join(map(str, command))} ended with {process.wait()}")
        said: dict[str, Any] = json.loads(line)
        yield Served(process, said["links"])
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process.stdout:
            process.stdout.close()
