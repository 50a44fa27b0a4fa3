"""Whether a name as read is one of the names on the map: partial, misspelt, accented, either Chinese script."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Any

from rapidfuzz import fuzz

from retriever.kinds import kinds

THRESHOLD = 82.0
"""Least rapidfuzz ratio (0..100) at which a reading is taken for a name. One wrong letter in a word of six scores 83;
two unrelated names of eight letters seldom pass 60."""

_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_NOISE = re.compile(r"[^\w]+")
_ROAD_WORDS = tuple(
    "street st road rd avenue ave lane square place plaza boulevard drive way the a of and at in de la le les der die "  # noqa: SIM905
    "das rue via platz strasse katu tie 路 街 道 巷 大街 大道 胡同 号 楼 店".split()
)


@cache
def _converter() -> Any:
    from opencc import OpenCC

    return OpenCC("t2s")


@cache
def generic_words() -> frozenset[str]:
    """Words that name a kind of thing, not a thing: alone they are no evidence for a name."""
    words = {w for kind in kinds().values() for phrase in (*kind.en, *kind.zh) for w in phrase.casefold().split()}
    return frozenset(words | set(_ROAD_WORDS))


@lru_cache(maxsize=65536)
def normalise(text: str) -> str:
    """Case, accents, punctuation and Chinese script folded; single spaces."""
    if _CJK.search(text):
        text = _converter().convert(text)
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    plain = unicodedata.normalize("NFC", "".join(c for c in plain if not unicodedata.combining(c)))
    return _NOISE.sub(" ", plain).strip()


def is_telling(reading: str) -> bool:
    """Whether a normalised reading has anything in it that tells one place from another."""
    words = [w for w in reading.split() if w not in generic_words()]
    return bool(words) and (
        len("".join(words)) >= 3 or bool(_CJK.search("".join(words))) or any(map(str.isdigit, reading))
    )


def similarity(reading: str, name: str) -> float:
    """0..100 between two normalised strings. A part of a name counts as the name if it is long enough to tell."""
    if reading == name:
        return 100.0
    short, long = sorted((reading, name), key=len)
    floor = 2 if _CJK.search(short) else 4
    if len(short) < floor or not is_telling(short) or len(short) < 0.3 * len(long):
        return float(fuzz.ratio(reading, name)) if len(short) >= 3 else 0.0
    if _CJK.search(short) and len(short) <= 3:
        return 95.0 if short in long else float(fuzz.ratio(reading, name))
    return max(float(fuzz.ratio(reading, name)), 0.98 * float(fuzz.partial_ratio(short, long)))


def best_rows(reading: str, names: Iterable[tuple[str, int]]) -> list[tuple[float, int]]:
    """Rows whose name reaches ``THRESHOLD``, as (score, row), best first."""
    wanted = normalise(reading)
    if not is_telling(wanted):
        return []
    best: dict[int, float] = {}
    for name, row in names:
        score = similarity(wanted, name)
        if score >= THRESHOLD and score > best.get(row, 0.0):
            best[row] = score
    return sorted(((score, row) for row, score in best.items()), key=lambda pair: (-pair[0], pair[1]))
