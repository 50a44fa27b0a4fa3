"""The report of one or several runs: reads what lies on the disk, judges nothing."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eval.arena import aims, confident, costs, measuring, outside, plots, sections, speed
from eval.arena.browse import write_pages
from eval.arena.measuring import Board
from eval.arena.records import SetRun, read_runs
from eval.arena.run import MANIFEST
from eval.explanations.rendering import CREDIT, to_markdown
from eval.explanations.sections import Report, Section

PICTURES = Path("pictures")


@dataclass(frozen=True, kw_only=True)
class Written:
    """Files of a report."""

    html: Path
    markdown: Path
    pages: int


@dataclass(frozen=True, kw_only=True)
class Made:
    """A report before it is written."""

    report: Report
    pictures: Sequence[tuple[str, bytes]]
    """File name without folder, PNG."""


def write_report(paths: Sequence[Path], out: Path, *, command: str, browse: int = 0, seed: int = 0) -> Written:
    """``report.html``, ``report.md``, ``pictures/`` and ``queries/`` into ``out``."""
    title, runs = read_runs(paths)
    made = make(title, runs, command=command, seed=seed)
    out.mkdir(parents=True, exist_ok=True)
    pages = write_pages(runs, _galleries(paths), out / "queries", browse) if browse else 0
    html, markdown = out / "report.html", out / "report.md"
    html.write_text(_html(made, browse=pages > 0), encoding="utf-8")
    (out / PICTURES).mkdir(exist_ok=True)
    for name, png in made.pictures:
        (out / PICTURES / name).write_bytes(png)
    markdown.write_text(_markdown(made), encoding="utf-8")
    return Written(html=html, markdown=markdown, pages=pages)


def _galleries(paths: Sequence[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in paths:
        config = json.loads((path / MANIFEST).read_text(encoding="utf-8"))["config"]
        found |= {s["name"]: Path(s["gallery"]) for s in config["sets"]}
    return found


def make(title: str, runs: Sequence[SetRun], *, command: str, seed: int = 0) -> Made:
    """All sections: for every set, and for every group's sets pooled."""
    boards = {run.frozen.name: measuring.board(run, seed=seed) for run in runs}
    groups = _groups(runs)
    tables = [*boards.values()]
    found: list[tuple[str, list[SetRun], Board]] = []
    pictures: list[tuple[str, bytes]] = []
    for group, members in groups.items():
        together = measuring.pooled(f"{group}, pooled", [boards[r.frozen.name] for r in members])
        if len(members) > 1:
            tables.append(together)
        found.append((group, members, together))
    parts = [aims.aims_section(found, boards, seed=seed), *sections.main_sections(tables, seed=seed)]
    for group, members, together in found:
        parts += _of_group(group, members, together, boards, seed=seed)
        pictures += _pictures(group, members, together, seed=seed)
    parts += [s for s in (sections.counterfactual_section(runs, seed=seed), costs.reasons_section(runs)) if s]
    parts.append(sections.provenance_section(runs, command))
    notes = ["Sets of one group are pooled, each query still ranked within its own gallery; groups never are."]
    pooled = {run.frozen.name for members in groups.values() for run in members}
    if waiting := [name for name in boards if name not in pooled]:
        notes.append(f"Not pooled, since no method has ranked them yet: {', '.join(waiting)}.")
    return Made(report=Report(title=title, command=command, sections=parts, notes=tuple(notes)), pictures=pictures)


def _groups(runs: Sequence[SetRun]) -> dict[str, list[SetRun]]:
    """What is pooled: of a group in which methods have ranked something, only the sets that they ranked.

    Control rows cover every set from the beginning; beside methods on one set they would stand for other queries.
    """
    groups: dict[str, list[SetRun]] = {}
    for run in runs:
        groups.setdefault(run.frozen.group, []).append(run)
    return {group: [r for r in members if r.methods] or members for group, members in groups.items()}


def _of_group(
    group: str, members: Sequence[SetRun], together: Board, boards: dict[str, Board], *, seed: int
) -> list[Section]:
    found = [sections.split_section(together, seed=seed)]
    if len(members) > 1:
        found += [sections.harm_section(r.frozen.name, boards[r.frozen.name], [r], seed=seed) for r in members]
    found.append(sections.harm_section(f"{group}, pooled", together, members, seed=seed))
    found.append(sections.verdict_section(group, members, seed=seed))
    sure = _sure(members)
    found.append(sections.confidence_section(group, [confident.calibrated(s, seed=seed) for s in sure]))
    found.append(costs.cost_section(group, members))
    more = (
        outside.outside_section(group, members, seed=seed),
        speed.speed_section(group, together, members, seed=seed),
        costs.shuffle_section(group, members, seed=seed),
    )
    found += [section for section in more if section is not None]
    found.append(sections.test_section(together, seed=seed))
    return found


def _sure(members: Sequence[SetRun]) -> list[confident.Sureness]:
    keys = dict.fromkeys(key for run in members for key in run.methods)
    return [s for s in (confident.sureness(members, key) for key in keys) if s is not None]


def _pictures(group: str, members: Sequence[SetRun], together: Board, *, seed: int) -> list[tuple[str, bytes]]:
    shown = [s for s in _sure(members) if s.key != "shuffle"]
    found = [
        (f"{group}-recall.png", plots.recall_plot(together, seed=seed)),
        (f"{group}-cost.png", plots.cost_plot(together, members, seed=seed)),
    ]
    return [*found, (f"{group}-confidence.png", plots.confidence_plot(group, shown))] if shown else found


def _html(made: Made, *, browse: bool) -> str:
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
    pictures = [(name, base64.b64encode(png).decode()) for name, png in made.pictures]
    page = environment.get_template("report.html.jinja")
    return str(page.render(report=made.report, pictures=pictures, browse=browse, credit=CREDIT))


def _markdown(made: Made) -> str:
    text = to_markdown(made.report)
    shown = "\n".join(f"![{name}]({PICTURES.as_posix()}/{name})\n" for name, _ in made.pictures)
    head, mark, rest = text.partition("\n## ")
    return f"{head}\n{shown}{mark}{rest}"
