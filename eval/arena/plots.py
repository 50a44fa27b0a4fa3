"""The report's pictures, small PNG files."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from eval.arena import measuring
from eval.arena.confident import Sureness, risk_coverage
from eval.arena.costs import spent
from eval.arena.measuring import Board
from eval.arena.records import SetRun

DPI = 90
NAME = (90.0, 8.0)
"""Room for a method's name beside its point, in points: width and height."""


def _draw(paint: Callable[[Any], None], size: tuple[float, float]) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    paint(figure)
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def recall_plot(b: Board, *, seed: int) -> bytes:
    """Recall@1 and contains@1 of every row, with intervals."""
    rows = measuring.lines(b, seed=seed)[::-1]

    def paint(figure: Any) -> None:
        axes = figure.subplots(1, 2, sharey=True)
        for ax, metric in zip(axes, ("recall@1", "contains@1"), strict=True):
            values = [100 * r.values[metric].value for r in rows]
            ends = [[100 * (r.values[metric].value - r.values[metric].low) for r in rows]]
            ends.append([100 * (r.values[metric].high - r.values[metric].value) for r in rows])
            colours = ["#9aa5b1" if b.entries[r.key].control else "#2563a6" for r in rows]
            ax.barh(
                [f"{r.key} (N={r.n})" for r in rows], values, xerr=np.maximum(ends, 0), color=colours, ecolor="#333"
            )
            ax.set_xlabel(f"{metric}, percent")
            ax.grid(axis="x", alpha=0.3)
        figure.suptitle(b.title)

    return _draw(paint, (9.0, 1.2 + 0.27 * len(rows)))


def _name_points(ax: Any, at: Mapping[str, tuple[float, float]]) -> None:
    """Each point's name beside it, below the names that already stand there: methods often cost and find the same."""
    # Limits and layout are settled when a figure is drawn; before, where a point lies on the page is not known.
    ax.figure.draw_without_rendering()
    taken: list[tuple[float, float]] = []
    for key, point in sorted(at.items(), key=lambda named: -named[1][1]):
        x, y = top = ax.transData.transform(point) * 72 / DPI
        while any(abs(x - left) < NAME[0] and abs(y - low) < NAME[1] for left, low in taken):
            y -= NAME[1]
        taken.append((x, y))
        ax.annotate(key, point, fontsize=7, xytext=(4, 3 + y - top[1]), textcoords="offset points")


def cost_plot(b: Board, runs: Sequence[SetRun], *, seed: int) -> bytes:
    """Recall@1 against calls and against call seconds, per query."""
    rows = {r.key: r for r in measuring.lines(b, seed=seed) if not b.entries[r.key].control}
    costs = {key: spent(runs, key).cost for key in rows}

    def paint(figure: Any) -> None:
        named = []
        for ax, (name, words) in zip(
            figure.subplots(1, 2, sharey=True), (("calls", "calls"), ("call_seconds", "seconds of calls")), strict=True
        ):
            at = {key: (costs[key][name], 100 * r.values["recall@1"].value) for key, r in rows.items()}
            for x, y in at.values():
                ax.plot(x, y, "o", color="#2563a6", markersize=5)
            named.append((ax, at))
            ax.set_xscale("symlog", linthresh=1)
            ax.set_xlabel(f"{words} per query")
            ax.grid(alpha=0.3)
        figure.axes[0].set_ylabel("recall@1, percent")
        figure.suptitle(f"Accuracy against cost: {b.title}")
        for ax, at in named:
            _name_points(ax, at)

    return _draw(paint, (9.0, 3.6))


def confidence_plot(title: str, found: Sequence[Sureness]) -> bytes:
    """Reliability in ten equal bins, and risk against coverage."""

    def paint(figure: Any) -> None:
        left, right = figure.subplots(1, 2)
        left.plot([0, 1], [0, 1], ":", color="#777")
        for s in found:
            bins = np.minimum((s.p * 10).astype(int), 9)
            used = [b for b in range(10) if (bins == b).sum() >= 5]
            xy = [(s.p[bins == b].mean(), s.right[bins == b].mean()) for b in used]
            left.plot([x for x, _ in xy], [y for _, y in xy], "o-", markersize=3, linewidth=1, label=s.key)
            coverage, risk = risk_coverage(s)
            right.plot(coverage, risk, linewidth=1.2, label=s.key)
        left.set(xlabel="confidence", ylabel="share of right answers (bins of 5 or more)", xlim=(0, 1), ylim=(0, 1))
        right.set(xlabel="coverage, surest first", ylabel="share of wrong answers", xlim=(0, 1), ylim=(0, 1))
        right.legend(fontsize=7)
        figure.suptitle(f"Confidence: {title}")

    return _draw(paint, (9.0, 3.8))
