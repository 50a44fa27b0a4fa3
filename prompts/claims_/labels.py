"""Directions written as labels and asides: "3 o'clock: mosque", "90°: a bank", 左：桥, 小溪在左, "300 metres back"."""

# A pattern that is broken over lines cannot be searched for or compared with its neighbours.
# ruff: noqa: E501

from __future__ import annotations

import re

from prompts.claims_ import numbers
from prompts.claims_.compass import LETTERS, WORDY
from prompts.claims_.facing import HOUR, ME, MY, clock, clock_words, compass
from prompts.claims_.marks import Builder, Mark
from retriever.types import RelationType

_SIDES: dict[str, RelationType] = {
    "left": "left", "right": "right", "ahead": "front", "front": "front", "behind": "behind", "back": "behind",
    "rear": "behind", "左": "left", "右": "right", "前": "front", "后": "behind",
}  # fmt: skip
BACK = "back"
"""Value of "300 metres back": behind, whatever side was said before it."""
SAME = "same"
"""Value of a direction that says again the side said last: "also on that side"."""


def _dir(kind: RelationType) -> Builder:
    return lambda m: Mark(start=m.start(), end=m.end(), role="dir", type=kind)


def _side(match: re.Match[str]) -> Mark:
    return Mark(start=match.start(), end=match.end(), role="dir", type=_SIDES[match["side"].lower()])


def _degrees(match: re.Match[str]) -> Mark | None:
    degrees = float(match["d"])
    if degrees > 360:
        return None
    return Mark(start=match.start(), end=match.end(), role="dir", type="bearing", bearing=degrees % 360.0)


def _again(match: re.Match[str]) -> Mark:
    return Mark(start=match.start(), end=match.end(), role="dir", value=SAME)


def _corner(match: re.Match[str]) -> Mark | None:
    """ "NE corner: bank"; after a preposition it is read as ever."""
    led = re.search(r"\b(?:the|its|my|our|a)\s+$", match.string[max(0, match.start() - 5) : match.start()], re.I)
    small = match["c"].islower() and len(match["c"]) < 4
    return None if led or small else compass(match)


_ROAD = r"(?:street|road|way|avenue|lane|boulevard|carriageway)"
_FRAME = r"(?:frame|picture|photo|image|shot|view|screen|scene|foreground)"
_OPENS = r"(?:^|(?<=[.;:,\n(]))\s*(?:and\s+|then\s+)?"

