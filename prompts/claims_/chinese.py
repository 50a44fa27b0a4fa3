"""Chinese cues (simplified; the text was folded before): where, how far, whether at all."""

# A pattern that is broken over lines cannot be searched for or compared with its neighbours.
# ruff: noqa: E501

from __future__ import annotations

import re
from collections.abc import Iterator

from prompts.claims_ import labels, numbers
from prompts.claims_.compass import POINT_ZH, bearing_zh
from prompts.claims_.facing import clock
from prompts.claims_.marks import HAN, Builder, Mark
from retriever.types import RelationType

C = rf"(?P<c>{POINT_ZH})"
_SIDES: dict[str, RelationType] = {"左": "left", "右": "right", "前": "front", "后": "behind"}


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
    """东北侧, 北边偏东: what 偏 adds may stand behind the suffix."""
    named = match.groupdict()
    word = match["c"] + (named.get("lean") or "")
    bearing = bearing_zh(word)
    bearing = bearing_zh(match["c"]) if bearing is None else bearing
    return Mark(start=match.start(), end=match.end(), role="dir", type="bearing", bearing=bearing)


def _corner(match: re.Match[str]) -> Mark | None:
    """我在公园东北角 is still in the park; 东北角有一家银行 says where the bank is."""
    stands = re.search(r"在[^，。,]{0,12}$", match.string[max(0, match.start() - 14) : match.start()])
    if stands and re.match(r"\s*(?:[，。,；;]|$)", match.string[match.end() : match.end() + 2]):
        return Mark(start=match.start(), end=match.end(), role="dir", type="here")
    return _compass(match)


def _bare(match: re.Match[str]) -> Mark | None:
    mark = _compass(match)
    if mark is not None:
        mark.bare = True
    return mark


def _heading(match: re.Match[str]) -> Mark | None:
    """面朝北, 往北走; but 往北走两百米就是警察局 says where the police are, and 一条往南开的小街 how a street runs."""
    named = match.groupdict()
    before = match.string[max(0, match.start() - 2) : match.start()]
    if named["c2"] and (_THEN_SEEN.match(match.string, match.end()) or re.search(r"条$|单行$|单向$", before)):
        return None
    if named["c3"] and not re.search(r"(?:^|[\s，。,;；我们人头正着是车走骑跑开])$", before):
        return None
    if named["c3"] and _FAR.search(match.string[max(0, match.start() - 8) : match.start()]):
        return None
    bearing = bearing_zh(named["c"] or named["c2"] or named["c3"])
    return None if bearing is None else Mark(start=match.start(), end=match.end(), role="heading", bearing=bearing)


def _standing(match: re.Match[str]) -> Mark | None:
    """Words for the witness's own place that hold a thing's name: 房子在."""
    return Mark(start=match.start(), end=match.end(), role="self", direct=True)


def _turned_away(match: re.Match[str]) -> Mark | None:
    there = bearing_zh(match["c"])
    return None if there is None else Mark(start=match.start(), end=match.end(), role="heading", bearing=(there + 180.0) % 360.0)  # fmt: skip


def _clock(match: re.Match[str]) -> Mark | None:
    hour = numbers.chinese(match["h"])
    return None if hour is None else clock(int(hour), match.start(), match.end())


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


