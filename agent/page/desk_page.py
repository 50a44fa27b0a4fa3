"""The analyst's page: a header, four panes, and what moves between them.

Panes know the page and each other only through it. Whatever others wrote (descriptions, explanations, names, errors) is
put into the page as text, never as markup; :func:`retriever.pages.frame.node` sees to that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.api.errors import told
from agent.page.cards import Cards
from agent.page.drawers import Drawers
from agent.page.head import Head
from agent.page.look import Look
from agent.page.talk import Talk
from agent.page.where import Where
from agent.turns import Event
from retriever.errors import SightlineError
from retriever.pages import frame
from retriever.pages.frame import button, node, set_attribute
from retriever.pages.words import COMMON, PageLang, load_words

if TYPE_CHECKING:
    from agent.page.app import House
    from agent.page.pictures import Pictures
    from agent.page.session import Session
    from agent.state import Json

log = logging.getLogger("sightline.page")
TABS = ("talk", "map", "cards", "look")
THEMES = ("auto", "light", "dark")


class DeskPage:
    """One open page."""

    words = load_words(COMMON, Path(__file__).with_name("words.yaml"))

    def __init__(self, house: House, session: Session, lang: str, theme: str) -> None:
        self.house, self.session = house, session
        self.lang: PageLang = "zh" if lang == "zh" else "en"
        self.theme = theme if theme in THEMES else "auto"
        self.chosen: str | None = None
        """Tile that is shown large."""
        self.beside: str | None = None
        """Tile that is shown next to it."""
        self._work: asyncio.Task[None] | None = None
        self._last: tuple[str, Json | None, str] | None = None
        self.head, self.talk, self.where = Head(self), Talk(self), Where(self)
        self.cards, self.look, self.drawers = Cards(self), Look(self), Drawers(self)

    # --- building ---------------------------------------------------------------------------------------------------

    def say(self, key: str, **values: object) -> str:
        return self.words(key, self.lang, **values)

    def titled(self, title: str) -> str:
        """A thread's name; one that a click gave it, in words."""
        return self.talk.did(title) or title

    @property
    def pictures(self) -> Pictures:
        return self.house.pictures_of(self.session.desk.context.gallery.id)

    async def build(self) -> None:
        """The whole page, inside the element that is open."""
        self.root = node("div", classes="desk show-talk", data_test="desk")
        with self.root:
            self.header = node("header", classes="desk-top")
            self.tabs = node("nav", classes="desk-tabs")
            with node("main", classes="desk-main"):
                self.talk_pane = node("section", classes="pane talk")
                with node("div", classes="field"):
                    self.map_pane = node("section", classes="pane map")
                    self.cards_pane = node("section", classes="pane cards")
                    self.look_pane = node("section", classes="pane look")
        self._dress()
        self.where.build()
        await self.draw()
        frame.listen(self.key)

    async def draw(self) -> None:
        """Everything again, in the page's language, as the session stands."""
        self._tabs()
        self.head.draw()
        self.talk.draw()
        self.where.draw()
        await self.moved()

    async def moved(self) -> None:
        """What a search moves: map, cards, tile, ledger."""
        if self.session.candidate(self.chosen) is None:
            self.chosen = self.session.candidates[0]["tile_id"] if self.session.candidates else None
        if self.session.candidate(self.beside) is None or self.beside == self.chosen:
            self.beside = None
        await self.cards.draw()
        await self.where.show()
        await self.look.draw()

    def _tabs(self) -> None:
        self.tabs.clear()
        with self.tabs:
            for tab in TABS:
                made = button(self.say(f"tab_{tab}"), "", lambda tab=tab: self.show_tab(tab), data_tab=tab)  # type: ignore[misc]
                set_attribute(made, "aria_pressed", "true" if f"show-{tab}" in self.root.classes else "false")

    def show_tab(self, tab: str) -> None:
        """On a narrow screen one pane is shown at a time."""
        self.root.classes(add=f"show-{tab}", remove=" ".join(f"show-{t}" for t in TABS if t != tab))
        self._tabs()
        if tab == "map":
            self.where.resized()

    def _dress(self) -> None:
        lang = "zh-CN" if self.lang == "zh" else "en"
        self.script(
            f"document.documentElement.lang = {lang!r}; document.documentElement.dataset.theme = {self.theme!r};"
            f"document.cookie = 'sightline_lang={self.lang}; path=/; max-age=31536000; SameSite=Strict';"
            f"document.cookie = 'sightline_theme={self.theme}; path=/; max-age=31536000; SameSite=Strict'"
        )

    def script(self, code: str) -> None:
        """Run a line in the browser. Never put anything into it that somebody wrote."""
        self.root.client.run_javascript(code)

    # --- choices ----------------------------------------------------------------------------------------------------

    async def switch(self) -> None:
        """The whole page, and what was said so far, in the other language."""
        self.lang = "en" if self.lang == "zh" else "zh"
        self._dress()
        await self.draw()

    def next_theme(self) -> None:
        self.theme = THEMES[(THEMES.index(self.theme) + 1) % len(THEMES)]
        self._dress()
        self.head.draw()

    async def choose(self, tile: str) -> None:
        """Show a candidate large."""
        if self.session.candidate(tile) is None:
            return
        self.chosen = tile
        if self.beside == tile:
            self.beside = None
        self.cards.mark()
        self.where.mark()
        await self.look.draw()

    async def put_beside(self, tile: str | None) -> None:
        """A second tile next to the first, or none."""
        self.beside = tile if tile != self.chosen else None
        self.cards.mark()
        await self.look.draw()

    async def opened(self) -> None:
        """After the session went to another thread."""
        self.chosen = self.beside = None
        self.look.forget()
        thread = self.session.thread or ""
        # Thread ids are hex digits, or were given at the command line; only the first kind goes into the address.
        address = f"/?thread={thread}" if thread.isalnum() and thread.isascii() else "/"
        self.script(f"history.replaceState(null, '', {address!r})")
        await self.draw()
        self.where.fit()

    # --- turns ------------------------------------------------------------------------------------------------------

    def ask(self, text: str = "", order: Json | None = None, *, told: str = "") -> None:
        """Begin a turn; ``told`` is how the conversation shows it. While one is under way none is begun."""
        if self.session.busy or (self._work is not None and not self._work.done()):
            self.talk.tell(self.say("busy"))
            return
        self._last = (text, order, told)
        self._work = asyncio.create_task(self._turn(text, order, told or text))

    def again(self) -> None:
        """The turn that failed, once more."""
        if self._last is not None:
            text, order, told = self._last
            self.ask(text, order, told=told)

    def stop(self) -> None:
        """Stop the turn that is under way; the desk undoes it."""
        if self._work is not None and not self._work.done():
            self._work.cancel()

    async def _turn(self, text: str, order: Json | None, shown: str) -> None:
        first = self.session.thread is None
        set_attribute(self.root, "aria_busy", "true")
        with self.root:
            self.talk.begin(shown)
            try:
                # Closed at once, whatever happens here: the thread's lock is held until it is.
                async with aclosing(self.session.run(text, order, self.lang)) as events:
                    async for event in events:
                        await self._heard(event)
            except asyncio.CancelledError:
                self.talk.over()
                self.talk.draw()
                self.talk.tell(self.say("stopped"))
                await self.moved()
            except SightlineError as error:
                self.complain(str(error), type(error).__name__)
            except Exception:
                log.exception("a turn failed unforeseen")
                self.complain(self.say("error_unforeseen"), "")
            self.talk.end()
            set_attribute(self.root, "aria_busy", False)
            if first and self.session.thread:
                self.script(f"history.replaceState(null, '', '/?thread={self.session.thread}')")

    async def _heard(self, event: Event) -> None:
        data = dict(event.data)
        if event.kind == "step":
            self.talk.step(data["name"], data["phase"])
        elif event.kind == "candidates":
            await self.cards.preview(data["candidates"], judged=data["stage"] == "judged")
            self.where.preview(data["candidates"])
        elif event.kind == "explanation":
            self.cards.reason(data)
            self.talk.note(self.say("reasons_for", n=data["rank"]))
        elif event.kind == "sentence":
            self.talk.sentence(data)
        elif event.kind == "turn":
            await self._finished()
        else:
            self.complain(data["message"], data["kind"])
            await self.moved()

    async def _finished(self) -> None:
        leader = self.session.candidates[0]["tile_id"] if self.session.candidates else None
        turn = self.session.turn
        if turn is not None and turn.kind == "search":
            self.chosen = leader
        self.talk.over()
        self.talk.draw()
        self.head.draw()
        await self.moved()
        if turn is not None and turn.kind == "search":
            self.where.fit()

    def complain(self, message: str, kind: str) -> None:
        """An error in plain words, with what was wrong in particular below it."""
        if self.session.who.user:
            # Others than the desk's own user need not learn where its folders lie.
            message = told(kind, message)[2]
        known = f"error_{kind}" if f"error_{kind}" in self.words.texts else "error_plain"
        self.talk.problem(self.say(known), message, retry=self._last is not None)

    async def guarded(self, work: Any) -> None:
        """Wait for something that may fail on purpose, and say so where it does."""
        try:
            await work
        except SightlineError as error:
            self._last = None
            self.complain(str(error), type(error).__name__)

    # --- keys -------------------------------------------------------------------------------------------------------

    async def key(self, name: str) -> None:
        """What a key does outside text fields."""
        if self.drawers.are_open:
            # What lies under a dialog is not to be moved by keys; Escape closes the dialog by itself.
            if name in ("?", "o"):
                self.drawers.shut()
            return
        if name.isdigit() and name != "0":
            listed = self.session.candidates
            if int(name) <= len(listed):
                await self.choose(listed[int(name) - 1]["tile_id"])
            return
        plain: dict[str, Callable[[], Any]] = {
            "/": self.talk.focus, "l": self.switch, "t": self.next_theme, "?": self.drawers.keys,
            "o": self.drawers.threads, "m": self.where.focus, "Escape": self.stop, "c": self.look.next_beside,
            "j": lambda: self.look.move(1), "k": lambda: self.look.move(-1), "b": self.look.toggle_box,
            "a": self.look.toggle_all, "h": self.look.toggle_heat, "x": self.look.strike, "e": self.look.edit,
            "y": lambda: self.talk.answer("yes"), "n": lambda: self.talk.answer("no"),
            "u": lambda: self.talk.answer("unknown"),
        }  # fmt: skip
        if name in plain:
            done = plain[name]()
            if asyncio.iscoroutine(done):
                await done
