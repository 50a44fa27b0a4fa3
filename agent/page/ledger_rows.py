"""The ledger as a table: every claim, what the tiles shown say of it, what it moved, and what can be done with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agent.phrasing import percent
from prompts.wording import claim_en, claim_zh
from retriever.pages.frame import button, node, set_attribute
from retriever.types import Claim, Evidence

if TYPE_CHECKING:
    from nicegui.element import Element

    from agent.page.look import Look
    from agent.state import Json

_SIGNS = {"supports": ("✓", "yes"), "contradicts": ("✗", "no"), "unknown": ("·", "soft")}


class LedgerRows:
    """Rows with a cursor."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self.page = look.page
        self.at = 0
        self.editing: str | None = None
        self.ids: list[str] = []
        self._rows: dict[str, Element] = {}
        self._box: dict[str, Element] = {}
        self._heat: dict[str, Element] = {}

    def forget(self) -> None:
        self.at, self.editing = 0, None

    @property
    def here(self) -> str | None:
        """The claim at the cursor."""
        return self.ids[self.at] if 0 <= self.at < len(self.ids) else None

    def draw(self, shown: Sequence[Json]) -> None:
        """The table, inside the element that is open."""
        page, say = self.page, self.page.say
        claims = [Claim.from_json(c) for c in page.session.claims]
        self.ids = [c.id for c in claims]
        self.at = max(0, min(self.at, len(claims) - 1))
        self._rows, self._box, self._heat = {}, {}, {}
        with node("div", classes="book-top"):
            node("h3", say("ledger"))
            node("span", say("mark_key"), classes="soft")
            node("span", classes="grow")
            button(say("boxes_all"), "a", self.look.toggle_all, data_test="all-boxes")
            if page.pictures.can_heat:
                from agent.page.look import TEXT

                made = button(say("heat_all"), "", lambda: self.look.toggle_heat(TEXT), data_test="heat-text")
                self.look.press(made, TEXT in self.look.hot)
                self._heat[TEXT] = made
        if not claims:
            node("p", say("ledger_empty"), classes="soft")
            return
        with node("table", classes="ledger", data_test="ledger"):
            self._head(shown)
            with node("tbody"):
                for claim in claims:
                    self._row(claim, shown)
        self._cursor(scroll=False)

    def _head(self, shown: Sequence[Json]) -> None:
        say = self.page.say
        with node("thead"), node("tr"):
            node("th", say("claim"), scope="col", colspan="2")
            for candidate in shown:
                node("th", f"{candidate['rank']}", scope="col", classes="mark", title=candidate["tile_id"])
            node("th", say("moved"), scope="col", title=say("moved_note"))
            node("th", "", scope="col")

    def _row(self, claim: Claim, shown: Sequence[Json]) -> None:
        say, standing = self.page.say, claim.status == "active"
        row = node("tr", classes="" if standing else "out", data_claim=claim.id, data_test=f"claim-{claim.id}")
        row.on("click", lambda: self._to(claim.id))
        self._rows[claim.id] = row
        with row:
            node("td", claim.id, classes="soft id")
            with node("td", classes="words"):
                if self.editing == claim.id:
                    self._editor(claim)
                else:
                    self._words(claim)
            for candidate in shown:
                with node("td", classes="mark", data_label=str(candidate["rank"])):
                    self._marks(claim, candidate)
            with node("td", classes="effect"):
                self._effect(claim)
            with node("td", classes="acts"):
                self._switches(claim)
                if claim.status != "corrected":
                    key = "strike" if standing else "restore"
                    button(say(key), "", lambda: self.strike(claim.id), data_test=f"strike-{claim.id}")
                    button(say("edit"), "", lambda: self.edit(claim.id), data_test=f"edit-{claim.id}")

    def _words(self, claim: Claim) -> None:
        say = self.page.say
        phrase = claim_zh if self.page.lang == "zh" else claim_en
        flags = [say(f"s_{claim.status}")] if claim.status != "active" else []
        flags += [say("s_hedge")] if claim.hedge else []
        flags += [say("s_asked")] if claim.asked else []
        node("span", phrase(claim), classes="phrase gone" if claim.status != "active" else "phrase")
        for flag in flags:
            node("span", flag, classes="flag")
        node("span", claim.span, classes="span")

    def _marks(self, claim: Claim, candidate: Json) -> None:
        """What map and picture say, each by itself, so that a disagreement shows."""
        say = self.page.say
        found = [Evidence.from_json(e) for e in candidate["evidence"] if e["claim_id"] == claim.id]
        if not found:
            node("span", "–", classes="soft")
        for item in sorted(found, key=lambda e: e.by):
            sign, look = _SIGNS[item.stance]
            by = say("by_map" if item.by == "map" else "by_tile")
            reason = f" ({say(f'r_{item.reason}')})" if item.reason else ""
            told = f"{by}: {say(f'm_{item.stance}')}{reason}"
            with node("span", classes=f"sign {look}", title=told, role="img", aria_label=told):
                node("span", sign)
                node("small", by)

    def _effect(self, claim: Claim) -> None:
        """The leader's confidence without the clue and with it."""
        result = self.page.session.result or {}
        effects: Json = result.get("effects") or {}
        clue = (effects.get("clues") or {}).get(claim.id)
        leader = self.page.session.candidate(effects.get("leader"))
        if clue is None or leader is None:
            node("span", "–", classes="soft")
            return
        up = clue["log_odds"] >= 0
        node("span", f"{percent(clue['without'])} → {percent(leader['confidence'])}",
             classes="yes" if up else "no", title=self.page.say("moved_note"))  # fmt: skip

    def _switches(self, claim: Claim) -> None:
        say, look = self.page.say, self.look
        phrase = (claim_zh if self.page.lang == "zh" else claim_en)(claim)
        box = button(say("box"), "", lambda: look.toggle_box(claim.id), classes="tiny", data_test=f"box-{claim.id}",
                     aria_label=say("box_of", what=phrase))  # fmt: skip
        if look.has_box(claim.id):
            look.press(box, claim.id not in look.off)
        else:
            set_attribute(box, "disabled", True)
            set_attribute(box, "title", say("no_box"))
        self._box[claim.id] = box
        if self.page.pictures.can_heat:
            heat = button(say("heat"), "", lambda: look.toggle_heat(claim.id), classes="tiny",
                          data_test=f"heat-{claim.id}", aria_label=say("heat_of", what=phrase))  # fmt: skip
            look.press(heat, claim.id in look.hot)
            self._heat[claim.id] = heat

    def mark(self, claim: str) -> None:
        """Show what is switched on for a claim."""
        if claim in self._box and self.look.has_box(claim):
            self.look.press(self._box[claim], claim not in self.look.off)
        if claim in self._heat:
            self.look.press(self._heat[claim], claim in self.look.hot)

    # --- what can be done -------------------------------------------------------------------------------------------

    def strike(self, claim: str | None) -> None:
        """Strike a claim out, or bring it back: a turn of the conversation."""
        known = next((c for c in self.page.session.claims if c["id"] == claim), None)
        if known is None or known["status"] == "corrected":
            return
        do = "strike" if known["status"] == "active" else "restore"
        self.page.ask(order={"do": do, "claim": claim}, told=f"[{do}: {claim}]")

    async def edit(self, claim: str | None) -> None:
        """Open the field in which a claim is said anew."""
        known = next((c for c in self.page.session.claims if c["id"] == claim), None)
        if known is not None and known["status"] != "corrected":
            self.editing = claim
            await self.look.draw()

    def _editor(self, claim: Claim) -> None:
        from nicegui import ui

        say = self.page.say
        field = ui.input(value=claim.span).props("outlined dense autofocus maxlength=2000").classes("edit-claim")
        field.props["aria-label"] = say("edit_label")

        async def cancel() -> None:
            self.editing = None
            await self.look.draw()

        async def save() -> None:
            words = str(field.value or "").strip()
            self.editing = None
            if words and words != claim.span:
                order = {"do": "edit", "claim": claim.id, "words": words}
                self.page.ask(order=order, told=f"[edit: {claim.id}, {words}]")
            else:
                await self.look.draw()

        field.on("keydown.enter", save)
        field.on("keydown.esc", cancel)
        with node("div", classes="picks"):
            button(say("save"), "", save, classes="go", data_test="save-claim")
            button(say("cancel"), "Esc", cancel)

    def move(self, step: int) -> None:
        self.at = max(0, min(self.at + step, len(self.ids) - 1))
        self._cursor()

    def _to(self, claim: str) -> None:
        self.at = self.ids.index(claim)
        self._cursor(scroll=False)

    def _cursor(self, *, scroll: bool = True) -> None:
        for claim, row in self._rows.items():
            row.classes(add="at" if claim == self.here else "", remove="" if claim == self.here else "at")
        self.look.lit(self.here)
        found: Any = self._rows.get(self.here or "")
        if scroll and found is not None:
            self.page.script(f"getHtmlElement({found.id})?.scrollIntoView({{block: 'nearest'}})")
