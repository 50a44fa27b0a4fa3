"""English: which way the witness looks or goes, and compass and clock directions."""

# A pattern that is broken over lines cannot be searched for or compared with its neighbours.
# ruff: noqa: E501

from __future__ import annotations

import re

from prompts.claims_.compass import COMPASS, LETTERS, NUDGED, WORDY, bearing_en
from prompts.claims_.marks import Builder, Mark, Role
from retriever.types import RelationType

ME = r"(?:me|us|him|her|you|them|here|myself|my\s+(?:position|location)|where\s+(?:i|we)\s+(?:am|are|stand|was|were|stood|live))\b"
MY = r"(?:the|my|our|his|her|your|their|its)"
_WITHIN = re.compile(
    r"\s*-?(?:to|and)\b\s*(?:the\s+)?(?:north|south|east|west)|\s+(?:bank|exit|gate|entrance|end|wing|corner|door)\b",
    re.I,
)
_MOVES = re.compile(
    r"\b(?:r[ua]n|running|go|goes|going|went|lead|turn|bend|curve|head|walk|drive|driving|cycle|travel|face|facing|look|point"
    r"|move|moving|came|come|coming|continue|carry\s+on|carries\s+on|extend|stretch|wind)(?:s|ed|es|ing)?\s+(?:\w+\s+)?$",
    re.I,
)
_IS_WITNESS = re.compile(r"(?:'m|am|'re|are|im|standing|stood|was|were)\s+$", re.I)
_RUNS = re.compile(rf"\s*(?:to|-|–|and)\s*(?:the\s+)?{COMPASS}\b", re.I)
_A_WAY = re.compile(r"\b(?:streets?|roads?|lanes?|alleys?|paths?|footpaths?|pavements?|tracks?|avenue|passage|river|canal|stream|railway|line|bridge)\s+(?:is\s+)?$", re.I)  # fmt: skip
_ONE_WAY = re.compile(r"\bone[\s-]?way,?\s+$", re.I)
_SEES = re.compile(r"\s*,?\s*(?:i|we|you|one|there|is|are|through|across|over)\b", re.I)
_SIDES = re.compile(r"\b(?:left|right|ahead|behind|in\s+front)\b", re.I)
_HOURS: dict[int, tuple[RelationType, float]] = {
    12: ("front", 0.0), 1: ("front", 30.0), 2: ("right", -30.0), 3: ("right", 0.0), 4: ("right", 30.0),
    5: ("behind", -30.0), 6: ("behind", 0.0), 7: ("behind", 30.0), 8: ("left", -30.0), 9: ("left", 0.0),
    10: ("left", 30.0), 11: ("front", -30.0)}  # fmt: skip
_HOUR_WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def clock(hour: int, start: int, end: int) -> Mark | None:
    """The direction of an hour on a dial that the witness looks along: 12 is ahead, 3 to the right."""
    if hour not in _HOURS:
        return None
    kind, turn = _HOURS[hour]
    return Mark(start=start, end=end, role="dir", type=kind, turn=turn)


def clock_words(match: re.Match[str]) -> Mark | None:
    word = match["h"].lower()
    hour = int(word) if word.isdigit() else _HOUR_WORDS.index(word) + 1
    return clock(hour, match.start(), match.end())


def _capital_letters(word: str) -> bool:
    """Letters that stand alone are a compass point only as capitals."""
    return word.isupper() or not re.fullmatch(LETTERS, word, re.I)


def compass(match: re.Match[str]) -> Mark | None:
    text, end = match.string, match.end()
    if _WITHIN.match(text[end : end + 30]):
        return None
    of = re.compile(rf"\s+(?:of|from)\s+(?!{ME})", re.I).match(text, end)
    me = re.compile(rf"\s+(?:of|from)\s+{ME}", re.I).match(text, end)
    end = of.end() if of else me.end() if me else end
    return Mark(start=match.start(), end=end, role="dir", type="bearing", bearing=bearing_en(match["c"]), anchored=bool(of))  # fmt: skip


def _bare(match: re.Match[str]) -> Mark | None:
    """ "Cafe sixteen metres away, north-east": after the thing and without a preposition."""
    before = match.string[max(0, match.start() - 30) : match.start()]
    if _MOVES.search(before) or re.search(rf"(?:{COMPASS}\s*(?:to|and|-|–|/)|\bfrom|[-–/])\s*$", before, re.I):
        return None
    mark = compass(match) if _capital_letters(match["c"]) else None
    if mark is not None:
        mark.bare = True
    return mark


