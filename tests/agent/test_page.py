"""The analyst's page in headless Chromium: a conversation, clicks, pictures, two languages, keys, and hostile words."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from page_served import HOSTILE, KEYS
from PIL import Image

from retriever.pages import driver

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(driver.chromium_path() is None, reason="there is no Chromium to open the page with"),
]
TEXT = "I am at a crossroads. There is a pharmacy to the north and a cafe. There is a church nearby."
WAIT = 15_000
CHINESE = re.compile(r"[一-鿿]")


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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("town")


@pytest.fixture(scope="module")
def desk(folder: Path) -> Iterator[Desk]:
    yield from serving(folder, folder / "data")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with driver.chromium() as opened:
        yield opened


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


@pytest.fixture
def page(browser: Browser, desk: Desk) -> Iterator[Page]:
    desk.mood("")
    page = opened(browser, desk)
    yield page
    page.context.close()


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


def test_a_whole_conversation(page: Page, desk: Desk) -> None:
    page.wait_for_function("document.querySelectorAll('.leaflet-tile-loaded').length > 0")
    say(page, TEXT)
    assert page.locator("[data-test^=card-]").count() == 8
    assert page.locator("[data-test=ledger] tbody tr").count() == 4
    assert page.locator("path.leaflet-interactive, .leaflet-overlay-pane path").count() == 8
    assert page.locator(".leaflet-overlay-pane img").count() == 1
    # Labels of the first guess fade away.
    page.wait_for_function("document.querySelectorAll('.rank-label').length === 8")
    assert page.locator("[data-test=large]").evaluate("e => e.naturalWidth") == 448
    page.locator("[data-test=answer-no]").click()
    settled(page, 2)
    say(page, "Why not the second one?")
    assert page.locator(".theirs").last.inner_text().strip()
    page.locator("[data-test=card-2]").click()
    page.wait_for_selector("[data-test=card-2][aria-pressed=true]")
    page.locator("[data-test=why]").click()
    settled(page, 4)
    # What was said is kept, and comes back when the page is opened anew.
    address = page.url
    assert "thread=" in address
    page.reload()
    settled(page, 4)
    assert TEXT in page.locator(".mine").first.inner_text()


def confidences(page: Page) -> list[str]:
    return page.locator("[data-test^=card-] [data-test=confidence]").all_inner_texts()


def test_a_struck_claim_moves_everything_and_comes_back(page: Page) -> None:
    say(page, TEXT)
    before = confidences(page)
    effect = page.locator("[data-claim=c1] .effect").inner_text()
    page.locator("[data-test=strike-c1]").click()
    settled(page, 2)
    assert "out" in (page.locator("tr[data-claim=c1]").get_attribute("class") or "")
    # Of every card: rounded to whole percents, a single one may come out as it was.
    assert confidences(page) != before
    assert page.locator(".mine .did").last.inner_text() == "Struck out c1"
    assert page.locator("[data-claim=c1] .effect").inner_text() == "–" != effect
    # By key: the cursor stands on the first claim.
    page.locator("[data-test=ledger]").click(position={"x": 4, "y": 4})
    page.keyboard.press("x")
    settled(page, 3)
    assert "out" not in (page.locator("tr[data-claim=c1]").get_attribute("class") or "")
    assert page.locator("[data-claim=c1] .effect").inner_text() != "–"


def test_an_edited_claim_is_said_anew(page: Page) -> None:
    say(page, "There is a pharmacy here.")
    page.locator("[data-test=edit-c1]").click()
    page.locator(".edit-claim input").fill("a bakery")
    page.locator("[data-test=save-claim]").click()
    settled(page, 2)
    assert "corrected" in page.locator("tr[data-claim=c1]").inner_text()
    assert "bakery" in page.locator("tr[data-claim=c2]").inner_text()


def test_boxes_and_heat_are_switched_claim_by_claim(page: Page) -> None:
    say(page, TEXT)
    box = page.locator("[data-test^=box-]:not([disabled])").first
    claim = (box.get_attribute("data-test") or "").removeprefix("box-")
    frame = page.locator(f"[data-test=frame][data-claim={claim}]")
    assert frame.is_visible()
    box.click()
    frame.wait_for(state="hidden")
    plain = page.locator("[data-test=large]").get_attribute("src")
    page.locator("[data-test=heat-c1]").click()
    page.wait_for_selector("[data-test=heat-words]")
    assert page.locator("[data-test=large]").get_attribute("src") != plain
    assert "crossroads" in page.locator("[data-test=heat-words]").inner_text()
    page.locator("[data-test=heat-c1]").click()
    page.wait_for_selector("[data-test=heat-words]", state="detached")
    assert page.locator("[data-test=large]").get_attribute("src") == plain


def test_two_tiles_side_by_side(page: Page) -> None:
    say(page, TEXT)
    page.keyboard.press("Escape")
    page.locator("[data-test=beside]").select_option(index=1)
    page.wait_for_function("document.querySelectorAll('[data-test=tile]').length === 2")
    left, right = (page.locator("[data-test=tile]").nth(n).bounding_box() for n in (0, 1))
    assert left is not None
    assert right is not None
    assert right["x"] >= left["x"] + left["width"]
    assert page.locator("[data-test=ledger] thead th.mark").count() == 2
    page.locator("[data-test=differ]").click()
    settled(page, 2)
    assert "1 / 2" in page.locator(".mine .did").last.inner_text()


def test_an_area_drawn_on_the_map_limits_the_search(page: Page) -> None:
    say(page, TEXT)
    # The map first finishes moving to the candidates.
    page.wait_for_timeout(800)
    page.locator("[data-test=draw] summary").click()
    page.locator("[data-test=draw-polygon]").click()
    box = page.locator(".leaf").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for dx, dy in ((-90, -90), (90, -90), (0, 90), (-90, -90)):
        page.mouse.move(x + dx, y + dy, steps=3)
        page.mouse.click(x + dx, y + dy, delay=80)
    settled(page, 2)
    assert "an area that was drawn" in page.locator("[data-test=limits]").inner_text()
    assert page.locator(".mine .did").last.inner_text() == "Drew an area to search in"
    assert page.locator("[data-test^=card-]").count() < 8
    page.locator("[data-test=lift]").click()
    settled(page, 3)
    assert page.locator("[data-test=limits]").count() == 0


def test_a_picture_is_uploaded_and_a_bad_one_is_named(page: Page, tmp_path: Path) -> None:
    say(page, TEXT)
    page.locator("[data-test=attach] summary").click()
    with page.expect_file_chooser() as chooser:
        page.locator("[data-test=attach-uav]").click()
    chooser.value.set_files({"name": "roof.png", "mimeType": "image/png", "buffer": png()})
    settled(page, 2)
    assert page.locator(".mine .did").last.inner_text() == "Attached: Drone image"
    assert "only as rendered from maps" in page.locator("[data-test=note]").inner_text()
    page.locator("[data-test=attach] summary").click()
    with page.expect_file_chooser() as chooser:
        page.locator("[data-test=attach-ground]").click()
    chooser.value.set_files({"name": "evil<b>.png", "mimeType": "image/png", "buffer": b"\x89PNG\r\n\x1a\nnot one"})
    page.wait_for_selector("[data-test=problem]")
    assert "evil<b>.png" in page.locator("[data-test=problem]").inner_text()
    assert page.locator(".mine[data-turn]").count() == 2


def test_what_was_found_is_exported(page: Page) -> None:
    say(page, TEXT)
    made = {}
    for form, ending in (("geojson", "geojson"), ("json", "json"), ("case", "zip"), ("report", "pdf"), ("kml", "kml")):
        page.locator("[data-test=export] summary").click()
        with page.expect_download() as download:
            page.locator(f"[data-test=export-{form}]").click()
        assert download.value.suggested_filename.endswith(f".{ending}")
        made[form] = Path(download.value.path()).read_bytes()
        page.locator("[data-test=export] summary").click()
    footprints = [f for f in json.loads(made["geojson"])["features"] if f["geometry"]["type"] == "Polygon"]
    assert len(footprints) >= 8
    assert json.loads(made["json"])["turn"]["result"]["text"] == TEXT
    assert "candidates.geojson" in zipfile.ZipFile(io.BytesIO(made["case"])).namelist()
    assert made["report"].startswith(b"%PDF")


def test_the_whole_page_speaks_the_other_language(page: Page) -> None:
    say(page, TEXT)
    page.locator("[data-test=lang]").click()
    page.wait_for_function("document.documentElement.lang === 'zh-CN'")
    page.wait_for_function("document.querySelector('.field .look h2').innerText === '证据'")
    ours = page.locator(".desk button > span, .desk summary, .desk h2, .desk h3, .theirs p, .phrase, .chip")
    texts = [t.strip() for t in ours.all_inner_texts() if re.search(r"[A-Za-z]", t) or CHINESE.search(t)]
    foreign = [t for t in texts if not CHINESE.search(t) and t not in ("English", "GeoJSON", "KML")]
    assert texts
    assert foreign == []
    # It is remembered, and what is said next is answered in it.
    page.reload()
    settled(page, 1)
    page.wait_for_function("document.documentElement.lang === 'zh-CN'")
    say(page, "旁边还有一家银行")
    assert CHINESE.search(page.locator(".theirs").last.inner_text())
    page.keyboard.press("Escape")
    page.locator("h1").click()
    page.keyboard.press("l")
    page.wait_for_function("document.documentElement.lang === 'en'")


def test_threads_are_named_branched_and_opened(page: Page) -> None:
    say(page, TEXT)
    say(page, "There is also a bank.")
    page.locator(".mine").first.hover()
    page.locator("[data-test=branch]").first.click()
    settled(page, 1)
    branch = page.locator("[data-test=thread-title]").inner_text()
    assert branch.endswith("(1)")
    page.locator("[data-test=threads]").click()
    page.locator(".thread.here [data-test=rename-thread]").click()
    page.locator(".thread.here input").fill("The  north <b>side</b>")
    page.locator("[data-test=save-name]").click()
    page.wait_for_function("document.querySelector('[data-test=thread-title]').textContent === 'The north <b>side</b>'")
    # The list is drawn again after the name; only then is there a row to click.
    page.wait_for_selector(".thread.here input", state="detached")
    page.locator(".thread:not(.here)", has_text="turns: 2").locator("[data-test=open-thread]").first.click()
    settled(page, 2)


def test_everything_by_key(page: Page) -> None:
    page.keyboard.press("/")
    page.wait_for_function("document.activeElement.tagName === 'TEXTAREA'")
    page.keyboard.type(TEXT)
    page.keyboard.press("Enter")
    settled(page, 1)
    page.keyboard.press("Escape")
    page.keyboard.press("3")
    page.wait_for_selector("[data-test=card-3][aria-pressed=true]")
    page.keyboard.press("c")
    page.wait_for_function("document.querySelectorAll('[data-test=tile]').length === 2")
    page.keyboard.press("j")
    page.wait_for_selector("tr[data-claim=c2].at")
    page.keyboard.press("a")
    page.wait_for_function("[...document.querySelectorAll('[data-test=frame]')].every(e => !e.offsetParent)")
    page.keyboard.press("?")
    page.wait_for_selector("dl.keys")
    page.keyboard.press("?")
    page.wait_for_selector("dl.keys", state="detached")
    page.keyboard.press("m")
    page.wait_for_function("document.activeElement.classList.contains('leaf')")
    page.keyboard.press("u")
    settled(page, 2)
    assert page.locator(".mine .did").last.inner_text() == "Answered: Don't know"


def test_hostile_words_are_shown_as_text(page: Page, desk: Desk) -> None:
    desk.mood("hostile")
    say(page, f"There is a cafe. {HOSTILE}")
    page.wait_for_selector("[data-test=explanation]")
    assert HOSTILE in page.locator("[data-test=explanation]").inner_text()
    assert HOSTILE in page.locator(".mine").inner_text()
    assert page.evaluate("window.pwned") is None
    assert page.locator(".desk img[onerror], .desk script").count() == 0


def test_a_judge_that_is_down_is_told_in_plain_words(page: Page, desk: Desk) -> None:
    desk.mood("down")
    # What was judged before is kept; these words were not.
    say(page, "There is a school and a bank here.")
    told = page.locator("[data-test=not-judged]").inner_text()
    assert "Not judged by the model (all candidates)" in told
    assert "does not answer; start it again" in told
    assert page.locator("[data-test=verdict]").first.inner_text().endswith("Not judged")


def test_a_turn_shows_what_is_being_done_and_can_be_stopped(page: Page, desk: Desk) -> None:
    desk.mood("slow")
    page.locator(".composer textarea").fill("There is a bakery and a bank here.")
    page.locator(".composer textarea").press("Enter")
    page.wait_for_function(
        "document.querySelector('[data-test=doing]')?.innerText === 'Looking at the shortlisted tiles'"
    )
    assert page.locator(".cand.wait").count() == 3
    page.locator("[data-test=stop]").click()
    page.wait_for_selector("[data-test=remark]")
    assert page.locator(".mine[data-turn]").count() == 0
    desk.mood("")
    say(page, "There is a bakery and a bank here.")
    assert page.locator("[data-test^=card-]").count() == 8


def test_narrow_and_dark(browser: Browser, desk: Desk) -> None:
    desk.mood("")
    size = {"width": 400, "height": 800}
    page = opened(browser, desk, viewport=size, color_scheme="dark", locale="zh-CN")
    say(page, TEXT)
    assert page.evaluate("document.documentElement.lang") == "zh-CN"
    for tab in ("map", "cards", "look", "talk"):
        page.locator(f"[data-tab={tab}]").click()
        page.wait_for_selector(f".pane.{tab}:visible")
        assert page.locator(".pane:visible").count() == 1
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        wide = f".pane.{tab} *"
        over = page.locator(wide).evaluate_all(
            "all => all.filter(e => e.offsetParent && !e.closest('.leaf') && e.getBoundingClientRect().right > 401)"
            ".map(e => e.outerHTML.slice(0, 120))"
        )
        assert over == []

    def shade() -> int:
        text = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(int(n) for n in re.findall(r"\d+", text)[:3])

    assert shade() < 150
    page.locator("[data-test=theme]").click()
    page.wait_for_function("document.documentElement.dataset.theme === 'light'")
    assert shade() > 600
    page.context.close()


def test_keys_are_asked_for_and_threads_are_each_users_own(browser: Browser, folder: Path, desk: Desk) -> None:
    for locked in serving(folder, folder / "locked", "--keys"):
        page = browser.new_context(locale="en-GB").new_page()
        page.goto(locked.url + "/")
        page.locator("#key").fill("guess")
        page.locator("button[type=submit]").click()
        page.wait_for_selector("[role=alert]")
        assert page.locator("[data-test=desk]").count() == 0
        page.locator("#key").fill(KEYS["ann"])
        page.locator("button[type=submit]").click()
        page.wait_for_selector("[data-test=desk]")
        page.goto(locked.url + "/?thread=somebodyelses")
        page.wait_for_selector("[data-test=problem]")
        assert "no such" in page.locator("[data-test=problem]").inner_text()
        page.context.close()


def test_nothing_was_asked_of_any_other_machine(desk: Desk) -> None:
    """Last in this file: over everything that the pages above did."""
    if not desk.asked:
        pytest.skip("no page was opened before this test")
    here = (desk.url, desk.url.replace("http", "ws", 1), "data:", "blob:")
    assert [url for url in desk.asked if not url.startswith(here)] == []
