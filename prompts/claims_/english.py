"""English cues: where, how far, whether at all."""

# A pattern that is broken over lines cannot be searched for or compared with its neighbours.
# ruff: noqa: E501

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from prompts.claims_ import labels, numbers
from prompts.claims_.compass import COMPASS, WORDY
from prompts.claims_.facing import COMPASSES, HEADINGS, compass
from prompts.claims_.facing import ME as _ME
from prompts.claims_.facing import MY as _MY
from prompts.claims_.marks import Builder, Mark
from retriever.types import RelationType

_ROAD = r"(?:street|road|way|avenue|lane|boulevard|carriageway)"
_MOVING = re.compile(r"\b(?:walk|driv|cycl|head|rid|jog|stroll|runn)(?:e|ed|ing)?\s+(?:[\w-]+\s+){0,3}$", re.I)
_SIDE_NOT = re.compile(r"(?:\b(?:turn(?:s|ed|ing)?|bend(?:s|ing)?|curv(?:es|ed|ing|e)|veer(?:s|ed)?|swing(?:s)?|go|goes|going|take)\s+(?:off\s+|slightly\s+|sharply\s+)?)$", re.I)  # fmt: skip


def _dir(
    kind: RelationType, *, anchored: bool = False, direct: bool = False, maybe: bool = False
) -> Callable[[re.Match[str]], Mark | None]:
    """``maybe``: it leans on a thing only where a noun phrase follows at once."""

    def build(match: re.Match[str]) -> Mark | None:
        leans = anchored or (maybe and bool(_NOUN_NEXT.match(match.string, match.end())))
        return Mark(start=match.start(), end=match.end(), role="dir", type=kind, anchored=leans, direct=direct)

    return build


_NOUN_NEXT = re.compile(r"\s+(?!(?:is|are|was|there|i|we|and|but|it|you|stands?|lies|a\s+bit)\b)[\w'\"“]", re.I)


def _side(match: re.Match[str]) -> Mark | None:
    if _SIDE_NOT.search(match.string[max(0, match.start() - 24) : match.start()]):
        return None
    side: RelationType = "left" if match["side"].lower() == "left" else "right"
    of = re.compile(rf"\s+of\s+(?!{_ME})", re.I).match(match.string, match.end())
    end = of.end() if of else match.end()
    return Mark(start=match.start(), end=end, role="dir", type=side, anchored=bool(of))


def _distance(match: re.Match[str]) -> Mark | None:
    before = match.string[max(0, match.start() - 40) : match.start()]
    if re.search(r"\b(?:walked|went|for|after|drove|ran|cycled|walking)(?:\s+(?:about|maybe|around|roughly|approximately|some|another|for|like|just))*\s*$", before, re.I):  # fmt: skip
        return None
    metres = numbers.metres_en(match["n"], match["u"])
    if metres is None:
        return None
    return Mark(start=match.start(), end=match.end(), role="dist", number=metres)


def _standing(match: re.Match[str]) -> Mark:
    """Words for the witness's own place that hold a thing's name: "our house is"."""
    return Mark(start=match.start(), end=match.end(), role="self", direct=True)


def _going(match: re.Match[str]) -> Mark | None:
    """ "Walking east down Mercer Lane": along it."""
    if not _MOVING.search(match.string[max(0, match.start() - 40) : match.start()]):
        return None
    return Mark(start=match.start(), end=match.end(), role="dir", type="along", anchored=True, direct=True)


def _pictured(match: re.Match[str]) -> Mark | None:
    side: RelationType = "left" if match["side"].lower() == "left" else "right"
    return Mark(start=match.start(), end=match.end(), role="dir", type=side)


def _nearby(match: re.Match[str]) -> Mark:
    """ "behind it": by the thing just said, whatever way the witness looks."""
    return Mark(start=match.start(), end=match.end(), role="join", direct=True)


def _role(role: str) -> Builder:
    return lambda m: Mark(start=m.start(), end=m.end(), role=role)  # type: ignore[arg-type]


