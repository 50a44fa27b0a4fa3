"""From a limit in words to an area on the ground, by what the gallery's map holds; or why that cannot be done."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.context import Context
from agent.state import Json
from prompts.claims import extract_claims
from prompts.claims_.area import AreaLimit
from retriever import landmarks
from retriever.area import Area
from retriever.errors import SightlineError
from retriever.geo import POINTS_EN, POINTS_ZH, octant
from retriever.kinds import kinds
from retriever.landmarks import Landmark, Landmarks

RADIUS_M = 300.0
"""Around a thing that was named without a distance."""
ON_M = 60.0
""" "Not on the river": farther from it than this, half a tile."""
MOST_OPTIONS = 5
"""Things that are offered where a limit may mean several."""

_POINT = re.compile(r"(-?\d{1,2}\.\d+)\s*[,，]\s*(-?\d{1,3}\.\d+)")
_REACH = re.compile(r"(?<![\d.])(\d+(?:\.\d+)?)\s*(km|公里|千米|m\b|met(?:re|er)s?|米)", re.IGNORECASE)
_WHOLE = r"(?:everywhere|(?:in |over )?the whole (?:area|gallery|city|town|map))"
_EVERYWHERE = re.compile(
    rf"\b(?:search|look|try|find it)(?: again| now)? {_WHOLE}\b|^\W*{_WHOLE}(?: again| now)?(?:,? please)?\W*$"
    r"|\bno area limit\b|^\W*(?:no|without(?: a| any| the)?|(?:remove|drop|lift|forget) (?:the|any|all))"
    r" (?:area )?limits?\b"
    r"|(?:搜索?|找|看)(?:一下)?(?:全部|整个)(?:区域|图库|城市)|^\W*(?:全部|整个)区域\W*$|不限区域|不限范围|取消(?:范围|限制)",
    re.IGNORECASE,
)
"""A wish to search without a limit: words such as "bikes everywhere" describe a place and are no wish."""

Mask = NDArray[np.bool_]
Choices = Mapping[str, Sequence[str]]
"""What the analyst chose among several things: by ``anchor`` or ``second``, the OSM ids."""


class NoArea(SightlineError):
    """A limit that the gallery cannot place; the message is English, ``zh`` the same in Chinese."""

    def __init__(self, en: str, zh: str) -> None:
        super().__init__(en)
        self.zh = zh


class WhichOne(NoArea):
    """A limit whose words fit several things on the map."""

    def __init__(self, part: str, en: str, zh: str, options: Sequence[Json]) -> None:
        super().__init__(en, zh)
        self.part = part
        """``anchor`` or ``second``: which of the limit's things it is."""
        self.options = list(options)
        """``{"en", "zh", "ids"}``"""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A thing that a limit refers to, as the reply names it."""

    shape: Any
    en: str
    zh: str
    ids: tuple[str, ...] = ()


def written(text: str) -> tuple[bool, str | None]:
    """``(whether the turn sets a limit by numbers, the limit)``: "within 300 m of 51.5, -0.12", "search everywhere".

    >>> written("within 300 m of 51.50000, -0.12000")
    (True, '51.5,-0.12,300m')
    >>> written("a cafe 30 m away")
    (False, None)
    """
    if len(text) < 80 and _EVERYWHERE.search(text) and not extract_claims(text):
        return True, None
    point, reach = _POINT.search(text), _REACH.search(text)
    if point is None or reach is None or len(text) > 120:
        return False, None
    metres = float(reach[1]) * (1000.0 if reach[2].lower() in ("km", "公里", "千米") else 1.0)
    return True, circle(float(point[1]), float(point[2]), metres)


def circle(lat: float, lon: float, metres: float) -> str:
    """A circle as :meth:`retriever.area.Area.parse` reads it."""
    return f"{round(lat, 6)},{round(lon, 6)},{metres:g}m"


def drawn(area: str) -> Json:
    """A limit that was drawn or written in numbers. Raises ``AreaError`` for what is no area."""
    Area.parse(area)
    words = ("inside the area that was drawn", "在所画的区域内") if area.strip().startswith("{") else ("", "")
    return {"text": area, "en": words[0] or f"within {area}", "zh": words[1] or f"在 {area} 内", "area": area}


def resolve(limit: AreaLimit, context: Context, result: Json, chosen: Choices | None = None) -> Json:
    """The limit with its area and its words. Raises ``NoArea`` with what is missing, ``WhichOne`` with the choice."""
    marks = Landmarks.of(context.gallery)
    first = _place("anchor", limit.anchor, limit.anchor_is_name, limit, marks, result, chosen or {})
    if limit.second is not None:
        second = _place("second", limit.second, limit.second_is_name, limit, marks, result, chosen or {})
        mask, en, zh = _between(first, second, marks)
    elif limit.bearing_deg is not None:
        mask = landmarks.side(first.shape, marks.x, marks.y, limit.bearing_deg)
        point = octant(limit.bearing_deg)
        en, zh = f"{POINTS_EN[point]} of {first.en}", f"{first.zh}以{POINTS_ZH[point]}"
    else:
        metres = limit.radius_m or (ON_M if limit.exclude else RADIUS_M)
        mask = landmarks.within(first.shape, marks.x, marks.y, metres)
        en, zh = f"within {metres:g} m of {first.en}", f"距{first.zh} {metres:g} 米以内"
    if limit.exclude:
        mask, en, zh = (
            ~mask,
            f"not {en}",
            f"不在{zh}的地方" if limit.bearing_deg is not None else zh.replace("以内", "以外"),
        )
    if not mask.any():
        raise NoArea(f"no tile of this gallery lies {en}", f"本图库没有图块位于：{zh}")
    return {"text": limit.text, "en": en, "zh": zh, "area": _text(mask, context), "ids": list(first.ids)}


def combined(limits: Sequence[Json], context: Context) -> str | None:
    """All limits at once, as text for ``Area.parse``; None without any. Raises ``NoArea`` where they share no tile."""
    if not limits:
        return None
    if len(limits) == 1:
        return str(limits[0]["area"])
    gallery = context.gallery
    masks = [Area.parse(limit["area"]).contains(gallery.lat, gallery.lon) for limit in limits]
    mask = np.logical_and.reduce(masks)
    if not mask.any():
        en, zh = "; ".join(limit["en"] for limit in limits), "；".join(limit["zh"] for limit in limits)
        raise NoArea(f"no tile of this gallery is all of this at once: {en}", f"没有图块同时满足：{zh}")
    return _text(mask, context)


def around(result: Json, ranks: Sequence[int], metres: float, context: Context) -> Json:
    """Everywhere but near these candidates."""
    gallery, listed = context.gallery, result["candidates"]
    mask = np.ones(len(gallery), dtype=bool)
    for rank in ranks:
        near = Area.radius(listed[rank - 1]["lat"], listed[rank - 1]["lon"], metres)
        mask &= ~near.contains(gallery.lat, gallery.lon)
    if not mask.any():
        raise NoArea("nothing of this gallery lies elsewhere", "本图库没有别处可找")
    en, zh = f"farther than {metres:g} m from the candidates so far", f"离已有候选 {metres:g} 米以外"
    return {"text": "elsewhere", "en": en, "zh": zh, "area": _text(mask, context), "ids": []}


def _text(mask: Mask, context: Context) -> str:
    gallery = context.gallery
    return Area.cells(gallery.lat[mask], gallery.lon[mask], gallery.stride_m).text


def _between(a: Place, b: Place, marks: Landmarks) -> tuple[Mask, str, str]:
    mask = landmarks.between(a.shape, b.shape, marks.x, marks.y)
    return mask, f"between {a.en} and {b.en}", f"{a.zh}和{b.zh}之间"


def _place(
    part: str, word: str | None, is_name: bool, limit: AreaLimit, marks: Landmarks, result: Json, chosen: Choices
) -> Place:
    if part == "anchor" and limit.rank is not None:
        return _candidate(limit.rank, marks, result)
    if word is None:
        raise NoArea(
            "that names no place; say a name, a kind of thing, a candidate's number, or coordinates",
            "没有说出地点；请说名称、事物种类、候选编号或坐标",
        )
    if part in chosen:
        mark = marks.with_ids(chosen[part])
        if mark is not None:
            return _as_place(mark, marks)
    found = marks.named(word) if is_name else _narrowed(marks.of_kind(word, broad=limit.exclude), limit.said(part))
    if not found:
        raise _not_there(word, is_name)
    if len(found) > 1 and not limit.exclude and not limit.any_of:
        raise _which(part, word, is_name, found, marks)
    if len(found) > 1:
        whole = marks.with_ids(i for mark in found for i in mark.ids)
        assert whole is not None
        en, zh = _kind_words(word) if not is_name else (word, word)
        return Place(shape=whole.shape, en=f"any {en}", zh=f"任何{zh}", ids=whole.ids)
    return _as_place(found[0], marks)


def _candidate(rank: int, marks: Landmarks, result: Json) -> Place:
    import shapely

    listed = result["candidates"]
    if rank > len(listed):
        raise NoArea(
            f"there is no number {rank}: {len(listed)} candidates are listed",
            f"没有第 {rank} 个，只有 {len(listed)} 个候选",
        )
    x, y = marks.frame.xy(listed[rank - 1]["lat"], listed[rank - 1]["lon"])
    return Place(shape=shapely.Point(x, y), en=f"number {rank}", zh=f"第 {rank} 个")


def _narrowed(found: list[Landmark], said: str) -> list[Landmark]:
    """Of several things of a kind, those that carry the very word in their name: "the cathedral" among churches."""
    word = said.casefold().strip()
    usual = kinds()[found[0].kind] if found else None
    if len(found) < 2 or not word or usual is None or word in (usual.en[0], usual.zh[0]):
        return found
    named = [mark for mark in found if any(word in name.casefold() for _, name in mark.names)]
    return named or found


def _not_there(word: str, is_name: bool) -> NoArea:
    if is_name:
        return NoArea(
            f"nothing called {word!r} is on this gallery's map; what else is near?",
            f"本图库的地图上没有名为“{word}”的地方；附近还有什么？",
        )
    en, zh = _kind_words(word)
    return NoArea(
        f"no {en} is on this gallery's map; give a name or another landmark",
        f"本图库的地图上没有{zh}；请给出名称或别的地标",
    )


def _which(part: str, word: str, is_name: bool, found: Sequence[Landmark], marks: Landmarks) -> WhichOne:
    offered = [_as_place(mark, marks) for mark in found[:MOST_OPTIONS]]
    en, zh = (f"places called {word!r}", f"名为“{word}”的地方") if is_name else _several(word)
    listed_en = "; ".join(f"({n}) {place.en}" for n, place in enumerate(offered, 1))
    listed_zh = "；".join(f"({n}) {place.zh}" for n, place in enumerate(offered, 1))
    rest = len(found) - len(offered)
    more_en, more_zh = (f"; and {rest} more" if rest else ""), (f"；另有 {rest} 个" if rest else "")
    return WhichOne(
        part,
        f"the map shows {len(found)} {en}: {listed_en}{more_en}; which one is meant, or any of them?",
        f"地图上有 {len(found)} 处{zh}：{listed_zh}{more_zh}。指哪一个，还是任意一个？",
        [{"en": place.en, "zh": place.zh, "ids": list(place.ids)} for place in offered]
        + [{"en": "any of them", "zh": "任意一个", "ids": [i for mark in found for i in mark.ids]}],
    )


def _several(kind: str) -> tuple[str, str]:
    en, zh = _kind_words(kind)
    return f"things of the kind {en!r}", zh


def _as_place(mark: Landmark, marks: Landmarks) -> Place:
    """A landmark as one would say it: by name, else by its kind and what it is next to."""
    en, zh = _kind_words(mark.kind)
    if mark.names:
        return Place(shape=mark.shape, en=mark.name("en"), zh=mark.name("zh"), ids=mark.ids)
    near = marks.beside(mark)
    if near is None:
        return Place(shape=mark.shape, en=f"the {en}", zh=zh, ids=mark.ids)
    return Place(
        shape=mark.shape, en=f"the {en} near {near.name('en')}", zh=f"{near.name('zh')}附近的{zh}", ids=mark.ids
    )


def _kind_words(kind: str) -> tuple[str, str]:
    known = kinds().get(kind)
    return (known.en[0], known.zh[0]) if known else (kind.replace("_", " "), kind)
