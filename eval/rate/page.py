"""The rating page: one item at a time, every control with a key, every mark on the disk before it is shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from eval.rate.items import GRADES, MARKS, SCALES, ItemClaim, RateItem
from eval.rate.study import Assignment, Marked, Study
from retriever.pages import frame
from retriever.pages.frame import button, node
from retriever.pages.sheet import Sheet
from retriever.pages.words import COMMON, load_words

if TYPE_CHECKING:
    from fastapi import FastAPI

CLAIM_KEYS = {"r": "right", "w": "wrong", "t": "cant_tell"}


class RatePage(Sheet):
    """One rater's open page."""

    words = load_words(COMMON, Path(__file__).with_name("words.yaml"))
    keys = (
        (("r", "w", "t"), "key_claim"), (("1", "…", "5"), "key_scale"), (("j", "k"), "key_move"),
        (("n", "p"), "key_next"), (("b",), "key_boxes"), (("l",), "key_lang"), (("?",), "key_help"),
    )  # fmt: skip

    def __init__(self, study: Study, rater: str) -> None:
        super().__init__(study.log, rater)
        self.study = study
        self.boxes = True
        self.place = self._first_open()

    def _first_open(self) -> int | None:
        """The first item that is not finished; None where all are."""
        self.list: list[Assignment] = self.study.assignments(self.who)
        self.done = {m.item for m in self.study.all_marked(rater=self.who) if m.finished}
        return next((n for n, a in enumerate(self.list) if a.item not in self.done), None)

    def progress(self) -> tuple[int | None, int, int]:
        return self.place, len(self.list), len(self.done)

    @property
    def item(self) -> RateItem:
        return self.study.items[self.list[self.place or 0].item]

    def fill(self) -> None:
        if self.place is None:
            self._finished()
            return
        item = self.item
        self.study.mark(self.who, item.id, "shown", True)
        marked = self.study.marked(self.who, item.id)
        with node("div", classes="two"):
            with node("section", classes="stay"):
                self._shown(item)
            with node("section"):
                self._asked(item, marked)
        self.steps()
        open_fields = self.study.missing(self.who, item.id)
        self.move_to(next((n for n, (f, _) in enumerate(self.rows) if f in open_fields), 0), scroll=False)
        self._count()

    def _shown(self, item: RateItem) -> None:
        with node("div", classes="card"):
            node("h2", self.say("description"))
            node("p", item.description, classes="said")
        with node("div", classes="card"):
            node("h2", self.say("tile"))
            boxed = item.boxed != item.picture
            kinds = [("tile_boxed", item.boxed, True), ("tile_alt", item.picture, False)]
            self.pictures = {
                shown: node("img", classes="tile", alt=self.say(alt), src=frame.png_url(self.study.picture(sha)))
                for alt, sha, shown in kinds[0 if boxed else 1 :]
            }
            if boxed:
                with node("div", classes="foot", style="margin-top: 8px"):
                    self.box_button = button(self.say("boxes_shown"), "b", self.toggle_boxes)
                    node("span", self.say("legend"), classes="soft")
                self._show_boxes()
            else:
                node("p", self.say("no_boxes"), classes="soft")
            node("p", self.say("attribution"), classes="soft")

    def _asked(self, item: RateItem, marked: Marked) -> None:
        with node("div", classes="card"):
            node("h2", self.say("verdict"))
            verdict = self.say("says", verdict=self.say(item.verdict)) if item.verdict else self.say("says_nothing")
            node("p", verdict, classes="verdict")
            node("p", item.explanation, classes="said", lang="zh-CN" if item.lang == "zh" else "en", data_test="said")
        with node("div", classes="card"):
            node("h2", self.say("claims"))
            if not item.claims:
                node("p", self.say("no_claims"), classes="soft")
            with node("div", classes="rows"):
                for claim in item.claims:
                    self._claim(claim, marked)
        with node("div", classes="card"):
            node("h2", self.say("scales"))
            with node("div", classes="rows"):
                for scale in SCALES:
                    self._scale(scale, marked)

    def _claim(self, claim: ItemClaim, marked: Marked) -> None:
        field = f"claim:{claim.id}"
        with self.row(field, claim.span):
            with node("div", classes="what"):
                node("div", claim.span)
                if claim.stance:
                    node("div", self.say(f"stance_{claim.stance}"), classes="soft")
                self._others(field)
            with node("div", classes="picks"):
                for key, mark in CLAIM_KEYS.items():
                    self.pick(field, mark, self.say(mark), key, pressed=marked.claims.get(claim.id) == mark)

    def _scale(self, scale: str, marked: Marked) -> None:
        field = f"scale:{scale}"
        with self.row(field, self.say(scale)):
            with node("div", classes="what"):
                node("div", self.say(scale))
                node("div", self.say(f"{scale}_what"), classes="soft")
                self._others(field)
            with node("div", classes="picks"):
                for grade in GRADES:
                    self.pick(field, grade, str(grade), "", pressed=marked.scales.get(scale) == grade)

    def _others(self, field: str) -> None:
        """What the others said, for an adjudicator only."""
        if self.list[self.place or 0].role != "adjudicator":
            return
        what, _, name = field.partition(":")
        said = [
            m.claims.get(name) if what == "claim" else m.scales.get(name)
            for m in self.study.all_marked(item=self.item.id)
            if m.role == "rater"
        ]
        shown = [self.say(s) if s in MARKS else str(s) for s in said if s is not None]
        node("div", self.say("others_said", said=" · ".join(shown)), classes="soft")

    def _finished(self) -> None:
        with node("section", classes="card"):
            key = "finished" if self.list else "nothing"
            node("p", self.say(key, name=self.who, total=len(self.list)), role="status", data_test="finished")
            if self.list:
                button(self.say("look_again"), "p", lambda: self.go(-1))

    def choose(self, field: str, value: object) -> None:
        """Write a mark; the button changes only when it is on the disk."""
        item = self.item
        if not self.written(lambda: self.study.mark(self.who, item.id, field, value)):
            return
        self.press(field, value)
        if not self.study.missing(self.who, item.id):
            self.done.add(item.id)
        self.move_to(self.place_of(field) + 1)
        self._count()

    def _count(self) -> None:
        missing = len(self.study.missing(self.who, self.item.id))
        whole = f"{self.say('complete_item')} · {self.say('saved')}"
        self.tell(self.say("open_marks", n=missing) if missing else whole)

    def go(self, step: int) -> None:
        """The next or the previous item; past the last one the first that is still open."""
        if self.place is None:
            self.place = len(self.list) - 1 if self.list and step < 0 else None
        elif 0 <= self.place + step < len(self.list):
            self.place += step
        elif step > 0:
            self.place = self._first_open()
        self.draw()
        self.to_top()

    def toggle_boxes(self) -> None:
        if len(self.pictures) == 2:
            self.boxes = not self.boxes
            self._show_boxes()

    def _show_boxes(self) -> None:
        frame.set_attribute(self.box_button, "aria_pressed", "true" if self.boxes else "false")
        for shown, picture in self.pictures.items():
            hide = shown != self.boxes
            picture.classes(add="hidden-now" if hide else "", remove="" if hide else "hidden-now")

    def key(self, name: str) -> None:
        """Marks on the cursor's row; keys without a meaning there do nothing."""
        if self.place is None:
            return
        field = self.rows[self.at][0]
        if name == "b":
            self.toggle_boxes()
        elif field.startswith("claim:") and name in CLAIM_KEYS:
            self.choose(field, CLAIM_KEYS[name])
        elif field.startswith("scale:") and name in map(str, GRADES):
            self.choose(field, int(name))


def rate_app(study: Study) -> FastAPI:
    """One application for all raters; each has an address with a code of their own."""
    return frame.coded_app(study.rater, lambda rater: RatePage(study, rater).build(), RatePage.words)
