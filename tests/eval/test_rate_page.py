"""The real rating page in headless Chromium: reloads, languages, hostile text, keys, and who sees what."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rate_page_kit import item, make, opened, pressed, wait_pressed

from eval.rate.items import GRADES, SCALES, ItemClaim
from eval.rate.study import Study
from retriever.pages import driver
from retriever.pages.words import COMMON, load_words

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(driver.chromium_path() is None, reason="there is no Chromium to open the page with"),
]
Shared = tuple[Study, driver.Served]
HOSTILE = (
    '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script> '
    '{{constructor.constructor("window.pwned=1")()}}'
)


HOSTILE_ITEM = item(
    90, "one", description=HOSTILE, explanation=HOSTILE, claims=(ItemClaim(id="e1", span=HOSTILE, stance="supports"),)
)
CHINESE_ITEM = item(91, "one", description="教堂", explanation="有教堂。", claims=())
LISTS = {
    "reload": [item(c, "one") for c in range(3)],
    "left": [item(10, "one")],
    "right": [item(10, "one")],
    "blind": [item(c, s) for c in range(20, 22) for s in ("secret-name", "hidden-one")],
    "lang": [CHINESE_ITEM],
    "hostile": [HOSTILE_ITEM],
    "keys": [item(c, "one") for c in range(30, 32)],
    "first": [item(40, "one")],
    "second": [item(40, "one")],
}
"""Whom each test is, and what is on the list."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Study, driver.Served]]:
    """One study and one server for the tests that do not end it; each test is another rater."""
    from eval.rate.adjudicate import give_out

    study = make(tmp_path_factory.mktemp("study"), LISTS)
    for name, mark in (("first", "right"), ("second", "wrong")):
        marks = [(f"claim:e{n}", mark) for n in (1, 2, 3)] + [(f"scale:{s}", 3) for s in SCALES]
        study.mark_all(name, "i040one", marks)
    assert give_out(study, "judy") == {"i040one": "judy"}
    with driver.served(["rate", "--out", study.log.path, "--port", 0]) as server:
        yield study, server


def test_a_reload_in_the_middle_shows_what_was_marked(browser: Browser, shared: Shared) -> None:
    _, server = shared
    page = opened(browser, server.links["reload"])
    page.keyboard.type("rwt42")
    wait_pressed(page, 5)
    page.reload()
    page.wait_for_selector("[data-test=place]")
    driver.connected(page)
    assert pressed(page) == {
        "claim:e1": "Right", "claim:e2": "Wrong", "claim:e3": "Can't tell", "scale:correct": "4",
        "scale:complete": "2",
    }  # fmt: skip
    assert page.get_attribute(".at", "data-field") == "scale:clear"
    page.keyboard.type("55n")
    page.wait_for_function("document.querySelector('[data-test=place]').innerText.startsWith('2 of')")
    page.reload()
    page.wait_for_selector("[data-test=place]")
    driver.connected(page)
    assert page.inner_text("[data-test=place]") == "2 of 3"
    assert page.inner_text("[data-test=done]") == "1 done"
    page.close()


def test_two_raters_at_once_do_not_see_each_others_marks(browser: Browser, shared: Shared) -> None:
    study, server = shared
    anna, ben = (opened(browser, server.links[n]) for n in ("left", "right"))
    anna.keyboard.type("rrr")
    ben.keyboard.type("www")
    for page, text in ((anna, "Right"), (ben, "Wrong")):
        wait_pressed(page, 3)
        assert set(pressed(page).values()) == {text}
        page.close()
    strange = browser.new_page()
    strange.goto(server.links["left"][:-1] + "x")
    strange.wait_for_selector("main")
    assert "belongs to nobody" in strange.inner_text("main")
    assert "church" not in strange.content()
    strange.close()
    assert study.marked("left", "i010one").claims == dict.fromkeys(("e1", "e2", "e3"), "right")
    assert study.marked("right", "i010one").claims == dict.fromkeys(("e1", "e2", "e3"), "wrong")