def _bank(match: re.Match[str]) -> Mark | None:
    return Mark(start=match.start(), end=match.end(), role="dir", type="bearing", bearing=bearing_en(match["c"]), anchored=True)  # fmt: skip


def _heading(match: re.Match[str]) -> Mark | None:
    """ "I'm looking north" is a heading; "looking north, I see a marina" says where the marina is."""
    text, start = match.string, match.start()
    moves = match.group().lower().startswith(("running", "going"))
    if _RUNS.match(text, match.end()) or (moves and _A_WAY.search(text[max(0, start - 24) : start])):
        return None
    if not _capital_letters(match["c"]) or _ONE_WAY.search(text[max(0, start - 14) : start]):
        return None
    if match.group().lower().startswith("looking") and not _IS_WITNESS.search(text[max(0, start - 10) : start]):
        opens = not text[:start].strip() and not _SIDES.search(text, match.end())
        if _SEES.match(text, match.end()) or opens:
            return None
    return Mark(start=start, end=match.end(), role="heading", bearing=bearing_en(match["c"]))


def _heading_at_end(match: re.Match[str]) -> Mark | None:
    """ "Walking along the canal north": the canal stays a thing."""
    return Mark(start=match.start("c"), end=match.end("c"), role="heading", bearing=bearing_en(match["c"]))


def _turned_away(match: re.Match[str]) -> Mark | None:
    there = bearing_en(match["c"])
    if there is None:
        return None
    return Mark(start=match.start(), end=match.end(), role="heading", bearing=(there + 180.0) % 360.0)


def _degrees(role: Role) -> Builder:
    def build(match: re.Match[str]) -> Mark | None:
        degrees = float(match["d"])
        if degrees > 360:
            return None
        kind: RelationType = "bearing" if role == "dir" else "near"
        return Mark(start=match.start(), end=match.end(), role=role, type=kind, bearing=degrees % 360.0)

    return build


def _loose(match: re.Match[str]) -> Mark | None:
    return Mark(start=match.start(), end=match.end(), role="dir", type="bearing", bearing=bearing_en(match["c"]))


_GOING = (
    r"(?:facing|heading|headed|looking|pointing|pointed|walking|running|jogging|going|driving|riding|cycling|travell?ing|moving|strolling|biking"
    r"|wandering|hiking|rolling|(?<=i\s)face|(?<=we\s)face|(?<=you\s)face|(?<=i\s)faced|(?<=i\s)head|(?<=we\s)head)"
)
_ROUGHLY = (
    r"(?:(?:due|roughly|straight|sorta|kinda|sort\s+of|kind\s+of|more\s+or\s+less|approximately|about|almost|nearly|mostly|generally|slightly|directly"
    r"|in\s+an?|back|down|up|off|towards?\s+the|towards?|to\s+the)\s+){0,3}"
)
_NOT_A_NAME = r"(?!\s+(?:of|street|road|gate|st|side|end|wing|bank|entrance|exit)\b)"
_WAY = rf"(?P<c>{NUDGED}|{WORDY}|{LETTERS})"
_TOWARDS = r"(?:wards?|bound|(?:er(?:n|ly))?\s+direction)?"

HEADINGS: list[tuple[str, Builder]] = [
    (rf"\b(?:with\s+)?(?:my|our|his|her)\s+backs?\s+(?:is\s+|are\s+|was\s+)?(?:turned\s+)?(?:to|against|towards?)\s+(?:the\s+)?(?P<c>{WORDY})\b{_NOT_A_NAME}", _turned_away),
    (r"\b(?:heading|facing|looking|headed|course)\s+(?:of\s+|is\s+|on\s+|at\s+)?(?:about\s+|roughly\s+)?(?P<d>\d{1,3})(?:\s*°|\s+degrees?\b|\s+deg\b)", _degrees("heading")),
    (r"\bheading\s*[:=]?\s*(?:约|about|approx\.?)?\s*(?P<d>\d{2,3})(?:\s*°|\s*度)?(?!\d|\s*(?:m\b|met|k|yard|ft|feet|min))", _degrees("heading")),
    (rf"\b(?:fac(?:es|ing)|looking\s+at|towards?)\s+the\s+\w+,\s+(?:that\s+is|that's|which\s+is|i\.e\.|so|meaning)\s+(?:due\s+|to\s+the\s+)?(?P<c>{WORDY}|{LETTERS})\b", _heading_at_end),
    (rf"\b{_GOING}\s+{_ROUGHLY}{_WAY}{_TOWARDS}\b{_NOT_A_NAME}", _heading),
    (rf"\b(?:camera|lens|view|photo|picture|shot|image|car|bike|van|bus|phone|taken|easel|hide|window|balcony|tripod|drone|bench|desk|seat|telescope|dashcam)(?:'s)?\s+(?:is\s+|was\s+)?(?:faces|facing|looks|looking|points|pointing|pointed|(?:taken\s+)?towards?(?:\s+the)?|(?:taken\s+)?to\s+the)\s+{_ROUGHLY}{_WAY}{_TOWARDS}\b{_NOT_A_NAME}", _heading),
    (rf"\b(?:walking|driving|riding|cycling|running|jogging|strolling|going|heading)\s+(?:along|down|up|on|through|over)\s+[^,.;:]{{3,40}}?\s(?:towards?\s+(?:the\s+)?|to\s+the\s+)?(?P<c>{WORDY})(?:wards?)?(?=\s*(?:$|[,.;]))", _heading_at_end),
    (rf"\b(?P<c>{WORDY})bound\b", _heading),
]  # fmt: skip

