"""The header: where one is, and what concerns the whole page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.page import exports
from retriever.pages.frame import button, node, set_attribute

if TYPE_CHECKING:
    from agent.page.desk_page import DeskPage


class Head:
    """Title, thread, export, language, theme, keys."""

    def __init__(self, page: DeskPage) -> None:
        self.page = page

    def draw(self) -> None:
        """Build it again."""
        page, say = self.page, self.page.say
        page.header.clear()
        with page.header:
            node("h1", say("title"))
            self._gallery()
            node(
                "span",
                page.titled(page.session.title) or say("untitled"),
                classes="thread-title",
                data_test="thread-title",
            )
            node("span", classes="grow")
            button(say("new"), "", self._new, data_test="new")
            button(say("threads"), "o", page.drawers.threads, data_test="threads")
            self._export()
            other = "en" if page.lang == "zh" else "zh-CN"
            button(say("lang_other"), "l", page.switch, lang=other, data_test="lang")
            theme = button({"auto": "◐", "light": "☀", "dark": "☾"}[page.theme], "", page.next_theme)
            set_attribute(theme, "aria_label", say(f"theme_{page.theme}"))
            set_attribute(theme, "title", say(f"theme_{page.theme}"))
            set_attribute(theme, "data_test", "theme")
            button("?", "", page.drawers.keys, aria_label=say("keys"), title=say("keys"))
            if page.session.who.user:
                with node("form", method="post", action="/page/leave"):
                    node("button", say("leave"), type="submit")

    def _gallery(self) -> None:
        page = self.page
        desks = page.session.service.galleries(page.session.who)
        here = page.session.desk.context.gallery.id
        if len(desks) == 1:
            node("span", here, classes="soft gallery")
            return
        select = node("select", aria_label=page.say("gallery"), data_test="gallery")
        with select:
            for desk in desks:
                name = desk.context.gallery.id
                node("option", name, value=name, selected=name == here)
        # Another gallery is another page: its map and its thread begin anew.
        select.on("change", js_handler="(e) => { location.href = '/?gallery=' + encodeURIComponent(e.target.value) }")

    def _export(self) -> None:
        page = self.page
        with node("details", classes="menu", data_test="export"):
            node("summary", page.say("export"))
            with node("div", classes="menu-list"):
                for form in exports.FORMS:
                    button(
                        page.say(f"export_{form}"),
                        "",
                        lambda form=form: page.guarded(exports.save(page, form)),  # type: ignore[misc]
                        data_test=f"export-{form}",
                    )

    async def _new(self) -> None:
        self.page.session.fresh()
        await self.page.opened()
        self.page.talk.focus()
