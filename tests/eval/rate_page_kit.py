"""Studies for the rating page with made-up items and pictures, and the page opened and read."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from eval.rate.items import ItemClaim, RateItem
from eval.rate.plan import Plan, Rater
from eval.rate.study import Study
from retriever.pages import driver

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


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
