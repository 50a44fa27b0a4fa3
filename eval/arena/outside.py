"""Queries whose true place is not in the gallery: does the confidence say so?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eval.arena.confident import auroc
from eval.arena.records import SetRun
from eval.bootstrap import Interval, bootstrap_mean
from eval.explanations.sections import Grid, Section
from eval.protocol import Bools, Floats


@dataclass(frozen=True, kw_only=True)
class Outside:
    """What one method's posterior gives to "outside the gallery"."""

    key: str
    p: Floats
    gone: Bools
    """Whether the true place was taken out."""
    places: Sequence[str]

    def mean(self, gone: bool, seed: int) -> Interval:
        rows = np.flatnonzero(self.gone == gone)
        return bootstrap_mean(self.p[rows], [self.places[r] for r in rows], seed=seed)


def outside(runs: Sequence[SetRun], key: str) -> Outside | None:
    """None unless some queries have their place taken out and some have not."""
    p, gone, places = [], [], []
    for run in runs:
        method = run.methods.get(key)
        for asked in run.frozen.asked if method is not None else ():
            line = method.answered(asked.query.id) if method is not None else None
            if line is not None and line.get("sure"):
                p.append(float(line["sure"]["outside"]))
                gone.append(asked.removed)
                places.append(f"{run.frozen.name}/{asked.query.id.removesuffix('~gone')}")
    if not any(gone) or all(gone):
        return None
    return Outside(key=key, p=np.array(p), gone=np.array(gone), places=places)


def outside_section(title: str, runs: Sequence[SetRun], *, seed: int) -> Section | None:
    """The probability of "outside" with the place there and with it taken out."""
    rows = []
    for key in dict.fromkeys(key for run in runs for key in run.methods):
        found = outside(runs, key)
        if found is not None:
            there, gone = found.mean(False, seed), found.mean(True, seed)
            telling = auroc(found.p, found.gone.astype(np.float64))
            counts = f"{there.n} + {gone.n}"
            rows.append([key, counts, _number(there), _number(gone), f"{telling:.3f}"])
    if not rows:
        return None
    text = [
        'The posterior of "outside the gallery" for queries whose true place is in the gallery and for those whose '
        "place was taken out of it. AUROC: how well it tells the two apart; 0.5 is chance."
    ]
    header = ["method", "there + taken out", "mean, there", "mean, taken out", "AUROC"]
    return Section(title=f"Places outside the gallery: {title}", text=text, grids=[Grid(header=header, rows=rows)])


def _number(i: Interval) -> str:
    return f"{i.value:.3f} [{i.low:.3f}, {i.high:.3f}]"
