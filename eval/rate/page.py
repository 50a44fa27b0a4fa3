"""The rating page: one item at a time, every control with a key, every mark on the disk before it is shown."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from eval.rate.items import GRADES, MARKS, SCALES, ItemClaim, RateItem
from eval.rate.study import Assignment, Marked, Study
from retriever.errors import SightlineError
from retriever.pages import frame
from retriever.pages.frame import button, node
from retriever.pages.words import COMMON, PageLang, load_words

if TYPE_CHECKING:
    from fastapi import FastAPI
    from nicegui.element import Element

WORDS = load_words(COMMON, Path(__file__).with_name("words.yaml"))
CLAIM_KEYS = {"r": "right", "w": "wrong", "t": "cant_tell"}


class RatePage:
    """One rater's open page. Built anew for each item and language; marks only change the buttons they concern."""

    def __init__(self, study: Study, rater: str) -> None:
        self.study, self.rater = study, rater
        kept = study.log.draft(rater, "", "lang")
        self.lang: PageLang = "zh" if kept == "zh" else "en"
        self.boxes = True
        self.help = False
        self.at = 0
        self.place = self._first_open()
        self.buttons: dict[tuple[str, object], Element] = {}
        self.rows: list[tuple[str, Element]] = []

    def _first_open(self) -> int | None:
        """The first item that is not finished; None where all are."""
        self.list: list[Assignment] = self.study.assignments(self.rater)
        self.done = {m.item for m in self.study.all_marked(rater=self.rater) if m.finished}
        return next((n for n, a in enumerate(self.list) if a.item not in self.done), None)

    def say(self, key: str, **values: object) -> str:
        return WORDS(key, self.lang, **values)

    def build(self) -> None:
        """The whole page, inside the element that is open."""
        self.sheet = node("main", classes="sheet")
        self.draw()
        frame.listen(self.key)

    def draw(self) -> None:
        """The current item, from what is on the disk."""
        self.buttons, self.rows = {}, []
        self.sheet.clear()
        frame.show_language(self.lang)
        with self.sheet:
            self._top()
            self._keys()
            if self.place is None:
                self._finished()
                return
            item = self.item
            self.study.mark(self.rater, item.id, "shown", True)
            marked = self.study.marked(self.rater, item.id)
            with node("div", classes="two"):
                with node("section", classes="stay"):
                    self._shown(item)
                with node("section"):
                    self._asked(item, marked)
            self._foot()
        open_fields = self.study.missing(self.rater, item.id)
        self.move_to(next((n for n, (f, _) in enumerate(self.rows) if f in open_fields), 0), scroll=False)
        self._count()

    @property
    def item(self) -> RateItem:
        return self.study.items[self.list[self.place or 0].item]

    def _top(self) -> None:
        total = len(self.list)
        with node("header", classes="top"):
            node("h1", self.say("title"))
            node("span", self.rater, classes="soft")
            if self.place is not None:
                node("span", self.say("of", n=self.place + 1, total=total), classes="soft", data_test="place")
            self.tally = node("span", self.say("done_count", done=len(self.done)), classes="soft", data_test="done")
            with node("div", classes="bar", aria_hidden="true"):
                self.bar = node("i", style=f"width: {100 * len(self.done) / max(total, 1):.0f}%")
            node("span", classes="grow")
            button(self.say("lang_other"), "l", self.switch, lang="en" if self.lang == "zh" else "zh", data_test="lang")
            button(self.say("keys"), "?", self.toggle_help, aria_expanded="true" if self.help else "false")

    def _keys(self) -> None:
        self.help_card = node("section", classes="card" if self.help else "card hidden-now", data_test="keys")
        with self.help_card:
            rows = [
                (("r", "w", "t"), "key_claim"), (("1", "…", "5"), "key_scale"), (("j", "k"), "key_move"),
                (("n", "p"), "key_next"), (("b",), "key_boxes"), (("l",), "key_lang"), (("?",), "key_help"),
            ]  # fmt: skip
            frame.key_table([(keys, self.say(what)) for keys, what in rows])
            node("p", self.say("saved_note"), classes="soft")

    def _shown(self, item: RateItem) -> None:
        with node("div", classes="card"):
            node("h2", self.say("description"))
            node("p", item.description, classes="said")
        with node("div", classes="card"):
            node("h2", self.say("tile"))
            boxed = item.boxed != item.picture
            self.pictures = {
                shown: node(
                    "img", classes="tile", alt=self.say("tile_boxed" if shown else "tile_alt"), src=self._png(sha)
                )
                for shown, sha in ((True, item.boxed), (False, item.picture))[: 2 if boxed else 1]
            }
            if boxed:
                with node("div", classes="foot", style="margin-top: 8px"):
                    pressed = "true" if self.boxes else "false"
                    self.box_button = button(self.say("boxes_shown"), "b", self.toggle_boxes, aria_pressed=pressed)
                    node("span", self.say("legend"), classes="soft")
                self._show_boxes()
            else:
                node("p", self.say("no_boxes"), classes="soft")
            node("p", self.say("attribution"), classes="soft")

    def _png(self, sha256: str) -> str:
        return frame.png_url(self.study.picture(sha256))

    def _asked(self, item: RateItem, marked: Marked) -> None:
        with node("div", classes="card"):
            node("h2", self.say("verdict"))
            verdict = self.say("says", verdict=self.say(item.verdict)) if item.verdict else self.say("says_nothing")
            node("p", verdict, classes="verdict")
            node("p", item.explanation, classes="said", lang="zh-CN" if item.lang == "zh" else "en", data_test="said")
        with node("div", classes="card"):
            node("h2", self.say("claims"))
            if not item.claims:
                node("p", self.say("no_claims"), classes="soft")
            with node("div", classes="rows"):
                for claim in item.claims:
                    self._claim(claim, marked)
        with node("div", classes="card"):
            node("h2", self.say("scales"))
            with node("div", classes="rows"):
                for scale in SCALES:
                    self._scale(scale, marked)

    def _row(self, field: str, label: str) -> Element:
        row = node("div", classes="row-card", role="group", aria_label=label, data_field=field)
        self.rows.append((field, row))
        return row

    def _claim(self, claim: ItemClaim, marked: Marked) -> None:
        field = f"claim:{claim.id}"
        with self._row(field, claim.span):
            with node("div", classes="what"):
                node("div", claim.span)
                if claim.stance:
                    node("div", self.say(f"stance_{claim.stance}"), classes="soft")
                self._others(field)
            with node("div", classes="picks"):
                for key, mark in CLAIM_KEYS.items():
                    self._pick(field, mark, self.say(mark), key, marked.claims.get(claim.id) == mark)

    def _scale(self, scale: str, marked: Marked) -> None:
        field = f"scale:{scale}"
        with self._row(field, self.say(scale)):
            with node("div", classes="what"):
                node("div", self.say(scale))
                node("div", self.say(f"{scale}_what"), classes="soft")
                self._others(field)
            with node("div", classes="picks"):
                for grade in GRADES:
                    self._pick(field, grade, str(grade), "", marked.scales.get(scale) == grade)

    def _pick(self, field: str, value: object, text: str, key: str, pressed: bool) -> None:
        made = button(text, key, self._marks(field, value), aria_pressed="true" if pressed else "false")
        self.buttons[field, value] = made

    def _marks(self, field: str, value: object) -> Callable[[], None]:
        return lambda: self.mark(field, value)

    def _others(self, field: str) -> None:
        """What the others said, for an adjudicator only."""
        if self.list[self.place or 0].role != "adjudicator":
            return
        what, _, name = field.partition(":")
        said = [
            m.claims.get(name) if what == "claim" else m.scales.get(name)
            for m in self.study.all_marked(item=self.item.id)
            if m.role == "rater"
        ]
        shown = [self.say(s) if s in MARKS else str(s) for s in said if s is not None]
        node("div", self.say("others_said", said=" · ".join(shown)), classes="soft")

    def _foot(self) -> None:
        with node("footer", classes="foot steps"):
            button(self.say("previous"), "p", lambda: self.go(-1))
            button(self.say("next"), "n", lambda: self.go(1), classes="go")
            self.state = node("span", "", classes="soft", role="status", aria_live="polite", data_test="state")

    def _finished(self) -> None:
        with node("section", classes="card"):
            key = "finished" if self.list else "nothing"
            node("p", self.say(key, name=self.rater, total=len(self.list)), role="status", data_test="finished")
            if self.list:
                button(self.say("look_again"), "p", lambda: self.go(-1))

    def mark(self, field: str, value: object) -> None:
        """Write a mark; the button changes only when it is on the disk."""
        item = self.item
        try:
            self.study.mark(self.rater, item.id, field, value)
        except (SightlineError, sqlite3.Error) as error:
            self._tell(self.say("not_saved", why=str(error)), "note")
            return
        for (f, v), made in self.buttons.items():
            if f == field:
                frame.set_attribute(made, "aria_pressed", "true" if v == value else "false")
        if not self.study.missing(self.rater, item.id):
            self.done.add(item.id)
        here = next(n for n, (f, _) in enumerate(self.rows) if f == field)
        self.move_to(min(here + 1, len(self.rows) - 1))
        self._count()

    def _count(self) -> None:
        missing = len(self.study.missing(self.rater, self.item.id))
        self._tell(
            self.say("open_marks", n=missing) if missing else f"{self.say('complete_item')} · {self.say('saved')}"
        )
        self.tally.set_text(self.say("done_count", done=len(self.done)))  # type: ignore[attr-defined]
        self.bar.style(replace=f"width: {100 * len(self.done) / max(len(self.list), 1):.0f}%")

    def _tell(self, text: str, kind: Literal["soft", "note"] = "soft") -> None:
        self.state.set_text(text)  # type: ignore[attr-defined]
        self.state.classes(replace=kind)

    def move_to(self, row: int, *, scroll: bool = True) -> None:
        """Put the cursor on a row."""
        for n, (_, made) in enumerate(self.rows):
            made.classes(add="at" if n == row else "", remove="" if n == row else "at")
        self.at = row
        if scroll and self.rows:
            frame.show_row(self.rows[row][1])

    def go(self, step: int) -> None:
        """The next or the previous item; past the last one the first that is still open."""
        if self.place is None:
            self.place = len(self.list) - 1 if self.list else None
        elif 0 <= self.place + step < len(self.list):
            self.place += step
        elif step > 0:
            self.place = self._first_open()
        self.draw()
        frame.script("window.scrollTo(0, 0)")

    def switch(self) -> None:
        """The whole page in the other language; the choice is kept."""
        self.lang = "en" if self.lang == "zh" else "zh"
        self.study.log.keep_draft(self.rater, "", "lang", self.lang)
        at = self.at
        self.draw()
        if self.place is not None:
            self.move_to(at, scroll=False)

    def toggle_help(self) -> None:
        self.help = not self.help
        self.help_card.classes(add="" if self.help else "hidden-now", remove="hidden-now" if self.help else "")

    def toggle_boxes(self) -> None:
        if len(self.pictures) == 2:
            self.boxes = not self.boxes
            frame.set_attribute(self.box_button, "aria_pressed", "true" if self.boxes else "false")
            self._show_boxes()

    def _show_boxes(self) -> None:
        for shown, picture in self.pictures.items():
            hide = shown != self.boxes
            picture.classes(add="hidden-now" if hide else "", remove="" if hide else "hidden-now")

    def key(self, name: str) -> None:
        """What a key does; keys without a meaning here do nothing."""
        simple: dict[str, Callable[[], None]] = {"l": self.switch, "?": self.toggle_help, "p": lambda: self.go(-1)}
        if name in simple:
            simple[name]()
        elif self.place is None:
            return
        elif name == "n":
            self.go(1)
        elif name == "b":
            self.toggle_boxes()
        elif name in ("j", "k"):
            self.move_to(max(0, min(len(self.rows) - 1, self.at + (1 if name == "j" else -1))))
        else:
            self._mark_by_key(name)

    def _mark_by_key(self, name: str) -> None:
        field = self.rows[self.at][0]
        if field.startswith("claim:") and name in CLAIM_KEYS:
            self.mark(field, CLAIM_KEYS[name])
        elif field.startswith("scale:") and name.isdecimal() and int(name) in GRADES:
            self.mark(field, int(name))


def rate_app(study: Study) -> FastAPI:
    """One application for all raters; each has an address with a code of their own."""
    from nicegui import ui

    def pages() -> None:
        @ui.page("/{code}", response_timeout=30)
        def rate(code: str) -> None:
            rater = study.rater(code)
            if rater is None:
                with node("main", classes="sheet"):
                    for lang in ("en", "zh"):
                        node("p", WORDS("wrong_link", lang), classes="card")
                return
            RatePage(study, rater).build()

    return frame.make_app(pages, title="Sightline")
