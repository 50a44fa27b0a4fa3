"""A run: every method on every frozen query, one line each, on the disk before the next is asked."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from agent import confidence as conf
from agent.batch import repair
from agent.judged import Reasons
from agent.rerankers.gate import gate_of
from eval.arena import judging
from eval.arena.config import UNJUDGED, Config, Method, QuerySet, chosen, chosen_sets
from eval.arena.counterfactual import FILE as COUNTER
from eval.arena.counterfactual import counterfactuals
from eval.arena.freezing import freeze
from eval.arena.frozen import Asked, Frozen
from eval.arena.models import Models, look_ahead, opened
from eval.protocol import EvaluationError
from retriever.models import write_atomic

if TYPE_CHECKING:
    from retriever.encoder import Encoder

Say = Callable[[str], None]
MANIFEST = "run.json"


@dataclass(frozen=True, kw_only=True)
class Done:
    """What one start did."""

    judged: int
    kept: int
    failed: int


def run(
    config: Config,
    *,
    only: Sequence[str] = (),
    sets: Sequence[str] = (),
    retry: bool = False,
    say: Say = lambda line: None,
) -> Done:
    """Everything that is not on the disk yet. Raises ``EvaluationError``, ``ContractError`` or what opening raises."""
    methods, wanted = chosen(config, only), chosen_sets(config, sets)
    encoder, ready = _frozen(config, wanted, say)
    total = Done(judged=0, kept=0, failed=0)
    with opened(config, methods, encoder, say) as models, asyncio.Runner() as loop:
        try:
            for one, frozen in ready:
                total = _added(total, loop.run(_set(config, models, methods, one.gallery, frozen, retry, say)))
        finally:
            loop.run(models.close())
    return total


def freeze_only(config: Config, *, sets: Sequence[str] = (), say: Say = lambda line: None) -> list[Frozen]:
    """The candidates of a run without asking any method: they need no judge. Raises as :func:`run`."""
    return [frozen for _, frozen in _frozen(config, chosen_sets(config, sets), say)[1]]


def _frozen(config: Config, wanted: Sequence[QuerySet], say: Say) -> tuple[Encoder, list[tuple[QuerySet, Frozen]]]:
    from retriever.encoder import Encoder

    config.out.mkdir(parents=True, exist_ok=True)
    encoder = Encoder.load(config.encoder)
    # The cut by the map must not depend on which judge comes later, so it takes the weights fitted without one.
    plain = conf.load("none", encoder.id).weights
    ready = []
    for one in wanted:
        say(f"candidates of {one.name}")
        folder = config.out / "sets" / one.name
        ready.append((one, freeze(config, one, folder, weights=plain, encoder=encoder.id)))
    _manifest(config)
    return encoder, ready


def _added(a: Done, b: Done) -> Done:
    return Done(judged=a.judged + b.judged, kept=a.kept + b.kept, failed=a.failed + b.failed)


def _manifest(config: Config) -> None:
    data = {"title": config.title, "config": json.loads(config.model_dump_json())}
    write_atomic(config.out / MANIFEST, (json.dumps(data, ensure_ascii=False, indent=1) + "\n").encode())


async def _set(
    config: Config, models: Models, methods: Sequence[Method], gallery: Path, frozen: Frozen, retry: bool, say: Say
) -> Done:
    from retriever.gallery import Gallery

    opened_gallery = Gallery.open(gallery)
    judged, plain = (models.benches(opened_gallery, judged=judged) for judged in (True, False))
    if config.judge.looks == "once":
        todo = _todo(config, methods, frozen, retry)
        tiles = dict.fromkeys(c.tile_id for asked in todo for c in asked.candidates)
        say(f"{frozen.name}: a look at each of {len(tiles)} tiles")
        await look_ahead(judged[0], tiles)
    total = Done(judged=0, kept=0, failed=0)
    for method in methods:
        mine = plain if method.name in UNJUDGED else judged
        for shuffle in range(method.shuffles + 1):
            say(f"{frozen.name}: {method.key}" + (f", shuffle {shuffle}" if shuffle else ""))
            total = _added(total, await _method(config, models, method, mine, frozen, shuffle, retry))
    if config.counterfactuals and models.kit.judge is not None and any(m.name not in UNJUDGED for m in methods):
        say(f"{frozen.name}: counterfactuals")
        path = _folder(config, frozen) / COUNTER
        await counterfactuals(judged[0], frozen, config.counterfactuals, path, models.judge)
    return total


def _todo(config: Config, methods: Sequence[Method], frozen: Frozen, retry: bool) -> list[Asked]:
    """Queries that some method, or one of its shuffles, has no line for yet."""
    found: dict[str, Asked] = {}
    for method in methods:
        for shuffle in range(method.shuffles + 1):
            known = {row["query_id"] for row in _lines(file_of(_folder(config, frozen), method.key, shuffle), retry)[1]}
            found |= {a.query.id: a for a in _wanted(frozen, method.limit) if a.query.id not in known}
    return list(found.values())


def _folder(config: Config, frozen: Frozen) -> Path:
    return config.out / "sets" / frozen.name


def file_of(folder: Path, key: str, shuffle: int) -> Path:
    """Where a method's lines lie."""
    return folder / (f"{key}.shuffle-{shuffle}.rankings.jsonl" if shuffle else f"{key}.rankings.jsonl")


