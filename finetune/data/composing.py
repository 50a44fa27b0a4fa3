"""From sayings to running text: sentences, joins, openings and asides, and where each saying's words ended up."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from random import Random

from finetune.data import speak_en, speak_zh
from finetune.data.planning import Terms
from finetune.data.sayings import Saying
from finetune.data.spin import bank

_TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_]+|[^\w\s]")

_LOOSE = re.compile(r" (?=[,.;:!?])")


@dataclass(frozen=True)
class Style:
    lang: str
    persona: str
    register: str
    length: str


@dataclass
class Written:
    text: str
    said: list[tuple[Saying, str]]
    """Each saying with its words in ``text``."""
    heading_stated: bool


@dataclass
class _Draft:
    pieces: list[tuple[str, Saying | None]] = field(default_factory=list)
    tokens: int = 0

    def add(self, text: str, saying: Saying | None = None) -> None:
        self.pieces.append((text, saying))
        self.tokens += count_tokens(text)


def count_tokens(text: str) -> int:
    """Words and punctuation marks; every Chinese character and kana counts as one."""
    return len(_TOKEN.findall(text))


def target_tokens(length: str, rng: Random) -> tuple[int, int, int]:
    """(tokens to reach, least and most sayings) for a length: CVG-Text's two humps, a tail, and short ones."""
    if length == "short":
        return rng.randint(10, 38), 2, 3
    if length == "medium":
        return round(rng.gauss(97, 14)), 4, 30
    tail = 143 + rng.expovariate(1 / 50) if rng.random() < 0.15 else rng.gauss(143, 18)
    return min(285, round(tail)), 5, 40


def compose(sayings: Iterable[Saying], style: Style, terms: Terms, rng: Random) -> Written:
    """Text of about the length asked for, as many sayings as it takes, in the order given with some shuffling."""
    target, least, most = target_tokens(style.length, rng)
    talk = _Talk(style, terms, rng)
    clauses = talk.enough(sayings, target, least, most)
    draft = _Draft()
    if rng.random() < (0.2 if style.length == "short" else 0.45):
        talk.open(draft)
    stated = talk.sentences(draft, clauses)
    if rng.random() < (0.08 if style.length == "short" else 0.4):
        draft.add(talk.aside())
    return _finish(draft, style, rng, stated)


