"""The real rating page in headless Chromium: simulated raters, breaks, kills, languages, hostile text."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from eval.rate.items import GRADES, SCALES, ItemClaim, RateItem
from eval.rate.plan import Plan, Rater, make_plan
from eval.rate.report import CLAIMS_RIGHT, report
from eval.rate.study import Study
from retriever.pages import driver
from retriever.pages.words import COMMON, load_words

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(driver.chromium_path() is None, reason="there is no Chromium to open the page with"),
]
Shared = tuple[Study, driver.Served]
ERRORS = {"anna": 0.05, "ben": 0.1, "cho": 0.2}
"""How often each simulated rater marks a claim the wrong way."""
QUALITY = {"system-one": 0.9, "system-two": 0.6, "system-three": 0.3}
"""How often each simulated system's claims are right."""
CASES, CLAIMS, BY_HAND = 60, 3, 5
"""``BY_HAND``: items that each rater does with the keyboard in the browser; the rest goes through the same store."""
HOSTILE = (
    '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script> '
    '{{constructor.constructor("window.pwned=1")()}}'
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with driver.chromium() as opened:
        yield opened


def png(colour: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 64), colour).save(out, "PNG")
    return out.getvalue()


def item(case: int, system: str, **more: Any) -> RateItem:
    words = {
        "id": f"i{case:03d}{system}", "system": system, "query_id": f"q{case}", "tile_id": f"t-r{case}c0",
        "lang": "en", "description": f"I stand by the church, place {case}.", "verdict": "match",
        "explanation": "They agree on the church, the park and the road. So they show the same place.",
        "claims": tuple(
            ItemClaim(id=f"e{n}", span=s, stance="supports")
            for n, s in enumerate(["the church", "the park", "the road"], 1)
        ),
        "location": f"place{case}", "picture": "plain", "boxed": "boxed",
    }  # fmt: skip
    return RateItem(**{**words, **more})


PICTURES = {"plain": png("white"), "boxed": png("green")}


def make(path: Path, lists: dict[str, list[RateItem]]) -> Study:
    """A study in which everybody's list is given."""
    items = {i.id: i for of in lists.values() for i in of}
    plan = Plan(
        assignments={name: tuple(i.id for i in of) for name, of in lists.items()},
        shared=frozenset(),
        checks=(),
        notes=(),
    )
    raters = [Rater(name=name) for name in lists]
    return Study.make(path / "study.sqlite", list(items.values()), PICTURES, raters, plan, {"seed": 1})


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


def opened(browser: Browser, link: str) -> Page:
    page = browser.new_page()
    page.goto(link)
    page.wait_for_selector("[data-test=place], [data-test=finished]")
    driver.connected(page)
    return page


def pressed(page: Page) -> dict[str, str]:
    """What the page shows as marked: field -> the pressed button's text."""
    found = page.eval_on_selector_all(
        "[data-field]",
        "rows => rows.map(r => [r.dataset.field, r.querySelector('[aria-pressed=true] span')?.innerText ?? ''])",
    )
    return {field: text for field, text in found if text}


def wait_pressed(page: Page, count: int) -> None:
    page.wait_for_function("n => document.querySelectorAll('[data-field] [aria-pressed=true]').length >= n", arg=count)


class Simulated:
    """What is true, and what each rater of known error will say; drawn once, before any page is open."""

    def __init__(self, study: Study) -> None:
        rng = random.Random(20)
        self.truth = {i.id: [rng.random() < QUALITY[i.system] for _ in i.claims] for i in study.items.values()}
        self.says = {
            name: {i: [t ^ (rng.random() < error) for t in truth] for i, truth in self.truth.items()}
            for name, error in ERRORS.items()
        }

    def grade(self, rater: str, item_id: str) -> int:
        """What the share of right claims is worth; ``cho`` is one grade milder where there is room."""
        share = mean(self.says[rater][item_id])
        return min(5, 1 + round(4 * share) + (rater == "cho"))

    def fields(self, rater: str, item_id: str) -> list[tuple[str, Any]]:
        marks = [(f"claim:e{n}", "right" if said else "wrong") for n, said in enumerate(self.says[rater][item_id], 1)]
        return marks + [(f"scale:{s}", self.grade(rater, item_id)) for s in SCALES]

    def keys(self, rater: str, item_id: str) -> str:
        marks = "".join("r" if said else "w" for said in self.says[rater][item_id])
        return marks + str(self.grade(rater, item_id)) * len(SCALES) + "n"

    def expected_alpha(self) -> float:
        """Nominal alpha of a large sample, from the error rates alone."""
        right = mean(QUALITY.values())
        pairs = [("anna", "ben"), ("anna", "cho"), ("ben", "cho")]
        observed = mean(ERRORS[a] * (1 - ERRORS[b]) + ERRORS[b] * (1 - ERRORS[a]) for a, b in pairs)
        says_right = mean(right * (1 - e) + (1 - right) * e for e in ERRORS.values())
        return 1 - observed / (2 * says_right * (1 - says_right))

    def drawn_alpha(self) -> float:
        """Nominal alpha of what was in fact drawn, by counting pairs."""
        votes = [sum(self.says[r][i][c] for r in ERRORS) for i in self.truth for c in range(CLAIMS)]
        n, ones = 3 * len(votes), sum(votes)
        observed = sum(2 * v * (3 - v) / 2 for v in votes) / n
        return 1 - observed / (2 * ones * (n - ones) / (n * (n - 1)))


