"""The report as sections of plain text and tables, before it becomes Markdown or HTML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from eval.bootstrap import Interval
from eval.explanations.calibration import QUALITIES, Calibration
from eval.explanations.counterfactual import Faithful
from eval.explanations.schema import LANGS, Explained, Problem
from eval.explanations.scoring import LOWER_IS_BETTER, ScoredItem, Table
from eval.explanations.significance import Paired
from eval.report import percent
from retriever.types import Usage


@dataclass(frozen=True, kw_only=True)
class Grid:
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Section:
    title: str
    text: Sequence[str] = ()
    grids: Sequence[Grid] = ()


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything that is shown, in this order."""

    title: str
    command: str
    sections: Sequence[Section]
    worst: Sequence[ScoredItem] = ()
    notes: Sequence[str] = field(default_factory=tuple)


def systems_section(items: Sequence[Explained], scored: Sequence[ScoredItem]) -> Section:
    """Who is compared, how much of it could be scored, and what it cost."""
    rows = []
    for system in dict.fromkeys(i.system for i in items):
        mine = [i for i in items if i.system == system]
        kept = [s for s in scored if s.item.system == system]
        said = [sum(lang in i.texts for i in mine) for lang in LANGS]
        unsure = sum(i.verdict is None for i in mine)
        cost = sum((i.usage for i in mine if i.usage is not None), start=Usage())
        spent = f"{sum(cost.seconds.values()):.1f}" if cost.seconds else "-"
        calls = [str(v) if cost.calls else "-" for v in (cost.calls, cost.prompt_tokens, cost.completion_tokens)]
        places = len({s.case.location for s in kept})
        rows.append([system, str(len(mine)), str(len(kept)), str(places), *map(str, said), str(unsure), *calls, spent])
    header = ["system", "judgements", "scored", "locations", "with English", "with Chinese", "no verdict"]
    header += ["calls", "prompt tokens", "completion tokens", "seconds"]
    return Section(title="Systems and cost", grids=[Grid(header=header, rows=rows)])


def problems_section(problems: Sequence[Problem], limit: int = 40) -> Section | None:
    """What was left out, in the reader's words."""
    if not problems:
        return None
    more = [["...", f"and {len(problems) - limit} more"]] if len(problems) > limit else []
    rows = [[p.where, p.what] for p in problems[:limit]] + more
    return Section(title="Left out", text=["The rest stands."], grids=[Grid(header=["where", "what"], rows=rows)])


def table_section(table: Table, systems: Sequence[str]) -> Section:
    """One level: a row per score, a column per system, N with every value."""
    rows = []
    for score, by in table.rows.items():
        name = f"{score} (less is better)" if score.partition(",")[0] in LOWER_IS_BETTER else score
        rows.append([name, *(cell(by.get(system)) for system in systems)])
    return Section(title=table.title, text=[table.note], grids=[Grid(header=["score", *systems], rows=rows)])


def cell(interval: Interval | None) -> str:
    """``81.2 [75.0, 87.1], N 120 at 60``: percent, interval, judgements, locations."""
    if interval is None:
        return "-"
    return f"{percent(interval)}, N {interval.n} at {interval.locations}"


def tests_section(tests: Sequence[Paired]) -> Section:
    """Pairs of systems on the tested scores."""
    header = ["score", "a", "b", "a minus b", "N", "locations", "p", "p (Holm)"]
    rows = [
        [t.score, t.a, t.b, percent(t.difference), str(t.difference.n), str(t.difference.locations), *_p(t.p, t.p_holm)]
        for t in tests
    ]
    note = (
        "Randomisation tests: whole locations change sides, two-sided; Holm's correction over all rows of this table. "
        "Only judgements that both systems have count."
    )
    return Section(title="Paired tests", text=[note], grids=[Grid(header=header, rows=rows)])


def _p(*values: float) -> Iterable[str]:
    return ("<0.001" if v < 0.001 else f"{v:.3f}" for v in values)


def faithful_section(found: Mapping[str, Sequence[Faithful]]) -> Section:
    """Level 2, one table per judge."""
    header = ["what is changed", "mean fall of confidence", "confidence fell", "left match"]
    header += [f"reason follows, {lang}" for lang in LANGS]
    grids = [Grid(header=[name, *header], rows=[_faithful(row) for row in rows]) for name, rows in found.items()]
    note = (
        "A reason follows when a claim that it said to hold is no longer said to. 'remove other' is the control: there "
        "nothing should follow. 'blank' and 'swap' have no single claim, so only verdict and confidence can follow. "
        "'left match' is of the verdicts that were match before. Only pairs that are not labelled no match."
    )
    return Section(title="2. Faithfulness by counterfactual", text=[note], grids=grids)


def _faithful(row: Faithful) -> list[str]:
    shown = [cell(row.verdict), *(cell(row.reason.get(lang)) for lang in LANGS)]
    return [row.kind, row.what, cell(row.fall), cell(row.falls), *shown]


def calibration_section(found: Sequence[Calibration]) -> Section:
    """Explanation quality against certainty."""
    header = ["system", "certainty", "mean certainty", *QUALITIES, "verdict right"]
    rows = []
    for c in found:
        for b in c.bins:
            shown = [cell(b.quality.get(name)) for name in QUALITIES]
            rows.append([c.system, f"{b.low:.1f} to {b.high:.1f}", f"{b.certainty:.2f}", *shown, cell(b.right)])
        ranks = [plain(c.spearman.get(name), "not defined (too few, or one does not vary)") for name in QUALITIES]
        rows.append([c.system, "all", "Spearman with certainty:", *ranks, ""])
    note = "Certainty is the system's confidence in the verdict that it gives. Below 0.5 its verdict goes against it."
    return Section(title="Explanation quality against confidence", text=[note], grids=[Grid(header=header, rows=rows)])


def plain(interval: Interval | None, otherwise: str = "-") -> str:
    """``0.31 [0.05, 0.52], N 120 at 60``: a grade, a correlation or a difference, not in percent."""
    if interval is None:
        return otherwise
    shown = f"{interval.value:.2f} [{interval.low:.2f}, {interval.high:.2f}]"
    return f"{shown}, N {interval.n} at {interval.locations}"
