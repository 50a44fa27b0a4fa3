"""What opens over the page: the list of conversations, and the keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.turns import Thread
from retriever.errors import SightlineError
from retriever.pages.frame import button, key_table, node

if TYPE_CHECKING:
    from agent.page.desk_page import DeskPage

_KEYS = (
    (("/",), "k_write"), (("1", "9"), "k_pick"), (("c",), "k_beside"), (("j", "k"), "k_row"), (("b", "a"), "k_box"),
    (("h",), "k_heat"), (("x",), "k_strike"), (("e",), "k_edit"), (("y", "n", "u"), "k_answer"), (("m",), "k_map"),
    (("o",), "k_threads"), (("l",), "k_lang"), (("t",), "k_theme"), (("Esc",), "k_esc"), (("?",), "k_help"),
)  # fmt: skip


class Drawers:
    """Dialogs; the browser keeps the focus inside and closes them with Escape."""

    def __init__(self, page: DeskPage) -> None:
        self.page = page
        self._open: Any = None
        self._renaming: str | None = None
        self._deleting: str | None = None

    def _body(self) -> Any:
        """The open dialog's inside, emptied; opens one where there is none."""
        from nicegui import ui

        if self._open is None:
            with self.page.root:
                self._open = ui.dialog(value=True)
            self._open.on("hide", self.shut)
        self._open.clear()
        with self._open:
            return node("div", classes="drawer desk")

    @property
    def are_open(self) -> bool:
        return self._open is not None

    def shut(self) -> None:
        """Close what is open."""
        self._renaming = self._deleting = None
        if self._open is not None:
            dialog, self._open = self._open, None
            dialog.close()
            dialog.delete()

    def keys(self) -> None:
        """Show the keys, or close them."""
        if self._open is not None:
            self.shut()
            return
        with self._body():
            self._top("keys")
            key_table([(keys, self.page.say(what)) for keys, what in _KEYS])

    async def threads(self) -> None:
        """Show the conversations, or close them."""
        if self._open is not None:
            self.shut()
            return
        await self._list()

    async def _list(self) -> None:
        listed = await self.page.session.threads()
        with self._body() as body:
            body.props["data-test"] = "thread-list"
            self._top("threads")
            if not listed:
                node("p", self.page.say("no_threads"), classes="soft")
            for thread in listed[:200]:
                self._row(thread)

    def _top(self, title: str) -> None:
        with node("div", classes="pane-top"):
            node("h2", self.page.say(title))
            node("span", classes="grow")
            button(self.page.say("close"), "Esc", self.shut)

    def _row(self, thread: Thread) -> None:
        page, here = self.page, thread.id == self.page.session.thread
        with node("div", classes="thread here" if here else "thread", data_thread=thread.id):
            if self._renaming == thread.id:
                self._rename_field(thread)
                return
            with node("div", classes="what"):
                node("div", page.titled(thread.title), classes="name")
                about = [page.say("turns_n", n=thread.turns), thread.changed.replace("T", " ")[:16]]
                if thread.parent:
                    about.append(page.say("branched"))
                node("div", " · ".join(about), classes="soft")
            with node("div", classes="picks"):
                if self._deleting == thread.id:
                    button(page.say("delete_sure"), "", lambda: self._do(self._forget(thread.id)), classes="danger")
                    button(page.say("cancel"), "", lambda: self._again())
                    return
                button(page.say("open"), "", lambda: self._do(self._go(thread.id)), data_test="open-thread")
                button(page.say("rename"), "", lambda: self._again(renaming=thread.id), data_test="rename-thread")
                button(page.say("delete"), "", lambda: self._again(deleting=thread.id))

    def _rename_field(self, thread: Thread) -> None:
        from nicegui import ui

        page = self.page
        field = ui.input(value=thread.title).props("outlined dense autofocus maxlength=120").classes("grow")
        field.props["aria-label"] = page.say("rename")

        async def save() -> None:
            await page.session.rename(thread.id, str(field.value or ""))
            page.head.draw()
            await self._again()

        field.on("keydown.enter", lambda _: self._do(save()))
        button(page.say("save"), "", lambda: self._do(save()), classes="go", data_test="save-name")
        button(page.say("cancel"), "", lambda: self._again())

    async def _again(self, *, renaming: str | None = None, deleting: str | None = None) -> None:
        self._renaming, self._deleting = renaming, deleting
        await self._list()

    async def _go(self, thread: str) -> None:
        """Another conversation; of another gallery it is another page."""
        page = self.page
        desk, _ = await page.session.service.mine(page.session.who, thread)
        if desk.context.gallery.id != page.session.desk.context.gallery.id and thread.isalnum() and thread.isascii():
            page.script(f"location.href = '/?thread={thread}'")
            return
        await page.session.open(thread)
        self.shut()
        await page.opened()

    async def _forget(self, thread: str) -> None:
        was_here = thread == self.page.session.thread
        await self.page.session.forget(thread)
        if was_here:
            await self.page.opened()
        await self._again()

    async def _do(self, work: Any) -> None:
        try:
            await work
        except SightlineError as error:
            self.shut()
            self.page.complain(str(error), type(error).__name__)
