"""Roads by their form, junctions, and what a building looks like."""

# A pattern that is broken over lines cannot be searched for or compared with its neighbours.
# ruff: noqa: E501

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from prompts.claims_ import numbers
from prompts.claims_.compass import LETTERS, POINT_ZH, WORDY, bearing_zh
from prompts.claims_.compass import bearing_en as bearing
from prompts.claims_.lexicon import lexicon
from prompts.claims_.marks import Mark
from retriever.types import ClaimKind

_POINT = rf"{WORDY}(?:ern)?|{LETTERS}|N|S|E|W"
_WAY_EN = r"(?:streets?|roads?|lanes?|alleys?|alleyways?|paths?|footpaths?|avenues?|passages?|way|carriageway|boulevard|hutong|pavement|sidewalk)"
_WAY_ZH = r"(?:路|街|街道|马路|道路|胡同|巷子?|小巷|道)"
_ROADS = [
    ("one_way", r"\bone[\s-]?way\b|单行(?:道|路|线|街|(?![本李]))|单向(?:道|车道|行驶|街道|走|通行)|\bone\s+direction\s+only\b|\bonly\s+(?:in\s+)?one\s+direction\b"),
    ("dead_end", r"\bdead[\s-]?end(?:s|ed)?\b|\bcul[\s-]de[\s-]sacs?\b|\bno\s+through\s+road\b|死胡同|断头路|死路|死巷"),
    ("curved", rf"\b(?:{_WAY_EN}|it|that|which)\s+(?:\w+\s+){{0,2}}?(?:curves?|bends?|winds|twists|curving|bending)\b|\b(?:and|then)\s+(?:curves|bends|winds)\b|\b(?:curves|bends|kinks|winds|veers|swings)\s+(?:off\s+|away\s+|round\s+|around\s+|slightly\s+|sharply\s+)*(?:to\s+(?:the|my)\s+)?(?:left|right)\b|\b(?:curv(?:ed|ing|y)|winding|bendy|twisting)\s+(?:\w+\s+)?{_WAY_EN}\b|\bat\s+the\s+(?:bend|curve)\b|\b(?:a|the)\s+(?:sharp\s+|slight\s+|gentle\s+)?(?:bend|curve)\s+in\s+the\s+{_WAY_EN}\b|{_WAY_EN}\s+(?:is|was)\s+(?:\w+\s+)?(?:curved|winding|curvy|bendy)"
     rf"|{_WAY_ZH}(?:是|很|有点|有些|比较)*(?:弯|拐弯|曲)|弯弯曲曲|弯曲的|弯道|拐弯处"),
    ("straight", rf"\b(?:dead|perfectly|completely|absolutely)\s+straight\b(?!\s+(?:ahead|on|up|in))|\b(?:long\s+|very\s+|perfectly\s+|dead\s+)*straight\s+(?:\w+\s+)?{_WAY_EN}\b|\b{_WAY_EN}\s+(?:\w+\s+)?(?:is|was|runs|goes)\s+(?:\w+\s+)?(?:dead\s+)?straight\b(?!\s+(?:ahead|to|into|on))|笔直|很直的?|直直的|{_WAY_ZH}(?:是|很|非常)+直"),
    ("narrow", rf"\bnarrow(?:ish)?\b(?=(?:[\s,-]+\w+){{0,3}}\s+{_WAY_EN}\b)|\b{_WAY_EN}\b(?:\s+\w+){{0,3}}?\s+(?:is|was|are)\s+(?:\w+\s+)?(?:\w+\s+)?(?:narrow|tight)\b|(?<=very\s)narrow\b|(?<=street,\s)narrow\b|(?<=road,\s)narrow\b|(?<=lane,\s)narrow\b|(?<=alley,\s)narrow\b|(?<=path,\s)narrow\b|(?:很|比较|非常|特别|有点|挺|狭)窄|窄(?=的?(?:小)?(?:{_WAY_ZH}))|狭窄|窄窄的|窄(?=到|得)|越走越窄"),
    ("wide", rf"\b(?:wide|broad)\b(?=(?:[\s,-]+\w+){{0,2}}\s+{_WAY_EN}\b)|\b{_WAY_EN}\b(?:\s+\w+){{0,3}}?\s+(?:is|was|are)\s+(?:\w+\s+)?(?:\w+\s+)?(?:wide|broad)\b|(?:很|好|比较|非常|特别|挺|十分)(?:宽|阔)(?:阔|敞)?|宽(?:阔|敞)?的(?=.{{0,4}}{_WAY_ZH})|宽阔"),
]  # fmt: skip
_JUNCTIONS = [
    ("t_junction", r"\bT[\s-]?(?:junction|intersection|crossing)s?\b|\bthree[\s-]way\s+(?:junction|intersection)\b|\bfork\s+in\s+the\s+road\b|[丁TＴ]字?[型形]?(?:路口|街口|交叉口)|三[岔叉](?:路口|口|路)|丁字街"),
    ("roundabout", r"\broundabouts?\b|\btraffic\s+circles?\b|\brotary\b|环岛|转盘|环形路口|圆环|回旋处"),
    ("crossroads", r"\bcross[\s-]?roads?\b|\b(?:road\s+)?intersections?\b|\bfour[\s-]way\s+\w+\b|(?<!motorway\s)\bjunctions?\b|\bstreet\s+crossing\b|\bwhere\s+two\s+(?:streets|roads)\s+(?:cross|meet)\b|十字(?:路口|街口|路|街)|交叉(?:路?口|路|点|处)|(?<![一二两三个下几])路口(?!的?商)|(?<=街)口"),
]  # fmt: skip
_RUNS_EN = re.compile(
    rf"\b(?:run(?:s|ning)?|ran|goes|going|leads?|leading|oriented|aligned|stretch(?:es|ing)?|extend(?:s|ing)?|heads)\s+"
    rf"(?:roughly\s+|about\s+|approximately\s+|more\s+or\s+less\s+|straight\s+|in\s+an?\s+|from\s+)*(?:the\s+)?(?P<a>{_POINT})"
    rf"\s*(?:to|-|–|/|and|through\s+to|towards?)\s*(?:the\s+)?(?P<b>{_POINT})\b|"
    rf"\b(?P<a2>north|south|east|west|NW|NE|SW|SE)(?:\s*[-–/]\s*|\s+to\s+)(?P<b2>north|south|east|west|NW|NE|SW|SE)\b"
    rf"(?=\s+(?:{_WAY_EN}|direction|axis|orientation|running|aligned)|\s*$|\s*[,.;])|\b(?P<a3>north|south)[\s-](?P<b3>south|north)\b|\b(?P<a4>east|west)[\s-](?P<b4>west|east)\b",
    re.IGNORECASE,
)
_RUNS_ZH = re.compile(
    r"(?P<a>东北|东南|西北|西南|东|南|西|北)(?:[往向到至—-]|方向)*(?P<b>东北|东南|西北|西南|东|南|西|北)(?:方向|走向|向|朝向)(?:的|延伸)?"
)
_ONE_WAY_TO = re.compile(
    rf"\bone[\s-]?way,?\s+(?P<to>(?:going|heading|running|towards?|to)\s+(?:the\s+)?(?P<a>{WORDY}))\b|单[行向](?:道|路|线|街)?，?(?P<to2>[往向朝](?P<b>{POINT_ZH}))",
    re.I,
)
_AXES_ZH = {"东": 90, "西": 90, "南": 0, "北": 0, "东北": 45, "西南": 45, "东南": 135, "西北": 135}
_STOREYS_EN = re.compile(
    rf"\b(?P<n>single|{numbers.NUMBER_EN})(?:\s+or\s+(?:so|\w+)\s+|[\s-]+)(?:stor(?:ey|y|ies|eys|eyed|ied)|floors?|levels?)\b(?!\s+(?:up|down))",
    re.I,
)
_STOREYS_ZH = re.compile(
    r"(?<![第上下在地到])(?P<n>\d{1,3}|[一二两三四五六七八九十]{1,3}|单)(?:层|楼(?=高))(?!皮|级|次|面)(?:的|高|楼)*"
)
_HOUSE_EN = (r"(?:building|house|houses|block|facade|façade|front|villa|tower|church|chapel|cathedral|mosque|temple|school|hotel|hospital|"
             r"townhouse|cottage|skyscraper|apartment|office|museum|theatre|theater|station|walls|hall|library|bank|shop|buildings|mansion|warehouse|flats|pub)")  # fmt: skip
