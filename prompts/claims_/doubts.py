"""Distances, counts, negation and hedges, once the things of a clause have their places."""

from __future__ import annotations

import re

from prompts.claims_ import numbers
from prompts.claims_.groups import Group, Sentence
from prompts.claims_.marks import HAN, Mark, Place

_SCOPE_ENDS = re.compile(r"\b(?:but|only|except|just|apart\s+from|other\s+than)\b|只有|而是|倒是|除了|但", re.I)
_GONE_EN = re.compile(r"\s+(?:there|here|visible|anywhere|to\s+be\s+seen|in\s+sight|any\s*more)\b|\s*$", re.I)
_COUNT_EN = re.compile(
    rf"(?:^|[\s(])(?P<n>{numbers.NUMBER_EN})\s+(?!or\b)(?:(?!and\b|or\b|of\b|the\b|storey|story|floor|level|lane|m\b|met|hundred|o'?\s?clock)[\w'-]+\s+){{0,3}}$",
    re.I,
)
_NO = re.compile(r"\s*(?:no\b|nope|none|nah|not\s+(?:here|really|that)|没有|没|无|不是|倒没)", re.I)
_NOT_SEEN = re.compile(r"\s*了|\s*(?:see|seen|saw|find|found|spot)?(?:\s+(?:one|any))?\s*$", re.I)
_NOT_THOUGHT = re.compile(r"\s*(?:think|believe|reckon|suppose|see\s+that|觉得|认为)\s*(?:that\s*)?$", re.I)
_HOUR = re.compile(r"\s*o'?\s?clock\b", re.I)
_COUNT_ZH = re.compile(
    r"(?P<n>\d{1,3}|[二两三四五六七八九十]{1,3})(?:家|个|座|栋|幢|条|棵|张|间|把|所|处|排|块|根|辆|只|尊|盏|名|面)(?:[一-鿿]{0,3})$"
)


def distances(text: str, marks: list[Mark], groups: list[Group], sentence: Sentence, last: Group | None) -> None:
    """Gives each distance of a clause to the thing it measures; one that has none waits for the next clause."""
    if groups and sentence.far is not None and groups[0].place.distance is None:
        groups[0].place.distance, sentence.far = sentence.far, None
    for mark in marks:
        if mark.role != "dist":
            continue
        group = _measured(text, mark, marks, groups) or (last if not groups else None)
        if group is None:
            sentence.far = mark.number
        elif group.place.distance is None and not _between_things(group):
            group.place.distance = mark.number


def _between_things(group: Group) -> bool:
    return group.place.type == "near" and group.place.anchor is not None


_DIRECTLY = re.compile(
    r"(?:[\s,]|about|approximately|around|roughly|maybe|some|is|was|are|located|just|only|perhaps|within|like|stands|lies|在|约|大约|大概|处)*",
    re.I,
)


def _measured(text: str, mark: Mark, marks: list[Mark], groups: list[Group]) -> Group | None:
    before = next((g for g in reversed(groups) if g.end <= mark.start), None)
    after = next((g for g in groups if g.start >= mark.end), None)
    if before is None or after is None:
        return before or after
    gap = text[before.end : mark.start]
    for m in marks:
        if m.role == "dir" and before.end <= m.start and m.end <= mark.start:
            gap = gap.replace(text[m.start : m.end], "")
    return before if _DIRECTLY.fullmatch(gap) else after


def counts(text: str, groups: list[Group], clause_start: int) -> None:
    """Numbers that stand before a thing: "two towers", 三棵树."""
    for group in groups:
        for mark in group.members:
            if mark.kind not in ("object", "building"):
                continue
            found = _counted(text, mark, clause_start)
            if found is not None and found == int(found) and 1 <= found <= 500:
                mark.number = found


def _counted(text: str, mark: Mark, clause_start: int) -> float | None:
    window = text[max(clause_start, mark.start - 36) : mark.start]
    if HAN.search(window[-2:]):
        match = _COUNT_ZH.search(window)
        return numbers.chinese(match["n"]) if match else None
    match = _COUNT_EN.search(window)
    if (
        match is None
        or re.search(r"\bmy\s$", window[: match.start("n")])
        or match["n"].lower() in ("a", "an")
        or _HOUR.match(window, match.end("n"))
    ):
        return None
    value = numbers.english(match["n"])
    return None if value == 0 else value


def refused(text: str, start: int, asked: list[Group]) -> None:
    """ "A bridge? No." 桥？没有。: what the sentence before only asked is said not to be there."""
    before = text[max(0, start - 3) : start].rstrip()
    if before.endswith(("?", "？")) and len(asked) == 1 and _NO.match(text, start):
        for thing in asked[0].members:
            thing.polarity, thing.place = False, Place()


def negations(
    text: str, marks: list[Mark], groups: list[Group], last: Group | None, end: int, *, denied: bool = False
) -> bool:
    """ "no", "there isn't", 没有: everything after it in the clause is said not to be there.

    True: nothing was there to deny, and what the next clause says is denied ("I don't think | there was ...").
    """
    for thing in (m for g in groups for m in g.members):
        if denied:
            thing.polarity = False
    leaves = False
    for mark in marks:
        if mark.role != "neg":
            continue
        stop = _SCOPE_ENDS.search(text, mark.end, end)
        limit = stop.start() if stop else end
        hit = [m for g in groups for m in g.members if mark.end <= m.start < limit]
        if not hit and _GONE_EN.match(text[mark.end : end]):
            hit = [m for g in groups[-1:] for m in g.members if m.end <= mark.start]
        if not hit and _denied_place(mark, marks, groups):
            hit = list(groups[-1].members)
        if not hit and not groups and last is not None and _NOT_SEEN.match(text[mark.end : end]):
            hit = list(last.members)
        leaves = leaves or (not groups and bool(_NOT_THOUGHT.match(text[mark.end : end])))
        for thing in hit:
            thing.polarity = False
            if thing.place.type == "here" or not any(m.role == "dir" for m in marks):
                thing.place = Place()
    return leaves


def _denied_place(mark: Mark, marks: list[Mark], groups: list[Group]) -> bool:
    """ "The bakery isn't on the left"."""
    return bool(groups) and groups[-1].end <= mark.start and any(m.role == "dir" and m.start >= mark.end for m in marks)


def hedges(text: str, marks: list[Mark], groups: list[Group], last: Group | None, end: int) -> bool:
    """A hedge covers what follows it in its clause, else what came before it; True: it is left for the next clause."""
    for mark in marks:
        if mark.role != "hedge":
            continue
        if not groups and not text[mark.end : end].strip() and re.match(r"\s*\w", text[end : end + 2]):
            return True
        after = [g for g in groups if g.start >= mark.end]
        for group in after or groups or ([last] if last is not None else []):
            for thing in group.members:
                thing.hedge = True
    return False
