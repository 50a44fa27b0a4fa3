"""What a turn means because of what was said just before it, and wishes about the conversation itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from prompts.claims import extract_claims
from prompts.claims_.amend import same_thing
from prompts.phrases import bank, says
from retriever.types import Claim

if TYPE_CHECKING:
    from prompts.dialogue import TurnIntent

Answer = Literal["yes", "no", "unknown"]
_ZH = {c: i for i, c in enumerate("零一二三四五六七八九十")}
_TURN = re.compile(
    r"(?:turn|step|state)\s*#?(?P<n>\d{1,4})|第\s*(?P<zh>\d{1,4}|[一二三四五六七八九十])\s*(?:轮|步|句|次|回)"
    r"|(?P<word>first|second|third|fourth|fifth)\s+(?:turn|step|state)", re.I
)  # fmt: skip
_WORDS = {w: i for i, w in enumerate(("first", "second", "third", "fourth", "fifth"), 1)}
_STEPS = re.compile(r"(?P<n>\d{1,3}|one|two|three|一|两|二|三)\s*(?:turns?|steps?|步|轮)", re.I)
_ASKS_BACK = re.compile(r"[?？]|\b(?:what|which|why|how|where)\b|什么|哪|吗|为何", re.I)
_COUNT = {"one": 1, "two": 2, "three": 3, "一": 1, "两": 2, "二": 2, "三": 3}
_BEGINNING = re.compile(r"\b(?:start|beginning|first\s+description)\b|最初|开头|一开始", re.I)


def answered(text: str, folded: str, question: Claim) -> Answer | None:
    """Yes, no or "don't know" to ``question``; None where the turn is about something else.

    "Yes, and there is a cafe" is a clue that also answers; it is left to the reading of clues, which finds both only
    where both are said, so a turn that names other things is no plain answer.
    """
    if _ASKS_BACK.search(folded):
        return None
    named = extract_claims(text)
    about = [c for c in named if same_thing(c, question)]
    if named and len(about) < len(named):
        return None
    kinds = bank()["answer"]
    if kinds["unknown"].search(folded):
        return "unknown"
    if about:
        return None if about[0].hedge or about[0].relation.type != "near" else "yes" if about[0].polarity else "no"
    if says("limit", folded) or len(folded.split()) > 8:
        return None
    for word in ("no", "yes"):
        if kinds[word].search(folded):
            return "yes" if word == "yes" else "no"
    return None


def chosen(folded: str, options: int, ranks: Callable[[str, int], Sequence[int]]) -> int | None:
    """Which of the things that were offered; 0 for any of them, None where the turn chooses nothing."""
    if len(folded) > 40 or re.search(r"[?？]", folded):
        return None
    if says("any_one", folded):
        return 0
    named = [n for n in ranks(folded, options) if 1 <= n <= options]
    return named[0] if len(named) == 1 else None


def wished(text: str, folded: str) -> TurnIntent | None:
    """A wish about the conversation: another name, the list, an earlier state, the desk's own question."""
    from prompts.dialogue import TurnIntent

    if match := bank()["name_thread"].search(folded):
        at = next(match.start(i) for i, group in enumerate(match.groups(), 1) if group)
        # Folding keeps every character's place, so the title is taken as it was written.
        return TurnIntent(intent="name_thread", text=text, title=text[at:].strip(" .。\"'“”‘’「」"))
    if says("list_threads", folded):
        return TurnIntent(intent="list_threads", text=text)
    if says("go_back", folded) and not extract_claims(text):
        return TurnIntent(intent="go_back", text=text, to_turn=_to_turn(folded))
    if says("ask_me", folded):
        return TurnIntent(intent="ask_me", text=text)
    return None


def _to_turn(folded: str) -> int:
    if match := _TURN.search(folded):
        if match["word"]:
            return _WORDS[match["word"].lower()]
        number = match["n"] or match["zh"]
        return int(number) if number.isdigit() else _ZH[number]
    if _BEGINNING.search(folded):
        return 0
    steps = _STEPS.search(folded)
    if steps is None:
        return -1
    word = steps["n"].lower()
    return -(int(word) if word.isdigit() else _COUNT[word])
