"""A run: every method on every frozen query, one line each, on the disk before the next is asked."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent import confidence as conf
from agent.batch import repair
from agent.judge import Judge
from agent.rerankers import Kit
from eval.arena import judging
from eval.arena.asking import CountingClient, NothingKept, Replies, patch_pixels
from eval.arena.config import UNJUDGED, Config, Method, chosen
from eval.arena.counterfactual import FILE as COUNTER
from eval.arena.counterfactual import counterfactuals
from eval.arena.freezing import freeze
from eval.arena.frozen import Asked, Frozen
from eval.protocol import EvaluationError
from retriever.models import write_atomic

if TYPE_CHECKING:
    from retriever.encoder import Encoder

Say = Callable[[str], None]
MANIFEST = "run.json"
MODELS = ("judge", "encoder", "confidence", "adapter")


@dataclass(frozen=True, kw_only=True)
class Models:
    """What the methods of a run share."""

    kit: Kit
    client: CountingClient | None
    judge: str
    adapter: str
    encoder: str
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Done:
    """What one start did."""

    judged: int
    kept: int
    failed: int


def run(config: Config, *, only: Sequence[str] = (), retry: bool = False, say: Say = lambda line: None) -> Done:
    """Everything that is not on the disk yet. Raises ``EvaluationError``, ``ContractError`` or what opening raises."""
    methods = chosen(config, only)
    config.out.mkdir(parents=True, exist_ok=True)
    from retriever.encoder import Encoder

    encoder = Encoder.load(config.encoder)
    # The cut by the map must not depend on which judge comes later, so it takes the weights fitted without one.
    plain = conf.load("none", encoder.id).weights
    sets = []
    for wanted in config.sets:
        say(f"candidates of {wanted.name}")
        sets.append(
            (wanted, freeze(config, wanted, config.out / "sets" / wanted.name, weights=plain, encoder=encoder.id))
        )
    _manifest(config)
    total = Done(judged=0, kept=0, failed=0)
    with _models(config, methods, encoder, say) as models, asyncio.Runner() as loop:
        try:
            for wanted, frozen in sets:
                total = _added(total, loop.run(_set(config, models, methods, wanted.gallery, frozen, retry, say)))
        finally:
            if models.client is not None:
                loop.run(models.client.close())
    return total


def _added(a: Done, b: Done) -> Done:
    return Done(judged=a.judged + b.judged, kept=a.kept + b.kept, failed=a.failed + b.failed)


def _manifest(config: Config) -> None:
    data = {"title": config.title, "config": json.loads(config.model_dump_json())}
    write_atomic(config.out / MANIFEST, (json.dumps(data, ensure_ascii=False, indent=1) + "\n").encode())


@contextmanager
def _models(config: Config, methods: Iterable[Method], encoder: Encoder, say: Say) -> Iterator[Models]:
    """The judge only where a method asks one; without one each line says why."""
    from agent.opening import open_bench
    from agent.settings import Settings

    needed = any(m.name not in UNJUDGED for m in methods) or config.explain.top or config.counterfactuals
    if not needed or (config.judge.backend == "none" and config.judge.server is None):
        kit = Kit(encoder=encoder, confidence=conf.load("none", encoder.id))
        yield Models(kit=kit, client=None, judge="none", adapter="", encoder=encoder.id)
        return
    bench = open_bench(Settings(backend=config.judge.backend, server=config.judge.server), say=say)
    if bench.judge is None:
        raise EvaluationError(f"the run's methods need a judge, and there is none: {bench.why}")
    replies = Replies(config.out / "replies.sqlite") if config.judge.reuse else None
    client = CountingClient(bench.judge.client, replies, patch_px=_patch(bench.backend))
    try:
        judge = Judge(client, store=NothingKept())
        kit = Kit(judge=judge, encoder=encoder, confidence=conf.load(bench.model, encoder.id))
        yield Models(kit=kit, client=client, judge=bench.model, adapter=_adapter(bench.backend), encoder=encoder.id)
    finally:
        if replies is not None:
            replies.close()
        bench.stop()


def _patch(backend: str) -> int:
    from agent.serving_bundle import JudgeBundle

    if backend == "url":
        return 0
    return patch_pixels(json.loads((JudgeBundle.find().base / "config.json").read_text(encoding="utf-8")))


def _adapter(backend: str) -> str:
    from agent.serving_bundle import JudgeBundle

    if backend == "url":
        return "not known"
    bundle = JudgeBundle.find()
    return f"{bundle.name}@{bundle.adapter_hash[:10]}" if bundle.adapter is not None else "none"


async def _set(
    config: Config, models: Models, methods: Sequence[Method], gallery: Path, frozen: Frozen, retry: bool, say: Say
) -> Done:
    from retriever.gallery import Gallery

    bench = judging.Bench(gallery=Gallery.open(gallery), kit=models.kit, client=models.client)
    plain = judging.Bench(
        gallery=bench.gallery,
        kit=dataclasses.replace(models.kit, confidence=conf.load("none", models.encoder)),
        client=models.client,
    )
    total = Done(judged=0, kept=0, failed=0)
    for method in methods:
        mine = plain if method.name in UNJUDGED else bench
        for shuffle in range(method.shuffles + 1):
            say(f"{frozen.name}: {method.key}" + (f", shuffle {shuffle}" if shuffle else ""))
            total = _added(total, await _method(config, models, method, mine, frozen, shuffle, retry))
    if config.counterfactuals and models.kit.judge is not None:
        say(f"{frozen.name}: counterfactuals")
        await counterfactuals(bench, frozen, config.counterfactuals, _folder(config, frozen) / COUNTER, models.judge)
    return total


def _folder(config: Config, frozen: Frozen) -> Path:
    return config.out / "sets" / frozen.name


def file_of(folder: Path, key: str, shuffle: int) -> Path:
    """Where a method's lines lie."""
    return folder / (f"{key}.shuffle-{shuffle}.rankings.jsonl" if shuffle else f"{key}.rankings.jsonl")


