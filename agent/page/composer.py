"""Where one writes, attaches a picture, and asks for what takes no words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.api.limits import MAX_UPLOAD_BYTES
from retriever.errors import SightlineError
from retriever.pages.frame import button, node, set_attribute

if TYPE_CHECKING:
    from nicegui.events import GenericEventArguments, UploadEventArguments

    from agent.page.desk_page import DeskPage

VIEWS = ("ground", "panorama", "uav", "map")
MB = MAX_UPLOAD_BYTES // 1_000_000
_ENTER = """(e) => { if (e.key === 'Enter' && !e.shiftKey && !e.isComposing) { e.preventDefault();
  emit(e.target.value); } else if (e.key === 'Escape') { e.target.blur(); } }"""
"""An Enter that chooses among an input method's characters sends nothing."""


class Composer:
    """The foot of the conversation."""

    def __init__(self, page: DeskPage) -> None:
        self.page = page
        self.view = "ground"
        self.typed = ""

    def draw(self) -> None:
        """Inside the element that is open; what was being written stays."""
        from nicegui import ui

        page = self.page
        with node("div", classes="composer"):
            area = ui.textarea(value=self.typed, on_change=lambda e: setattr(self, "typed", str(e.value or "")))
            area.props("borderless autogrow").classes("write")
            area.props["placeholder"] = area.props["aria-label"] = page.say("composer")
            area.props["maxlength"] = 20_000
            area.props["input-class"] = "said"
            area.on("keydown", self._entered, js_handler=_ENTER)
            self.area = area
            with node("div", classes="tools"):
                self._attach()
                self._more()
                node("span", classes="grow")
                self.halt = button(page.say("stop"), "Esc", page.stop, data_test="stop")
                self.halt.set_visibility(page.session.busy)
                self.send = button(page.say("send"), "", lambda: self._send(self.typed), classes="go", data_test="send")
                self.send.set_visibility(not page.session.busy)

    def _attach(self) -> None:
        from nicegui import ui

        page = self.page
        upload = ui.upload(
            on_upload=self._uploaded, on_rejected=self._rejected, max_file_size=MAX_UPLOAD_BYTES, auto_upload=True
        )
        upload.props('accept=".png,.jpg,.jpeg,.webp"').classes("hidden-now")
        self.upload = upload
        with node("details", classes="menu up", data_test="attach"):
            node("summary", page.say("attach"))
            with node("div", classes="menu-list"):
                for view in VIEWS:
                    made = node("button", page.say(f"view_{view}"), type="button", data_test=f"attach-{view}")
                    # The browser opens its chooser only from within the click itself.
                    made.on(
                        "click",
                        lambda _, view=view: setattr(self, "view", view),
                        js_handler=f"() => {{ emit(); getElement({upload.id}).$refs.qRef.pickFiles(); }}",
                    )
                node("p", page.say("attach_note", mb=MB), classes="soft")

    def _more(self) -> None:
        page, turn = self.page, self.page.session.turn
        if turn is None or turn.result is None:
            return
        with node("details", classes="menu up", data_test="more"):
            node("summary", "⋯", aria_label=page.say("ask_me"))
            with node("div", classes="menu-list"):
                for do, key in (("ask", "ask_me"), ("uncertain", "uncertain"), ("elsewhere", "elsewhere_ask")):
                    button(page.say(key), "", lambda do=do: page.ask(order={"do": do}, told=f"[{do}]"))  # type: ignore[misc]
                node("p", page.say("length"), classes="soft")
                with node("div", classes="picks"):
                    for length in ("short", "usual", "long"):
                        made = button(page.say(f"length_{length}"), "", lambda length=length: self._length(length))  # type: ignore[misc]
                        set_attribute(made, "aria_pressed", "true" if turn.length == length else "false")

    def _length(self, length: str) -> None:
        self.page.ask(order={"do": "switch", "length": length}, told=f"[switch: {length}]")

    def _entered(self, event: GenericEventArguments) -> None:
        self._send(str(event.args or ""))

    def _send(self, text: str) -> None:
        if text.strip() and not self.page.session.busy:
            self.typed = ""
            self.area.set_value("")
            self.page.ask(text)

    async def _uploaded(self, event: UploadEventArguments) -> None:
        page, name = self.page, _short(event.file.name)
        self.upload.reset()
        try:
            if event.file.size() > MAX_UPLOAD_BYTES:
                raise SightlineError(page.say("upload_rejected", name=name, mb=MB))
            order = await page.session.attached(self.view, await event.file.read())
        except SightlineError as error:
            with page.root:
                page.talk.problem(page.say("upload_bad", name=name), str(error), retry=False)
            return
        page.ask(order=order, told=f"[image: {self.view}]")

    def _rejected(self) -> None:
        page = self.page
        page.talk.problem(
            page.say("error_plain"), page.say("upload_rejected", name=page.say("a_file"), mb=MB), retry=False
        )

    def working(self, busy: bool) -> None:
        """While a turn is under way one can stop it, and send nothing."""
        self.send.set_visibility(not busy)
        self.halt.set_visibility(busy)


def _short(name: str) -> str:
    return name if len(name) <= 60 else name[:40] + "…" + name[-16:]