def test_three_raters_of_known_error_give_the_known_agreement_and_ranking(browser: Browser, tmp_path: Path) -> None:
    items = [item(c, s) for c in range(CASES) for s in QUALITY]
    raters = [Rater(name=name) for name in ERRORS]
    plan = make_plan(items, raters, {}, {}, overlap=1, checks=0, seed=1)
    study = Study.make(tmp_path / "study.sqlite", items, PICTURES, raters, plan, {"seed": 1})
    known = Simulated(study)
    with driver.served(["rate", "--out", study.log.path, "--port", 0]) as server:
        pages = {name: opened(browser, server.links[name]) for name in ERRORS}
        lists = {name: [a.item for a in study.assignments(name)] for name in ERRORS}
        assert len({tuple(ids) for ids in lists.values()}) == 3
        for n in range(BY_HAND):
            # All three at once: one presses while the others' pages work.
            for name, page in pages.items():
                page.keyboard.type(known.keys(name, lists[name][n]))
            for page in pages.values():
                # A busy machine shows the next one late.
                page.wait_for_function(
                    "n => document.querySelector('[data-test=place]').innerText.startsWith(n + ' of')",
                    arg=str(n + 2),
                    timeout=120_000,
                )
        for name, page in pages.items():
            for i in lists[name][:BY_HAND]:
                marked = study.marked(name, i)
                got = [(f"claim:{c}", v) for c, v in sorted(marked.claims.items())]
                assert got + [(f"scale:{s}", marked.scales[s]) for s in SCALES] == known.fields(name, i)
            page.close()
    for name, ids in lists.items():
        for i in ids[BY_HAND:]:
            study.mark_all(name, i, known.fields(name, i))
    assert study.tampered() is None
    found = report(study)
    alpha = found.agreement["claims"]
    assert (alpha.units, alpha.items, alpha.raters) == (CASES * CLAIMS * 3, CASES * 3, 3)
    assert alpha.value == pytest.approx(known.drawn_alpha(), abs=1e-9)
    assert alpha.value == pytest.approx(known.expected_alpha(), abs=0.06)
    assert (alpha.low or 1) < known.expected_alpha() < (alpha.high or 0)
    assert [s.system for s in found.systems] == list(QUALITY)
    error = mean(ERRORS.values())
    for row in found.systems:
        share = row.scores[CLAIMS_RIGHT]
        quality = QUALITY[row.system]
        assert share is not None
        assert share.low < quality * (1 - error) + (1 - quality) * error < share.high
    assert all(change.low > 0 for change in found.paired.values())
    lenient = {r.rater: r.leniency or 0.0 for r in found.raters}
    assert max(lenient, key=lambda r: lenient[r]) == "cho"
    assert lenient["cho"] > 0.4


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


def test_nothing_that_was_shown_as_marked_is_lost_by_kill_9(browser: Browser, tmp_path: Path) -> None:
    eight = [item(c, "one") for c in range(8)]
    study = make(tmp_path, {"anna": eight, "ben": eight[::-1]})
    lists = {name: [a.item for a in study.assignments(name)] for name in ("anna", "ben")}
    command = ["rate", "--out", study.log.path, "--port", 0]
    with driver.served(command) as server:
        pages = {name: opened(browser, server.links[name]) for name in lists}
        # Several items one after the other, and the kill comes while marks are still under way: how many of them
        # were shown by then is the machine's affair, so one finished item is waited for and the rest is not.
        pages["ben"].keyboard.type("rwr3333n" * 2 + "wt")
        pages["anna"].keyboard.type("rrw1234n" * 3)
        pages["anna"].wait_for_function("!document.querySelector('[data-test=place]')?.innerText.startsWith('1 of')")
        pages["anna"].keyboard.type("twr5")
        server.kill()
        shown = {name: pressed(page) for name, page in pages.items()}
        place = {name: int(page.inner_text("[data-test=place]").split()[0]) for name, page in pages.items()}
    marks = {"Right": "right", "Wrong": "wrong", "Can't tell": "cant_tell"}
    assert place["anna"] > 1
    again = Study.open(study.log.path)
    for name, ids in lists.items():
        assert again.tampered() is None
        for i in ids[: place[name] - 1]:
            assert again.marked(name, i).finished
        held = again.marked(name, ids[place[name] - 1])
        for field, text in shown[name].items():
            kind, _, of = field.partition(":")
            assert (held.claims[of] == marks[text]) if kind == "claim" else (held.scales[of] == int(text))
    with driver.served(command) as server:
        page = opened(browser, server.links["anna"])
        page.keyboard.type("rrr1111n")
        page.wait_for_function("!document.querySelector('[data-test=place]')?.innerText.startsWith('1 of')")
        for old in pages.values():
            old.close()
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
