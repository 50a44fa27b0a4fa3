"""What an analyst's turn asks for: a clue, a correction, a question about the result, another language, an area.

Rules over phrase banks (``dialogue.yaml``), English, Chinese and both mixed. Knows nothing of the result itself:
ranks and claim ids are all it hands on. It never raises; what it cannot place is ``unknown``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from prompts import replying
from prompts.claims import extract_claims
from prompts.claims_.amend import corrected, next_id, retracted
from prompts.claims_.area import AreaLimit, limit
from prompts.claims_.text import normalise
from prompts.phrases import bank, says
from retriever.types import Claim, Lang, Record

Intent = Literal[
    "new_description", "add_clue", "correct_clue", "retract_clue", "why_this", "why_not", "compare", "uncertain",
    "more_elsewhere", "switch_language", "shorter", "longer", "limit_area", "help", "unknown",
    "answer", "choice", "go_back", "ask_me", "name_thread", "list_threads",
]  # fmt: skip
LONGEST_QUESTION = 160
"""Characters beyond which a turn is a description even where it holds a question's words."""


@dataclass(frozen=True, kw_only=True)
class TurnIntent(Record):
    intent: Intent
    text: str
    claims: tuple[Claim, ...] = ()
    """Added claims. For ``correct_clue`` the first ``len(claim_ids)`` replace those of ``claim_ids``, in that order."""
    claim_ids: tuple[str, ...] = ()
    """Claims that are corrected or taken back."""
    ranks: tuple[int, ...] = ()
    """Candidates meant, from 1: one for ``why_this``/``why_not``, two for ``compare``."""
    beyond: int | None = None
    """A rank that was asked for and is not among the shown ones."""
    language: Literal["en", "zh", "both"] | None = None
    area: AreaLimit | None = None
    instead: bool = False
    """The limit takes the place of those in force."""
    answer: Literal["yes", "no", "unknown"] | None = None
    """To the question that was put."""
    choice: int | None = None
    """Which of the things that were offered, from 1; 0: any of them."""
    to_turn: int | None = None
    """For ``go_back``: the turn to go back to, 0 the beginning; negative: so many turns back."""
    title: str | None = None
    """For ``name_thread``."""


def read_turn(
    text: str,
    *,
    lang: Lang | None = None,
    shown: int,
    claims: Sequence[Claim],
    turn: int | None = None,
    question: Claim | None = None,
    options: int = 0,
) -> TurnIntent:
    """Classify one turn of a conversation in which ``shown`` candidates and ``claims`` are on the table.

    ``question`` is the claim that the witness was asked about with the last reply, ``options`` how many things were
    offered to choose from. New claims get ids after the largest used one and ``turn`` (the turn after the last
    claim's, unless given).

    >>> read_turn("why not the second one?", shown=5, claims=()).ranks
    (2,)
    >>> read_turn("用中文再说一遍", shown=5, claims=()).language
    'zh'
    """
    folded = normalise(text)
    now = turn if turn is not None else max((c.turn for c in claims), default=-1) + 1
    short = len(text) <= LONGEST_QUESTION
    if short and options and (choice := replying.chosen(folded, options, ranks)) is not None:
        return TurnIntent(intent="choice", text=text, choice=choice)
    asked = replying.wished(text, folded) if short else None
    if asked is None and short and question is not None and (said := replying.answered(text, folded, question)):
        return TurnIntent(intent="answer", text=text, answer=said)
    asked = asked or (_asked(text, folded, shown) if short else None)
    return asked or _told(text, folded, lang, claims, now)


# --- questions and wishes -------------------------------------------------------------------------------------------

_QUESTIONS: tuple[Intent, ...] = (
    "why_not", "compare", "uncertain", "more_elsewhere", "why_this", "shorter", "longer", "help",
)  # fmt: skip


def _asked(text: str, folded: str, shown: int) -> TurnIntent | None:
    for language, pattern in bank()["switch_language"].items():
        if pattern.search(folded):
            return TurnIntent(intent="switch_language", text=text, language=language)
    for intent in _QUESTIONS:
        if says(intent, folded) and not _rather_a_clue(intent, folded):
            return _about(intent, text, folded, shown)
    return None


def _rather_a_clue(intent: Intent, folded: str) -> bool:
    """ "The street is longer than I said" or "a shorter building" tell something; the bare wish does not."""
    if intent in ("shorter", "longer", "compare", "more_elsewhere"):
        return (
            bool(extract_claims(folded)) and not re.search(r"[?？]\s*$", folded) and not re.search(r"#?\d|第", folded)
        )
    return False