_UNIT = (
    r"(?:k(?:ilo)?met(?:er|re)s?|km|met(?:er|re)s?|mtrs?|m|feet|foot|ft|yards?|yds?|miles?|blocks?|steps|paces"
    r"|min(?:ute)?s?'?\s*(?:of\s+)?(?:walk(?:ing)?|away|on\s+foot|by\s+foot|down|up|further)(?:\s+away)?)"
)
_PATTERNS: list[tuple[str, Builder]] = [
    *HEADINGS,
    *labels.EN,
    (rf"\bwith\s+{_MY}\s+backs?\s+(?:turned\s+)?(?:to|against|towards)\b", _dir("behind", anchored=True, direct=True)),
    (
        rf"\b(?P<n>{numbers.NUMBER_EN})[\s-]*(?P<u>{_UNIT})\b(?!\s*(?:wide|high|tall|long|deep|square|building))",
        _distance,
    ),
    (
        r"\b(?:on|at|from|over)\s+the\s+(?:other|opposite|far)\s+(?:side|bank|shore)(?:\s+of\s+(?:the|this|my)\s+"
        rf"(?:{_ROAD}\b)?)?",
        _dir("across"),
    ),
    (
        rf"\b(?:just|directly|right|straight)?\s*(?:across|over)\s+(?:the|my|this|a)\s+{_ROAD}\b(?:\s+from\s+{_ME})?",
        _dir("across"),
    ),
    (rf"\bacross\s+from\s+{_ME}|\bopposite\s+{_ME}|\bopposite\s+side\b", _dir("across")),
    (
        r"\b(?:behind|next\s+to|next\s+door\s+to|beside|in\s+front\s+of|near|by|close\s+to|around|outside|inside|past|after|beyond|above|below|adjoining)\s+(?:it|that|them|this|those)\b",
        _nearby,
    ),
    (
        rf"\b{_MY}\s+back\s+(?:is|was)\s+(?:turned\s+)?(?:to|against|towards)\b|\bturn(?:ing)?\s+{_MY}\s+back\s+(?:to|on)\b",
        _dir("behind", anchored=True, direct=True),
    ),
    (r"\b(?:on\s+|at\s+)?(?:the\s+)?corner\s+of\b|\bcnr\b(?:\s+of\b)?", _dir("here", anchored=True, direct=True)),
    (r"\bacross\s+from\b", _dir("across", anchored=True)),
    (r"\bacross\s+(?:the|this|a)\b", _dir("across", anchored=True)),
    (r"\b(?:opposite|opp)\b", _dir("across", maybe=True)),
    *COMPASSES,
    (
        rf"\b(?:off\s+)?(?:on|to|at|in|from|off)\s+(?P<my>{_MY}\s+)?(?:immediate\s+|far\s+|near\s+|direct\s+)?(?P<side>left|right)\b(?(my)(?!\s+angles?\b)|(?!\s+(?:next|here|now|by|in\s+front|behind|beside|down|on|at|across|outside|away|angles?)\b))(?:[\s-]?hand)?(?:\s+side)?(?:\s+of\s+{_ME})?",
        _side,
    ),
    (
        rf"\b(?:immediately\s+|directly\s+|just\s+)?(?P<side>left|right)(?:(?:[\s-]hand)?\s+side|[\s-]hand|(?=\s+of\s+(?:the|a|{_ME})))(?:\s+of\s+{_ME})?",
        _side,
    ),
    (r"(?:^|(?<=[.;\n]))\s*(?P<side>left|right)\s*(?=[:\-–,])", _side),
    (
        r"\b(?:on\s+the\s+)?(?P<side>left|right)\s+(?:side\s+)?(?:of|in)\s+(?:the\s+)?(?:frame|picture|photo|image|shot|view)\b",
        _pictured,
    ),
    (
        r"\bin\s+the\s+(?:centre|center|middle)\s+of\s+(?:the\s+)?(?:frame|picture|photo|image|shot|view)\b|\b(?:slightly|just|a\s+little|a\s+bit)\s+(?:left|right)\s+of\s+(?:the\s+)?cent(?:re|er)\b",
        _dir("front"),
    ),
    (
        rf"\b(?:right\s+|directly\s+|just\s+)?(?:above|below|over|beneath|under|underneath)\s+{_ME}|\boverhead\b",
        _dir("here"),
    ),
    (
        r"\b(?:turned|turning|pulled|stepped)\s+(?:off\s+)?(?:into|onto)\b|(?<='ve\s)(?:just\s+)?(?:come|got|stepped|walked)\s+(?:up\s+|out\s+)+(?:of|from)\b|\b(?:at|in|on)\s+the\s+(?:door(?:way|step)?|entrance|foot|gates?|front\s+door|mouth|porch|forecourt)\s+(?:of|to)\b|\b(?:arrived\s+at|have\s+reached|'ve\s+reached|just\s+reached|now\s+at)\b",
        _dir("here", anchored=True, direct=True),
    ),
    (r"\bjust\s+past\b", _dir("behind", anchored=True, direct=True)),
    (r"(?<=taken\s)from\b|\bthrough\b", _dir("here", anchored=True, direct=True)),
    (
        rf"\bin\s+front\s+of\s+{_ME}|\b(?:straight|dead|directly|right|just|up)?\s*(?:up\s+)?ahead\b(?:\s+of\s+{_ME})?|\b(?:just\s+|right\s+|directly\s+)?in\s+front\b(?!\s+of)|\bfacing\s+{_ME}|\bbefore\s+(?:me|us)\b|\bstraight\s+on\b(?!\s+(?:the|a|my|to)\b)|\bcoming\s+up\s+(?:to|on)\b|\bcoming\s+up\b(?=\s*(?:[,.;]|$))",
        _dir("front"),
    ),
    (r"\b(?:right\s+|just\s+|directly\s+)?in\s+front\s+of\b", _dir("here", anchored=True)),
    (
        rf"\b(?:right\s+|just\s+|directly\s+)?behind\s+{_ME}|\b(?:at|to)\s+(?:my|our|his|her)\s+(?:back|rear)\b",
        _dir("behind"),
    ),
    (r"\b(?:right\s+|just\s+|directly\s+)?behind\b", _dir("behind", maybe=True)),
    (
        rf"\b(?:right\s+|just\s+)?(?:next\s+to|beside|by)\s+{_ME}|\bright\s+here\b|\bwhere\s+i'?m\s+standing\b",
        _dir("here"),
    ),
    (
        r"\b(?:i'?m|we'?re|i\s+am|we\s+are|am|standing|stood|sitting)\s+(?:facing|looking\s+(?:straight\s+|right\s+|directly\s+|over\s+|out\s+)*(?:at|towards?|onto|across))\b",
        _dir("front", anchored=True, direct=True),
    ),
    (
        rf"\b(?:down|along|through|in)\s+the\s+(?:middle|centre|center)\s+of\s+(?:the|this)\s+{_ROAD}\b|\b(?:on|along)\s+both\s+sides\b(?:\s+of\s+(?:the|this)\s+{_ROAD})?|\b(?:on\s+)?either\s+side\b|\bboth\s+sides\b|\balong\s+(?:the|this)\s+{_ROAD}\b(?!\s+(?:from|to))|\bline\s+(?:the|this)\s+{_ROAD}\b|\b{_ROAD}?[\s-]*lined?\s+(?:the|both)\b",
        _dir("along"),
    ),
    (r"\bfacing\b", _dir("front", anchored=True, direct=True)),
    (r"\blined\s+(?:with|by)\b", _dir("along", anchored=True, direct=True)),
    (r"(?<=tree)[\s-]lined\b|(?<=trees)\s+lin(?:e|ing)\b", _dir("along")),
    (
        r"\b(?:right\s+)?(?<!further\s)(?<!farther\s)(?<!all\s)along(?:side)?\b(?!\s+(?:with|on|to)\b)",
        _dir("along", anchored=True, direct=True),
    ),
    (r"\b(?:in\s+|right\s+)?between\b|\bsandwiched\s+between\b", _dir("between", anchored=True, direct=True)),
    (
        r"\b(?:right\s+|just\s+|directly\s+)?(?:next\s+door\s+to|next\s+to|outside|beside|underneath|beneath|against|at|by|inside|under|on|in|leaving|exiting)\b(?!\s+(?:the\s+)?(?:distance|background|way|corner\b(?!\s+of)|phone|foot|left|right|front|middle\b(?!\s+of)|total|sight|least|first|view)\b)",
        _dir("here", anchored=True, direct=True),
    ),
    (
        r"\b(?:near|close\s+to|not\s+far\s+from|around|past|towards|beyond|above|below|from|off|over|via)\b",
        _dir("near", anchored=True, direct=True),
    ),
    (
        r"\b(?:i'?m|i\s+am|i\s+was|i'?ve|we'?re|we\s+are|we\s+were|(?:he|she|they)\s+(?:is|was|were|are)|you'?re|you\s+are|i\s+(?:just\s+|always\s+|usually\s+|often\s+|now\s+|then\s+)?(?:stand|sit|stay|live|work|stop(?:ped)?|wait(?:ed)?|park(?:ed)?)|we\s+(?:stand|sit|stay|live|stopped)|standing|stood|sitting|sat|waiting|parked|stuck|stopped|reporting|spawned|located|accident|incident|collision|emergency|my\s+(?:house|flat|hotel|location|position|place)\s+is|dropping|dropped(?=\s+(?:me\s+|us\s+)?off\s+(?:at|in|on|by|outside|near)\b)|find\s+(?:me|us)|we\s+r|leaning|crawling|lingering|queu(?:e)?ing|sheltering|stranded|perched|lost(?=\s+(?:in|at|on|near|by|outside|under))|broken\s+down|pulled\s+(?:up|over)|(?:meet|pick)(?:ing)?\s+(?:me|us)(?:\s+up)?|meet(?=\s+(?:at|in|on|by|outside|under|inside)\b)|i'?ll\s+(?:be|wait|meet\s+you)|(?:spot|place)'?s(?=\s+(?:under|in|at|on|by|outside|inside)))\b",
        _role("self"),
    ),
    (
        r"\b(?:our\s+(?:house|flat|home|hotel|hostel|location|position|place|car|van)|my\s+(?:house|flat|home|hostel|car|van|bike|taxi|cab))(?:'s|\s+(?:is|was))\b(?:\s+the\s+\w+\s+one\b)?|\b(?:photo|picture|shot|image)\s+(?:was\s+|is\s+)?taken\b"
        r"|\b(?:drop-?off|pick-?up|meeting|delivery|collection)(?:\s+(?:point|place|spot))?(?=\s+(?:is\s+)?(?:at|on|in|outside|by)\b)",
        _standing,
    ),
    (
        r"\b(?:the\s+)?(?:caller|driver|patient|victim|casualty|witness|walker|cyclist|passenger|subject|user)(?:'s|\s+(?:is|was))\b(?:\s+(?:currently|now|standing|sitting))*",
        _standing,
    ),
    (r"\b(?:up|down)\b(?=\s+[\w'])", _going),
    (
        rf"\b(?:at|on)\s+the\s+(?P<c>{WORDY})(?:ern)?\s+end\s+of\s+(?:the|this)\s+{_ROAD}\b",
        compass,
    ),
    (
        r"\b(?:no\s+idea|not\s+(?:sure|certain|far|only|too\s+far|just|exactly)|no\s+(?:answer|reply|luck|signal|problem|need|matter|rush|longer)|no\s+doubt|no\s+wonder|nowhere\s+else|can'?t\s+(?:remember|recall|say|tell|be\s+sure|find|miss)|don'?t\s+(?:know|remember|recall))\b",
        lambda m: _doubt(m),
    ),
    (
        r"\b(?:no|not|isn'?t|aren'?t|wasn'?t|weren'?t|without|used\s+to\s+be|don'?t|doesn'?t|didn'?t|can'?t|cannot|couldn'?t|never|neither|nor|nothing\s+like|lacks?|none\s+of|absence\s+of|hardly\s+any)\b",
        _role("neg"),
    ),
    (
        r"\b(?:i\s+(?:think|believe|guess|suppose|reckon|assume|imagine)|maybe|perhaps|probably|possibly|might|may\s+be|could\s+be|seems?|seemingly|looks\s+like|looked\s+like|apparently|presumably|likely|if\s+i\s+remember|must\s+be|must\s+have\s+been|should\s+be|unsure|as\s+far\s+as\s+i)\b",
        _role("hedge"),
    ),
    (
        r"\b(?:there'?s|there\s+(?:is|are|was|were)|is|are|was|were|has|have|had|stands?|lies|runs?|see|saw|can|i|we|it|leads?|rises?|borders?|faces?|goes|going|passes|passed|looks?|need|know|came|found)\b",
        _role("verb"),
    ),
    (r"\b(?:and|but|or|while|whereas|then|so|because|who|which|where)\b|[&/;]", _role("join")),
]
_COMPILED = [(re.compile(p, re.IGNORECASE), build) for p, build in _PATTERNS]
_LATIN = re.compile(r"[A-Za-z°º]")
_SHORT_AFTER_DISTANCE = re.compile(
    rf"\s+(?:to\s+the\s+|further\s+|due\s+)?(?P<c>{COMPASS})(?:wards?)?\b", re.IGNORECASE
)
_SIDE_AFTER = re.compile(r"\s+(?:to\s+the\s+)?(?P<side>left|right)\b", re.IGNORECASE)


def _doubt(match: re.Match[str]) -> Mark | None:
    sure = re.search(r"sure|certain|remember|recall|know|idea|say|tell", match.group(), re.I)
    return Mark(start=match.start(), end=match.end(), role="hedge" if sure else "join")


def cues(text: str, start: int, end: int) -> Iterator[Mark]:
    """Marks of the sentence ``text[start:end]``, the particular before the general."""
    part = text[start:end]
    if not _LATIN.search(part):
        return
    for pattern, build in _COMPILED:
        for match in pattern.finditer(part):
            mark = build(match)
            if mark is None:
                continue
            yield _shifted(mark, start)
            if mark.role == "dist":
                yield from _after_distance(part, mark, start)


def _after_distance(part: str, mark: Mark, start: int) -> Iterator[Mark]:
    """ "30 m N", "a block east of the church"."""
    match = _SHORT_AFTER_DISTANCE.match(part, mark.end - start)
    found = compass(match) if match else None
    if found is not None:
        yield _shifted(found, start)


def _shifted(mark: Mark, by: int) -> Mark:
    mark.start, mark.end = mark.start + by, mark.end + by
    return mark
