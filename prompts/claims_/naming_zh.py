"""Chinese names by their endings: 人民路, 中央公园, 中山北路一段12巷."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from prompts.claims_.lexicon import lexicon
from prompts.claims_.marks import Mark


def places_zh(text: str, raw: str, start: int, end: int) -> Iterator[Mark]:
    """人民路, 中央公园: up to six characters before a known ending, none of which could not be part of a name."""
    cues = lexicon().cues
    breaks, describe, endings = set(cues["zh_breaks"]), set(cues["zh_describe"]), cues["zh_endings"]
    at = start
    for match in _endings().finditer(text, start, end):
        if match.start() < at:
            continue
        first = match.start()
        while first > max(at, match.start() - 6) and "一" <= text[first - 1] <= "鿿" and text[first - 1] not in breaks:
            first -= 1
        stem = text[first : match.start()]
        if led := _DIRECTION_ZH.match(stem):
            first, stem = first + led.end(), stem[led.end() :]
        while stem and stem not in describe and (stem[0] in "边面侧方" or _leads(stem)):
            first, stem = first + 1, stem[1:]
        if (
            len(stem) < 2
            or stem in describe
            or stem[-1] in "大小老新这条边面头口"
            or lexicon().zh.get(text[first : match.end()]) is not None
        ):
            continue
        if stem in _NOT_STEMS or any(stem.endswith(d) and len(d) > 1 for d in describe):
            continue
        lane = _LANE_ZH.match(text, match.end(), end) if match.group() in ("路", "街", "大道") else None
        last = lane.end() if lane else match.end()
        named = Mark(start=first, end=last, role="thing", kind="name", value=raw[first:last])
        named.head = endings[match.group()]
        yield named
        at = last


_LANE_ZH = re.compile(r"(?:[一二三四五六七八九十\d]{1,2}段)?(?:\d{1,4}巷)?(?:\d{1,4}弄)?")
_DIRECTION_ZH = re.compile(
    r"(?:正|偏)?[东南西北左右前后](?:[东南西北])?(?:[侧面头端角缘边方]|手边?)|[上下]方|远处|近处|尽头|[路街][东南西北]"
)
_NOT_STEMS = {"马路", "道路", "街道", "公交", "附近", "下错", "坐错", "走错", "木栈", "江边步", "湖边步", "河边步"}


def _leads(stem: str) -> bool:
    return stem[:2] in ("左边", "右边", "前面", "后面", "旁边", "对面", "隔壁", "马路", "路边", "街边", "附近", "门口")


@cache
def _endings() -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, sorted(lexicon().cues["zh_endings"], key=len, reverse=True))))
