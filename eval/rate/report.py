"""What comes out of a study: agreement among raters, the raters themselves, and how the systems rank."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from statistics import mean, median
from typing import Any

import numpy as np

from eval.bootstrap import Interval, bootstrap_mean, paired_difference
from eval.rate.adjudicate import Dispute, disputes
from eval.rate.items import GRADES, MARKS, SCALES
from eval.rate.study import Marked, Study
from retriever.pages.alpha import Alpha, krippendorff_alpha

CHECK_PASSED = 2
"""A check is passed by grading a known-wrong explanation at most this correct."""
CLAIMS_RIGHT = "claims right"


@dataclass(frozen=True, kw_only=True)
class RaterRow:
    rater: str
    given: int
    finished: int
    checks: int
    """Attention checks that were finished."""
    passed: int
    seconds: float | None
    """Median per finished item, breaks over two minutes left out."""
    leniency: float | None
    """Mean grade minus that of the others on the same items and scales; None without such items."""
    shared: int
    """Items that the leniency rests on."""


@dataclass(frozen=True, kw_only=True)
class SystemRow:
    system: str
    scores: Mapping[str, Interval | None]
    """By ``claims right`` (share of right among right and wrong) and scale, over items, by location."""


@dataclass(frozen=True, kw_only=True)
class Report:
    agreement: Mapping[str, Alpha]
    """Of claims (nominal) and each scale (ordinal), on what at least two raters marked."""
    raters: tuple[RaterRow, ...]
    systems: tuple[SystemRow, ...]
    """Best first by ``claims right``, then by ``correct``."""
    paired: Mapping[str, Interval]
    """``A - B`` of the share of right claims on the same cases."""
    disputes: tuple[Dispute, ...]
    left_out: tuple[str, ...]
    """Raters whose marks were not counted."""
    head: tuple[int, str]
    """Entries of the log and the last one's hash."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def report(study: Study, *, seed: int = 0, without: Sequence[str] = ()) -> Report:
    """``without``: raters to leave out of agreement and systems, for instance those who failed their checks.

    Agreement is over those who rated on their own; an adjudicator saw the others' marks. Attention checks count
    nowhere but in the raters' own rows.
    """
    everything = study.all_marked()
    counted = [
        m for m in everything if m.role != "adjudicator" and m.rater not in without and not study.items[m.item].check
    ]
    systems = _systems(study, counted, seed)
    return Report(
        agreement=agreement(study, counted, seed=seed),
        raters=tuple(_rater(study, name, everything) for name in study.codes),
        systems=tuple(systems),
        paired=_paired(study, counted, [s.system for s in systems], seed),
        disputes=tuple(disputes(study)),
        left_out=tuple(without),
        head=study.log.head(),
    )


def agreement(study: Study, marked: Sequence[Marked], *, seed: int = 0) -> dict[str, Alpha]:
    """Alpha of claim marks and of each scale."""
    claims: dict[str, dict[str, str]] = defaultdict(dict)
    grades: dict[str, dict[str, dict[str, int]]] = {scale: defaultdict(dict) for scale in SCALES}
    home: dict[str, str] = {}
    for m in marked:
        for claim, mark in m.claims.items():
            unit = f"{m.item}/{claim}"
            claims[unit][m.rater] = mark
            home[unit] = m.item
        for scale, grade in m.scales.items():
            grades[scale][m.item][m.rater] = grade
    found = {"claims": krippendorff_alpha(claims, MARKS, level="nominal", items=home, seed=seed)}
    for scale in SCALES:
        found[scale] = krippendorff_alpha(grades[scale], GRADES, level="ordinal", seed=seed)
    return found


def _rater(study: Study, name: str, everything: Sequence[Marked]) -> RaterRow:
    own = [m for m in everything if m.rater == name]
    finished = [m for m in own if m.finished]
    checks = [m for m in finished if study.items[m.item].check]
    real = [m for m in finished if not study.items[m.item].check]
    others: dict[str, list[Marked]] = defaultdict(list)
    for m in everything:
        if m.rater != name and m.role != "adjudicator" and m.finished:
            others[m.item].append(m)
    shared = [m for m in real if others[m.item]]
    apart = [m.scales[s] - mean(o.scales[s] for o in others[m.item]) for m in shared for s in SCALES]
    return RaterRow(
        rater=name,
        given=len(own),
        finished=len(finished),
        checks=len(checks),
        passed=sum(m.scales["correct"] <= CHECK_PASSED for m in checks),
        seconds=median(m.seconds for m in finished) if finished else None,
        leniency=mean(apart) if apart else None,
        shared=len(shared),
    )


def _values(study: Study, marked: Sequence[Marked]) -> dict[str, dict[str, dict[str, float]]]:
    """Score -> system -> item -> value: raters of one item are averaged, so a shared item counts once."""
    seen: dict[str, dict[str, dict[str, list[float]]]] = {
        name: defaultdict(lambda: defaultdict(list)) for name in (CLAIMS_RIGHT, *SCALES)
    }
    for m in marked:
        system = study.items[m.item].system
        right, wrong = (list(m.claims.values()).count(v) for v in ("right", "wrong"))
        if right + wrong:
            seen[CLAIMS_RIGHT][system][m.item].append(right / (right + wrong))
        for scale, grade in m.scales.items():
            seen[scale][system][m.item].append(float(grade))
    return {n: {s: {i: mean(v) for i, v in items.items()} for s, items in by.items()} for n, by in seen.items()}


def _systems(study: Study, marked: Sequence[Marked], seed: int) -> list[SystemRow]:
    values = _values(study, marked)
    names = sorted({study.items[m.item].system for m in marked})
    rows = []
    for system in names:
        scores: dict[str, Interval | None] = {}
        for score, by_system in values.items():
            of = by_system.get(system, {})
            places = [study.items[i].location for i in of]
            scores[score] = bootstrap_mean(np.array(list(of.values())), places, seed=seed) if of else None
        rows.append(SystemRow(system=system, scores=scores))
    return sorted(rows, key=lambda r: [-(s.value if (s := r.scores[k]) else -1.0) for k in (CLAIMS_RIGHT, "correct")])


def _paired(study: Study, marked: Sequence[Marked], systems: Sequence[str], seed: int) -> dict[str, Interval]:
    values = _values(study, marked)[CLAIMS_RIGHT]
    by_case = {s: {study.items[i].case: v for i, v in values.get(s, {}).items()} for s in systems}
    places = {i.case: i.location for i in study.items.values()}
    found = {}
    for a, b in combinations(systems, 2):
        both = sorted(by_case[a].keys() & by_case[b].keys())
        if both:
            first, second = (np.array([by_case[s][c] for c in both]) for s in (a, b))
            found[f"{a} - {b}"] = paired_difference(first, second, [places[c] for c in both], seed=seed)
    return found
