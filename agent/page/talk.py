"""The conversation: what was said, what is being done now, the desk's question, and where one writes."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agent.page.composer import Composer
from agent.page.past import Exchange
from agent.turns import Sentence
from retriever.pages.frame import button, node

if TYPE_CHECKING:
    from nicegui.element import Element

    from agent.page.desk_page import DeskPage

_DID = re.compile(r"\[(\w+)(?:: (.*))?\]", re.DOTALL)


class Talk:
    """The pane on the left."""

    def __init__(self, page: DeskPage) -> None:
        self.page = page
        self.composer = Composer(page)
        self._steps: dict[str, float] = {}
        self._said: list[str] = []
        self._asks: Element | None = None
        self._under_way: str | None = None
        """What the turn under way is about."""

    def draw(self) -> None:
        """Build it again; what was being written stays."""
        pane = self.page.talk_pane
        pane.clear()
        with pane:
            self.log = node("div", classes="log", role="log", aria_label=self.page.say("tab_talk"), data_test="log")
            with self.log:
                for said in self.page.session.past:
                    self._exchange(said)
                if not self.page.session.past:
                    self._welcome()
                self.now = node("div", classes="now")
            self._question()
            self.composer.draw()
        if self._under_way is not None:
            self.begin(self._under_way)
        self._down()

    def _welcome(self) -> None:
        with node("div", classes="welcome"):
            node("p", self.page.say("welcome"), classes="big")
            node("p", self.page.say("welcome_more"), classes="soft")

    def _exchange(self, said: Exchange) -> None:
        page = self.page
        with node("div", classes="mine", data_turn=str(said.number)):
            self._told(said.text)
            with node("div", classes="past"):
                n = said.number
                if n < page.session.past[-1].number:
                    order = {"do": "back", "turn": n}
                    button(page.say("back_here"), "", lambda: page.ask(order=order, told=f"[back: {n}]"))
                button(page.say("branch_here"), "", lambda: page.guarded(self._branch(n)), data_test="branch")
        with node("div", classes="theirs"):
            turn = page.session.turn
            if turn is not None and turn.number == said.number and turn.sentences:
                self._reply(turn.sentences)
            else:
                node("p", said.zh if page.lang == "zh" else said.en, classes="said", lang=self._lang())

    def _reply(self, sentences: Sequence[Sentence]) -> None:
        """The last reply: its first sentence before the others; the question has a place of its own."""
        told = [s for s in sentences if not any(cite.startswith("question:") for cite in s.cites)]
        words = [s.zh if self.page.lang == "zh" else s.en for s in told]
        if words:
            node("p", words[0], classes="said lead", lang=self._lang())
        if words[1:]:
            node("p", ("" if self.page.lang == "zh" else " ").join(words[1:]), classes="said", lang=self._lang())

    def _told(self, text: str) -> None:
        """What the analyst said, or what a click did, in the page's language."""
        did = self.did(text)
        if did is None:
            node("p", text, classes="said")
        else:
            node("p", did, classes="did")

    def did(self, text: str) -> str | None:
        """What a click did, in words; None where the text was written."""
        found = _DID.fullmatch(text)
        if found is None:
            return None
        do, what = found[1], found[2] or ""
        if do == "limit":
            do = "lift" if what == "none" else "limit"
        if f"did_{do}" not in self.page.words.texts:
            return None
        if do == "compare":
            what = " / ".join(re.findall(r"\d+", what))
        for word in ("view_", "answer_", "length_"):
            if word + what in self.page.words.texts:
                what = self.page.say(word + what)
        return self.page.say(f"did_{do}", what=what)

    async def _branch(self, after: int) -> None:
        await self.page.session.branch(after)
        await self.page.opened()

    # --- a turn as it happens ---------------------------------------------------------------------------------------

    def begin(self, told: str) -> None:
        """A turn has begun."""
        page, self._steps, self._under_way = self.page, {}, told
        if self._asks is not None:
            self._asks.set_visibility(False)
        self.now.clear()
        with self.now:
            with node("div", classes="mine"):
                self._told(told)
            with node("div", classes="theirs busy", data_test="busy"):
                with node("div", classes="progress", role="status", aria_live="polite"):
                    node("span", classes="spinner", aria_hidden="true")
                    self.doing: Any = node("span", page.say("step_begin"), data_test="doing")
                self.done = node("ul", classes="done")
                self.reply: Any = node("p", "", classes="said", lang=self._lang(), data_test="streamed")
        self._said = []
        self.composer.working(True)
        self._down()

    def step(self, name: str, phase: str) -> None:
        """A step of the desk's graph begins or ends."""
        if phase == "started":
            self._steps[name] = time.monotonic()
            self.doing.set_text(self.page.say(f"step_{name}"))
        elif name in self._steps:
            took = time.monotonic() - self._steps[name]
            if took >= 0.05:
                self.note(f"{self.page.say(f'step_{name}')} · {self.page.say('seconds', s=f'{took:.1f}')}")

    def note(self, text: str) -> None:
        """One more line of what has been done."""
        with self.done:
            node("li", text)
        self._down()

    def sentence(self, data: dict[str, Any]) -> None:
        """One more sentence of the reply."""
        self._said.append(data[self.page.lang])
        self.reply.set_text(("" if self.page.lang == "zh" else " ").join(self._said))

    def over(self) -> None:
        """No turn is under way any more."""
        self._under_way = None

    def end(self) -> None:
        """The turn is over, however it ended."""
        self.over()
        self.composer.working(False)
        for busy in [e for e in self.now.descendants() if "busy" in e.classes]:
            busy.delete()

    def problem(self, what: str, why: str, *, retry: bool) -> None:
        """What went wrong, below the last turn."""
        page = self.page
        with self.now, node("div", classes="problem", role="alert", data_test="problem"):
            node("p", what, classes="verdict")
            if why != what:
                node("p", why, classes="said")
            if page.session.past:
                node("p", page.say("unchanged"), classes="soft")
            if retry:
                button(page.say("again"), "", page.again, data_test="again")
        self._down()

    def tell(self, text: str) -> None:
        """A remark that is no turn."""
        with self.now:
            node("p", text, classes="remark", role="status", data_test="remark")
        self._down()

    # --- the question and the composer ------------------------------------------------------------------------------

    def _question(self) -> None:
        page, turn = self.page, self.page.session.turn
        self._asks = None
        if turn is None or not turn.question:
            return
        asked = turn.question
        self._asks = node("div", classes="asks", data_test="question")
        with self._asks:
            node("p", page.say("question"), classes="soft")
            node("p", asked[page.lang], classes="verdict")
            node("p", asked["why"][page.lang], classes="soft")
            with node("div", classes="picks"):
                for answer in ("yes", "no", "unknown"):
                    key = answer[0]
                    button(
                        page.say(f"answer_{answer}"),
                        key,
                        lambda answer=answer: self.answer(answer),  # type: ignore[misc]
                        data_test=f"answer-{answer}",
                    )

    def answer(self, answer: str) -> None:
        """Yes, no or unknown to the desk's question; nothing where none is open."""
        if self._asks is not None and self._asks.visible:
            self.page.ask(order={"do": "answer", "answer": answer}, told=f"[answer: {answer}]")

    def focus(self) -> None:
        """The cursor goes to where one writes."""
        self.page.show_tab("talk")
        self.composer.area.run_method("focus")

    def _down(self) -> None:
        self.page.script(
            f"(() => {{ const e = getHtmlElement({self.log.id}); if (e) e.scrollTop = e.scrollHeight }})()"
        )

    def _lang(self) -> str:
        return "zh-CN" if self.page.lang == "zh" else "en"
