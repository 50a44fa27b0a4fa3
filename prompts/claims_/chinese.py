"""Chinese cues (simplified; the text was folded before): where, how far, whether at all."""

# A pattern that is broken over lines cannot be searched for or compared with its neighbours.
# ruff: noqa: E501

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from prompts.claims_ import numbers
from prompts.claims_.marks import Mark
from retriever.geo import POINTS_ZH
from retriever.types import RelationType

C = r"(?P<c>东北|东南|西北|西南|东|南|西|北)"
_POINTS = {p: i * 45.0 for i, p in enumerate(POINTS_ZH)} | {"北东": 45.0, "南东": 135.0, "南西": 225.0, "北西": 315.0}
_SIDES: dict[str, RelationType] = {"左": "left", "右": "right", "前": "front", "后": "behind"}
Builder = Callable[["re.Match[str]"], Mark | None]


def _dir(kind: RelationType, *, anchored: bool = False, direct: bool = False) -> Builder:
    return lambda m: Mark(start=m.start(), end=m.end(), role="dir", type=kind, anchored=anchored, direct=direct)


def _side(match: re.Match[str]) -> Mark | None:
    return Mark(start=match.start(), end=match.end(), role="dir", type=_SIDES[match["side"]])


def _slant(match: re.Match[str]) -> Mark | None:
    ahead = match.group()[1] == "前"
    turn = 45.0 if (match.group()[0] == "右") == ahead else -45.0
    kind: RelationType = "front" if ahead else "behind"
    return Mark(start=match.start(), end=match.end(), role="dir", type=kind, turn=turn)


def _compass(match: re.Match[str]) -> Mark | None:
    return Mark(start=match.start(), end=match.end(), role="dir", type="bearing", bearing=_POINTS[match["c"]])


def _bank(match: re.Match[str]) -> Mark | None:
    return _compass(match)


def _heading(match: re.Match[str]) -> Mark | None:
    """面朝北, 往北走; but 往北走两百米就是警察局 says where the police are."""
    if not match["c"] and _THEN_SEEN.match(match.string, match.end()):
        return None
    return Mark(start=match.start(), end=match.end(), role="heading", bearing=_POINTS[match["c"] or match["c2"]])


def _distance(match: re.Match[str]) -> Mark | None:
    if re.search(
        r"走了[大概约莫有]*$|[宽高长深]度?[为约大概是]*$|每隔$", match.string[max(0, match.start() - 8) : match.start()]
    ):
        return None
    if match.group() == "一条街" and match.string[match.start() - 1 : match.start()] not in ("走", "过", "隔", "再"):
        return None
    metres = numbers.metres_zh(match["n"], match["u"])
    return None if metres is None else Mark(start=match.start(), end=match.end(), role="dist", number=metres)


def _role(role: str) -> Builder:
    return lambda m: Mark(start=m.start(), end=m.end(), role=role)  # type: ignore[arg-type]