EN: list[tuple[str, Builder]] = [
    (r"\b(?P<d>\d{1,3}(?:\.\d+)?)\s*(?:°|º|degrees?\b|deg\b)(?=\s*(?:[:–—,;]|-\s|$|is\b|there\b|,))(?!\s*(?:C\b|F\b))", _degrees),
    (rf"{_OPENS}(?:my\s+|your\s+)?{HOUR}(?:\s+(?:of|from)\s+{ME})?(?=\s*(?:[:,–—]|-\s|is\b|there\b|,))", clock_words),
    (rf"\b(?P<c>{WORDY}|{LETTERS})(?:ern)?\s+(?:side|corner|end|edge|flank)(?=\s*(?:[:,;.–—]|$|is\b|there\b))", _corner),
    (r"(?<=[:;])\s*(?P<side>left|right)(?=,)", _side),
    (r"\b(?:at|on)\s+(?:my|our)\s+(?P<h>three|six|nine|twelve)\b(?!\s*o)", clock_words),
    (rf"{_OPENS}(?:on\s+)?(?:the\s+)?(?:(?:near|far|extreme|immediate|close|lower|upper)[\s-]+)?(?P<side>left|right|rear)(?:[\s-]hand)?(?:\s+(?:side|frontage|foreground|edge|pavement|flank))?(?=\s*[:–—]|\s+-\s|\s+(?:is|are)\s+(?!to\b|where\b))", _side),
    (r"\b(?:(?:in|at|on|occupies|fills)\s+)?the\s+(?:near|far|extreme|lower|upper|bottom|top)[\s-]+(?P<side>left|right)\b", _side),
    (rf"\b(?:the\s+)?(?P<side>left|right)[\s-]*(?:hand\s+)?(?:edge|half|third|part|of|side\s+of)\s+(?:of\s+)?(?:the\s+)?{_FRAME}\b", _side),
    (r"\b(?:from\s+)?(?:left\s+to\s+right|right\s+to\s+left)\b", lambda m: Mark(start=m.start(), end=m.end(), role="join")),
    (rf"\b(?:on|from)\s+(?:all|every|three|most)\s+sides?(?:\s+(?:except|but|save)\s+(?:for\s+)?(?:the\s+)?{WORDY})?\b|\ball\s+(?:a)?round\b", _dir("near")),
    (r"\b(?P<c>(?:north|south)[\s-]?(?:east|west)|north|south|east|west)\s*(?:那边|那侧|边|方向|侧|面)", compass),
    (r"\bvanishing\s+point\b|\b(?:right\s+)?in\s+(?:my|our|your)\s+face\b|\bin\s+front\s+of\s+the\s+(?:camera|lens|windscreen|photographer)\b", _dir("front")),
    (rf"\b(?:if\s+(?:i|you)\s+)?turn(?:ing)?\s+(?:a)?round\b|\bbehind\s+of\s+{ME}|\bin\s+(?:my|our|the)\s+(?:rear[\s-]*view\s+)?mirror\b|\b(?:at|on)\s+(?:my|our)\s+heels\b|\bbehind\s+{MY}\s+(?:back|stool|chair|seat|bench|table|tent|car|van)\b", _dir("behind")),
    (r"\bback\b(?=\s*(?:[,.;)]|$|there\b|along\b|towards?\b))", lambda m: _back(m)),
    (r"\b(?:on|along)\s+(?:that|the\s+same|this\s+same)\s+(?:side|hand)(?:\s+(?:of\s+the\s+road|too|as\s+well))?\b|\b(?:that|the\s+same)\s+(?:side|way)\s+(?:too|also|as\s+well)\b|\b(?:the\s+)?same\s+(?:side|direction)\b", _again),
    (rf"\b(?:diagonal(?:ly)?|kitty[\s-]?corner|catty[\s-]?corner)(?:\s+(?:across|opposite))?(?:\s+(?:from|to)\s+{ME})?|\bacross\s+the\s+way\b", _dir("across")),
    (rf"\b(?:(?:on|at|along|of|from)\s+)?(?:the\s+)?(?:other|opposite|far)\s+(?:side|bank|shore|pavement|kerb)(?:\s+of\s+(?:the|this|my)\s+(?:{_ROAD}\b|water\b|river\b|canal\b)?)?", _dir("across")),
    (r"\bover\s+the\s+(?:water|river|canal|tracks|square|junction|crossing)\b(?=\s*(?:[,.;]|$|is\b|there\b))", _dir("across")),
    (r"(?:(?P<by>\b(?:close\s+to|near(?:\s+to)?|not\s+far\s+from))\s+)?\bwhere\s+(?:i|we)(?:'m|'re|\s+am|\s+are|\s+stand)(?:\s+(?:now|standing|sitting|stood|at))?(?=\s*(?:[,.;]|$))", lambda m: _where_i_am(m)),
    (r"\b(?:just|right)\s+here\b|\bhere\s+where\s+(?:i|we)\s+(?:stand|am|are|sit)\b|\bunder\s+(?:my|our)\s+feet\b", _dir("here")),
    (r"\b(?:i|we)(?:'m|'re|\s+am|\s+are|\s+stand|\s+live|\s+work)\s*(?:sat\s+|stood\s+|standing\s+|sitting\s+)?(?:just\s+|right\s+)?(?:outside(?:\s+of)?|in\s+front\s+of|inside(?:\s+of)?|at|in|on|under)(?=\s*(?:[,.;!]|$))", _dir("here")),
]  # fmt: skip
"""The builders' patterns, in the order in which they are tried; ``ignorecase``."""

