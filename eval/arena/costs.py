"""What methods cost, what failed, who explained, and how much the place in the list decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eval.arena.asking import Cost
from eval.arena.records import SetRun
from eval.bootstrap import bootstrap_mean
from eval.explanations.sections import Grid, Section
from eval.report import percent


@dataclass(frozen=True, kw_only=True)
class Spent:
    """Means per query of one method."""

    key: str
    n: int
    cost: Mapping[str, float]
    wall_s: float | None
    """Median over the queries that ran alone, none of their calls taken from the file; None where there is none."""
    fresh: int
    tiles_failed: int
    queries_failed: int


def spent(runs: Sequence[SetRun], key: str) -> Spent:
    """Cost of one method over all its queries."""
    lines = [x for run in runs if key in run.methods for x in run.methods[key].lines.values()]
    costs = [Cost.from_json(x["cost"]) for x in lines if x.get("cost") is not None]
    total = sum(costs, start=Cost()).to_json()
    fresh = [x["wall_s"] for x in lines if alone(x)]
    return Spent(
        key=key,
        n=len(lines),
        cost={name: value / max(len(costs), 1) for name, value in total.items()},
        wall_s=float(np.median(fresh)) if fresh else None,
        fresh=len(fresh),
        tiles_failed=sum(j["score"] is None for x in lines for j in x.get("judgements", ())),
        queries_failed=sum("error" in x for x in lines),
    )


def alone(line: Mapping[str, Any]) -> bool:
    """Whether a line's seconds mean something: nothing else was under way, and nothing came from the file."""
    fresh = not line.get("cost", {}).get("kept") and not line.get("reasons_cost", {}).get("kept")
    return line.get("wall_s") is not None and line.get("at_once", 1) == 1 and fresh


def cost_section(title: str, runs: Sequence[SetRun]) -> Section:
    """What an answer costs, and what failed."""
    rows = []
    for key in dict.fromkeys(key for run in runs for key in run.methods):
        s = spent(runs, key)
        rows.append(
            [
                key,
                str(s.n),
                f"{s.cost['calls']:.1f}",
                f"{s.cost['pictures']:.1f}",
                f"{s.cost['image_tokens']:,.0f}",
                f"{s.cost['prompt_tokens']:,.0f}",
                f"{s.cost['output_tokens']:,.0f}",
                f"{s.cost['call_seconds']:.2f}",
                "-" if s.wall_s is None else f"{s.wall_s:.2f} ({s.fresh})",
                str(s.queries_failed),
                str(s.tiles_failed),
            ]
        )
    text = [
        f"Means per query, each method counted as if it had asked alone{_looks(runs)}. Calls of one query run "
        "together, so call seconds add up to more than passes on the clock; wall seconds are the median over the "
        "queries that ran alone and took nothing from the file of answers (how many in brackets). "
        "Explanations are not in here. A failed tile keeps its place, a failed query is a miss."
    ]
    header = ["method", "queries", "calls", "pictures", "image tokens", "prompt tokens", "output tokens"]
    header += ["call seconds", "wall seconds", "failed queries", "failed tiles"]
    return Section(title=f"Cost and failures: {title}", text=text, grids=[Grid(header=header, rows=rows)])


def _looks(runs: Sequence[SetRun]) -> str:
    """Whether the looks at the tiles are in the numbers, as the headers say."""
    once = {m.header.get("looks") == "once" for run in runs for m in run.methods.values()}
    if once == {True}:
        return "; looks at the tiles are not counted: they were made before, as in a desk in use"
    if once == {False}:
        return " and had looked at every tile itself"
    return "; some runs count every look at a tile, others made them before and do not count them"