_THEN_SEEN = re.compile(r"(?:走|去|过去|步行|开|骑)?[^，。,]{0,10}?(?:就(?:是|有|到)|有|是|能看)")
_GO = r"(?:走|去|过去|拐|步行|开|骑)?"
_SELF = (
    r"(?:我们?|咱们?|俺|本人|记者|事发地点|事发地|案发地点|案发地|报案人|起火建筑|目标|各位|大家|当事人|目击者|我方|他|她)"
    r"(?:的)?(?:所在)?(?:方|位置|地点)?(?:们)?|(?:所在)?位置(?=在|位于)"
)
_PATTERNS: list[tuple[str, Builder]] = [
    (
        rf"(?P<n>{numbers.NUMBER_ZH})(?:来|多|几)?(?P<u>公里|千米|公尺|米|步|条街|个街区|个路口|里地|里路|km|m(?![a-z]))(?:左右|开外|远|处|之外)?",
        _distance,
    ),
    (rf"(?:步行|走路|走)(?:大约|大概|约|个)?(?P<n>{numbers.NUMBER_ZH})(?P<u>分钟)", _distance),
    (rf"(?P<n>{numbers.NUMBER_ZH})(?P<u>分钟)(?=的?(?:路程|步行|脚程|路))", _distance),
    (r"背(?:对|靠|向)(?:着|了)?", _dir("behind", anchored=True, direct=True)),
    (rf"(?:往|向|朝){C}(?:边|面|方|侧)?{_GO}(?=[^，。,]{{0,10}}?(?:就?(?:是|有|到)|能看))", _compass),
    (
        rf"(?:面|脸)(?:朝|向|对)(?:着|的是)?(?:正)?{C}(?:边|面|方|方向)?|(?:朝|向|往|对着)(?:正)?{C.replace('?P<c>', '?P<c2>')}(?:边|面|方|方向)?(?=站|走|跑|骑|看|行|开|驶|望|前进|散步|移动|坐)",
        _heading,
    ),
    (r"面(?:对|向|朝)(?:着|的是)?", _dir("front", anchored=True, direct=True)),
    (rf"(?<=[河江湖溪]){C}岸", _bank),
    (rf"以{C}", _compass),
    (rf"(?:正|偏)?{C}(?:侧|边|面|方向|方|部)(?:偏[东南西北])?(?!门)", _compass),
    (rf"(?:正|(?<=[路街])){C}(?=是|有|为)", _compass),
    (r"直走(?=就?是|就?有|到|能看)", _dir("front")),
    (r"(?<!再)(?<!续)往(?P<side>前)(?:直?走)?(?!面|方|边)", _side),
    (r"(?<=[一-鿿])(?:的)?(?:东北|东南|西北|西南|东|南|西|北)角", _dir("here")),
    (
        r"(?:马路|大街|街道|道路|街|路|道)(?:的)?(?:正|斜)?对(?:面|过|侧|边)|(?:马路|街|路)(?:的)?(?:另一?边|那边)",
        _dir("across"),
    ),
    (r"(?:的)?(?:正|斜)?对(?:面|过)|(?:的)?对岸|(?:的)?另一边", _dir("across")),
    (r"(?:左|右)(?:前|后)(?:方|面|侧|边)", _slant),
    (r"(?P<side>左|右)(?:手边|手侧|手方向|手面|手|边|侧|面|方|邻)", _side),
    (r"(?P<side>左|右)(?:转|拐)(?=就?是|就?有|边|后?能看|可以看|看到)", _side),
    (r"(?:再|继续)往前", _role("join")),
    (r"(?:正|往)?(?P<side>前)(?:面|方|边|头)(?!的?路口右)", _side),
    (r"(?:面|眼|跟|身)(?P<side>前)", _side),
    (r"(?:正)?(?P<side>后)(?:面|方|边|头|侧)", _side),
    (r"(?:身|背|屋|房)(?P<side>后)|背面", lambda m: Mark(start=m.start(), end=m.end(), role="dir", type="behind")),
    (r"(?:我们?的?|身)(?:旁边?|边)", _dir("here")),
    (r"(?:的)?(?:大)?(?:门口|门前|楼下|正门|大门口|入口处?|出口处?|脚下|门外|[东南西北正后侧]门口?)", _dir("here")),
    (r"(?:的)?(?:旁边|边上|隔壁)", _dir("near", direct=True)),
    (r"(?:的)?(?:附近|周围|四周|不远处|周边|一带)", _dir("near")),
    (r"(?:之间|中间)(?=的|有|，|。|$|夹|那)|夹在", _dir("between")),
    (
        r"(?:马路|街道|道路|路|街|河|河岸)?(?:的)?(?:两旁|两边|两侧)|(?:马路|路|街)(?:的)?(?:中间|中央|正中)",
        _dir("along"),
    ),
    (r"(?:沿|顺)(?:着)?", _dir("along", anchored=True, direct=True)),
    (_SELF + "|地址(?=是|在|好像|应该|可能)", _role("self")),
    (
        r"不(?:太)?(?:确定|知道|清楚|记得|敢)|没(?:想到|错|多远|走多)|不远|不(?:仅|但|光|只)|不过|不得不|差不多|没事",
        lambda m: _doubt(m),
    ),
    (
        r"(?<!是)没有?(?:看到|见到|看见|见|发现|找到)?(?:什么|任何)?|(?<!是)不是(?!很)|无(?!印|锡|论)|冇(?:见到|看到)?|未见|未发现|看不(?:到|见)|并非|不在",
        _role("neg"),
    ),
    (
        r"好像|可能|似乎|大概是|应该|也许|或许|我(?:想|觉得|记得|猜|估计)|估计|大约是|看起来像|像是|看上去|看着像|不确定|大概有|疑似|貌似|八成|多半|是不是",
        _role("hedge"),
    ),
    (r"是|有|为|看到|看见|到了?|开着|坐落|经过|路过|住|离|距", _role("verb")),
    (r"(?:还|也|就|正)?(?:站|坐|位于?|处于|停|等|住|蹲)?在", _role("verb")),
    (r"但是?|不过|然后|而且|同时", _role("join")),
]
_COMPILED = [(re.compile(p, re.IGNORECASE), build) for p, build in _PATTERNS]


def _doubt(match: re.Match[str]) -> Mark | None:
    sure = re.search(r"确定|知道|清楚|记得|敢", match.group())
    return Mark(start=match.start(), end=match.end(), role="hedge" if sure else "join")


def cues(text: str, start: int, end: int) -> Iterator[Mark]:
    """Marks of the sentence ``text[start:end]``, the particular before the general."""
    part = text[start:end]
    for pattern, build in _COMPILED:
        for match in pattern.finditer(part):
            mark = build(match)
            if mark is not None:
                mark.start, mark.end = mark.start + start, mark.end + start
                yield mark


def bearing(word: str) -> float | None:
    """Degrees of a compass word, 东北 is 45; None for anything else."""
    return _POINTS.get(word)