def test_the_page_is_blind_and_fetches_nothing_from_elsewhere(browser: Browser, shared: Shared) -> None:
    _, server = shared
    seen: list[str] = []
    page = browser.new_page()
    page.on("request", lambda r: seen.append(r.url))
    page.on("websocket", lambda ws: ws.on("framereceived", lambda data: seen.append(str(data))))
    page.goto(server.links["blind"])
    driver.connected(page)
    page.keyboard.type("rrr5555n" * 4)
    page.wait_for_selector("[data-test=finished]")
    seen.append(page.content())
    page.close()
    everything = "\n".join(seen)
    assert "the church" in everything
    assert "secret-name" not in everything
    assert "hidden-one" not in everything
    urls = [s for s in seen if "://" in s[:12]]
    base = server.links["blind"].rpartition("/")[0]
    assert urls
    assert all(u.startswith((base, base.replace("http", "ws"))) for u in urls)


def test_the_whole_page_changes_its_language_and_stays_so(browser: Browser, shared: Shared) -> None:
    _, server = shared
    words = load_words(COMMON, Path("eval/rate/words.yaml").resolve())
    english = [t["en"] for k, t in words.texts.items() if len(t["en"]) > 3 and "{" not in t["en"] and k != "lang_other"]
    page = opened(browser, server.links["lang"])
    before = page.inner_text("main")
    assert [w for w in english if w in before]
    page.keyboard.type("3")
    wait_pressed(page, 1)
    page.keyboard.press("l")
    page.wait_for_function("document.documentElement.lang === 'zh-CN'")
    page.keyboard.press("?")
    page.wait_for_selector("[data-test=keys]:visible")
    after = page.inner_text("main")
    assert [w for w in english if w in after] == []
    assert "解释评分" in after
    assert pressed(page) == {"scale:correct": "3"}
    page.reload()
    page.wait_for_selector("[data-test=place]")
    driver.connected(page)
    assert "解释评分" in page.inner_text("main")
    page.click("[data-test=lang]")
    page.wait_for_function("document.documentElement.lang === 'en'")
    assert "Rating explanations" in page.inner_text("main")
    page.close()


def test_hostile_text_is_shown_as_text(browser: Browser, shared: Shared) -> None:
    _, server = shared
    page = browser.new_page()
    dialogs: list[str] = []
    page.on("dialog", lambda d: dialogs.append(d.message))
    page.goto(server.links["hostile"])
    driver.connected(page)
    page.wait_for_selector("[data-test=said]")
    page.keyboard.type("r")
    wait_pressed(page, 1)
    assert page.inner_text("[data-test=said]").strip() == HOSTILE
    assert page.evaluate("window.pwned") is None
    assert page.locator("main img").count() == 2
    assert page.locator("main script").count() == 0
    assert not dialogs
    page.close()


def test_every_control_is_reached_by_keyboard_and_names_its_key(browser: Browser, shared: Shared) -> None:
    _, server = shared
    page = opened(browser, server.links["keys"])
    wanted = page.locator("main button:visible").count()
    assert wanted == 3 * 3 + 4 * len(GRADES) + 5
    reached = set()
    for _ in range(wanted + 5):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.tagName === 'BUTTON' ? document.activeElement.id : ''"))
    assert len(reached - {""}) == wanted
    shortcuts = set(page.locator("main button kbd").all_inner_texts())
    assert shortcuts == {"r", "w", "t", "b", "n", "p", "l", "?"}
    # With a button in focus the shortcuts go on working, and a pressed button does what its key does.
    page.focus("[data-field='claim:e2'] button >> nth=1")
    page.keyboard.press("Enter")
    wait_pressed(page, 1)
    page.keyboard.type("r1")
    wait_pressed(page, 3)
    assert pressed(page) == {"claim:e2": "Wrong", "claim:e3": "Right", "scale:correct": "1"}
    page.keyboard.press("b")
    page.wait_for_function("document.querySelectorAll('img.tile.hidden-now').length === 1")
    shown = page.get_attribute("img.tile:not(.hidden-now)", "alt")
    assert shown == "Overhead tile"
    page.close()


def test_an_adjudicator_sees_what_the_others_said_and_a_rater_does_not(browser: Browser, shared: Shared) -> None:
    _, server = shared
    judy, anna = opened(browser, server.links["judy"]), opened(browser, server.links["first"])
    assert "Others said: Right · Wrong" in judy.inner_text("main")
    anna.keyboard.press("p")
    anna.wait_for_selector("[data-test=said]")
    assert "Others said" not in anna.inner_text("main")
    judy.close()
    anna.close()