ZH: list[tuple[str, Builder]] = [
    (r"(?:方位角?|方向|角度)\s*(?P<d>\d{1,3}(?:\.\d+)?)度?|(?<![\d.])(?P<d2>\d{1,3}(?:\.\d+)?)\s*(?:°|度)(?=方向|方位|[:：])", lambda m: _degrees_zh(m)),
    (r"(?P<h>\d{1,2}|十[一二]?|[一二两三四五六七八九])点钟?(?=\s*(?:[:：，,]|是|有))(?<=钟)", lambda m: _clock_zh(m)),
    (r"(?:正)?(?P<side>左|右|前|后)(?:方|边|手|侧|面)?(?=\s*[:：])", _side),
    (r"(?<=[在居])(?P<side>左|右|前|后)(?=\s*(?:[，。,;；、]|$))", _side),
    (r"画面(?:的)?(?:最|偏|靠)?(?P<side>左|右)(?:侧|边|半边|半部|三分之一|上角?|下角?|手边)?", _side),
    (r"(?P<side>左|右)(?:前|后|上|下)(?:方|角)", lambda m: _slant(m)),
    (r"往(?P<side>左|右)(?:手|边|走|拐|转|首)*(?=[^，。,]{0,10}?(?:是|有|能看|就|到))", _side),
    (r"[东南西北]?(?P<side>左|右)(?:邻|舍|首)", _side),
    (r"斜?对门|斜?对过|(?:马路|街|路)(?:的)?另一?[侧头]", _dir("across")),
    (r"车[后尾](?!备|视)", _dir("behind")),
    (r"(?:^|(?<=[，。,;；\s]))门前(?=是)|[看望]出去(?=是|就是|有|能)|车前(?!面|方|边)|正前(?=[:：，,是有])", _dir("front")),
]  # fmt: skip


def _degrees_zh(match: re.Match[str]) -> Mark | None:
    degrees = float(match["d"] or match["d2"])
    if degrees > 360:
        return None
    return Mark(start=match.start(), end=match.end(), role="dir", type="bearing", bearing=degrees % 360.0)


def _clock_zh(match: re.Match[str]) -> Mark | None:
    hour = numbers.chinese(match["h"])
    return None if hour is None else clock(int(hour), match.start(), match.end())


def _slant(match: re.Match[str]) -> Mark:
    """左前方 is on the left, 45 degrees forward of it; 左下方 of a picture or window is only left."""
    right, along = match["side"] == "右", match.group()[1]
    turn = {"前": -45.0, "后": 45.0}.get(along, 0.0) * (1.0 if right else -1.0)
    return Mark(start=match.start(), end=match.end(), role="dir", type="right" if right else "left", turn=turn)


def _where_i_am(match: re.Match[str]) -> Mark | None:
    """ "The entrance where we are"; but "close to where I am" is only near."""
    if re.search(r"\b(?:from|of|to)\s+$", match.string[max(0, match.start() - 6) : match.start()], re.I):
        return None
    return Mark(start=match.start(), end=match.end(), role="dir", type="near" if match["by"] else "here")


def _back(match: re.Match[str]) -> Mark | None:
    """ "300 metres back": only after a distance."""
    if not _FAR.search(match.string[max(0, match.start() - 20) : match.start()]):
        return None
    return Mark(start=match.start(), end=match.end(), role="dir", type="behind", value=BACK)


_FAR = re.compile(r"(?:\d\s*m|\bmet(?:er|re)s?|\byards?|\bfeet|\bblocks?|\bmiles?|\bkm|\bminutes?|\bmins?|\bways?|\bbit)\s+$", re.I)  # fmt: skip
