"""From lines to numbers: every row's metrics per query, over one set or several pooled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from eval.arena.records import SetRun
from eval.bootstrap import Interval, bootstrap_mean, bootstrap_median, paired_difference
from eval.explanations.significance import holm, sign_flip
from eval.metrics import PerQuery, measure
from eval.protocol import Bools, Truth

SHOWN = ("recall@1", "recall@5", "recall@10", "contains@1", "contains@10", "MRR", "L@50m", "L@100m", "L@150m")
CONTROL_NAMES = {"names": "names only", "oracle": "oracle only", "dense": "dense", "fused": "fused"}
CONTROL_SAW = {"names": "names", "oracle": "facts, names", "dense": "pixels", "fused": "pixels, names"}
RANDOM = 2000
"""Random rankings behind the random row, over all queries, so that it shows chance and not luck."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One row over the queries of a table."""

    key: str
    saw: str
    control: bool
    per_query: PerQuery
    has: Bools
    """Bool [Q]: the queries that it was given; the others count nowhere."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Board:
    """Rows and queries of one set, or of a group's sets one after the other."""

    title: str
    entries: Mapping[str, Entry]
    clusters: Sequence[str]
    lang: Sequence[str]
    named: Bools

    @property
    def reference(self) -> str:
        """What changes are measured against: the fused retriever over the full gallery, else the candidates' order."""
        return "fused" if "fused" in self.entries else "identity"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One row of a table."""

    key: str
    saw: str
    n: int
    locations: int
    failed: int
    values: Mapping[str, Interval]
    median_m: Interval
    change: Interval | None


@dataclass(frozen=True, kw_only=True)
class Test:
    """A paired randomisation test by location."""

    metric: str
    a: str
    b: str
    difference: Interval
    p: float
    p_holm: float


def board(run: SetRun, *, seed: int) -> Board:
    """Every row of one set."""
    located, right = run.frozen.located, run.frozen.truth
    everyone = np.ones(len(located), dtype=bool)
    entries = {e.key: e for e in _controls(run, right, everyone, seed)}
    for key, method in run.methods.items():
        has = np.array([q.query.id in method.lines for q in located])
        failed = np.array([method.answered(q.query.id) is None for q in located])
        found = measure(run.scores(key), right, failed)
        entries[key] = Entry(key=key, saw=str(method.header["saw"]), control=False, per_query=found, has=has)
    return Board(
        title=run.frozen.name,
        entries=entries,
        clusters=[f"{run.frozen.name}/{c}" for c in right.clusters],
        lang=[q.query.lang for q in located],
        named=np.array([q.named for q in located]),
    )


def _controls(run: SetRun, right: Truth, everyone: Bools, seed: int) -> list[Entry]:
    shape = (len(everyone), len(run.frozen.places.ids))
    rng = np.random.default_rng(seed)
    draws = [measure(rng.random(shape), right) for _ in range(max(1, -(-RANDOM // len(everyone))))]
    random = PerQuery(
        values={name: np.mean([d.values[name] for d in draws], axis=0) for name in draws[0].values},
        metres=np.median([d.metres for d in draws], axis=0),
        rank=np.median([d.rank for d in draws], axis=0),
        failed=draws[0].failed,
    )
    rows = [("random", "nothing", random), ("constant", "nothing", measure(np.ones(shape), right))]
    rows += [(CONTROL_NAMES[n], CONTROL_SAW[n], measure(s, right)) for n, s in run.frozen.controls.items()]
    return [Entry(key=key, saw=saw, control=True, per_query=found, has=everyone) for key, saw, found in rows]


def pooled(title: str, boards: Sequence[Board]) -> Board:
    """Several sets' queries one after the other; where a row is missing in a set, it has none of its queries."""
    keys = list(dict.fromkeys(key for b in boards for key in b.entries))
    return Board(
        title=title,
        entries={key: _joined(key, boards) for key in keys},
        clusters=[c for b in boards for c in b.clusters],
        lang=[x for b in boards for x in b.lang],
        named=np.concatenate([b.named for b in boards]),
    )


