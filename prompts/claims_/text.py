"""Text to sentences, clauses and words, with every position kept, so that a claim can quote the witness."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from opencc import OpenCC

MAX_WORDS_CLAUSE = 240
"""Characters after which an unpunctuated sentence is cut at a space: keeps all later work linear in the text."""

WORD = re.compile(r"[A-Za-zÀ-ɏ]+(?:'[A-Za-zÀ-ɏ]+)*|\d+|[一-鿿]")
_ABBREVIATION = re.compile(r"(?<![A-Za-z])(?:St|Dr|Mr|Mrs|Ms|approx|ca|Ave|Rd|Sq|vs|e\.g|i\.e|etc|[A-Z])\.$")
_STOP = re.compile(r"[.!?;。！？；\n\r]+")
_COMMA = re.compile(
    r"[,，:：()（）—–]|\s-\s|\.{2,}"
    r"|\s(?=(?:and|but|while|whereas|although|though|because|plus|with)\s)"
    r"|\s(?=(?:there'?s|there\s(?:is|are|was|were)|theres|it\ssays|i\s?(?:'m|am|can\ssee|see|think)|im)\s)"
    r"|\s(?=behind\s(?:me|us)\s(?:is|are|there)|(?:on|to)\s(?:my|the|our)\s(?:left|right)\s(?:is|are|there|hand))"
    r"|(?<=[一-鿿])(?=(?:但是|但|而且|而|不过|然后|另外|还有))",
    re.IGNORECASE,
)
_PAIR = re.compile(r"\bbetween\b[^,.;]{3,60}?\sand\s", re.IGNORECASE)
_CANTONESE = {
    "喺": "在",
    "係": "是",
    "嘅": "的",
    "唔": "不",
    "咗": "了",
    "冇": "无",
    "睇": "看",
    "嗰": "那",
    "埋": "和",
    "舖": "铺",
}
_FOLD = str.maketrans(
    {"’": "'", "‘": "'", "`": "'", "´": "'", "＂": '"', "　": " ", " ": " ", "‑": "-", "‐": "-"} | _CANTONESE
)


@cache
def _simplifier() -> OpenCC:
    return OpenCC("t2s")


@cache
def _simple(char: str) -> str:
    out = str(_simplifier().convert(char))
    return out if len(out) == 1 else char


def normalise(text: str) -> str:
    """The same number of characters: quotes and widths folded, traditional Chinese as simplified, one by one."""
    folded = text.translate(_FOLD)
    return "".join(_fold_char(c) for c in folded)


def _fold_char(char: str) -> str:
    code = ord(char)
    if 0xFF10 <= code <= 0xFF19 or 0xFF21 <= code <= 0xFF3A or 0xFF41 <= code <= 0xFF5A:
        return chr(code - 0xFEE0)
    return _simple(char) if 0x3400 <= code <= 0x9FFF else char


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """A piece of the text by position: ``text[start:end]``."""

    start: int
    end: int


def sentences(text: str) -> list[Stretch]:
    """Sentences without their final stop; a stop inside a number or after an abbreviation does not end one."""
    found, start = [], 0
    for match in _STOP.finditer(text):
        if match.group() == "." and _inside(text, match.start()):
            continue
        found.append(Stretch(start=start, end=match.start()))
        start = match.end()
    found.append(Stretch(start=start, end=len(text)))
    return [part for s in found for part in _cut(text, s) if text[part.start : part.end].strip()]


def _inside(text: str, at: int) -> bool:
    following = text[at + 1 : at + 2]
    if following.isdigit() and text[at - 1 : at].isdigit():
        return True
    if following == " " and text[at + 2 : at + 3].isdigit() and text[max(0, at - 2) : at] in ("No", "no"):
        return True
    return bool(_ABBREVIATION.search(text[max(0, at - 8) : at + 1])) and following == " "


def _cut(text: str, whole: Stretch) -> Iterator[Stretch]:
    start = whole.start
    while whole.end - start > 4 * MAX_WORDS_CLAUSE:
        limit = start + 4 * MAX_WORDS_CLAUSE
        space = max(text.rfind(c, start + 1, limit) for c in " ,，、")
        end = space if space > start else limit
        yield Stretch(start=start, end=end)
        start = end
    yield Stretch(start=start, end=whole.end)


def clauses(text: str, sentence: Stretch, keep: list[Stretch]) -> list[Stretch]:
    """The sentence cut at commas and before new statements, but never inside one of the stretches to ``keep``."""
    keep = [*keep, *(Stretch(start=m.start(), end=m.end()) for m in _PAIR.finditer(text, sentence.start, sentence.end))]
    found, start = [], sentence.start
    for match in _COMMA.finditer(text, sentence.start, sentence.end):
        if any(k.start < match.end() and match.start() < k.end for k in keep):
            continue
        if _opening(text[start : match.start()], text[match.end() : match.end() + 5]):
            continue
        if match.start() > start:
            found.append(Stretch(start=start, end=match.start()))
        start = match.end()
    found.append(Stretch(start=start, end=sentence.end))
    return [c for c in found if text[c.start : c.end].strip()]


_LEAD_IN = re.compile(
    r"\s*(?:about\s+)?(?:in|behind|next|near|opposite|at|on|under|beside|between|around|across|north|south|east|west|to|by|half|just|within|not|\d)\b",
    re.I,
)
_HAS_VERB = re.compile(r"\b(?:is|are|was|were|has|have|i|i'm|im|we|see|saw|runs?|stands?)\b", re.I)


def _opening(lead: str, following: str) -> bool:
    """ "In front of the library there's a statue" is one statement."""
    return following.lower() == "there" and len(lead) < 60 and bool(_LEAD_IN.match(lead)) and not _HAS_VERB.search(lead)


def trimmed(text: str, part: Stretch) -> Stretch:
    """The stretch without white space and punctuation around it."""
    start, end = part.start, part.end
    while start < end and not text[start].isalnum() and text[start] not in "\"'“「『‘":
        start += 1
    while end > start and not text[end - 1].isalnum() and text[end - 1] not in "\"'”」』’":
        end -= 1
    return Stretch(start=start, end=end)
