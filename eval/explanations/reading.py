"""An explanation back to what it asserts: which claims it says agree, differ, cannot be settled, or simply hold.

Rules only, English and Chinese. The published form (:mod:`prompts.wording`) is read exactly. In free text a clause's
frame is told by its cue words (``cues.yaml``: "agree on", "whereas the tile shows no", 不一致); a clause without one
asserts something of the tile. Does not know: irony, what a pronoun of an earlier sentence means, analogies.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

import yaml

from eval.explanations.phrases import exact_phrase, read_phrase, split_list
from prompts.claims import extract_claims
from retriever.types import Claim, Stance, Verdict

Frame = Literal["agree", "differ", "unsettled", "tile", "said"]
MAX_CHARACTERS = 6000
"""What lies beyond is not read; no explanation needs more."""

_STANCES: dict[Frame, Stance] = {
    "agree": "supports",
    "tile": "supports",
    "said": "supports",
    "differ": "contradicts",
    "unsettled": "unknown",
}
_QUOTED = re.compile(r'"[^"\n]*"|“[^”\n]*”|「[^」\n]*」|《[^》\n]*》')
_SENTENCE = re.compile(
    r"(?<!\bSt)(?<!\bDr)(?<!\bNo)[.!?](?=\s|$)|[。！？；;\n]+"
    r"|[,，](?=\s*(?:so (?:they|it|this)|therefore|hence|thus|因此|所以))",
    re.IGNORECASE,
)
_CLAUSE = re.compile(
    r",?\s*\b(?:but|whereas|while|however|although|yet|and(?= the (?:tile|map|second)))\b[,\s]*"
    r"|[，,]?(?:但是|但|然而|不过|而(?=图|地图|瓦片|第二|它|[东西南北]))[，,]?"
)
_MORE = re.compile(r"^\d+ more$|^另外\d+项$")
_FRAMES: tuple[Frame, ...] = ("unsettled", "differ", "agree", "said")


@cache
def _cue(name: str) -> re.Pattern[str]:
    """One cue of ``cues.yaml``."""
    cues = yaml.safe_load(Path(__file__).with_name("cues.yaml").read_text(encoding="utf-8"))
    return re.compile("|".join(cues[name]), re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Assertion:
    """One checkable thing that an explanation asserts."""

    id: str
    """``e1``, ``e2`` ... in the order of one language's text."""
    claim: Claim
    stance: Stance
    """Where the explanation puts it: ``supports``, the tile holds it; ``contradicts``, it does not; ``unknown``."""
    frame: Frame
    span: str


@dataclass(frozen=True, kw_only=True)
class Read:
    """One text, read back."""

    assertions: tuple[Assertion, ...]
    concludes: Verdict | None
    """The verdict that the text itself draws; None where it draws none."""


def read_explanation(text: str) -> Read:
    """What ``text`` asserts. Any text is read; one that says nothing checkable gives no assertions."""
    found: list[tuple[Frame, Claim, str]] = []
    concludes: Verdict | None = None
    for sentence in _sentences(text[:MAX_CHARACTERS]):
        verdict = _verdict(sentence)
        if verdict is not None:
            concludes = verdict
            continue
        found += _sentence(sentence)
    return Read(assertions=_numbered(found), concludes=concludes)


def _numbered(found: list[tuple[Frame, Claim, str]]) -> tuple[Assertion, ...]:
    return tuple(
        Assertion(id=f"e{i}", claim=replace(claim, id=f"e{i}"), stance=_STANCES[frame], frame=frame, span=span)
        for i, (frame, claim, span) in enumerate(found, 1)
    )


def _sentences(text: str) -> Iterator[str]:
    """Sentences; a full stop inside quotes ends none."""
    masked = _QUOTED.sub(lambda m: m[0][0] + "\x00" * (len(m[0]) - 2) + m[0][-1], text)
    start = 0
    for stop in [*(m.span() for m in _SENTENCE.finditer(masked)), (len(text), len(text))]:
        if text[start : stop[0]].strip():
            yield text[start : stop[0]].strip()
        start = stop[1]


def _verdict(sentence: str) -> Verdict | None:
    if not _cue("same_place").search(sentence) or not (
        _cue("concludes").search(sentence) or not split_list(sentence)[1:]
    ):
        return None
    if _cue("open").search(sentence):
        return "cannot_tell"
    return "no_match" if _cue("not").search(sentence) else "match"


def _sentence(sentence: str) -> list[tuple[Frame, Claim, str]]:
    found: list[tuple[Frame, Claim, str]] = []
    for clause in _clauses(sentence):
        frame, body, listed = _framed(clause)
        if frame == "tile" and _cue("denied").search(clause) and not read_phrase(clause):
            # "The description mentions a park, but the tile shows none."
            found = [("differ" if f == "said" else f, claim, span) for f, claim, span in found]
            continue
        found += [(frame, claim, claim.span) for claim in _claims(body, listed)]
    # What only repeats the description asserts nothing about the tile.
    return [item for item in found if item[0] != "said"]


def _clauses(sentence: str) -> list[str]:
    masked = _masked(sentence)
    cuts = [0, *(edge for m in _CLAUSE.finditer(masked) for edge in m.span()), len(sentence)]
    parts = [sentence[a:b] for a, b in zip(cuts[::2], cuts[1::2], strict=True)]
    return [p.strip() for p in parts if p.strip()]


def _masked(text: str) -> str:
    """The text with what stands in quotes blotted out, position by position."""
    return _QUOTED.sub(lambda m: "\x00" * len(m[0]), text)


def _framed(clause: str) -> tuple[Frame, str, bool]:
    """The frame, the words that it is about, and whether they are a list of noun phrases."""
    if _cue("nothing").search(clause):
        return "agree", "", True
    masked = _masked(clause)
    for frame in _FRAMES:
        hit = _cue(frame).search(masked)
        if hit is not None:
            after = clause[hit.end() :].strip(" :：,，")
            before = clause[: hit.start()].strip(" :：,，")
            if not before or any(read_phrase(item) for item in split_list(after)):
                return frame, after, frame != "said"
            return frame, before, False
    return "tile", clause, False


def _claims(body: str, listed: bool) -> list[Claim]:
    if not listed:
        return _enumerated(body) or extract_claims(body)
    return [claim for item in split_list(body) for claim in read_phrase(item)]


def _enumerated(clause: str) -> list[Claim]:
    """The claims of "the tile has a, b and c" where every item is a phrase of the published form; else nothing.

    The free reader would carry a direction or a denial from one item to the next.
    """
    head = _cue("holds").search(_masked(clause))
    items = [i for i in split_list(clause[head.end() :]) if not _MORE.match(i)] if head is not None else []
    found = [exact_phrase(item) for item in items]
    return [c for c in found if c is not None] if all(found) else []
