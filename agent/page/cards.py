"""The candidates: verdict, confidence, how the evidence stands; and what speaks for none of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.ledger import decisive
from agent.phrasing import percent
from retriever.errors import SightlineError
from retriever.pages.frame import node, set_attribute
from retriever.types import Evidence

if TYPE_CHECKING:
    from nicegui.element import Element

    from agent.page.desk_page import DeskPage
    from agent.state import Json

_LOOKS = {"match": "yes", "no_match": "no", "cannot_tell": "maybe"}
_MOVED = 0.005
"""Changes of confidence below this are not worth a number."""


def verdict_mark(page: DeskPage, candidate: Json) -> None:
    """The verdict in a word, with a sign of its own for who cannot tell colours apart."""
    verdict = candidate.get("verdict")
    sign = {"match": "✓", "no_match": "✗", "cannot_tell": "?"}.get(str(verdict), "–")
    node("span", f"{sign} {page.say(f'v_{verdict}' if verdict else 'v_none')}",
         classes=f"chip {_LOOKS.get(str(verdict), 'soft')}", data_test="verdict")  # fmt: skip


def bar(p: float) -> None:
    """A probability as a bar."""
    with node("span", classes="meter", aria_hidden="true"):
        node("i", style=f"width: {100 * p:.1f}%")


class Cards:
    """The pane with the candidates."""

    def __init__(self, page: DeskPage) -> None:
        self.page = page
        self._made: dict[str, Element] = {}
        self._reasons: dict[str, Any] = {}

    async def draw(self) -> None:
        """As the session stands."""
        page, result = self.page, self.page.session.result
        pane = page.cards_pane
        pane.clear()
        self._made, self._reasons = {}, {}
        with pane:
            with node("div", classes="pane-top"):
                node("h2", page.say("candidates"))
            if result is None:
                node("p", page.say("no_candidates"), classes="soft pad")
                return
            self._problems(result)
            if result.get("order_note"):
                tongue = "zh-CN" if page.lang == "zh" else "en"
                node("p", result["order_note"][page.lang], classes="soft pad", lang=tongue, data_test="order-note")
            shown = max(result["shown"], 1)
            for candidate in result["candidates"][:shown]:
                await self._card(candidate)
            rest = result["candidates"][shown:]
            if rest:
                with node("details", classes="rest"):
                    node("summary", page.say("more_n", n=len(rest)))
                    for candidate in rest:
                        await self._card(candidate)
            self._nowhere(result)

    async def preview(self, candidates: list[Json], *, judged: bool) -> None:
        """Candidates of a turn that is still under way."""
        page = self.page
        page.cards_pane.clear()
        self._made, self._reasons = {}, {}
        with page.cards_pane:
            with node("div", classes="pane-top"):
                node("h2", page.say("candidates"))
            for candidate in candidates[: max(page.session.desk.context.top, 3)]:
                with node("div", classes="cand wait"):
                    await self._thumb(candidate["tile_id"])
                    with node("div", classes="cand-main"):
                        with node("div", classes="cand-head"):
                            node("b", str(candidate["rank"]), classes="rank")
                            node("span", page.say("v_wait"), classes="chip soft")
                            if judged and candidate["confidence"] is not None:
                                node("span", percent(candidate["confidence"]), classes="p")
                        self._reasons[candidate["tile_id"]] = node("p", "", classes="reason")

    def reason(self, data: Json) -> None:
        """A tile's reasons, as soon as they are there."""
        place, words = self._reasons.get(data["tile_id"]), data.get(self.page.lang)
        if place is not None and words:
            place.set_text(words)

    def mark(self) -> None:
        """Show which is large and which beside it."""
        for tile, made in self._made.items():
            set_attribute(made, "aria_pressed", "true" if tile == self.page.chosen else "false")
            made.classes(add="second" if tile == self.page.beside else "", remove="second")
            if tile == self.page.beside:
                made.classes(add="second")

    async def _card(self, candidate: Json) -> None:
        page, tile = self.page, candidate["tile_id"]
        made = node("button", classes="cand", type="button", data_test=f"card-{candidate['rank']}", data_tile=tile)
        made.on("click", lambda _: page.choose(tile))
        self._made[tile] = made
        with made:
            await self._thumb(tile)
            with node("span", classes="cand-main"):
                with node("span", classes="cand-head"):
                    node("b", str(candidate["rank"]), classes="rank")
                    verdict_mark(page, candidate)
                    self._confidence(candidate)
                bar(candidate["confidence"] or 0.0)
                node("span", self._tally(candidate), classes="soft")
                told = candidate["explanation"]
                if told and candidate["rank"] <= page.session.desk.context.top:
                    node("span", told[page.lang], classes="reason", lang="zh-CN" if page.lang == "zh" else "en")
        self.mark()

    def _confidence(self, candidate: Json) -> None:
        p, was = candidate["confidence"], self.page.session.before.get(candidate["tile_id"])
        label = self.page.say("confidence", p=percent(p))
        node("span", percent(p), classes="p", aria_label=label, title=label, data_test="confidence")
        if p is not None and was is not None and abs(p - was) >= _MOVED:
            up = p > was
            node("span", f"{'▲' if up else '▼'}{100 * abs(p - was):.0f}", classes=f"moved {'yes' if up else 'no'}")

    def _tally(self, candidate: Json) -> str:
        stances = [e.stance for e in decisive(Evidence.from_json(e) for e in candidate["evidence"]).values()]
        parts = [("for_n", "supports"), ("against_n", "contradicts"), ("open_n", "unknown")]
        return " · ".join(self.page.say(key, n=stances.count(s)) for key, s in parts if stances.count(s))  # type: ignore[arg-type]

    async def _thumb(self, tile: str) -> None:
        try:
            node("img", classes="thumb", alt="", src=await self.page.pictures.small(tile))
        except SightlineError:
            node("span", "?", classes="thumb", title=self.page.say("no_picture"))

    def _problems(self, result: Json) -> None:
        """Why the model judged some or none: once for each reason."""
        page, reasons = self.page, dict[str, list[str]]()
        for candidate in result["candidates"]:
            if candidate["error"]:
                reasons.setdefault(candidate["error"], []).append(str(candidate["rank"]))
        for why, ranks in reasons.items():
            everyone = len(ranks) == len(result["candidates"])
            who = page.say("all_of_them") if everyone else page.say("numbers", n=", ".join(ranks))
            with node("div", classes="problem", role="alert", data_test="not-judged"):
                node("p", f"{page.say('not_judged')} ({who})", classes="verdict")
                node("p", why, classes="said")
        for note in page.session.turn.notes if page.session.turn else ():
            with node("div", classes="problem mild", data_test="note"):
                node("p", page.say("note"), classes="verdict")
                node("p", note, classes="said")

    def _nowhere(self, result: Json) -> None:
        page = self.page
        with node("div", classes="nowhere"):
            for key in ("elsewhere", "outside"):
                p = result[f"{key}_probability"]
                node("span", page.say(key))
                bar(p)
                node("b", percent(p), data_test=key)
            sure = "calibrated" if result["confidence"]["calibrated"] else "uncalibrated"
            node("p", page.say(sure), classes="soft", title=result["confidence"]["note"])