_HOUSE_ZH = r"(?:(?<![围城院])墙|大楼|楼房|高楼|小楼|楼|房子|建筑物?|外墙|墙面|墙壁|房屋|别墅|教堂|平房|洋房|大厦|公寓|酒店|宾馆|学校|厂房)"


def roads(text: str, start: int, end: int) -> Iterator[Mark]:
    """Form of a road, and junctions; the longest patterns first."""
    part = text[start:end]
    for kind, table in (("road", _COMPILED_ROADS), ("junction", _COMPILED_JUNCTIONS)):
        for value, pattern in table:
            for match in pattern.finditer(part):
                yield _thing(start, match.start(), match.end(), "road" if kind == "road" else "junction", value)
    for match in _RUNS_EN.finditer(part):
        points = [v for v in match.groupdict().values() if v]
        first, second = bearing(points[0]), bearing(points[1])
        if first is not None and second is not None and abs((first - second + 180) % 360 - 180) > 120:
            yield _axis(start, match.start(), match.end(), min(first, second) % 180)
    for match in _ONE_WAY_TO.finditer(part):
        there, group = (bearing(match["a"]), "to") if match["a"] else (bearing_zh(match["b"]), "to2")
        if there is not None:
            yield _axis(start, match.start(group), match.end(group), there)
    for match in _RUNS_ZH.finditer(part):
        if _AXES_ZH[match["a"]] == _AXES_ZH[match["b"]] and match["a"] != match["b"]:
            yield _axis(start, match.start(), match.end(), float(_AXES_ZH[match["a"]]))