class _Talk:
    """One speaker."""

    def __init__(self, style: Style, terms: Terms, rng: Random) -> None:
        self.style, self.terms, self.rng = style, terms, rng
        self.en = speak_en.voice(style.register, rng)
        self.zh = speak_zh.voice(style.register, rng, english=0.45 if style.lang == "mixed" else 0.0)

    def lang(self) -> str:
        if self.style.lang == "mixed":
            return "zh" if self.rng.random() < 0.6 else "en"
        return self.style.lang

    def clause(self, saying: Saying, lang: str) -> tuple[str, Saying]:
        """The words, and the saying with its distance as those words give it."""
        metres = saying.place.distance
        if metres is not None:
            said = speak_zh.said_metres(metres, self.zh) if lang == "zh" else speak_en.said_metres(metres, self.en)
            saying = replace(saying, place=replace(saying.place, distance=said))
        if lang == "zh":
            words = speak_zh.clause(saying, self.zh, self.rng)
        else:
            words = speak_en.clause(saying, self.en, self.rng)
        return _LOOSE.sub("", " ".join(words.split())), saying

    def enough(self, sayings: Iterable[Saying], target: int, least: int, most: int) -> list[tuple[str, Saying, str]]:
        """(words, saying, language) until the target is reached, near ones of a kind kept apart by a shuffle."""
        chosen: list[tuple[str, Saying, str]] = []
        tokens = 0
        for saying in sayings:
            if len(chosen) >= most or (tokens >= target - 6 and len(chosen) >= least):
                break
            lang = self.lang()
            words, saying = self.clause(saying, lang)
            chosen.append((words, saying, lang))
            tokens += count_tokens(words) + 1
        if self.rng.random() < 0.6:
            self.rng.shuffle(chosen)
        return _street_first(chosen, self.rng)

    def open(self, draft: _Draft) -> None:
        lang = self.lang()
        persona = self.style.persona if self.rng.random() < 0.8 else "plain"
        draft.add(bank(lang).say(f"open.{persona}", self.rng) + _gap(lang))

    def aside(self) -> str:
        lang = self.lang()
        return _gap(lang) + bank(lang).say("aside", self.rng)

    def sentences(self, draft: _Draft, clauses: list[tuple[str, Saying, str]]) -> bool:
        """Writes the clauses as sentences; True if the heading was stated on the way."""
        needs = any(s.place.said in ("relative", "clock") and s.place.bearing is not None for _, s, _ in clauses)
        stated, at = False, 0
        while at < len(clauses):
            lang = clauses[at][2]
            group = [clauses[at]]
            for follower in clauses[at + 1 : at + self._size()]:
                if follower[2] != lang:
                    break
                group.append(follower)
            at += len(group)
            stated = self._sentence(draft, group, lang, needs and not stated) or stated
        return stated

    def _size(self) -> int:
        weights = {"terse": (5, 3, 2), "rambling": (3, 5, 3), "analyst": (7, 3, 0)}.get(self.style.register, (5, 4, 1))
        return self.rng.choices((1, 2, 3), weights)[0]

    def _sentence(self, draft: _Draft, group: list[tuple[str, Saying, str]], lang: str, heading: bool) -> bool:
        stop = "。" if lang == "zh" else "."
        if draft.pieces and not draft.pieces[-1][0].endswith((" ", "\n")):
            draft.add(_gap(lang))
        if heading:
            draft.add("\x02" + self._heading(lang))
            draft.add(("，" if lang == "zh" else ", ") if self.rng.random() < 0.4 else stop + _gap(lang) + "\x02")
        elif draft.pieces and self.style.register != "terse" and self.rng.random() < 0.16:
            draft.add("\x02" + bank(lang).say("starts", self.rng))
        else:
            draft.add("\x02")
        for i, (words, saying, _) in enumerate(group):
            if i:
                draft.add(self._join(lang))
            draft.add(words, saying)
        draft.add(stop if self.rng.random() < 0.96 else ("！" if lang == "zh" else "!"))
        return heading

    def _heading(self, lang: str) -> str:
        if lang == "zh":
            return speak_zh.heading(self.terms.heading, self.zh, self.rng)
        return speak_en.heading(self.terms.heading, self.en, self.rng)

    def _join(self, lang: str) -> str:
        return bank(lang).say(f"joins.{'terse' if self.style.register in ('terse', 'analyst') else 'plain'}", self.rng)


def _street_first(chosen: list[tuple[str, Saying, str]], rng: Random) -> list[tuple[str, Saying, str]]:
    """Most people say first where they are, then what is around."""
    if rng.random() < 0.6:
        chosen.sort(key=lambda item: item[1].form not in ("street", "road_kind", "axis"))
    return chosen


def _gap(lang: str) -> str:
    return "" if lang == "zh" else " "


def _finish(draft: _Draft, style: Style, rng: Random, stated: bool) -> Written:
    """Capitals at the starts of sentences (marked by \\x02) and nowhere for those who never bother."""
    careless = style.register == "terse" and rng.random() < 0.35
    text, spans, upper = "", [], False
    for piece, saying in draft.pieces:
        start = len(text)
        for char in piece:
            if char == "\x02":
                upper = not careless
                continue
            if char.isspace() and (not text or text[-1].isspace()):
                continue
            text += char.upper() if upper and len(char.upper()) == 1 else char
            upper = upper and not char.isalnum()
        if saying is not None:
            spans.append((saying, start, len(text)))
    return Written(text.strip(), [(s, text[a:b].strip()) for s, a, b in spans], stated)
