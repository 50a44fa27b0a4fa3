"""A page of rows: a cursor that keys move, a choice on each row, all words in two languages, help on a key."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from retriever.errors import SightlineError
from retriever.pages import frame
from retriever.pages.frame import button, node
from retriever.pages.log import Log
from retriever.pages.words import PageLang, Words

if TYPE_CHECKING:
    from nicegui.element import Element

KeyRow = tuple[Sequence[str], str]
"""Keys, and the entry of the words that says what they do."""


class Sheet(ABC):
    """One person's open page. ``fill`` builds it anew from what is on the disk; choices only change their buttons."""

    words: Words
    keys: Sequence[KeyRow]

    def __init__(self, log: Log, who: str) -> None:
        self.log, self.who = log, who
        self.lang: PageLang = "zh" if log.draft(who, "", "lang") == "zh" else "en"
        self.help = False
        self.at = 0
        self.rows: list[tuple[str, Element]] = []
        self.buttons: dict[tuple[str, object], Element] = {}

    @abstractmethod
    def fill(self) -> None:
        """Everything below the header; called inside the sheet."""

    @abstractmethod
    def progress(self) -> tuple[int | None, int, int]:
        """Which item is shown (from 0; None for none), how many there are, how many are done."""

    @abstractmethod
    def key(self, name: str) -> None:
        """What a key does that this class knows nothing of."""

    @abstractmethod
    def go(self, step: int) -> None:
        """To another item."""

    @abstractmethod
    def choose(self, field: str, value: object) -> None:
        """A button of a row was pressed."""

    def say(self, key: str, **values: object) -> str:
        return self.words(key, self.lang, **values)

    def build(self) -> None:
        """The whole page, inside the element that is open."""
        self.sheet = node("main", classes="sheet")
        self.draw()
        frame.listen(self._pressed)

    def draw(self) -> None:
        """From what is on the disk, in the page's language."""
        self.buttons, self.rows = {}, []
        self.sheet.clear()
        self.script(f"document.documentElement.lang = {'zh-CN' if self.lang == 'zh' else 'en'!r}")
        with self.sheet:
            self._header()
            self._help()
            self.fill()

    def _header(self) -> None:
        place, total, done = self.progress()
        with node("header", classes="top"):
            node("h1", self.say("title"))
            node("span", self.who, classes="soft")
            if place is not None:
                node("span", self.say("of", n=place + 1, total=total), classes="soft", data_test="place")
            self._tally = node("span", self.say("done_count", done=done), classes="soft", data_test="done")
            with node("div", classes="bar", aria_hidden="true"):
                self._bar = node("i", style=_width(done, total))
            node("span", classes="grow")
            other = "en" if self.lang == "zh" else "zh-CN"
            button(self.say("lang_other"), "l", self.switch, lang=other, data_test="lang")
            button(self.say("keys"), "?", self.toggle_help)

    def _help(self) -> None:
        self._help_card = node("section", classes="card" if self.help else "card hidden-now", data_test="keys")
        with self._help_card:
            frame.key_table([(keys, self.say(what)) for keys, what in self.keys])
            node("p", self.say("saved_note"), classes="soft")

    def steps(self) -> None:
        """The foot: back, next, and the line that says how things stand."""
        with node("footer", classes="foot steps"):
            button(self.say("previous"), "p", lambda: self.go(-1))
            button(self.say("next"), "n", lambda: self.go(1), classes="go")
            self._state = node("span", "", classes="soft", role="status", aria_live="polite", data_test="state")

    def row(self, field: str, label: str, *, tall: bool = False) -> Element:
        """A row that the cursor stops at."""
        classes = "row-card tall" if tall else "row-card"
        made = node("div", classes=classes, role="group", aria_label=label, data_field=field)
        self.rows.append((field, made))
        return made

    def pick(self, field: str, value: object, text: str, key: str, *, pressed: bool) -> None:
        """A choice of a row."""
        choose: Callable[[], None] = lambda: self.choose(field, value)  # noqa: E731
        self.buttons[field, value] = button(text, key, choose, aria_pressed="true" if pressed else "false")

    def press(self, field: str, value: object) -> None:
        """Show what stands for a row."""
        for (of, choice), made in self.buttons.items():
            if of == field:
                frame.set_attribute(made, "aria_pressed", "true" if choice == value else "false")

    def move_to(self, row: int, *, scroll: bool = True) -> None:
        """Put the cursor on a row."""
        self.at = max(0, min(len(self.rows) - 1, row))
        for n, (_, made) in enumerate(self.rows):
            made.classes(add="at" if n == self.at else "", remove="" if n == self.at else "at")
        if scroll and self.rows:
            row_id = self.rows[self.at][1].id
            self.script(f"getHtmlElement({row_id})?.scrollIntoView({{block: 'nearest'}})")

    def place_of(self, field: str) -> int:
        return next(n for n, (f, _) in enumerate(self.rows) if f == field)

    def written(self, write: Callable[[], object]) -> bool:
        """Write something; where that fails say so and leave the page as it was."""
        try:
            write()
        except (SightlineError, sqlite3.Error) as error:
            self.tell(self.say("not_saved", why=str(error)), "note")
            return False
        return True

    def tell(self, text: str, kind: Literal["soft", "note"] = "soft") -> None:
        """In the foot, and how many are done in the header."""
        self._state.set_text(text)  # type: ignore[attr-defined]
        self._state.classes(replace=kind)
        _, total, done = self.progress()
        self._tally.set_text(self.say("done_count", done=done))  # type: ignore[attr-defined]
        self._bar.style(replace=_width(done, total))

    def switch(self) -> None:
        """The whole page in the other language; the choice is kept."""
        self.lang = "en" if self.lang == "zh" else "zh"
        self.log.keep_draft(self.who, "", "lang", self.lang)
        at = self.at
        self.draw()
        if self.rows:
            self.move_to(at, scroll=False)

    def toggle_help(self) -> None:
        self.help = not self.help
        self._help_card.classes(add="" if self.help else "hidden-now", remove="hidden-now" if self.help else "")

    def to_top(self) -> None:
        self.script("window.scrollTo(0, 0)")

    def script(self, code: str) -> None:
        """Run a line in the browser; through the sheet, because the button that was pressed may be gone by now."""
        self.sheet.client.run_javascript(code)

    def _pressed(self, name: str) -> None:
        common: dict[str, Callable[[], None]] = {
            "l": self.switch,
            "?": self.toggle_help,
            "n": lambda: self.go(1),
            "p": lambda: self.go(-1),
        }
        if name in common:
            common[name]()
        elif name in ("j", "k") and self.rows:
            self.move_to(self.at + (1 if name == "j" else -1))
        else:
            self.key(name)


def _width(done: int, total: int) -> str:
    return f"width: {100 * done / max(total, 1):.0f}%"
