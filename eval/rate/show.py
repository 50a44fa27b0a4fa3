"""A study's report for a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from eval.bootstrap import Interval
from eval.rate.items import SCALES
from eval.rate.report import CLAIMS_RIGHT, Report
from retriever.pages.alpha import Alpha


def show(report: Report, console: Console) -> None:
    """Agreement, raters, systems, what is in dispute."""
    table = Table("", "alpha", "95 % interval", "units", "items", "raters", title="Agreement (Krippendorff's alpha)")
    for name, a in report.agreement.items():
        table.add_row(name, _number(a.value), _alpha(a), str(a.units), str(a.items), str(a.raters))
    console.print(table)
    table = Table("rater", "done", "checks passed", "s per item", "leniency", "on items", title="Raters")
    for r in report.raters:
        table.add_row(
            Text(r.rater), f"{r.finished} of {r.given}", f"{r.passed} of {r.checks}",
            "–" if r.seconds is None else f"{r.seconds:.1f}", "–" if r.leniency is None else f"{r.leniency:+.2f}",
            str(r.shared),
        )  # fmt: skip
    console.print(table)
    table = Table(
        "system", CLAIMS_RIGHT, *SCALES, "items", title="Systems, best first (mean and 95 % interval by location)"
    )
    for s in report.systems:
        n = max((i.n for i in s.scores.values() if i), default=0)
        table.add_row(Text(s.system), *(_interval(s.scores[k]) for k in (CLAIMS_RIGHT, *SCALES)), str(n))
    console.print(table)
    for name, change in report.paired.items():
        console.print(f"{CLAIMS_RIGHT}, {name}: {_interval(change)} on {change.n} cases", markup=False)
    waiting = [d for d in report.disputes if d.decided_by is None]
    console.print(f"{len(report.disputes)} items in dispute, {len(waiting)} undecided")
    if report.left_out:
        console.print(f"left out of agreement and systems: {', '.join(report.left_out)}", markup=False)
    console.print(f"log head {report.head[0]}:{report.head[1]}", soft_wrap=True)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _alpha(a: Alpha) -> str:
    return a.why or f"{a.low:.3f} to {a.high:.3f}"


def _interval(i: Interval | None) -> str:
    if i is None:
        return "–"
    return f"{i.value:.2f} ({i.low:.2f} to {i.high:.2f})" if i.locations > 1 else f"{i.value:.2f} (one location)"
