"""The revision page: pictures side by side, what both annotators said, and one decision after the other, by key."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from PIL import Image

from finetune.annotate.queue import Answer, QueueImage, QueueItem
from finetune.annotate.revise.board import Board, Decision
from finetune.annotate.revise.things import ThingRow, annotators
from prompts.wording import claim_en, claim_zh
from retriever.pages import frame
from retriever.pages.frame import button, node
from retriever.pages.sheet import Sheet
from retriever.pages.words import COMMON, load_words

if TYPE_CHECKING:
    from fastapi import FastAPI

VERDICT_KEYS = {"m": "match", "d": "no_match", "o": "drop"}
DO_KEYS = {"a": "accept", "e": "edit", "x": "reject"}
PICTURE_SIDE = 900
MAX_PIXELS = 60_000_000


class RevisePage(Sheet):
    """One reviser's open page."""

    words = load_words(COMMON, Path(__file__).with_name("words.yaml"))
    keys = (
        (("a", "e", "x"), "key_decide"), (("m", "d", "o"), "key_verdict"), (("u",), "key_undo"),
        (("Ctrl+Enter", "Esc"), "key_save"), (("j", "k"), "key_move"), (("n", "p"), "key_next"),
        (("l",), "key_lang"), (("?",), "key_help"),
    )  # fmt: skip

    def __init__(self, board: Board, who: str) -> None:
        super().__init__(board.log, who)
        self.board = board
        self.ids = list(board.items)
        # Unfinished text comes first: it is what a closed page was left at.
        unfinished = [i for i in board.log.drafted(who) if i in board.items]
        self.here = unfinished[0] if unfinished else board.next_open(who)
        self.editing: str | None = None
        self.typed = ""

    def progress(self) -> tuple[int | None, int, int]:
        place = None if self.here is None else self.ids.index(self.here)
        return place, len(self.ids), sum(self.board.done(i) for i in self.ids)

    @property
    def item(self) -> QueueItem:
        return self.board.items[self.here or ""]

    def fill(self) -> None:
        if self.here is None:
            self._finished()
            return
        item, decided = self.item, self.board.decisions(self.here)
        with node("div", classes="two"):
            with node("section", classes="stay"):
                self._shown(item)
                self._why(item)
            with node("section"):
                self._said(item)
                self._decide(item, decided)
        self.steps()
        missing = self.board.missing(item.id)
        self.move_to(next((n for n, (f, _) in enumerate(self.rows) if f in missing), 0), scroll=False)
        self._count()

    def _shown(self, item: QueueItem) -> None:
        with node("div", classes="card"), node("div", classes="pair"):
            for picture in item.images:
                with node("figure", style="margin: 0"):
                    name = self.say(f"role_{picture.role}")
                    url = self._picture(picture)
                    if url:
                        node("img", classes="tile", alt=name, src=url)
                    else:
                        node("p", self.say("no_picture"), classes="note")
                    node("figcaption", name, classes="soft")
        if item.query:
            with node("div", classes="card"):
                node("h2", self.say("witness"))
                node("p", item.query, classes="said")

    def _picture(self, picture: QueueImage) -> str | None:
        """None where it is missing, damaged, too large or outside the queue's folder."""
        path = (self.board.folder / picture.path).resolve()
        if not path.is_relative_to(self.board.folder.resolve()):
            return None
        try:
            with Image.open(path, formats=("PNG", "JPEG", "WEBP")) as opened:
                if opened.width * opened.height > MAX_PIXELS:
                    return None
                small = opened.convert("RGB")
                small.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
                return frame.data_url(small)
        except (OSError, ValueError, Image.DecompressionBombError):
            return None

    def _why(self, item: QueueItem) -> None:
        with node("div", classes="card"):
            node("h2", self.say("why"))
            for why in item.why:
                node("p", self.say(f"why_{why}"), classes="said")
            if item.detail:
                node("p", item.detail, classes="soft said")

    def _said(self, item: QueueItem) -> None:
        with node("div", classes="card"):
            node("h2", self.say("answers"))
            for answer in item.answers:
                self._answer(answer)

    def _answer(self, answer: Answer) -> None:
        with node("div", classes="said-by"):
            verdict = self.say(answer.verdict) if answer.verdict else ""
            if not (answer.verdict or answer.en or answer.zh or answer.notes):
                verdict = self.say("no_answer")
            node("p", " · ".join(t for t in (answer.by, answer.model, verdict) if t), classes="verdict")
            for text, lang in ((answer.en, "en"), (answer.zh, "zh-CN")):
                if text:
                    node("p", text, classes="said", lang=lang)
            for note in answer.notes:
                node("p", note, classes="soft said")

    def _decide(self, item: QueueItem, decided: dict[str, Decision]) -> None:
        with node("div", classes="card"):
            node("h2", self.say("decide"))
            with node("div", classes="rows"):
                for field in self.board.fields(item.id):
                    self._field(item, field, decided.get(field))

    def _field(self, item: QueueItem, field: str, d: Decision | None) -> None:
        if field == "verdict":
            with self.row(field, self.say("verdict"), tall=True):
                with node("div", classes="what"):
                    node("div", self.say("verdict"))
                    self._by(d)
                self._picks(field, VERDICT_KEYS, "pick_", d)
        elif field.startswith("claim:"):
            row = next(t for t in self.board.things(item.id) if f"claim:{t.id}" == field)
            with self.row(field, row.claim.span):
                self._claim(item, row, d)
                self._picks(field, DO_KEYS, "", d)
                self._editor(field, row.claim.span)
        else:
            self._text(item, "en" if field == "en" else "zh", d)

    def _claim(self, item: QueueItem, row: ThingRow, d: Decision | None) -> None:
        with node("div", classes="what"):
            phrase = claim_zh if self.lang == "zh" else claim_en
            node("div", row.claim.span, classes="gone" if d is not None and d.do == "reject" else "")
            parts = [phrase(row.claim), self.say(f"proposed_{row.proposed}")]
            node("div", " · ".join(parts), classes="soft")
            if annotators(item):
                said = [f"{by}: {self.say(f'side_{side}' if side else 'side_none')}" for by, side in row.sides]
                node("div", " · ".join(said), classes="soft")
            if d is not None and d.do == "edit":
                node("div", self.say("edited_to", text=d.text), classes="yes")
            self._by(d)

    def _text(self, item: QueueItem, lang: Literal["en", "zh"], d: Decision | None) -> None:
        base = self.board.base(item.id, lang)
        edited = d is not None and d.do == "edit"
        with self.row(lang, self.say(f"text_{lang}"), tall=True):
            with node("div", classes="what"):
                node("div", self.say(f"text_{lang}"), classes="soft")
                shown = d.text if d is not None and edited else base
                gone = "said gone" if d is not None and d.do == "reject" else "said"
                node("p", shown or self.say("no_text"), classes=gone, lang="zh-CN" if lang == "zh" else "en")
                self._by(d)
            self._picks(lang, DO_KEYS, "", d)
            self._editor(lang, d.text if d is not None and edited else base)

    def _by(self, d: Decision | None) -> None:
        if d is not None:
            node("div", self.say("by", who=d.who), classes="soft")

    def _picks(self, field: str, keys: dict[str, str], prefix: str, d: Decision | None) -> None:
        with node("div", classes="picks"):
            for key, do in keys.items():
                pressed = d is not None and d.do == do and field not in self.board.missing(self.item.id)
                self.pick(field, do, self.say(prefix + do), key, pressed=pressed)

    def _editor(self, field: str, text: str) -> None:
        """The text field of a row that is being edited; what was typed before a break is still in it."""
        draft = self.log.draft(self.who, self.item.id, field)
        if self.editing != field and draft is None:
            return
        from nicegui import ui

        self.editing, self.typed = field, text if draft is None else draft
        with node("div", style="grid-column: 1 / -1; width: 100%"):
            area = ui.textarea(value=self.typed, on_change=lambda e: self._keep(field, str(e.value or "")))
            area.props("outlined autogrow autofocus debounce=150").classes("w-full")
            area.props["input-class"] = "said"
            area.props["aria-label"] = self.say("edit")
            area.on("keydown.ctrl.enter", lambda _: self.save(field))
            area.on("keydown.esc", lambda _: self.cancel(field))
            with node("div", classes="picks", style="margin-top: 6px"):
                button(self.say("save"), "Ctrl+Enter", lambda: self.save(field), classes="go")
                button(self.say("cancel"), "Esc", lambda: self.cancel(field))

    def _keep(self, field: str, text: str) -> None:
        self.typed = text
        self.log.keep_draft(self.who, self.item.id, field, text)

    def save(self, field: str) -> None:
        """Write what was edited."""
        if self.editing == field and self._write(field, "edit", self.typed):
            self.log.keep_draft(self.who, self.item.id, field, None)
            self.editing = None
            self._again(field, 1)

    def cancel(self, field: str) -> None:
        """Forget what was typed."""
        self.log.keep_draft(self.who, self.item.id, field, None)
        self.editing = None
        self._again(field, 0)

    def choose(self, field: str, value: object) -> None:
        """A decision, or the text field that leads to one."""
        if value == "edit":
            self.editing = field
            self._again(field, 0)
        elif self._write(field, None if value is None else str(value)):
            self._again(field, 0 if value is None else 1)

    def _write(self, field: str, do: str | None, text: str = "") -> bool:
        return self.written(lambda: self.board.decide(self.who, self.item.id, field, do, text))

    def _again(self, field: str, step: int) -> None:
        """Build the page anew, with the cursor ``step`` rows below the field."""
        self.draw()
        self.move_to(self.place_of(field) + step)

    def _count(self) -> None:
        missing = len(self.board.missing(self.item.id))
        whole = f"{self.say('complete_item')} · {self.say('saved')}"
        self.tell(self.say("open_fields", n=missing) if missing else whole)

    def _finished(self) -> None:
        with node("section", classes="card"):
            key = "finished" if self.ids else "nothing"
            node("p", self.say(key, name=self.who, total=len(self.ids)), role="status", data_test="finished")
            if self.ids:
                button(self.say("look_again"), "p", lambda: self.go(-1))

    def go(self, step: int) -> None:
        """Back through the queue; on to the next item that waits, once this one is decided."""
        self.editing = None
        at = None if self.here is None else self.ids.index(self.here)
        if at is None:
            self.here = self.ids[-1] if self.ids and step < 0 else self.board.next_open(self.who)
        elif 0 <= at + step < len(self.ids):
            self.here = self.ids[at + step]
        elif step > 0:
            self.here = self.board.next_open(self.who)
        if self.here is not None:
            self.board.show(self.who, self.here)
        self.draw()
        self.to_top()

    def key(self, name: str) -> None:
        """Decisions on the cursor's row; keys without a meaning there do nothing."""
        if self.here is None or not self.rows:
            return
        field = self.rows[self.at][0]
        if name == "u":
            self.choose(field, None)
        elif field == "verdict" and name in VERDICT_KEYS:
            self.choose(field, VERDICT_KEYS[name])
        elif field != "verdict" and name in DO_KEYS:
            self.choose(field, DO_KEYS[name])


def revise_app(board: Board) -> FastAPI:
    """One application for all revisers; each has an address with a code of their own."""

    def build(who: str) -> None:
        page = RevisePage(board, who)
        if page.here is not None:
            board.show(who, page.here)
        page.build()

    return frame.coded_app(board.reviser, build, RevisePage.words)