_COMPILED_ROADS = [(value, re.compile(pattern, re.IGNORECASE)) for value, pattern in _ROADS]
_COMPILED_JUNCTIONS = [(value, re.compile(pattern, re.IGNORECASE)) for value, pattern in _JUNCTIONS]


def _thing(base: int, start: int, end: int, kind: ClaimKind, value: str) -> Mark:
    return Mark(start=base + start, end=base + end, role="thing", kind=kind, value=value)


def _axis(base: int, start: int, end: int, axis: float) -> Mark:
    mark = _thing(base, start, end, "road", "runs")
    mark.bearing = axis
    return mark


def _single(read: Callable[[str], float | None]) -> Callable[[str], float | None]:
    return lambda word: 1.0 if word.lower() in ("single", "单") else read(word)


def buildings(text: str, start: int, end: int) -> Iterator[Mark]:
    """``storeys:N`` and ``colour:NAME``."""
    part = text[start:end]
    for pattern, read in ((_STOREYS_EN, _single(numbers.english)), (_STOREYS_ZH, _single(numbers.chinese))):
        for match in pattern.finditer(part):
            number = read(match["n"])
            if number is not None and 1 <= number <= 150 and number == int(number):
                yield _thing(start, match.start(), match.end(), "building", f"storeys:{int(number)}")
    for word, colour in lexicon().colours.items():
        at = part.lower().find(word)
        while at >= 0:
            if _colours_building(part, at, word):
                yield _thing(start, at, at + len(word), "building", f"colour:{colour}")
            at = part.lower().find(word, at + len(word))


_NEXT_EN = re.compile(
    rf"(?:[\s,-]+(?!sign|door|light|roof|line|flower|awning|with|and\s+there|on\b|in\b|the\b|is\b|car\b|bus\b)[\w']+){{0,5}}?[\s-]+{_HOUSE_EN}\b",
    re.I,
)
_BEFORE_EN = re.compile(
    rf"\b{_HOUSE_EN}\b(?:[\s,]+(?:is|was|are|were|painted|looks|all|mostly|in|called|named|\"[^\"]*\")){{1,4}}\s*$",
    re.I,
)
_NEXT_ZH = re.compile(rf"(?:的|砖|色|漆|瓦|外观)*(?:[一-鿿]{{0,3}}?){_HOUSE_ZH}")
_BEFORE_ZH = re.compile(rf"{_HOUSE_ZH}(?:都|全)?(?:是|为|刷成|涂成|呈)(?:了)?$")


