"""Compass words of both languages to degrees: 16 points in both, English quarter points, 北偏东30度, plain degrees."""

from __future__ import annotations

import re

_SIXTEEN = ("north", "north-north-east", "north-east", "east-north-east", "east", "east-south-east", "south-east",
            "south-south-east", "south", "south-south-west", "south-west", "west-south-west", "west", "west-north-west",
            "north-west", "north-north-west")  # fmt: skip
_SHORT = ("n", "nne", "ne", "ene", "e", "ese", "se", "sse", "s", "ssw", "sw", "wsw", "w", "wnw", "nw", "nnw")
_EN = {p.replace("-", ""): i * 22.5 for i, p in enumerate(_SIXTEEN)} | {p: i * 22.5 for i, p in enumerate(_SHORT)}
_ZH_CARDINAL = {"北": 0.0, "东": 90.0, "南": 180.0, "西": 270.0}
_ZH = _ZH_CARDINAL | {"东北": 45.0, "东南": 135.0, "西南": 225.0, "西北": 315.0}
_ZH |= {"北东": 45.0, "南东": 135.0, "南西": 225.0, "北西": 315.0}

_CARDINAL = r"(?:north|south|east|west)"
_TWO = r"(?:north|south)[\s-]?(?:east|west)"
WORDY = rf"(?:(?:{_TWO}|{_CARDINAL})\s+by\s+{_CARDINAL}|{_CARDINAL}[\s-]*{_TWO}|{_TWO}|{_CARDINAL})"
"""A compass word spelled out."""
LETTERS = r"(?:NNE|ENE|ESE|SSE|SSW|WSW|WNW|NNW|NE|NW|SE|SW)"
COMPASS = rf"(?:{WORDY}|{LETTERS}|N|S|E|W)"
NUDGED = (
    rf"(?:just|slightly|marginally|barely|a\s+(?:little|bit|touch|shade|hair|fraction))\s+{_CARDINAL}\s+of\s+"
    rf"(?:due\s+)?{_CARDINAL}"
)
""" "Just west of north"."""

_PAIR_ZH = r"(?:东北|东南|西北|西南|北东|南东|南西|北西)"
_LEANS_ZH = rf"(?:{_PAIR_ZH}|[东南西北])偏[东南西北](?:\d{{1,2}}度)?"
POINT_ZH = rf"(?:{_LEANS_ZH}|[东南西北]{_PAIR_ZH}|{_PAIR_ZH}|[东南西北])"
_LEANING_ZH = re.compile(r"(?P<from>[东南西北]{1,2})偏(?P<to>[东南西北])(?:(?P<n>\d{1,2})度)?")


def _toward(start: float, end: float, by: float) -> float:
    turn = (end - start + 180.0) % 360.0 - 180.0
    return (start + (by if turn > 0 else -by)) % 360.0


def bearing_en(word: str) -> float | None:
    """Degrees of ``"north-east"``, ``"ENE"``, ``"northern"``, ``"north by west"``; None for anything else."""
    text = re.sub(r"\s+", " ", word.lower().strip())
    if nudged := re.search(rf"({_CARDINAL}) of (?:due )?({_CARDINAL})$", text):
        return _toward(_EN[nudged[2]], _EN[nudged[1]], 11.25)
    start, by, end = text.partition(" by ")
    if by:
        first, second = _EN.get(re.sub(r"[\s-]", "", start)), _EN.get(end)
        return None if first is None or second is None else _toward(first, second, 11.25)
    key = re.sub(r"[\s-]", "", text)
    return _EN.get(key, _EN.get(re.sub(r"(?:ern|erly|wards?|bound)$", "", key)))


def bearing_zh(word: str) -> float | None:
    """Degrees of 东北 (45), 北偏西 (337.5), 南南东 (157.5), 北偏东30度 (30); None for anything else."""
    if leaning := _LEANING_ZH.fullmatch(word):
        start = _ZH.get(leaning["from"])
        by = float(leaning["n"]) if leaning["n"] else 22.5
        return None if start is None else _toward(start, _ZH_CARDINAL[leaning["to"]], by)
    if len(word) == 3:
        first, second = _ZH.get(word[0]), _ZH.get(word[1:])
        return None if first is None or second is None else _toward(second, first, 22.5)
    return _ZH.get(word)
