"""A report as Markdown, as a terminal table and as JSON; each carries protocol, N, interval and its command."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable

from eval.bootstrap import Interval
from eval.run import Report, Row, Table

SHORT = ("recall@1", "recall@10", "contains@1", "contains@10", "MRR", "L@50m", "L@150m")


def percent(interval: Interval) -> str:
    """``12.5 [4.1, 25.0]``, in percent."""
    return f"{100 * interval.value:.1f} [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def metres(interval: Interval) -> str:
    """``180 [120, 300]`` in metres; ``none`` stands for queries without any answer."""
    parts = [f"{v:,.0f}" if math.isfinite(v) else "none" for v in (interval.value, interval.low, interval.high)]
    return f"{parts[0]} [{parts[1]}, {parts[2]}]"


def caption(report: Report, table: Table) -> str:
    """What the numbers are: one sentence to stand over the table."""
    level = f"{100 * table.rows[0].median_m.level:.0f} %"
    return (
        f"{report.title}, {table.title}: N = {table.n} queries at {table.locations} locations, {report.tiles:,} tiles, "
        f"protocol `{report.protocol}`, ties against the method, percent with the {level} interval by location"
    )


def header(report: Report) -> list[str]:
    """Column names."""
    change = [f"recall@1 minus {report.reference}"] if report.reference else []
    return ["method", "saw", "failed", *SHORT, "median m", *change]


def cells(report: Report, row: Row) -> list[str]:
    """One line of the table, as text."""
    name = f"{row.method} ({row.note})" if row.note else row.method
    change = [percent(row.change) if row.change else "-"] if report.reference else []
    return [name, row.saw, str(row.failed), *(percent(row.values[k]) for k in SHORT), metres(row.median_m), *change]


def to_markdown(report: Report) -> str:
    """The whole report as Markdown."""
    lines = [f"## {report.title}", ""]
    lines += [f"> **Warning:** {w}\n" for w in report.warnings]
    for table in report.tables:
        names = header(report)
        lines += [f"**{caption(report, table)}**", "", _line(names), _line(["---"] * len(names))]
        lines += [_line(cells(report, row)) for row in table.rows]
        lines.append("")
    return "\n".join([*lines, f"Printed by `{report.command}`", ""])


def _line(parts: list[str]) -> str:
    return "| " + " | ".join(part.replace("|", "\\|") for part in parts) + " |"


def show(report: Report, console: Console) -> None:
    """The report in a terminal."""
    for warning in report.warnings:
        console.print(f"[bold yellow]warning:[/] {warning}")
    for table in report.tables:
        grid = RichTable(title=caption(report, table), title_justify="left", show_lines=False)
        for name in header(report):
            grid.add_column(name, justify="left" if name in ("method", "saw") else "right")
        for row in table.rows:
            grid.add_row(*cells(report, row))
        console.print(grid)
    console.print(f"Printed by {report.command}", highlight=False)


def to_json(report: Report) -> dict[str, Any]:
    """JSON-ready; infinite metres become null."""
    plain: dict[str, Any] = _finite(dataclasses.asdict(report))
    return plain


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