def reasons_section(runs: Sequence[SetRun]) -> Section | None:
    """Who wrote the reasons that the query pages show."""
    rows = []
    for key in dict.fromkeys(key for run in runs for key in run.methods):
        lines = [x for run in runs if key in run.methods for x in run.methods[key].lines.values()]
        told = [r for x in lines for r in x.get("reasons", ())]
        if told:
            cost = sum((Cost.from_json(x["reasons_cost"]) for x in lines if "reasons_cost" in x), start=Cost())
            own = sum(r["by"] == "own" for r in told)
            model = sum(r["author"] == "model" for r in told)
            failed = sum("problem" in r for r in told)
            calls = f"{cost.calls / len(told):.1f}"
            rows.append([key, str(len(told)), str(own), str(len(told) - own), str(model), str(failed), calls])
    if not rows:
        return None
    text = [
        "Methods that write no reasons get those of the same explainer (the judge where there is one, else the "
        "template), marked 'shared' here and on the query pages."
    ]
    header = [
        "method",
        "tiles explained",
        "own",
        "shared",
        "in the model's words",
        "explainer failed",
        "calls per tile",
    ]
    return Section(title="Reasons", text=text, grids=[Grid(header=header, rows=rows)])


def shuffle_section(title: str, runs: Sequence[SetRun], *, seed: int) -> Section | None:
    """How much the place in the list that a method is given decides."""
    rows = []
    for key in dict.fromkeys(key for run in runs for key in run.methods):
        found = _shuffles(runs, key)
        if found:
            places = [x.query for x in found]
            rows.append(
                [
                    key,
                    str(len(found)),
                    _mean([x.agreement for x in found], places, seed),
                    percent(bootstrap_mean(np.array([x.same for x in found]), places, seed=seed)),
                    _mean([x.pull for x in found], places, seed),
                    percent(bootstrap_mean(np.array([x.first for x in found]), places, seed=seed)),
                    f"{100 * float(np.mean([1 / x.k for x in found])):.1f}",
                ]
            )
    if not rows:
        return None
    text = [
        "The same candidates given in a random order, their scores going with them. Agreement: Kendall's tau between "
        "the method's two orders. Pull of the place: Kendall's tau between the order that was given and the one that "
        "came back, which is 0 for a method that looks at the tiles alone. The tile given first comes out first as "
        "often as by chance (one in the number of tiles) where the place decides nothing."
    ]
    header = ["method", "shuffled lists", "agreement", "same first tile %", "pull of the place", "given first, first %"]
    header += ["by chance %"]
    return Section(title=f"Position: {title}", text=text, grids=[Grid(header=header, rows=rows)])


@dataclass(frozen=True, kw_only=True)
class Shuffled:
    """One list, given again in another order."""

    query: str
    k: int
    agreement: float
    same: float
    pull: float
    first: float
    """Whether the tile that was given first came out first."""


def _shuffles(runs: Sequence[SetRun], key: str) -> list[Shuffled]:
    from scipy.stats import kendalltau

    found = []
    for run in runs:
        method = run.methods.get(key)
        for lines in method.shuffles.values() if method is not None else ():
            for query, line in lines.items():
                plain = method.answered(query) if method is not None else None
                if plain is None or "judgements" not in line or len(line["judgements"]) < 2:
                    continue
                before = [j["tile_id"] for j in plain["judgements"]]
                after = {j["tile_id"]: n for n, j in enumerate(line["judgements"])}
                given = [after[t] for t in line["given"]]
                found.append(
                    Shuffled(
                        query=f"{run.frozen.name}/{query}",
                        k=len(before),
                        agreement=float(kendalltau(range(len(before)), [after[t] for t in before]).statistic),
                        same=float(after[before[0]] == 0),
                        pull=float(kendalltau(range(len(given)), given).statistic),
                        first=float(given[0] == 0),
                    )
                )
    return found


def _mean(values: Sequence[float], places: Sequence[str], seed: int) -> str:
    i = bootstrap_mean(np.array(values), places, seed=seed)
    return f"{i.value:.2f} [{i.low:.2f}, {i.high:.2f}]"