_FAR = re.compile(r"(?:米|里|\d\s*m|met(?:er|re)s?|步)\s*$", re.I)
_THEN_SEEN = re.compile(
    r"(?:望去|看去|看)，?(?:就|也|还)?(?:有|是|能|可以)|(?:走|去|过去|步行|开|骑)?[^，。,]{0,10}?(?:就(?:是|有|到)|有|是|能看)"
)
_GO = r"(?:走|去|过去|拐|步行|开|骑)?"
C2 = C.replace("?P<c>", "?P<c2>")
C2B = C.replace("?P<c>", "?P<c3>")
_BEFORE_BARE = r"(?:(?<=^)|(?<=[\s，。,;；、：:在到于往向朝我离再是]))"
_AFTER_BARE = (
    rf"(?=(?:(?:大约|大概|差不多|不到|将近|接近|快|\s|约|走|隔|再|离我|距我|相距|方向){{0,2}}(?:{numbers.NUMBER_ZH}|几|十几|好几)(?:来|多|几)?"
    r"(?:公里|千米|公尺|米|步|条街|个街区|个路口|m(?![a-z])|km))|是|有|为|就|还有|好像|应该|可能|似乎|一点|不远|\s*corner|\s+side|全|只|[，。,;；]|\s*$)"
)
_SELF = (
    r"(?:我们?|咱们?|俺|本人|记者|事发地点|事发地|案发地点|案发地|报案人|起火建筑|目标|各位|大家|当事人|目击者|我方|他|她)"
    r"(?:的)?(?:所在)?(?:方|位置|地点)?(?:们)?|(?:所在)?位置(?=在|位于)"
)
_PATTERNS: list[tuple[str, Builder]] = [
    *labels.ZH,
    (
        r"(?:取餐点|上车点|下车点|接头地点|集合点|见面地点|车(?:子|辆)?|房子|住处|我们?家|咱们?家|相机|镜头|拍摄点|拍摄地点|拍摄位置)(?=就?(?:停|抛锚|坏|陷|卡|翻)?(?:在|位于))",
        _standing,
    ),
    (
        rf"(?P<n>{numbers.NUMBER_ZH})(?:来|多|几)?(?P<u>公里|千米|公尺|米|步|条街|个街区|个路口|里地|里路|km|m(?![a-z]))(?:左右|开外|远|处|之外)?",
        _distance,
    ),
    (rf"(?:步行|走路|走)(?:大约|大概|约|个)?(?P<n>{numbers.NUMBER_ZH})(?P<u>分钟)", _distance),
    (rf"(?P<n>{numbers.NUMBER_ZH})(?P<u>分钟)(?=的?(?:路程|步行|脚程|路))", _distance),
    (r"背(?:对|靠|向)(?:着|了)?", _dir("behind", anchored=True, direct=True)),
    (rf"背(?:对|向|朝)(?:着)?(?:正)?{C}(?:边|面|方向|方)?(?=[，。,;；\s站走坐]|$)", _turned_away),
    (rf"(?:往|向|朝){C}(?:边|面|方)?(?=(?:望去|看去|看)，?(?:就|也|还)?(?:有|是|能|可以))", _compass),
    (rf"(?:往|向|朝){C}(?:边|面|方|侧)?{_GO}(?=[^，。,]{{0,10}}?(?:就?(?:是|有|到)|能看|会?先?看到))", _compass),
    (
        rf"(?:面|脸|车头|镜头|相机|头|身体|人|窗户?|窗口|阳台)(?:是)?(?:朝|向|对)(?:着|的是|向)?[:：]?\s*(?:正)?{C}(?:边|面|方|方向)?(?=[，。,.;；、\s站走跑骑看行开驶望前散移坐拍停等的时]|$)|(?:朝|向|往|对着)(?:正)?{C2}(?:边|面|方|方向)?(?=站|走|跑|骑|看|行|开|驶|望|前进|散步|移动|坐|拍|骑行|步行|赶路)"
        rf"|(?:朝|向|面向|面朝|往)(?:正)?{C2B}(?:边|面|方|方向)?(?=\s*(?:[，。,.;；]|$))",
        _heading,
    ),
    (
        r"面(?:对|向|朝)(?:着|的是)?|脸(?:冲|朝|对|向)着?|(?<!门)正(?:对|冲)着?(?!面|过|门)",
        _dir("front", anchored=True, direct=True),
    ),
    (rf"(?:(?<=[河江湖溪])|(?<=[河江湖溪]的)){C}岸", _compass),
    (rf"以{C}", _compass),
    (r"(?P<h>\d{1,2}|十[一二]?|[一二两三四五六七八九])点钟?(?:方向|方位|位置)", _clock),
    (rf"(?:正|偏)?{C}(?:侧|边|面|方向|方|部)(?P<lean>偏[东南西北])?(?!门)", _compass),
    (rf"(?<=[路街河江]){C}(?=是|有|为|那|的|一|几|边|侧|只|全|，|,)", _compass),
    (rf"{_BEFORE_BARE}(?:正|偏)?{C}{_AFTER_BARE}", _bare),
    (rf"正{C}(?=是|有|为)", _compass),
    (r"直走(?=就?是|就?有|到|能看)", _dir("front")),
    (r"(?<!再)(?<!续)往(?P<side>前)(?:直?走)?(?!面|方|边)", _side),
    (rf"(?<=其){C}(?=约|大|不|有|是|侧|\d|[一二两三四五六七八九十几])", _compass),
    (rf"{C}(?:缘|首|侧)", _compass),
    (rf"(?:的)?{C}(?:角|端|头)(?!门)", _corner),
    (rf"偏{C}(?=一点|一些|的|有|是|，|,)", _compass),
    (
        r"(?:马路|大街|街道|道路|街|路|道)(?:的)?(?:正|斜)?对(?:面|过|侧|边)|(?:马路|街|路)(?:的)?(?:另一?边|那边)",
        _dir("across"),
    ),
    (r"(?:的)?(?:正|斜)?对(?:面|过)|(?:的)?对岸|(?:的)?另一边", _dir("across")),
    (r"(?:左|右)(?:前|后)(?:面|侧|边)", _slant),
    (r"(?P<side>左|右)(?:手边|手侧|手方向|手面|手|边|侧|面|方|邻)", _side),
    (r"(?P<side>左|右)(?:转|拐)(?=就?是|就?有|边|后?能看|可以看|看到)", _side),
    (r"(?:再|继续)往前", _role("join")),
    (r"(?:正|往)?(?P<side>前)(?:面|方|边|头)(?!的?路口右)", _side),
    (r"(?:面|眼|跟|身)(?P<side>前)", _side),
    (r"(?:正)?(?P<side>后)(?:面|方|边|头|侧)", _side),
    (r"(?:身|背|屋|房)(?P<side>后)|背面", lambda m: Mark(start=m.start(), end=m.end(), role="dir", type="behind")),
    (
        r"(?:我们?的?|身)(?:旁边?|边)|(?:我们?的?)?头顶(?:上方?|的)?|(?<!山)脚(?:底下|下)(?=踩|是|就|的|有|踏)|(?:我们?家|公司|宿舍|我们?)(?:的)?楼下(?=就|是|有|也)",
        _dir("here"),
    ),
    (r"(?:的)?(?:大)?(?:门口|门前|楼下|正门|大门口|入口处?|出口处?|脚下|门外|[东南西北正后侧]门口?)", _dir("here")),
    (r"(?:的)?(?:旁边|边上|隔壁|旁(?=\s*(?:[，。,;；]|$)))", _dir("near", direct=True)),
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
    if not HAN.search(part):
        return
    for pattern, build in _COMPILED:
        for match in pattern.finditer(part):
            mark = build(match)
            if mark is not None:
                mark.start, mark.end = mark.start + start, mark.end + start
                yield mark
