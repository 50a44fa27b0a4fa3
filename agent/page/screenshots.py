"""Pictures of the page for the documents: ``python -m agent.page.screenshots [FOLDER]``.

Serves the demo's town (seed 7) with the shipped judge, has a conversation with it in headless Chromium, and writes
``desk*.png``. Needs what ``sightline serve`` needs, playwright and a Chromium.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from agent.demo import TEXT
from retriever.errors import SightlineError
from retriever.pages.driver import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

MOST_BYTES = 300_000
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 400, "height": 820}
_WAIT_MS = 400_000
_PATIENCE_S = 15.0
ASKED = "Why not the second one?"


def main() -> None:
    """The command."""
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images")
    out.mkdir(parents=True, exist_ok=True)
    # Ended by a signal, it still ends what it has started.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with tempfile.TemporaryDirectory() as data, served(Path(data)) as url, chromium() as browser:
        for path in pictures(browser, url, out):
            _shrink(path)
            sys.stdout.write(f"{path} {path.stat().st_size}\n")


@contextmanager
def served(data: Path) -> Iterator[str]:
    """``sightline serve`` over the demo's gallery, with threads of its own; nothing of it runs on afterwards.

    Raises ``SightlineError``.
    """
    from agent.serving_state import stop_kept
    from agent.settings import Settings

    env = {**os.environ, "SIGHTLINE_DATA_DIR": str(data), "COLUMNS": "300"}
    with subprocess.Popen(_command(), stderr=subprocess.PIPE, text=True, env=env) as process:
        try:
            yield _address(process)
        finally:
            _end(process)
            # The desk leaves its model server to the next command; none comes, and its folder goes.
            stop_kept(Settings(data_dir=data))


def _command() -> list[str]:
    from rich.console import Console

    from agent.demo import home, prepare
    from agent.settings import Settings

    settings = Settings()
    gallery = prepare(home(settings, None), Console(stderr=True), settings.encoder)
    return [sys.executable, "-m", "retriever.main", "serve", "--gallery", str(gallery), "--port", "0"]


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()


def _address(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        found = re.search(r"^serving .* at (http://[\d.:]+)", line)  # the judge's address is said before
        if found:
            return found[1]
    raise SightlineError(f"the desk was not served: {said.strip()[-500:]}")


def pictures(browser: Browser, url: str, out: Path) -> Iterator[Path]:
    """The conversation, and what it looks like on the way."""
    page = _opened(browser, url, viewport=WIDE, color_scheme="light", locale="en-GB")
    _say(page, TEXT)
    _say(page, ASKED)
    yield _shot(page, out / "desk.png")
    address = page.url
    _evidence(page)
    yield _shot(page, out / "desk_evidence.png")
    page.locator("[data-test=heat-text]").click()
    page.wait_for_selector("[data-test=heat-words]")
    page.locator("[data-test=beside]").select_option(index=0)
    page.wait_for_function("document.querySelectorAll('[data-test=tile]').length === 1")
    _down(page)
    yield _shot(page, out / "desk_heat.png")
    page.context.close()
    page = _opened(browser, address, viewport=WIDE, color_scheme="dark", locale="zh-CN")
    yield _shot(page, out / "desk_zh_dark.png")
    page.context.close()
    yield _narrow(browser, address, out)


def _narrow(browser: Browser, address: str, out: Path) -> Path:
    """Three panes of a narrow screen in one picture."""
    page = _opened(browser, address, viewport=NARROW, color_scheme="light", locale="en-GB")
    parts = []
    for tab in ("talk", "map", "look"):
        page.locator(f"[data-tab={tab}]").click()
        parts.append(Image.open(_shot(page, out / f".{tab}.png")).convert("RGB"))
        (out / f".{tab}.png").unlink()
    page.context.close()
    whole = Image.new("RGB", (sum(p.width for p in parts) + 16 * (len(parts) - 1), parts[0].height), "#888888")
    for number, part in enumerate(parts):
        whole.paste(part, (number * (part.width + 16), 0))
    path = out / "desk_narrow.png"
    whole.save(path)
    return path


def _opened(browser: Browser, url: str, **options: Any) -> Page:
    page = browser.new_context(**options).new_page()
    page.set_default_timeout(_WAIT_MS)
    page.goto(url)
    page.wait_for_selector("[data-test=log]")
    page.wait_for_function("document.querySelectorAll('.leaflet-tile-loaded').length > 0")
    return page


def _say(page: Page, text: str) -> None:
    turns = page.locator(".mine[data-turn]").count()
    page.locator(".composer textarea").fill(text)
    page.locator(".composer textarea").press("Enter")
    page.wait_for_function("n => document.querySelectorAll('.mine[data-turn]').length === n", arg=turns + 1)
    page.wait_for_selector("[data-test=desk]:not([aria-busy])")


def _evidence(page: Page) -> None:
    page.locator("[data-test=beside]").select_option(index=1)
    page.wait_for_function("document.querySelectorAll('[data-test=tile]').length === 2")
    _down(page)


def _down(page: Page) -> None:
    page.evaluate("document.querySelector('.pane.look').scrollIntoView()")


def _shot(page: Page, path: Path) -> Path:
    # Map tiles fade in, labels fade out.
    time.sleep(1.5)
    page.screenshot(path=str(path))
    return path


def _shrink(path: Path) -> None:
    """Fewer colours until the picture may go into the repository."""
    for colours in (0, 256, 128, 64):
        if colours:
            picture = Image.open(path).convert("RGB")
            picture.quantize(colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
                path, optimize=True
            )
        if path.stat().st_size < MOST_BYTES:
            return
    raise SightlineError(f"{path} has {json.dumps(path.stat().st_size)} bytes, more than {MOST_BYTES}")


if __name__ == "__main__":
    main()
