"""What is done to the analyst's page by hand: boxes and heat, drawn areas, uploads, exports, threads, and keys."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from page_kit import MARKS, TEXT, Desk, asked_elsewhere, png, say, settled

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = MARKS


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


def test_nothing_done_by_hand_asked_any_other_machine(desk: Desk) -> None:
    """Last in this file: over everything that the pages above did."""
    if not desk.asked:
        pytest.skip("no page was opened before this test")
    assert asked_elsewhere(desk) == []
