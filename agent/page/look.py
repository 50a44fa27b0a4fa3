"""The tile large with its evidence, one or two side by side, and the ledger that moves everything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.ledger import decisive
from agent.page.cards import verdict_mark
from agent.page.ledger_rows import LedgerRows
from agent.phrasing import percent
from retriever.errors import SightlineError
from retriever.pages.frame import button, node, set_attribute
from retriever.types import Evidence

if TYPE_CHECKING:
    from nicegui.element import Element

    from agent.page.desk_page import DeskPage
    from agent.page.pictures import Heated
    from agent.state import Json

TEXT = "text"
"""Stands for the whole text among what has heat."""
_BESIDE = 9


class Look:
    """The pane with tile and ledger."""

    def __init__(self, page: DeskPage) -> None:
        self.page = page
        self.off: set[str] = set()
        """Claims whose box is switched off; all that have a place on a tile begin with one."""
        self.hot: set[str] = set()
        """Claims with heat, and :data:`TEXT`."""
        self.rows = LedgerRows(self)
        self._boxes: dict[str, list[Element]] = {}

    def forget(self) -> None:
        """Another thread has other claims."""
        self.off, self.hot = set(), set()
        self.rows.forget()

    async def draw(self) -> None:
        """As the session stands."""
        page = self.page
        pane = page.look_pane
        pane.clear()
        self._boxes = {}
        with pane:
            chosen = page.session.candidate(page.chosen)
            with node("div", classes="pane-top"):
                node("h2", page.say("evidence"))
                if chosen is not None:
                    self._asks(chosen)
            if chosen is None:
                node("p", page.say("no_tile"), classes="soft pad")
                return
            shown = [chosen]
            second = page.session.candidate(page.beside)
            if second is not None:
                shown.append(second)
            with node("div", classes=f"evidence n{len(shown)}"):
                with node("div", classes="tiles"):
                    for candidate in shown:
                        await self._tile(candidate)
                with node("div", classes="book"):
                    self.rows.draw(shown)

    def _asks(self, chosen: Json) -> None:
        page, rank = self.page, chosen["rank"]
        node("span", classes="grow")
        with node("label", classes="beside"):
            node("span", page.say("beside"))
            select = node("select", data_test="beside")
            with select:
                node("option", page.say("beside_none"), value="", selected=page.beside is None)
                for other in page.session.candidates[:_BESIDE]:
                    if other["tile_id"] != page.chosen:
                        name, tile = page.say("beside_n", n=other["rank"]), other["tile_id"]
                        node("option", name, value=tile, selected=page.beside == tile)
        select.on("change", lambda e: page.put_beside(str(e.args) or None), js_handler="(e) => emit(e.target.value)")
        second = page.session.candidate(page.beside)
        if second is not None:
            order = {"do": "compare", "ranks": [rank, second["rank"]]}
            told = f"[compare: {rank} / {second['rank']}]"
            button(page.say("differ"), "", lambda: page.ask(order=order, told=told), data_test="differ")
        do = "why" if rank == 1 else "why_not"
        ask = {"do": do, "rank": rank}
        button(page.say(do), "", lambda: page.ask(order=ask, told=f"[{do}: {rank}]"), data_test="why")

    # --- a tile -----------------------------------------------------------------------------------------------------

    async def _tile(self, candidate: Json) -> None:
        page, tile = self.page, candidate["tile_id"]
        with node("figure", classes="tile-card", data_test="tile", data_tile=tile):
            with node("figcaption", classes="cand-head"):
                node("b", str(candidate["rank"]), classes="rank")
                verdict_mark(page, candidate)
                node("span", percent(candidate["confidence"]), classes="p")
                node("span", f"{candidate['lat']:.5f}, {candidate['lon']:.5f}", classes="soft coords")
            heated, why = await self._heat(tile)
            with node("div", classes="picture"):
                await self._image(tile, heated)
                self._frames(candidate)
            if why:
                node("p", why, classes="note")
            if heated is not None:
                self._words(heated)
            self._reasons(candidate)

    async def _image(self, tile: str, heated: Heated | None) -> None:
        page = self.page
        try:
            url = heated.url if heated is not None else await page.pictures.large(tile)
            node("img", alt=tile, src=url, data_test="large")
        except SightlineError as error:
            node("p", f"{page.say('no_picture')} {error}", classes="note", data_test="no-picture")

    async def _heat(self, tile: str) -> tuple[Heated | None, str]:
        """The tile's heat for what is switched on, or why there is none."""
        if not self.hot:
            return None, ""
        result = self.page.session.result or {}
        spans = {c["id"]: c["span"] for c in self.page.session.claims}
        texts = tuple(result["text"] if h == TEXT else spans.get(h, "") for h in sorted(self.hot))
        try:
            return await self.page.pictures.heated(tile, tuple(t for t in texts if t.strip())), ""
        except SightlineError as error:
            return None, str(error)

    def _frames(self, candidate: Json) -> None:
        """A box for every claim that has a place on the tile and is not switched off."""
        for claim, item in decisive(Evidence.from_json(e) for e in candidate["evidence"]).items():
            if item.region is None or item.stance == "unknown":
                continue
            x0, x1 = sorted(min(max(v, 0.0), 1.0) for v in (item.region[0], item.region[2]))
            y0, y1 = sorted(min(max(v, 0.0), 1.0) for v in (item.region[1], item.region[3]))
            style = (
                f"left: {100 * x0:.2f}%; top: {100 * y0:.2f}%; "
                f"width: {100 * max(x1 - x0, 0.02):.2f}%; height: {100 * max(y1 - y0, 0.02):.2f}%"
            )
            made = node("div", classes=f"frame {item.stance}", style=style, data_claim=claim, data_test="frame")
            with made:
                node("span", claim)
            made.set_visibility(claim not in self.off)
            self._boxes.setdefault(claim, []).append(made)

    def _words(self, heated: Heated) -> None:
        with node("p", classes="heat-words", data_test="heat-words"):
            for text, share in heated.words:
                style = f"background: color-mix(in srgb, var(--hot) {100 * share:.0f}%, transparent)"
                node("span", text, style=style if share >= 0.1 else "")
        node("p", self.page.say("heat_how"), classes="soft")

    def _reasons(self, candidate: Json) -> None:
        page, told = self.page, candidate["explanation"]
        if told:
            lang = "zh-CN" if page.lang == "zh" else "en"
            node("p", told[page.lang], classes="said", lang=lang, data_test="explanation")
            node("p", page.say(f"by_{told['author']}"), classes="soft")
        if candidate.get("explanation_error"):
            node("p", candidate["explanation_error"], classes="soft said")

    # --- what is switched on, claim by claim ------------------------------------------------------------------------

    def toggle_box(self, claim: str | None = None) -> None:
        """One claim's box on all tiles shown; the cursor's, where none is named."""
        claim = claim or self.rows.here
        if claim is None:
            return
        self.off ^= {claim}
        for made in self._boxes.get(claim, []):
            made.set_visibility(claim not in self.off)
        self.rows.mark(claim)

    def toggle_all(self) -> None:
        """All boxes off, or all on where none is."""
        known = set(self._boxes)
        self.off = set() if known <= self.off else known
        for claim, boxes in self._boxes.items():
            for made in boxes:
                made.set_visibility(claim not in self.off)
            self.rows.mark(claim)

    async def toggle_heat(self, claim: str | None = None) -> None:
        """One claim's heat on all tiles shown."""
        claim = claim or self.rows.here
        if claim is None or not self.page.pictures.can_heat:
            return
        self.hot ^= {claim}
        self.rows.mark(claim)
        await self.draw()

    def lit(self, claim: str | None) -> None:
        """Bring out the boxes of the claim at which the cursor is."""
        for known, boxes in self._boxes.items():
            for made in boxes:
                made.classes(add="lit" if known == claim else "", remove="" if known == claim else "lit")

    def has_box(self, claim: str) -> bool:
        return claim in self._boxes

    def strike(self) -> None:
        """Strike out the cursor's claim, or bring it back."""
        self.rows.strike(self.rows.here)

    async def edit(self) -> None:
        await self.rows.edit(self.rows.here)

    def move(self, step: int) -> None:
        """The cursor through the ledger."""
        self.rows.move(step)

    async def next_beside(self) -> None:
        """The next candidate beside the chosen one; after the last, none."""
        page = self.page
        others: list[Any] = [c["tile_id"] for c in page.session.candidates[:_BESIDE] if c["tile_id"] != page.chosen]
        if not others:
            return
        order = [*others, None]
        at = order.index(page.beside) if page.beside in order else len(order) - 1
        await page.put_beside(order[(at + 1) % len(order)])

    def press(self, made: Element, on: bool) -> None:
        set_attribute(made, "aria_pressed", "true" if on else "false")
