"""The log of a run as curves to look at: a PNG, and a page with the same picture and the last validation."""

from __future__ import annotations

import base64
import html
import json
from pathlib import Path
from typing import Any

from retriever.errors import SourceError
from retriever.models import write_atomic

FIRST = 20
"""The first step of a stage that is written down."""


def read_log(run: Path) -> list[dict[str, Any]]:
    """Lines of a run's log, less a last one that a kill cut short. Raises ``SourceError`` where there is no log."""
    path = run / "log.jsonl"
    if not path.is_file():
        raise SourceError(f"{run} holds no log.jsonl: give the folder of a training run")
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    try:
        return _counted_through([json.loads(line) for line in lines])
    except ValueError as error:
        raise SourceError(f"{path} is damaged ({error}): remove the bad line") from error


def _counted_through(log: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A log as it is, or one in stages (``sightline train encoder``), whose steps begin anew in each, counted through.

    There the terms of the loss become their sum, and areas are what groups are here.
    """
    if not log or "stage" not in log[0]:
        return log
    out: list[dict[str, Any]] = []
    before, stage, last = 0, log[0]["stage"], 0
    for entry in log:
        # A stage may follow one of its own name; any other way back is a stopped run that went on from its checkpoint.
        if entry["stage"] != stage or entry["step"] <= FIRST < last:
            before, stage = before + last, entry["stage"]
        elif entry["step"] < last:
            out = [e for e in out if e["step"] < before + entry["step"]]
        last = entry["step"]
        step = {"phase": stage, "step": before + last}
        if "validation" in entry:
            found = entry["validation"]
            out.append({**step, "validation": {"mean": found["mean"], "groups": found["areas"]}})
        else:
            out.append({**step, "loss": sum(v for k, v in entry.items() if k not in ("stage", "step", "time"))})
    return out


def draw(run: Path) -> tuple[Path, Path]:
    """Writes ``curves.png`` and ``curves.html`` into the run's folder."""
    import io

    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    log = read_log(run)
    figure = Figure(figsize=(9, 7), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True)
    steps = [e for e in log if "loss" in e]
    for phase in dict.fromkeys(e["phase"] for e in steps):
        own = [e for e in steps if e["phase"] == phase]
        above.plot([e["step"] for e in own], [e["loss"] for e in own], linewidth=0.8, label=phase)
    above.set(ylabel="loss", title=run.name)
    checks = [e for e in log if "validation" in e]
    for name in checks[-1]["validation"]["mean"] if checks else ():
        if "@" not in name:
            continue
        values = [e["validation"]["mean"][name] for e in checks]
        below.plot([e["step"] for e in checks], values, marker="o", markersize=3, label=name)
    below.set(xlabel="step", ylabel="validation recall", ylim=(0, 1))
    for axes in (above, below):
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend()
    packed = io.BytesIO()
    figure.savefig(packed, format="png", dpi=110)
    write_atomic(run / "curves.png", packed.getvalue())
    write_atomic(run / "curves.html", _page(run.name, packed.getvalue(), checks).encode())
    return run / "curves.png", run / "curves.html"


def _page(name: str, picture: bytes, checks: list[dict[str, Any]]) -> str:
    said = base64.b64encode(picture).decode()
    groups = checks[-1]["validation"]["groups"] if checks else {}
    columns = list(next(iter(groups.values()), {}))
    head = "".join(f"<th>{html.escape(c)}</th>" for c in ("places", *columns))
    rows = "".join(
        f"<tr><td>{html.escape(g)}</td>" + "".join(f"<td>{v[c]:.4g}</td>" for c in columns) + "</tr>"
        for g, v in groups.items()
    )
    title = html.escape(name)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><h1>{title}</h1>'
        f'<img alt="Loss and validation recall by step" src="data:image/png;base64,{said}">'
        f"<h2>Last validation</h2><table border=1><tr>{head}</tr>{rows}</table></html>\n"
    )
