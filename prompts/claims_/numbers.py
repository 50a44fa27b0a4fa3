"""Numbers and distances in words and figures, English and Chinese."""

from __future__ import annotations

import re

_UNITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
          "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]  # fmt: skip
_TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
_SMALL = {w: i for i, w in enumerate(_UNITS)}
_WORD = "|".join([*sorted(_SMALL, key=len, reverse=True), *_TENS, "hundred", "thousand"])
NUMBER_EN = (
    r"(?:\d{1,6}(?:[.,]\d{1,3})?|half\s+a|(?:a\s+)?(?:couple|pair)\s+of|a\s+couple|an?\s+(?:hundred|thousand)|an?(?=[\s-])"
    rf"|(?:{_WORD})(?:(?:[\s-]|\s+and\s+)(?:{_WORD}))*)"
)
NUMBER_ZH = r"(?:\d{1,6}(?:\.\d{1,3})?|半|[零〇一二两三四五六七八九十百千]{1,9})"
_DIGITS_ZH = {c: i for i, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}

BLOCK_M = 100.0
STEP_M = 0.75
WALK_M_PER_MIN = 80.0


def english(words: str) -> float | None:
    """``"a couple of"`` is 2, ``"two hundred and fifty"`` 250, ``"half a"`` 0.5; None for what is no number."""
    text = words.lower().strip()
    if re.fullmatch(r"\d+,\d{3}", text):
        return float(text.replace(",", ""))
    if re.fullmatch(r"[\d.,]+", text):
        return _decimal(text)
    if text.startswith("half"):
        return 0.5
    if "couple" in text or "pair" in text:
        return 2.0
    return _words(re.findall(r"[a-z]+", text))


def _decimal(text: str) -> float | None:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return None


def _words(words: list[str]) -> float | None:
    total, part, seen = 0.0, 0.0, False
    for word in words:
        if word in ("a", "an"):
            part, seen = 1.0, True
        elif word in _SMALL or word in _TENS:
            part, seen = part + (_SMALL.get(word) or _TENS.get(word, 0)), True
        elif word == "hundred":
            part, seen = max(part, 1.0) * 100, True
        elif word == "thousand":
            total, part, seen = total + max(part, 1.0) * 1000, 0.0, True
        elif word != "and":
            return None
    return total + part if seen else None


def chinese(text: str) -> float | None:
    """``"一百二"`` is 120, ``"两千"`` 2000, ``"半"`` 0.5; figures as they are."""
    if text == "半":
        return 0.5
    if text[:1].isdigit():
        return _decimal(text)
    if not any(c in "十百千" for c in text):
        digits = [str(_DIGITS_ZH[c]) for c in text if c in _DIGITS_ZH]
        return float("".join(digits)) if digits and len(digits) == len(text) else None
    return _grouped(text)


def _grouped(text: str) -> float | None:
    total, digit, last = 0, -1, 1
    for char in text:
        if char in _DIGITS_ZH:
            digit = _DIGITS_ZH[char]
            continue
        unit = {"十": 10, "百": 100, "千": 1000}[char]
        total += (1 if digit < 0 else digit) * unit
        digit, last = -1, unit
    if digit > 0:
        total += digit * (last // 10 if last > 10 and text[-2] in "百千" else 1)
    return float(total)


_METRES_EN = [
    (re.compile(r"k(?:ilo)?m(?:et(?:er|re)s?)?\.?$"), 1000.0),
    (re.compile(r"m(?:et(?:er|re)s?|trs?)?\.?$"), 1.0),
    (re.compile(r"(?:feet|foot|ft)\.?$"), 0.3048),
    (re.compile(r"(?:yards?|yds?)\.?$"), 0.9144),
    (re.compile(r"miles?$"), 1609.34),
    (re.compile(r"blocks?$"), BLOCK_M),
    (re.compile(r"(?:steps|paces)$"), STEP_M),
    (re.compile(r"min(?:ute)?s?\b.*$"), WALK_M_PER_MIN),
]
_METRES_ZH = {"米": 1.0, "公尺": 1.0, "公里": 1000.0, "千米": 1000.0, "里地": 500.0, "里路": 500.0, "步": STEP_M,
              "条街": BLOCK_M, "个街区": BLOCK_M, "个路口": BLOCK_M, "m": 1.0, "km": 1000.0}  # fmt: skip


def metres_en(number: str, unit: str) -> float | None:
    amount = english(number)
    factor = next((f for pattern, f in _METRES_EN if pattern.match(unit.lower())), None)
    return None if amount is None or factor is None else round(amount * factor, 1)


def metres_zh(number: str, unit: str) -> float | None:
    amount = chinese(number)
    factor = WALK_M_PER_MIN if "分" in unit else _METRES_ZH.get(unit.lower())
    return None if amount is None or factor is None else round(amount * factor, 1)