async def _method(
    config: Config,
    models: Models,
    method: Method,
    benches: Sequence[judging.Bench],
    frozen: Frozen,
    shuffle: int,
    retry: bool,
) -> Done:
    path = file_of(_folder(config, frozen), method.key, shuffle)
    header = _header(config, models, method, frozen, shuffle)
    known = _resumed(path, header, retry)
    wanted = _wanted(frozen, method.limit)
    explained = {a.query.id for a in wanted[: config.explain.limit]}
    top = method.explained(config.explain.top)
    todo = [
        (asked, top if asked.query.id in explained and not shuffle else 0)
        for asked in wanted
        if asked.query.id not in known
    ]
    with path.open("a", encoding="utf-8") as sink:
        failed = await _all(method, benches, todo, shuffle, sink, method.explained_how(config.explain.reasons))
        os.fsync(sink.fileno())
    return Done(judged=len(todo), kept=len(known), failed=failed)


async def _all(
    method: Method,
    benches: Sequence[judging.Bench],
    todo: Sequence[tuple[Asked, int]],
    shuffle: int,
    sink: IO[str],
    how: Reasons,
) -> int:
    """As many queries under way together as there are benches; returns how many failed."""
    waiting, failed = iter(todo), 0

    async def work(bench: judging.Bench) -> None:
        nonlocal failed
        reranker = judging.build(method, bench.kit)
        for asked, top in waiting:
            line = await judging.judge(bench, method, reranker, asked, shuffle, top, how)
            failed += "error" in line
            if len(benches) > 1:
                line["at_once"] = len(benches)
            sink.write(json.dumps(line, ensure_ascii=False) + "\n")
            # With the system before the next is asked: a kill loses nothing. The disk gets it once, at the end.
            sink.flush()

    tasks = [asyncio.ensure_future(work(bench)) for bench in benches]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return failed


def _wanted(frozen: Frozen, limit: int | None) -> list[Asked]:
    return frozen.order()[:limit]


def _header(config: Config, models: Models, method: Method, frozen: Frozen, shuffle: int) -> dict[str, Any]:
    unjudged = method.name in UNJUDGED
    confidence = conf.load("none", models.encoder) if unjudged else models.kit.confidence
    return {
        "method": method.name,
        "label": method.key,
        "options": dict(method.options),
        "saw": method.sees,
        "shuffle": shuffle,
        "seed": config.seed,
        "candidates_sha256": frozen.sha256,
        "judge": "none" if unjudged else models.judge,
        "adapter": "" if unjudged else models.adapter,
        "encoder": models.encoder,
        "explainer": "" if shuffle else _explainer(config, models, method),
        "looks": config.judge.looks,
        "confidence": confidence.note,
        "weights": confidence.told,
        "gate": _gate(models, method),
        "made_by": f"sightline arena run CONFIG --only {method.key}",
    }


def _gate(models: Models, method: Method) -> str:
    """The gate behind which a method orders, in a few words; empty for one that has none."""
    gate = gate_of(judging.build(method, models.kit))
    return "" if gate is None else gate.told


def _explainer(config: Config, models: Models, method: Method) -> str:
    if not method.explained(config.explain.top):
        return ""
    how = method.explained_how(config.explain.reasons)
    return models.judge if how == "written" else f"{models.judge}, {how}"


def _resumed(path: Path, header: dict[str, Any], retry: bool) -> set[str]:
    """Ids that are answered already; the header is written first, and must be the same after a kill.

    Raises ``EvaluationError`` where the lines are another method's, judge's or of other candidates.
    """
    rows, lines = _lines(path, retry)
    if not rows:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"header": header}, ensure_ascii=False) + "\n", encoding="utf-8")
        return set()
    kept = rows[0].get("header", {})
    wrong = sorted(key for key in header if kept.get(key) != header[key])
    if wrong:
        raise EvaluationError(f"{path} was made otherwise ({', '.join(wrong)} differ); name another out or label")
    if len(lines) < len(rows) - 1:
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in (rows[0], *lines))
        write_atomic(path, text.encode())
    return {row["query_id"] for row in lines}


def _lines(path: Path, retry: bool) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """All rows of a file, the header first, and the lines that stand; with ``retry`` those that failed do not."""
    rows = list(repair(path))
    return rows, [row for row in rows[1:] if not (retry and _failed(row))]


def _failed(row: dict[str, Any]) -> bool:
    return "error" in row or any(j["score"] is None for j in row["judgements"])
