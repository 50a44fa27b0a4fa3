"""The analyst's page in headless Chromium: a conversation, claims, two languages, hostile words, narrow screens."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from page_kit import MARKS, TEXT, Desk, asked_elsewhere, opened, say, serving, settled
from page_served import HOSTILE, KEYS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = MARKS
CHINESE = re.compile(r"[一-鿿]")


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


def test_keys_are_asked_for_and_threads_are_each_users_own(browser: Browser, page_folder: Path, desk: Desk) -> None:
    for locked in serving(page_folder, page_folder / "locked", "--keys"):
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
    assert asked_elsewhere(desk) == []