async def _method(
    config: Config, models: Models, method: Method, bench: judging.Bench, frozen: Frozen, shuffle: int, retry: bool
) -> Done:
    path = file_of(_folder(config, frozen), method.key, shuffle)
    header = _header(config, models, method, frozen, shuffle)
    known = _resumed(path, header, retry)
    reranker = judging.build(method, bench.kit)
    wanted = _wanted(frozen, method.limit)
    explained = {a.query.id for a in wanted[: config.explain.limit]}
    judged = failed = 0
    with path.open("a", encoding="utf-8") as sink:
        for asked in wanted:
            if asked.query.id in known:
                continue
            top = config.explain.top if asked.query.id in explained and not shuffle else 0
            line = await judging.judge(bench, method, reranker, asked, shuffle, top)
            judged, failed = judged + 1, failed + ("error" in line)
            sink.write(json.dumps(line, ensure_ascii=False) + "\n")
            # With the system before the next is asked: a kill loses nothing. The disk gets it once, at the end.
            sink.flush()
        os.fsync(sink.fileno())
    return Done(judged=judged, kept=len(known), failed=failed)


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
        "explainer": "" if shuffle or not config.explain.top else models.judge,
        "confidence": confidence.note,
        "made_by": f"sightline arena run CONFIG --only {method.key}",
    }


def _resumed(path: Path, header: dict[str, Any], retry: bool) -> set[str]:
    """Ids that are answered already; the header is written first, and must be the same after a kill.

    Raises ``EvaluationError`` where the lines are another method's, judge's or of other candidates.
    """
    rows = list(repair(path))
    if not rows:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"header": header}, ensure_ascii=False) + "\n", encoding="utf-8")
        return set()
    kept = rows[0].get("header", {})
    wrong = sorted(key for key in header if kept.get(key) != header[key])
    if wrong:
        raise EvaluationError(f"{path} was made otherwise ({', '.join(wrong)} differ); name another out or label")
    lines = [row for row in rows[1:] if not (retry and _failed(row))]
    if len(lines) < len(rows) - 1:
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in (rows[0], *lines))
        write_atomic(path, text.encode())
    return {row["query_id"] for row in lines}


def _failed(row: dict[str, Any]) -> bool:
    return "error" in row or any(j["score"] is None for j in row["judgements"])
