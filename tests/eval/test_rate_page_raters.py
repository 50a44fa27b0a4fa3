"""Simulated raters on the real rating page: known error gives known agreement, and a kill loses no mark shown."""

from __future__ import annotations

import random
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

import pytest
from rate_page_kit import PICTURES, item, make, opened, pressed

from eval.rate.items import SCALES
from eval.rate.plan import Rater, make_plan
from eval.rate.report import CLAIMS_RIGHT, report
from eval.rate.study import Study
from retriever.pages import driver

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(driver.chromium_path() is None, reason="there is no Chromium to open the page with"),
]
ERRORS = {"anna": 0.05, "ben": 0.1, "cho": 0.2}
"""How often each simulated rater marks a claim the wrong way."""
QUALITY = {"system-one": 0.9, "system-two": 0.6, "system-three": 0.3}
"""How often each simulated system's claims are right."""
CASES, CLAIMS, BY_HAND = 60, 3, 5
"""``BY_HAND``: items that each rater does with the keyboard in the browser; the rest goes through the same store."""


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