def _about(intent: Intent, text: str, folded: str, shown: int) -> TurnIntent:
    named = ranks(folded, shown)
    inside = tuple(n for n in named if 1 <= n <= shown)
    beyond = next((n for n in named if n > shown), None)
    if intent == "compare":
        inside = _pair(inside, shown)
    elif intent in ("why_this", "why_not"):
        default = 1 if intent == "why_this" else 2
        inside = inside[:1] if inside else () if beyond or shown < default else (default,)
        if intent == "why_not" and len(named) > 1 and inside == (1,):
            inside = tuple(n for n in named if 1 < n <= shown)[:1] or inside
    else:
        inside, beyond = (), None
    return TurnIntent(intent=intent, text=text, ranks=inside, beyond=beyond)


def _pair(named: tuple[int, ...], shown: int) -> tuple[int, ...]:
    """Two different ranks: those named, else the best against it."""
    rest = [n for n in (*named, 1, 2) if n <= shown]
    pair = tuple(dict.fromkeys(rest))[:2]
    return tuple(sorted(pair)) if len(named) < 2 else pair


_NTH = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_ONE = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_ORDINALS = {w: i + 1 for i, w in enumerate(_NTH)}
_ZH = {c: i for i, c in enumerate("零一二三四五六七八九十")} | {"两": 2}
_RANK = re.compile(
    rf"\b(?P<word>{'|'.join(_ORDINALS)})\b(?!\s+(?:floor|street|avenue|road|storey|story))|\b(?P<nth>\d{{1,3}})(?:st|nd|rd|th)\b"
    r"|(?:#|\b(?:number|no\.?|candidate|tile|rank|place|option|result)\s*#?)(?P<n>\d{1,3})\b|第\s*(?P<zh>十?[一二两三四五六七八九十]|\d{1,3})"
    r"|(?P<digits>\d{1,3})\s*号|\bnumber\s+(?P<spelt>one|two|three|four|five|six|seven|eight|nine|ten)\b"
    r"|(?P<this>\b(?:this|that|top|best)\s*(?:one|candidate|place|tile)?\b(?=\s*(?:and|or|rather|vs|versus|\?|$|with|,))|这个|这里|最好的)"
    r"|(?P<last>\b(?:the\s+)?last\s+(?:one|candidate|place|tile)\b|最后一个)|(?P<other>\bthe\s+other(?:\s+one)?\b|另一个|另外一个)"
    r"|(?<![\w.])(?P<bare>\d{1,2})(?![\w.]|\s*(?:m|km|metres|meters|米|公里))",
    re.IGNORECASE,
)
_SPELT = {w: i + 1 for i, w in enumerate(_ONE)}


def ranks(folded: str, shown: int) -> tuple[int, ...]:
    """The candidates named in the text, in order, each once; "this one" is the first, "the other" the second."""
    found = [_rank(match, shown) for match in _RANK.finditer(folded)]
    return tuple(dict.fromkeys(n for n in found if n >= 1))


def _rank(match: re.Match[str], shown: int) -> int:
    group = match.groupdict()
    if group["word"]:
        return _ORDINALS[group["word"].lower()]
    if group["zh"]:
        text = group["zh"]
        return int(text) if text.isdigit() else 10 + _ZH[text[1]] if len(text) == 2 else _ZH[text]
    if group["spelt"]:
        return _SPELT[group["spelt"].lower()]
    digits = group["nth"] or group["n"] or group["digits"] or group["bare"]
    if digits:
        return int(digits)
    return 1 if group["this"] else shown if group["last"] else 2


# --- clues ----------------------------------------------------------------------------------------------------------


def _told(text: str, folded: str, lang: Lang | None, claims: Sequence[Claim], turn: int) -> TurnIntent:
    new = tuple(extract_claims(text, lang=lang, turn=turn, first_id=next_id(claims)))
    active = [c for c in claims if c.status == "active"]
    if says("new_description", folded) or (not claims and new):
        fresh = tuple(extract_claims(text, lang=lang, turn=turn)) if not claims else new
        return TurnIntent(intent="new_description", text=text, claims=fresh)
    short = len(text) <= LONGEST_QUESTION
    if short and says("retraction", folded):
        ids = retracted(folded, active, new, everything=says("all_clues", folded), latest=says("last_clue", folded))
        if ids:
            return TurnIntent(intent="retract_clue", text=text, claim_ids=ids)
    area = limit(text, folded, exclude=says("exclude", folded)) if short and says("limit", folded) else None
    if area is not None:
        return TurnIntent(intent="limit_area", text=text, area=area, instead=says("instead", folded))
    amended = (
        corrected(text, folded, active, new, turn=turn) if says("correction", folded) or _denies(new, active) else None
    )
    if amended is not None:
        return TurnIntent(intent="correct_clue", text=text, claim_ids=amended.old, claims=amended.new)
    return TurnIntent(intent="add_clue" if new else "unknown", text=text, claims=new)


def _denies(new: Sequence[Claim], active: Sequence[Claim]) -> bool:
    """The turn says that something is not there which was said to be."""
    said = {(c.kind, c.value) for c in active if c.polarity}
    return any(not c.polarity and (c.kind, c.value) in said for c in new)
