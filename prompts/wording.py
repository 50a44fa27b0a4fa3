"""Saying a claim, and a whole explanation, in English and in Chinese.

The explanation has the published form of explained matching (GLEAM-X): what description and tile agree on, where they
differ, what cannot be judged, and so whether they show the same place. The judge is taught to write it with each claim
as its number (``c1``), and :func:`fill` puts the claim's words there: what was claimed is known and need not be copied
by a model. Where its own text does not hold, the same words stand in as a template, marked so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from retriever.geo import POINTS_EN, POINTS_ZH, octant
from retriever.kinds import kinds
from retriever.types import Claim, Explanation, Stance

_AXES_EN = ("north-south", "north-east to south-west", "east-west", "north-west to south-east")
_AXES_ZH = ("南北", "东北—西南", "东西", "西北—东南")
_FORMS = {
    "straight": ("the straight road", "笔直的道路"),
    "curved": ("the curving road", "弯曲的道路"),
    "dead_end": ("the dead end", "死胡同"),
    "one_way": ("the one-way street", "单行道"),
    "wide": ("the wide road", "宽阔的道路"),
    "narrow": ("the narrow road", "狭窄的道路"),
    "crossroads": ("the crossroads", "十字路口"),
    "t_junction": ("the T-junction", "丁字路口"),
    "roundabout": ("the roundabout", "环岛"),
}
_COLOURS_ZH = {
    "red": "红色", "white": "白色", "yellow": "黄色", "brown": "棕色", "grey": "灰色", "gray": "灰色", "black": "黑色",
    "blue": "蓝色", "green": "绿色", "beige": "米色", "orange": "橙色", "pink": "粉色",
}  # fmt: skip


def claim_en(claim: Claim) -> str:
    """A noun phrase: ``the cafe to the north``, ``the absence of a tram line``."""
    thing = _thing(claim)[0]
    if not claim.polarity:
        thing = f"the absence of {_article(thing.removeprefix('the '))}"
    bearing = claim.relation.bearing_deg
    if bearing is None or (claim.kind == "road" and claim.value == "runs"):
        return thing
    return f"{thing} to the {POINTS_EN[octant(bearing)]}"


def claim_zh(claim: Claim) -> str:
    """A noun phrase: ``北侧的咖啡馆``, ``没有电车轨道``."""
    thing = _thing(claim)[1]
    bearing = claim.relation.bearing_deg
    where = (
        "" if bearing is None or (claim.kind == "road" and claim.value == "runs") else POINTS_ZH[octant(bearing)] + "侧"
    )
    if not claim.polarity:
        return f"{where}没有{thing}"
    return f"{where}的{thing}" if where else thing


def _thing(claim: Claim) -> tuple[str, str]:
    value = claim.value
    if claim.kind == "name":
        return f'the name "{value}"', f"名称“{value}”"
    if claim.kind == "building":
        return _building(value)
    if value == "runs":
        if claim.relation.bearing_deg is None:
            return "the road", "道路"
        axis = round((claim.relation.bearing_deg % 180.0) / 45.0) % 4
        return f"the road running {_AXES_EN[axis]}", f"{_AXES_ZH[axis]}走向的道路"
    if value in _FORMS:
        return _FORMS[value]
    kind = kinds().get(value)
    return (f"the {kind.en[0]}", kind.zh[0]) if kind else (f"the {value.replace('_', ' ')}", value)


def _building(value: str) -> tuple[str, str]:
    what, _, detail = value.partition(":")
    if what == "storeys":
        return f"the building of {detail} storeys", f"{detail}层的楼"
    return f"the {detail} building", f"{_COLOURS_ZH.get(detail, detail)}的楼"


def _article(noun: str) -> str:
    return f"an {noun}" if noun[:1].lower() in "aeiou" else f"a {noun}"


def explain(claims: Sequence[Claim], stances: Mapping[str, Stance], *, match: bool | None) -> tuple[str, str]:
    """English and Chinese from the same ledger; ``match=None`` says that it cannot be told.

    ``stances`` is by claim id; a claim without one counts as unknown.
    """
    said = {c.id: (claim_en(c), claim_zh(c)) for c in claims}
    return _explain(claims, stances, match, said)


def explain_numbered(claims: Sequence[Claim], stances: Mapping[str, Stance], *, match: bool | None) -> tuple[str, str]:
    """The same with each claim as its number in the question, ``c1`` the first: what the judge is taught to write."""
    said = {c.id: (f"c{i}", f"c{i}") for i, c in enumerate(claims, 1)}
    return _explain(claims, stances, match, said)


def fill(text: str, claims: Sequence[Claim], phrase: Callable[[Claim], str]) -> str:
    """Put each claim's phrase where its number stands; a number that no claim has stays, and is not read back."""

    def words(number: re.Match[str]) -> str:
        i = int(number[1])
        return phrase(claims[i - 1]) if 1 <= i <= len(claims) else number[0]

    return _NUMBER.sub(words, text)


_NUMBER = re.compile(r"(?<![A-Za-z0-9])c(\d{1,2})(?![A-Za-z0-9])")


def _explain(
    claims: Sequence[Claim],
    stances: Mapping[str, Stance],
    match: bool | None,
    said: Mapping[str, tuple[str, str]],
) -> tuple[str, str]:
    groups: dict[Stance, list[tuple[str, str]]] = {"supports": [], "contradicts": [], "unknown": []}
    for claim in claims:
        groups[stances.get(claim.id, "unknown")].append(said[claim.id])
    english = {s: [en for en, _ in group] for s, group in groups.items()}
    return _english(english, match), _chinese({s: [zh for _, zh in group] for s, group in groups.items()}, match)


def _english(groups: Mapping[Stance, Sequence[str]], match: bool | None) -> str:
    agree, differ, open_ = (_join(groups[s], ", ", " and ") for s in ("supports", "contradicts", "unknown"))
    parts = [
        f"Description and tile agree on {agree}."
        if agree
        else "Description and tile agree on nothing that can be checked."
    ]
    if differ:
        parts.append(f"They differ on {differ}.")
    if open_:
        parts.append(f"The tile cannot settle {open_}.")
    parts.append(
        "So they probably show the same place."
        if match
        else "So they do not show the same place."
        if match is False
        else "So it cannot be told whether they show the same place."
    )
    return " ".join(parts)


def _chinese(groups: Mapping[Stance, Sequence[str]], match: bool | None) -> str:
    agree, differ, open_ = (_join(groups[s], "、", "和") for s in ("supports", "contradicts", "unknown"))
    parts = [f"描述与图块一致：{agree}。" if agree else "描述与图块没有可核对的一致之处。"]
    if differ:
        parts.append(f"不一致：{differ}。")
    if open_:
        parts.append(f"图块无法判断：{open_}。")
    parts.append(
        "因此两者很可能是同一地点。"
        if match
        else "因此两者不是同一地点。"
        if match is False
        else "因此无法判断两者是否为同一地点。"
    )
    return "".join(parts)


def _join(items: Sequence[str], comma: str, last: str) -> str:
    if len(items) < 2:
        return "".join(items)
    return comma.join(items[:-1]) + last + items[-1]


def template_explanation(claims: Sequence[Claim], stances: Mapping[str, Stance], *, match: bool | None) -> Explanation:
    """The template as an :class:`Explanation` that says who wrote it."""
    en, zh = explain(claims, stances, match=match)
    return Explanation(en=en, zh=zh, author="template")
