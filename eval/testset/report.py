"""Tables of the frozen set: a system beside the controls, over all pairs and over every slice."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eval.bootstrap import Interval
from eval.report import percent
from eval.testset.controls import CONTROLS
from eval.testset.failures import Failure, failure_table, worst
from eval.testset.predictions import Prediction
from eval.testset.scores import Scores, StanceScores, agreement, score, stance_scores
from retriever.pair_frozen import FrozenSet
from retriever.pairs import NEGATIVES, Pair

SEEN = ("object", "road")
"""Kinds of claims that a picture can show; names, storeys, colours and the forms of junctions it does not."""


@dataclass(frozen=True)
class System:
    name: str
    saw: str
    found: Mapping[str, Prediction]


@dataclass(frozen=True, kw_only=True)
class Row:
    name: str
    saw: str
    scores: Scores
    agreement: Interval | None


@dataclass(frozen=True, kw_only=True)
class Slice:
    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, kw_only=True)
class Report:
    version: str
    """Empty for pairs that are not the frozen set."""
    sha256: str
    of: int
    """Pairs in the whole set; the slices say how many were asked."""
    slices: tuple[Slice, ...]
    stances: Mapping[str, Sequence[StanceScores]]
    stances_seen: Mapping[str, Sequence[StanceScores]]
    """The same over claims of kinds that a picture can show."""
    failures: Mapping[str, Sequence[Failure]]
    """By system; the controls' are left out."""
    command: str


def slices(pairs: Sequence[Pair], part: Mapping[str, str]) -> dict[str, list[Pair]]:
    """The ways a set is cut; empty ones are left out. A kind of negative comes with the matches of the same queries."""
    rules: dict[str, Callable[[Pair], bool]] = {
        "all pairs": lambda p: True,
        "English texts": lambda p: p.query.lang == "en",
        "Chinese texts": lambda p: p.query.lang == "zh",
        "hand-written texts": lambda p: p.query.source == "hand",
        "generated texts": lambda p: p.query.source == "generated" and p.query.view == "text",
        "real areas": lambda p: part[p.id] != "towns",
        "generated towns": lambda p: part[p.id] == "towns",
    }
    for view in dict.fromkeys(p.query.view for p in pairs):
        rules[f"view {view}"] = lambda p, view=view: p.query.view == view  # type: ignore[misc]
    areas = dict.fromkeys(sorted(p.area for p in pairs))
    for area in areas if len(areas) > 1 else ():
        rules[f"area {area}"] = lambda p, area=area: p.area == area  # type: ignore[misc]
    cut = {title: [p for p in pairs if rule(p)] for title, rule in rules.items()}
    for kind in NEGATIVES:
        chosen = {_stem(p) for p in pairs if p.negative == kind}
        cut[f"negatives {kind}"] = [p for p in pairs if _stem(p) in chosen]
    return {title: found for title, found in cut.items() if found}


def _stem(pair: Pair) -> str:
    """What a match and its no-match have in common."""
    return pair.id.rsplit("-", 1)[0]


def control_systems(pairs: Sequence[Pair], seed: int) -> list[System]:
    """The controls on these pairs."""
    return [System(name, saw, {p.pair_id: p for p in answer(pairs, seed)}) for name, (saw, answer) in CONTROLS.items()]


def make(test: FrozenSet, systems: Sequence[System], *, command: str, seed: int = 0) -> Report:
    """The report over the pairs that every system of ``systems`` answered, with the controls on the same pairs."""
    asked = [p for p in test.pairs if all(p.id in s.found for s in systems)]
    rows = [*control_systems(asked, seed), *systems]
    tables = []
    for title, kept in slices(asked, test.part).items():
        made = [
            Row(
                name=s.name,
                saw=s.saw,
                scores=score(kept, s.found, seed=seed),
                agreement=agreement(kept, s.found, seed=seed),
            )
            for s in rows
        ]
        tables.append(Slice(title=title, rows=tuple(made)))
    stances, seen = (
        {s.name: found for s in rows if (found := stance_scores(asked, s.found, kinds=kinds, seed=seed))}
        for kinds in (None, SEEN)
    )
    return Report(
        version=test.version,
        sha256=test.sha256,
        of=len(test.pairs),
        slices=tuple(tables),
        stances=stances,
        stances_seen=seen,
        failures={s.name: cases for s in systems if (cases := worst(asked, s.found))},
        command=command,
    )


HEADER = ("system", "saw", "failed", "accuracy", "balanced", "AUROC", "said match", "EN/ZH same verdict")


def cells(row: Row) -> list[str]:
    """One line of a table, as text."""
    s = row.scores
    shown = [percent(v) if v is not None else "-" for v in (s.accuracy, s.balanced, s.auroc)]
    same = percent(row.agreement) if row.agreement is not None else "-"
    return [row.name, row.saw, str(s.failed), *shown, f"{100 * s.said_match:.1f}", same]


def caption(report: Report, part: Slice) -> str:
    """What the numbers of a table are."""
    first = part.rows[0].scores
    return (
        f"{part.title}: N = {first.n} pairs at {first.locations} locations, percent with the 95 % interval by location"
    )


def to_markdown(report: Report) -> str:
    """The whole report."""
    asked = report.slices[0].rows[0].scores.n
    what = f"Frozen test set v{report.version}" if report.version else "Pairs that are not the frozen set"
    lines = [f"{what} ({report.sha256[:12]}), {asked} of its {report.of} pairs", ""]
    for part in report.slices:
        lines += [f"**{caption(report, part)}**", "", _line(HEADER), _line(["---"] * len(HEADER))]
        lines += [*(_line(cells(row)) for row in part.rows), ""]
    if report.stances:
        lines += _stance_table("Stances of claims, against the map's", report.stances)
        lines += _stance_table("The same, of objects and roads alone: what a picture can show", report.stances_seen)
    for name, cases in report.failures.items():
        lines += [*failure_table(name, cases), ""]
    return "\n".join([*lines, f"Printed by `{report.command}`", "", "© OpenStreetMap contributors (ODbL)", ""])


def _stance_table(title: str, stances: Mapping[str, Sequence[StanceScores]]) -> list[str]:
    lines = [f"**{title}**", "", _line(("system", "stance", "claims", "P", "R", "F1")), _line(["---"] * 6)]
    for name, found in stances.items():
        lines += [
            _line([name, s.stance, str(s.claims), f"{100 * s.precision:.1f}", f"{100 * s.recall:.1f}", percent(s.f1)])
            for s in found
        ]
    return [*lines, ""]


def _line(parts: Sequence[str]) -> str:
    return "| " + " | ".join(parts) + " |"


def to_json(report: Report) -> dict[str, Any]:
    """JSON-ready."""
    return dataclasses.asdict(report)