def _joined(key: str, boards: Sequence[Board]) -> Entry:
    first = next(b.entries[key] for b in boards if key in b.entries)
    parts = [b.entries.get(key) or _absent(first, len(b.clusters)) for b in boards]
    found = [p.per_query for p in parts]
    return Entry(
        key=key,
        saw=first.saw,
        control=first.control,
        per_query=PerQuery(
            values={name: np.concatenate([f.values[name] for f in found]) for name in found[0].values},
            metres=np.concatenate([f.metres for f in found]),
            rank=np.concatenate([f.rank for f in found]),
            failed=np.concatenate([f.failed for f in found]),
        ),
        has=np.concatenate([p.has for p in parts]),
    )


def _absent(like: Entry, n: int) -> Entry:
    nothing = PerQuery(
        values={name: np.zeros(n) for name in like.per_query.values},
        metres=np.full(n, np.inf),
        rank=np.full(n, np.inf),
        failed=np.ones(n, dtype=bool),
    )
    return Entry(key=like.key, saw=like.saw, control=like.control, per_query=nothing, has=np.zeros(n, dtype=bool))


def lines(b: Board, keep: Bools | None = None, *, seed: int = 0) -> list[Line]:
    """The table's rows over the queries of ``keep`` bool [Q]; a row without any of them is left out."""
    return list(_all_lines(b, seed)) if keep is None else _lines(b, keep, seed)


@lru_cache(maxsize=32)
def _all_lines(b: Board, seed: int) -> tuple[Line, ...]:
    """Several tables and plots show the same rows, and resampling them is what a report spends its time on."""
    return tuple(_lines(b, None, seed))


def _lines(b: Board, keep: Bools | None, seed: int) -> list[Line]:
    found = []
    reference = b.entries[b.reference]
    for entry in b.entries.values():
        mask = entry.has if keep is None else entry.has & keep
        if not mask.any():
            continue
        names = [c for c, k in zip(b.clusters, mask, strict=True) if k]
        values = {k: bootstrap_mean(entry.per_query.values[k][mask], names, seed=seed) for k in SHOWN}
        both = mask & reference.has
        change = None
        if entry.key != reference.key and both.any():
            mine, theirs = (e.per_query.values["recall@1"][both] for e in (entry, reference))
            change = paired_difference(mine, theirs, _kept(b.clusters, both), seed=seed)
        found.append(
            Line(
                key=entry.key,
                saw=entry.saw,
                n=int(mask.sum()),
                locations=len(set(names)),
                failed=int((entry.per_query.failed & mask).sum()),
                values=values,
                median_m=bootstrap_median(entry.per_query.metres[mask], names, seed=seed),
                change=change,
            )
        )
    return found


def _kept(clusters: Sequence[str], mask: Bools) -> list[str]:
    return [c for c, k in zip(clusters, mask, strict=True) if k]


def splits(b: Board) -> dict[str, Bools]:
    """English, Chinese, named, masked; empty ones are left out."""
    lang = np.array(b.lang)
    cuts = {"English": lang == "en", "Chinese": lang == "zh", "named": b.named, "masked": ~b.named}
    return {name: mask for name, mask in cuts.items() if mask.any()}


def paired_tests(b: Board, *, seed: int = 0) -> list[Test]:
    """Every method against the reference on three metrics, and every two methods on recall@1, corrected together."""
    methods = [e for e in b.entries.values() if not e.control]
    reference = b.entries[b.reference]
    pairs = [(m, e, reference) for m in ("recall@1", "MRR", "contains@1") for e in methods if e is not reference]
    pairs += [("recall@1", x, y) for i, x in enumerate(methods) for y in methods[i + 1 :] if reference not in (x, y)]
    found = []
    for metric, x, y in pairs:
        both = x.has & y.has
        places = _kept(b.clusters, both)
        if len(set(places)) < 2:
            continue
        mine, theirs = (e.per_query.values[metric][both] for e in (x, y))
        p = sign_flip(mine - theirs, places, seed=seed)
        change = paired_difference(mine, theirs, places, seed=seed)
        found.append(Test(metric=metric, a=x.key, b=y.key, difference=change, p=p, p_holm=p))
    corrected = holm([t.p for t in found])
    return [
        Test(metric=t.metric, a=t.a, b=t.b, difference=t.difference, p=t.p, p_holm=p)
        for t, p in zip(found, corrected, strict=True)
    ]