_AFTER_BARE = (
    r"(?=\s*(?:$|[,.;:)—–])|\s+(?:too|also|about|a\s+bit|a\s+little|a\s+touch|somewhere|and|or|but|maybe|perhaps|probably|possibly|as\s+well|from|over|across|past|beyond|on|at|by|in|behind|with"
    r"|there|is|are|then|roughly|around|approximately|i\s+think|some|just|not|nearly|almost|under|a\s+few|\d|one|two|three|four|five|six|seven|eight|nine|ten"
    r"|eleven|twelve|\w+teen|\w+ty)\b)"
)
HOUR = rf"(?P<h>\d{{1,2}}|{'|'.join(_HOUR_WORDS)})\s*o'?\s?clock\b"
COMPASSES: list[tuple[str, Builder]] = [
    (rf"\b(?:i'?m|am|we'?re|are|stand(?:ing)?|stood|was|live|lives)\s+(?:right\s+)?on\s+the\s+(?P<c>{WORDY})(?:ern)?\s+(?:bank|shore|side)\s+of\b", _bank),
    (r"\b(?:(?:on|at)\s+)?(?:a\s+)?(?:bearing|azimuth)\s*(?:of|is|:|about)?\s*(?P<d>\d{1,3})(?:\s*°|\s+degrees?\b|\s+deg\b|\b)", _degrees("dir")),
    (rf"\b(?:(?:just|directly|due|further|slightly|immediately|straight|off|out|back|over|round|a\s+(?:bit|little|touch))\s+)*(?:to|on|in|towards?|from|at)\s+{MY}\s+(?:far\s+|near\s+)?(?:due\s+)?(?P<c>{COMPASS})(?:ern|erly)?(?:\s+(?:side|edge|corner(?!\s+of)))?\b", compass),
    (rf"\b(?:the|its|a)\s+(?:whole|entire|full|complete)\s+(?P<c>{WORDY})(?:ern)?\s+(?:side|edge|end)\b", compass),
    (rf"\b(?:just|due|directly|slightly|immediately)?\s*\b(?P<c>{WORDY}|{LETTERS})(?=\s+(?:of|from)\b)", compass),
    (rf"(?:(?<=walk\s)|(?<=look\s)|(?<=looking\s))(?P<c>{WORDY})\b", _loose),
    (rf"\bdue\s+(?P<c>{WORDY})\b", compass),
    (rf"^\s*(?:to\s+the\s+)?(?P<c>{COMPASS})(?:ern)?(?:\s+(?:side|end|edge))?(?=\s*(?:[:–—]|-\s))", compass),
    (rf"\b(?:(?:just|immediately|directly|slightly|roughly|further|almost|about|off|out|away|mostly|somewhere|a\s+(?:bit|little|touch))\s+)*(?P<c>{WORDY}|{LETTERS})(?:wards?)?{_AFTER_BARE}", _bare),
    (rf"\b(?:at|to|on)\s+(?:about\s+|my\s+|your\s+|our\s+|roughly\s+)*{HOUR}(?!\s*(?:sharp|today|yesterday|tonight|this|last|in\s+the|on\s+\w+day|when|i\s+(?:was|left|went|got|came)))(?:\s+(?:position|direction))?(?:\s+(?:of|from)\s+(?:{ME}|where\s+i\s+face))?", clock_words),
]  # fmt: skip
