"""The analyst's page served by a process of its own, opened in a browser, and spoken to."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from retriever.pages import driver

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

MARKS = [
    pytest.mark.slow,
    pytest.mark.skipif(driver.chromium_path() is None, reason="there is no Chromium to open the page with"),
]
"""Of every file that opens the page."""
TEXT = "I am at a crossroads. There is a pharmacy to the north and a cafe. There is a church nearby."
WAIT = 15_000


@dataclass
class Desk:
    """A served page and what may be done to it."""

    url: str
    data: Path
    asked: list[str] = field(default_factory=list)
    """Everything that any page asked the network for."""

    def mood(self, mood: str) -> None:
        (self.data / "mode").write_text(mood)


def serving(folder: Path, data: Path, *more: str) -> Iterator[Desk]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "NICEGUI_"))}
    data.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(Path(__file__).with_name("page_served.py")), str(folder), "--data", str(data), *more]
    with (data / "errors").open("w") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=clean)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, (data / "errors").read_text()
        yield Desk(json.loads(line)["url"], data)
    finally:
        process.terminate()
        process.wait(20)
    assert "Traceback" not in (data / "errors").read_text(), (data / "errors").read_text()


def opened(browser: Browser, desk: Desk, path: str = "/", **options: Any) -> Page:
    """A page that was built, in English where nothing else is asked for; mishaps in it fail the test."""
    options = {"locale": "en-GB", "viewport": {"width": 1280, "height": 860}, **options}
    page = browser.new_context(**options).new_page()
    page.set_default_timeout(WAIT)
    page.on("request", lambda request: desk.asked.append(request.url))
    page.on("pageerror", lambda error: pytest.fail(f"the page broke: {error}"))
    page.goto(desk.url + path)
    page.wait_for_selector("[data-test=log]")
    page.wait_for_selector(".leaflet-tile-pane", state="attached")
    return page


def say(page: Page, text: str) -> None:
    """Writes, sends, and waits until the turn is over."""
    turns = page.locator(".mine[data-turn]").count()
    page.locator(".composer textarea").fill(text)
    page.locator(".composer textarea").press("Enter")
    settled(page, turns + 1)


def settled(page: Page, turns: int) -> None:
    page.wait_for_function("n => document.querySelectorAll('.mine[data-turn]').length === n", arg=turns)
    page.wait_for_selector("[data-test=desk]:not([aria-busy])")


def png(size: tuple[int, int] = (320, 320)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "#88aa66").save(out, "PNG")
    return out.getvalue()


def asked_elsewhere(desk: Desk) -> list[str]:
    """What the pages asked of any other machine than the desk's."""
    here = (desk.url, desk.url.replace("http", "ws", 1), "data:", "blob:")
    return [url for url in desk.asked if not url.startswith(here)]
