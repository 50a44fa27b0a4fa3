"""Scores to a report: metrics, intervals by location, splits, and the change against the retriever."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eval.bootstrap import Interval, bootstrap_mean, bootstrap_median, paired_difference
from eval.metrics import PerQuery, measure
from eval.protocol import PRIOR_WARNING, Bools, EvaluationError, LocatedQuery, Truth
from eval.scorers import Scored


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One method's metrics per query, aligned with the queries that they were measured on."""

    method: str
    saw: str
    note: str
    per_query: PerQuery


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table."""

    method: str
    saw: str
    note: str
    values: dict[str, Interval]
    median_m: Interval
    failed: int
    change: Interval | None = None
    """Of recall@1 against the reference method, over the same queries."""


@dataclass(frozen=True, kw_only=True)
class Table:
    title: str
    rows: tuple[Row, ...]
    n: int
    locations: int


@dataclass(frozen=True, kw_only=True)
class Report:
    title: str
    protocol: str
    tables: tuple[Table, ...]
    command: str
    """What prints it again."""
    tiles: int
    reference: str | None = None
    warnings: tuple[str, ...] = ()


def measure_all(scored: Sequence[Scored], truth: Truth) -> list[Measured]:
    """Metrics of each method; those of several draws are averaged per query."""
    return [
        Measured(
            method=s.method,
            saw=s.saw,
            note=s.note,
            per_query=_average([measure(draw, truth, s.failed) for draw in s.draws]),
        )
        for s in scored
    ]


def _average(draws: Sequence[PerQuery]) -> PerQuery:
    if len(draws) == 1:
        return draws[0]
    return PerQuery(
        values={name: np.mean([d.values[name] for d in draws], axis=0) for name in draws[0].values},
        metres=np.median([d.metres for d in draws], axis=0),
        rank=np.median([d.rank for d in draws], axis=0),
        failed=draws[0].failed,
    )


def pool(parts: Sequence[Sequence[Measured]]) -> list[Measured]:
    """The same methods over several areas, queries one after the other. Raises if the methods differ."""
    first = [m.method for m in parts[0]]
    for other in parts[1:]:
        if [m.method for m in other] != first:
            raise EvaluationError("areas with different methods cannot be pooled; run the same rows everywhere")
    return [_concatenated(group) for group in zip(*parts, strict=True)]


def _concatenated(group: Sequence[Measured]) -> Measured:
    return Measured(
        method=group[0].method,
        saw=group[0].saw,
        note="; ".join(sorted({m.note for m in group if m.note})),
        per_query=PerQuery(
            values={
                name: np.concatenate([m.per_query.values[name] for m in group]) for name in group[0].per_query.values
            },
            metres=np.concatenate([m.per_query.metres for m in group]),
            rank=np.concatenate([m.per_query.rank for m in group]),
            failed=np.concatenate([m.per_query.failed for m in group]),
        ),
    )


def tabulate(
    title: str,
    measured: Sequence[Measured],
    clusters: Sequence[str],
    *,
    keep: Bools | None = None,
    reference: str | None = None,
    seed: int = 0,
) -> Table:
    """One table over the queries of ``keep`` bool [Q] (all without it)."""
    mask = np.ones(len(clusters), dtype=bool) if keep is None else keep
    names = [c for c, k in zip(clusters, mask, strict=True) if k]
    base = next((m.per_query.values["recall@1"][mask] for m in measured if m.method == reference), None)
    rows = []
    for m in measured:
        values = {k: bootstrap_mean(v[mask], names, seed=seed) for k, v in m.per_query.values.items()}
        change = None
        if base is not None and m.method != reference:
            change = paired_difference(m.per_query.values["recall@1"][mask], base, names, seed=seed)
        rows.append(
            Row(
                method=m.method,
                saw=m.saw,
                note=m.note,
                values=values,
                median_m=bootstrap_median(m.per_query.metres[mask], names, seed=seed),
                failed=int(m.per_query.failed[mask].sum()),
                change=change,
            )
        )
    return Table(title=title, rows=tuple(rows), n=int(mask.sum()), locations=len(set(names)))


def splits(queries: Sequence[LocatedQuery]) -> dict[str, Bools]:
    """The usual ways to cut a query set; empty ones are left out."""
    named = np.array([q.named for q in queries])
    lang = np.array([q.query.lang for q in queries])
    cuts = {
        "all": np.ones(len(queries), dtype=bool),
        "named": named,
        "unnamed": ~named,
        "English": lang == "en",
        "Chinese": lang == "zh",
        "mixed": lang == "mixed",
    }
    return {title: mask for title, mask in cuts.items() if mask.any()}


def report(
    title: str,
    measured: Sequence[Measured],
    queries: Sequence[LocatedQuery],
    clusters: Sequence[str],
    *,
    protocol: str,
    tiles: int,
    command: str,
    reference: str | None = "fused",
    seed: int = 0,
    only_all: bool = False,
) -> Report:
    """All queries together and, unless ``only_all``, each split."""
    known = reference if any(m.method == reference for m in measured) else None
    tables = [
        tabulate(name, measured, clusters, keep=mask, reference=known, seed=seed)
        for name, mask in splits(queries).items()
        if name == "all" or not only_all
    ]
    return Report(
        title=title,
        protocol=protocol,
        tables=tuple(tables),
        command=command,
        tiles=tiles,
        reference=known,
        warnings=(PRIOR_WARNING,) if protocol == "nearest100" else (),
    )
