"""The board that revisers work on: the queue, what was decided of each item, and the log of who decided what.

Decisions belong to the item, not to the person: the last one stands, and the log keeps all.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from finetune.annotate.pairs import AnnotationRow
from finetune.annotate.queue import Answer, load
from finetune.annotate.revise.things import ThingRow, things
from prompts.annotate import CLOSING
from prompts.claims import extract_claims
from retriever.errors import SightlineError
from retriever.pages.log import Entry, Log
from retriever.types import Claim, canonical_json

KIND = "revisions of an annotators' queue"
TEXTS: tuple[Literal["en", "zh"], ...] = ("en", "zh")
LOOKED_AT_S = 300.0
"""So long after somebody opened an item others are led to other items."""


class RevisionError(SightlineError):
    """A decision that does not fit its item."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What stands for one field of one item."""

    do: str
    """``accept``, ``edit`` or ``reject``; of a verdict ``match``, ``no_match`` or ``drop`` (nobody can tell)."""
    text: str = ""
    who: str
    at: str


class Board:
    """``queue`` and the log; any number of people at once."""

    def __init__(self, queue: Path, out: Path, *, make: bool = False) -> None:
        """Raises ``SightlineError`` on a queue that cannot be read or a log of other work."""
        self.folder = queue.parent
        self.items = {item.id: item for item in load(queue)}
        self.log = Log(out, KIND, make=make)
        self._done: dict[str, bool] = {}

    @property
    def codes(self) -> dict[str, str]:
        """Reviser's name -> code."""
        held = self.log.about("codes") or {}
        return {str(name): str(code) for name, code in held.items()}

    def add_revisers(self, names: Sequence[str]) -> None:
        """New ones get a code; known ones keep theirs. Raises ``RevisionError`` on a name that is no word."""
        for name in names:
            if not name.replace("-", "").replace("_", "").isalnum():
                raise RevisionError(f"{name!r} is no name of letters and digits; write --revisers anna,ben")
        fresh = {n: f"{n}-{secrets.token_hex(4)}" for n in names if n not in self.codes}
        self.log.set_about(codes={**self.codes, **fresh})

    def reviser(self, code: str) -> str | None:
        return next(
            (name for name, held in self.codes.items() if secrets.compare_digest(held.encode(), code.encode())), None
        )

    @cached_property
    def _things(self) -> dict[str, tuple[ThingRow, ...]]:
        return {id_: things(item) for id_, item in self.items.items()}

    def things(self, item: str) -> tuple[ThingRow, ...]:
        return self._things[item]

    def decisions(self, item: str) -> dict[str, Decision]:
        """By field; the last entry of each stands, one that took a decision back leaves none."""
        found: dict[str, Decision] = {}
        for e in self.log.entries(item=item):
            if e.field == "shown":
                continue
            if e.value is None:
                found.pop(e.field, None)
            else:
                found[e.field] = Decision(do=e.value["do"], text=e.value.get("text", ""), who=e.who, at=e.at)
        return found

    def fields(self, item: str) -> list[str]:
        """What is to be decided, in the page's order."""
        of = self.items[item]
        verdict = ["verdict"] if of.task == "pair" else []
        texts = [lang for lang in TEXTS if any(getattr(t, lang) for t in (of, *of.answers))]
        return [*verdict, *(f"claim:{t.id}" for t in self.things(item)), *texts]

    def base(self, item: str, lang: Literal["en", "zh"], decided: Mapping[str, Decision] | None = None) -> str:
        """The text that "accept" accepts: of the first annotator who gives the decided verdict, else the proposed."""
        of = self.items[item]
        verdict = (self.decisions(item) if decided is None else decided).get("verdict")
        if verdict is not None:
            said = next((a for a in of.answers if a.verdict == verdict.do and getattr(a, lang)), None)
            if said is not None:
                return str(getattr(said, lang))
        return str(getattr(of, lang))

    def missing(self, item: str) -> list[str]:
        """Fields that wait for a decision; a text accepted under another verdict waits again."""
        decided = self.decisions(item)
        if decided.get("verdict") and decided["verdict"].do == "drop":
            return []
        return [f for f in self.fields(item) if not self._stands(item, f, decided)]

    def _stands(self, item: str, field: str, decided: Mapping[str, Decision]) -> bool:
        d = decided.get(field)
        if d is None:
            return False
        if field in ("en", "zh"):
            lang: Literal["en", "zh"] = "en" if field == "en" else "zh"
            if d.do == "accept" and d.text != self.base(item, lang, decided):
                return False
            return d.do == "reject" or not self._concludes_other(d.text, decided)
        return True

    @staticmethod
    def _concludes_other(text: str, decided: Mapping[str, Decision]) -> bool:
        verdict = decided.get("verdict")
        return verdict is not None and any(
            text.rstrip().endswith(closing) for v, pair in CLOSING.items() if v != verdict.do for closing in pair
        )

    def done(self, item: str) -> bool:
        """Kept until somebody decides on the item through this board, because every page counts what is done."""
        if item not in self._done:
            self._done[item] = not self.missing(item)
        return self._done[item]

    def decide(self, who: str, item: str, field: str, do: str | None, text: str = "") -> Entry:
        """Write a decision; it is on the disk when this returns. ``do=None`` takes it back.

        Raises ``RevisionError`` where it does not fit: an unknown field, an edit that says nothing, claims nothing that
        can be read, or concludes the other verdict.
        """
        if item not in self.items or field not in self.fields(item):
            raise RevisionError(f"item {item} has nothing called {field} to decide")
        self._done.pop(item, None)
        if do is None:
            return self.log.append(who, item, field, None)
        allowed = ("match", "no_match", "drop") if field == "verdict" else ("accept", "edit", "reject")
        if do not in allowed:
            raise RevisionError(f"{field} can be {', '.join(allowed)}, not {do!r}")
        return self.log.append(who, item, field, self._value(item, field, do, text))

    def _value(self, item: str, field: str, do: str, text: str) -> dict[str, Any]:
        if do == "edit" and not text.strip():
            raise RevisionError("an edited text must not be empty; reject it instead")
        if field.startswith("claim:"):
            if do == "edit":
                self.edited(item, field, text)
                return {"do": do, "text": text.strip()}
            return {"do": do}
        if field == "en" or field == "zh":
            text = self.base(item, "en" if field == "en" else "zh") if do == "accept" else text.strip()
            if do == "accept" and not text:
                raise RevisionError("there is no text to accept; edit or reject it")
            if do != "reject" and self._concludes_other(text, self.decisions(item)):
                raise RevisionError(
                    "the text concludes the other verdict; edit its last sentence, or change the verdict"
                )
            return {"do": do} if do == "reject" else {"do": do, "text": text}
        return {"do": do}

    def edited(self, item: str, field: str, text: str) -> Claim:
        """The claim that an edit makes. Raises ``RevisionError`` unless exactly one can be read out of the words."""
        read = extract_claims(text)
        if len(read) != 1:
            names = ", ".join(f"{c.kind} {c.value}" for c in read) or "none"
            raise RevisionError(f"the words must make one claim that can be checked; read: {names}")
        old = next(t.claim for t in self.things(item) if f"claim:{t.id}" == field)
        return replace(read[0], id=old.id)

    def show(self, who: str, item: str) -> None:
        """Note that somebody looks at an item."""
        self.log.append(who, item, "shown", True)

    def next_open(self, who: str) -> str | None:
        """The first item that is not decided and that nobody else has just opened; else any that is not decided."""
        waiting = [i for i in self.items if not self.done(i)]
        now = datetime.now(UTC).timestamp()
        seen = {e.item for e in self.log.entries() if e.who != who and now - e.seconds < LOOKED_AT_S}
        return next((i for i in waiting if i not in seen), waiting[0] if waiting else None)


def by_content(board: Board) -> dict[str, str]:
    """Queued pairs by what they were made from. Two items of the same pictures and answers but other words of the
    witness cannot be told apart in the annotators' file; they are left out."""
    found: dict[str, list[str]] = {}
    for item in board.items.values():
        if item.task == "pair":
            found.setdefault(_content([i.sha256 for i in item.images], item.answers), []).append(item.id)
    return {content: ids[0] for content, ids in found.items() if len(ids) == 1}


def row_content(row: AnnotationRow) -> str:
    return _content([row.first_sha256, row.second_sha256], row.answers)


def _content(images: Sequence[str], answers: Sequence[Answer]) -> str:
    return canonical_json([list(images), [a.to_json() for a in answers]])
