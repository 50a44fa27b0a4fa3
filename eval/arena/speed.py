"""How long an answer takes with every shown tile explained, against reasons for the whole shortlist."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eval.arena.costs import alone
from eval.arena.measuring import Board
from eval.arena.records import SetRun
from eval.bootstrap import paired_difference
from eval.explanations.sections import Grid, Section
from eval.protocol import Floats
from eval.report import percent

SLOW = "verdict"
TIMES = 10.0
RESAMPLES = 2000


@dataclass(frozen=True, kw_only=True)
class Timed:
    """A method against reasons for every tile, over the queries that both answered alone."""

    key: str
    n: int
    shown: float
    """Tiles explained per query."""
    seconds: float
    """Mean per query, explanations in it."""
    slow_seconds: float
    low: float
    high: float
    """Of the ratio, resampled by query."""

    @property
    def times(self) -> float:
        return self.slow_seconds / self.seconds


def timed(runs: Sequence[SetRun], key: str, *, seed: int = 0) -> Timed | None:
    """None where no query has both answers timed, each tile shown explained."""
    pairs = []
    for run in runs:
        if key not in run.methods or SLOW not in run.methods:
            continue
        for query, line in run.methods[key].lines.items():
            slow = run.methods[SLOW].lines.get(query)
            if slow is not None and _explained(line) and alone(line) and alone(slow):
                pairs.append((_seconds(line), _seconds(slow), len(line["reasons"])))
    if not pairs:
        return None
    mine, theirs, shown = (np.array(column, dtype=np.float64) for column in zip(*pairs, strict=True))
    low, high = _ratio_interval(theirs, mine, seed)
    return Timed(
        key=key,
        n=len(pairs),
        shown=float(shown.mean()),
        seconds=float(mine.mean()),
        slow_seconds=float(theirs.mean()),
        low=low,
        high=high,
    )


def _explained(line: Mapping[str, Any]) -> bool:
    return bool(line.get("reasons"))


def _seconds(line: Mapping[str, Any]) -> float:
    return float(line["wall_s"]) + float(line.get("reasons_wall_s", 0.0))


def _ratio_interval(top: Floats, bottom: Floats, seed: int) -> tuple[float, float]:
    rows = np.random.default_rng(seed).integers(0, len(top), (RESAMPLES, len(top)))
    low, high = np.quantile(top[rows].sum(1) / bottom[rows].sum(1), [0.025, 0.975])
    return float(low), float(high)


def speed_section(title: str, b: Board, runs: Sequence[SetRun], *, seed: int) -> Section | None:
    """Every method with timed answers beside the one that gives reasons for the whole shortlist."""
    rows = []
    for key in dict.fromkeys(key for run in runs for key in run.methods):
        found = timed(runs, key, seed=seed) if key != SLOW else None
        if found is None:
            continue
        mine, theirs = b.entries[key], b.entries[SLOW]
        both = mine.has & theirs.has
        places = [c for c, k in zip(b.clusters, both, strict=True) if k]
        first, second = (e.per_query.values["recall@1"][both] for e in (mine, theirs))
        change = paired_difference(first, second, places, seed=seed)
        as_good = change.value >= 0
        rows.append(
            [
                key,
                str(found.n),
                f"{found.shown:.1f}",
                f"{found.seconds:.2f}",
                f"{found.slow_seconds:.2f}",
                f"{found.times:.1f} [{found.low:.1f}, {found.high:.1f}]",
                percent(change),
                f"{'yes' if found.times >= TIMES else 'no'}/{'yes' if as_good else 'no'}",
            ]
        )
    if not rows:
        return None
    text = [
        f"Seconds by the clock from the candidates to an answer with every shown tile explained, one query at a time, "
        f"nothing taken from the file; {SLOW} explains the whole shortlist. Both ran on one server in one run. "
        f"Looks at tiles: {_looks(runs)}. Aims: at least {TIMES:.0f} times faster, recall@1 no lower."
    ]
    header = ["method", "queries", "tiles explained", "seconds", f"{SLOW}: seconds", "times faster"]
    header += [f"recall@1 minus {SLOW}", "aims"]
    return Section(title=f"Time to an explained answer: {title}", text=text, grids=[Grid(header=header, rows=rows)])


def _looks(runs: Sequence[SetRun]) -> str:
    said = {str(m.header.get("looks", "each")) for run in runs for m in run.methods.values()}
    return {"each": "made anew for every query", "once": "made before, as in a desk in use"}.get(
        "/".join(sorted(said)), "in part made before"
    )
