"""Where raters of one item disagree, and who decides: a third rater without knowing it, or an adjudicator who does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eval.protocol import EvaluationError
from eval.rate.items import SCALES, RateItem
from eval.rate.plan import Rater
from eval.rate.study import Marked, Study

APART = 2
"""Grades that differ by this or more disagree."""


@dataclass(frozen=True, kw_only=True)
class Dispute:
    """One item on which people who finished it disagree."""

    item: str
    points: tuple[str, ...]
    """``claim:e1``, ``scale:clear``."""
    decided_by: str | None
    """A third rater or adjudicator who finished it."""
    given_to: str | None
    """One who has it on the list."""


def disputes(study: Study) -> list[Dispute]:
    """Every item that two or more finished and disagree on; attention checks are none."""
    by_item: dict[str, list[Marked]] = {}
    for marked in study.all_marked():
        by_item.setdefault(marked.item, []).append(marked)
    found = []
    for item, all_marked in sorted(by_item.items()):
        first = [m for m in all_marked if m.role == "rater" and m.finished]
        points = () if study.items[item].check else points_apart(study.items[item], first)
        if points:
            later = [m for m in all_marked if m.role != "rater"]
            decided = next((m.rater for m in later if m.finished), None)
            given = later[0].rater if later else None
            found.append(Dispute(item=item, points=points, decided_by=decided, given_to=given))
    return found


def points_apart(item: RateItem, marked: Sequence[Marked]) -> tuple[str, ...]:
    """Claims that one calls right and another wrong; scales whose grades lie at least two apart."""
    points = [
        f"claim:{c.id}"
        for c in item.claims
        if {"right", "wrong"} <= {m.claims[c.id] for m in marked if c.id in m.claims}
    ]
    for scale in SCALES:
        grades = [m.scales[scale] for m in marked if scale in m.scales]
        if grades and max(grades) - min(grades) >= APART:
            points.append(f"scale:{scale}")
    return tuple(points)


def give_out(study: Study, adjudicator: str | None = None) -> dict[str, str]:
    """Put every undecided dispute on a list; item -> who decides.

    Without an ``adjudicator`` it is a third rater: someone of the study who reads the language and has not rated the
    item, the one with the shortest list first. Where there is nobody it stays open. An adjudicator is added to the
    study where the name is new, and sees what the others said. Raises ``EvaluationError`` for one who rates.
    """
    role = "third"
    if adjudicator is not None:
        role = "adjudicator"
        if any(a.role == "rater" for a in study.assignments(adjudicator)):
            raise EvaluationError(f"{adjudicator} rates in this study; an adjudicator must be someone else")
        study.add_rater(Rater(name=adjudicator))
    given: dict[str, str] = {}
    for dispute in disputes(study):
        if dispute.given_to is None:
            who = adjudicator or _third(study, dispute.item)
            if who is not None:
                study.assign(who, dispute.item, role)
                given[dispute.item] = who
    return given


def _third(study: Study, item: str) -> str | None:
    lists: dict[str, set[str]] = {name: set() for name in study.codes}
    for a in study.assignments():
        lists[a.rater].add(a.item)
    free = [n for n, ids in lists.items() if item not in ids and study.items[item].lang in study.langs(n)]
    return min(free, key=lambda n: (len(lists[n]), n), default=None)


def decided(study: Study) -> dict[str, Mapping[str, object]]:
    """What stands for each item, field by field: the decider's where there is one, else the majority or the median.

    A tie between right and wrong is ``cant_tell``; the median of an even number of grades is the lower middle one.
    """
    by_item: dict[str, list[Marked]] = {}
    for marked in study.all_marked():
        if marked.finished:
            by_item.setdefault(marked.item, []).append(marked)
    return {item: _stands(study.items[item], marked) for item, marked in sorted(by_item.items())}


def _stands(item: RateItem, marked: Sequence[Marked]) -> Mapping[str, object]:
    word = [m for m in marked if m.role == "adjudicator"] or marked
    out: dict[str, object] = {}
    for claim in item.claims:
        said = [m.claims[claim.id] for m in word]
        right, wrong, open_ = (said.count(mark) for mark in ("right", "wrong", "cant_tell"))
        tie = right == wrong or open_ > max(right, wrong)
        out[f"claim:{claim.id}"] = "cant_tell" if tie else "right" if right > wrong else "wrong"
    for scale in SCALES:
        grades = sorted(m.scales[scale] for m in word)
        out[f"scale:{scale}"] = grades[(len(grades) - 1) // 2]
    return out
