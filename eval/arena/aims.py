"""What was promised of the methods that look at everything, beside what came out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from eval.arena import confident, measuring
from eval.arena.measuring import Board, Line
from eval.arena.records import SetRun
from eval.arena.sections import HARM, LET_THROUGH, order_changes
from eval.arena.speed import TIMES, timed
from eval.bootstrap import Interval
from eval.explanations.sections import Grid, Section

OURS = ("cascade", "posterior")
ENOUGH = 300
"""Queries of an area below which a promise about it is not held."""
GAIN = 0.05
Group = tuple[str, list[SetRun], Board]


def aims_section(groups: Sequence[Group], boards: Mapping[str, Board], *, seed: int) -> Section:
    """One row per promise and place: the number, how many queries it rests on, and whether it is kept."""
    rows: list[list[str]] = []
    for key in OURS:
        for group, members, together in groups:
            for run in members:
                rows += _harm(key, run, boards[run.frozen.name], seed)
            rows += _pooled(key, group, members, together, seed)
    text = [
        "No harm is promised for areas with at least "
        f'{ENOUGH} queries; with fewer the number stands here and nothing is promised. "Kept" reads the bound where '
        "the promise names one, else the value. Locations are what the intervals resample."
    ]
    header = ["method", "promise", "where", "queries (locations)", "found", "kept"]
    return Section(title="Promises", text=text, grids=[Grid(header=header, rows=rows)])


def _line(key: str, b: Board, seed: int) -> Line | None:
    return next((x for x in measuring.lines(b, seed=seed) if x.key == key), None)


def _harm(key: str, run: SetRun, b: Board, seed: int) -> list[list[str]]:
    found = _line(key, b, seed)
    if found is None or found.change is None:
        return []
    name, counted = run.frozen.name, f"{found.n} ({found.locations})"
    enough = found.n >= ENOUGH
    changed, _, n = order_changes([run], key)
    share = changed / max(n, 1)
    return [
        [key, f"recall@1 against {b.reference}: lower bound at least {100 * HARM:.0f} points", name, counted,
         _points(found.change), _kept(found.change.low >= HARM, enough)],
        [key, f"orders let through: at least {100 * LET_THROUGH:.0f} %", name, counted, f"{100 * share:.1f} %",
         _kept(share >= LET_THROUGH, enough)],
    ]  # fmt: skip


def _pooled(key: str, group: str, members: Sequence[SetRun], b: Board, seed: int) -> list[list[str]]:
    rows = []
    found = _line(key, b, seed)
    if found is not None and found.change is not None:
        counted = f"{found.n} ({found.locations})"
        gain = [key, f"gain in recall@1: aims at {100 * GAIN:+.0f} points", f"{group}, pooled", counted]
        rows.append([*gain, _points(found.change), _kept(found.change.value >= GAIN, True)])
    sure = confident.sureness(members, key)
    if sure is not None and sure.removed:
        rows += _confidence(key, group, confident.calibrated(sure, seed=seed))
    fast = timed(members, key, seed=seed)
    if fast is not None:
        words = f"{fast.times:.1f} [{fast.low:.1f}, {fast.high:.1f}] times"
        promise = f"explained answers {TIMES:.0f} times faster than verdict's"
        rows.append([key, promise, group, str(fast.n), words, _kept(fast.times >= TIMES, True)])
    return rows


def _confidence(key: str, group: str, c: confident.Calibrated) -> list[list[str]]:
    counted = f"{c.n}, {c.removed} taken out"
    found = [
        ("smooth calibration error at most 0.05", _number(c.smooth_ece), c.smooth_ece.value <= 0.05),
        ("AUROC of the confidence at least 0.75", "-" if c.auroc is None else _number(c.auroc),
         c.auroc is not None and c.auroc.value >= 0.75),
        (f"Brier below the base rate's {c.base_brier:.3f}", _number(c.brier), c.brier.value < c.base_brier),
        (f"surer half's error at most half of {100 * c.error.value:.1f} %", f"{100 * c.half_error.value:.1f} %",
         c.half_error.value <= c.error.value / 2),
    ]  # fmt: skip
    return [[key, promise, f"{group}, pooled", counted, value, _kept(ok, True)] for promise, value, ok in found]


def _kept(ok: bool, enough: bool) -> str:
    return ("yes" if ok else "no") if enough else f"{'yes' if ok else 'no'}, too few to promise"


def _points(i: Interval) -> str:
    return f"{100 * i.value:+.1f} [{100 * i.low:+.1f}, {100 * i.high:+.1f}]"


def _number(i: Interval) -> str:
    return f"{i.value:.3f} [{i.low:.3f}, {i.high:.3f}]"