_PAUSE_EN = re.compile(
    r",\s*(?:(?:and|in|all|a|an)\s+)?(?:(?:pale|light|dark|deep|bright|dull|dirty|off)[\s-]+)?$", re.I
)
_HOUSE_BEFORE_EN = re.compile(
    rf"\b(?:{_HOUSE_EN}|stor(?:e?ys?|ies|eyed|ied)|floors?|levels?|courthouse|terrace|post\s+office|garage|surgery)\b",
    re.I,
)
_PAINTED_EN = re.compile(
    r"\b(?:painted|rendered|whitewashed|clad|plastered|colou?r(?:ed)?|is\s+all)\s+(?:in\s+)?(?:a\s+)?(?:(?:pale|light|dark|deep|bright|dull|dirty|off|very)[\s-]+)*$",
    re.I,
)
_FACED_EN = re.compile(
    r"[\s-]+(?:brick(?:work|s)?|render(?:ed)?|stucco|plaster|cladding|tiled?|concrete|stonework|pebbledash)\b(?!\s+(?:wall|path|paving|steps|pavement|road|street|bridge|lane))",
    re.I,
)
_ALONE_ZH = re.compile(r"(?:色|砖|漆|瓷砖|外墙)*的?\s*(?:$|[，,。；;、])")
_HOUSE_BEFORE_ZH = re.compile(rf"(?:{_HOUSE_ZH}|层|写字楼|住宅|馆|宿舍)[^。；;]{{0,14}}(?:[，,]|都是|全是|是)\s*$")
_WALLS_ZH = re.compile(
    r"(?:外墙|墙面|墙皮|墙体|外立面|立面|楼体|墙壁)(?:都|全|是|为|刷成|刷|涂成|涂|呈|漆成|贴|贴着|的)*[浅深淡暗明]?$"
)
_STOREYS_NEXT_ZH = re.compile(r"(?:色|砖)?的?(?:\d{1,3}|[一二两三四五六七八九十]{1,3})层")


def _colours_building(part: str, at: int, word: str) -> bool:
    end = at + len(word)
    if word.isascii():
        edges = not part[at - 1 : at].isalpha() and not part[end : end + 1].isalpha()
        if part[at].isupper() and re.match(r"\s[A-Z]", part[end : end + 2]) and part[:at].strip():
            return False
        if word == "cream" and re.search(r"\bice[\s-]+$", part[:at], re.I):
            return False
        alone = _PAUSE_EN.search(part[:at]) and re.match(r"\s*(?:$|[,.;])", part[end : end + 4])
        if alone and _HOUSE_BEFORE_EN.search(part[max(0, at - 80) : at]):
            return edges
        if edges and (_PAINTED_EN.search(part[max(0, at - 40) : at]) or _FACED_EN.match(part, end)):
            return True
        return edges and bool(_NEXT_EN.match(part[end : end + 60]) or _BEFORE_EN.search(part[max(0, at - 50) : at]))
    if len(word) == 1 and part[end : end + 1] in ("色", "泥"):
        return False
    if _ALONE_ZH.match(part, end) and _HOUSE_BEFORE_ZH.search(part[max(0, at - 30) : at]):
        return True
    if word == "黄" and part[at - 1 : at] == "米":
        return False
    if _WALLS_ZH.search(part[max(0, at - 10) : at]) or _STOREYS_NEXT_ZH.match(part, end):
        return True
    tail = _NEXT_ZH.match(part[end : end + 12])
    if part[end : end + 1] == "的" and part[at - 1 : at] in ("栋", "幢", "座"):
        return True
    return bool(tail and "，" not in tail.group()) or bool(_BEFORE_ZH.search(part[max(0, at - 10) : at]))
