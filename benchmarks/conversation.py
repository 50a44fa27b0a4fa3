"""How many questions until the true tile is first, and what the agent costs beside its model calls.

    python -m benchmarks.conversation questions GALLERY... --dialogues 200 --out runs/conversation/questions.json
    python -m benchmarks.conversation overhead GALLERY --dialogues 10 --out runs/conversation/overhead.json

``questions``: simulated witnesses (:mod:`benchmarks.witness`) describe a place without names, then answer
the desk's questions, some of them wrongly. Three desks are asked the same: one that puts the question with the highest
expected information gain, one that puts any question that would tell something, drawn at random, and one that asks
nothing. No model judges: the desks search by words (encoder) and check the map, which the table says. A dialogue ends
when the first tile is right, or after ``--most`` answers (censored).

``overhead``: the same dialogues with the judge, timed: wall time of a turn against the time during which at least one
model call was under way, time to the first candidates and to the first words of an explanation.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from langgraph.checkpoint.memory import InMemorySaver

from agent.context import Context
from agent.desk import Desk
from agent.graph import build
from agent.opening import open_context
from agent.settings import Settings
from agent.turns import Turn
from benchmarks.witness import Witness, witnesses
from eval.bootstrap import bootstrap_mean, paired_difference
from retriever.errors import SightlineError
from retriever.gallery import Gallery

Json = dict[str, Any]
BLOCK_DEG = 0.003
"""Witnesses in one square of about 300 m are one cluster of the intervals: their tiles overlap."""


# --- questions ------------------------------------------------------------------------------------------------------


async def dialogue(context: Context, witness: Witness, most: int) -> Json:
    """One dialogue: the answer after which the right tile is first (0: the description alone), or None."""
    desk = Desk(graph=build(InMemorySaver()), context=context)
    turn = await desk.locate(witness.text, thread=witness.id)
    ranks = [_rank(turn, witness)]
    asked: list[list[Any]] = []
    while ranks[-1] != 1 and len(asked) < most:
        if turn.question is None:
            turn = await _ask(desk, witness.id, turn)
        if turn.question is None:
            break
        answer = witness.answer(_claim(turn))
        asked.append([turn.question["key"], answer, turn.question["gain_bits"]])
        turn = await desk.reply(witness.id, answer)
        ranks.append(_rank(turn, witness))
    return {
        "id": witness.id, "lat": witness.point.lat, "lon": witness.point.lon, "text": witness.text,
        "turns": len(asked) if ranks[-1] == 1 else None, "ranks": ranks, "asked": asked,
    }  # fmt: skip


async def _ask(desk: Desk, thread: str, turn: Turn) -> Turn:
    events = [event async for event in desk.stream(thread, order={"do": "ask"})]
    return Turn.from_json(events[-1].data) if events[-1].kind == "turn" else turn


def _claim(turn: Turn) -> Any:
    from retriever.types import Claim

    assert turn.question is not None
    return Claim.from_json(turn.question["claim"])


def _rank(turn: Turn, witness: Witness) -> int | None:
    """Rank of the first right tile among those listed; None where none is listed."""
    listed = (turn.result or {}).get("candidates", [])
    return next((c["rank"] for c in listed if witness.right(c["lat"], c["lon"])), None)


def _at_random(seed: int) -> Callable[[Sequence[Any], Any], Any]:
    def choose(questions: Sequence[Any], state: Any) -> Any:
        return Random(f"{seed}/{state['query_id']}/{len(state.get('asked') or [])}").choice(questions)

    return choose


def run_questions(args: argparse.Namespace) -> Json:
    """All dialogues of all galleries with the best and the random question; "none" is their turn 0."""
    galleries = [Gallery.open(path) for path in args.galleries]
    people = list(witnesses(galleries, args.dialogues, seed=args.seed, wrong=args.wrong, unknown=args.unknown))
    rows = _kept(args.out)
    known = {row["best"]["id"] for row in rows}
    for path, gallery in zip(args.galleries, galleries, strict=True):
        with open_context(path, Settings(backend="none"), say=lambda line: None) as context:
            context = dataclasses.replace(context, weighs=False)
            arms = {"best": context, "random": dataclasses.replace(context, choose=_at_random(args.seed))}
            for witness in (w for w in people if w.id in set(gallery.ids) and w.id not in known):
                row: Json = {"gallery": gallery.id}
                for arm, desk in arms.items():
                    row[arm] = asyncio.run(dialogue(desk, witness, args.most))
                rows.append(row)
                _keep(row, args.out)
                print(len(rows), row["best"]["turns"], row["random"]["turns"], flush=True)
    return {"settings": _settings(args), "dialogues": rows, "summary": summary(rows, args.most)}


def _kept(out: Path | None) -> list[Json]:
    """Dialogues of a run that was stopped: it goes on."""
    lines = out.with_suffix(".jsonl") if out else None
    return [json.loads(line) for line in lines.read_text().splitlines()] if lines and lines.exists() else []


def _keep(row: Json, out: Path | None) -> None:
    if out:
        with out.with_suffix(".jsonl").open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(row, ensure_ascii=False) + "\n")


def summary(rows: Sequence[Json], most: int) -> Json:
    """Right tile first at turn 0, after 1, 2, 3, 5 and ``most`` answers, and turns needed, censored at ``most``."""
    places = [_cluster(row["best"]) for row in rows]
    found: Json = {"n": len(rows), "clusters": len(set(places)), "most": most}
    turns: dict[str, Any] = {}
    for arm in ("best", "random", "none"):
        taken = [row["best" if arm == "none" else arm]["turns"] for row in rows]
        if arm == "none":
            taken = [0 if t == 0 else None for t in taken]
        turns[arm] = np.array([most + 1.0 if t is None else float(t) for t in taken])
        marks = {
            str(k): _interval(bootstrap_mean((turns[arm] <= k).astype(float), places)) for k in (0, 1, 2, 3, 5, most)
        }
        mean = _interval(bootstrap_mean(np.minimum(turns[arm], most), places))
        found[arm] = {"first_by": marks, "turns": mean, "censored": int((turns[arm] > most).sum())}
    for other in ("random", "none"):
        cut = (np.minimum(turns[other], most), np.minimum(turns["best"], most))
        found[f"turns saved against {other}"] = _interval(paired_difference(*cut, places))
        hit = ((turns["best"] <= most).astype(float), (turns[other] <= most).astype(float))
        found[f"more found than {other}"] = _interval(paired_difference(*hit, places))
    return found


def _cluster(row: Json) -> str:
    return f"{round(row['lat'] / BLOCK_DEG)},{round(row['lon'] / BLOCK_DEG)}"


def _interval(found: Any) -> list[float]:
    return [round(float(v), 4) for v in (found.value, found.low, found.high)]


# --- overhead -------------------------------------------------------------------------------------------------------


class Timed:
    """A chat client that notes when calls are under way."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.spans: list[tuple[float, float]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def complete(self, request: Any) -> Any:
        start = time.perf_counter()
        try:
            return await self._inner.complete(request)
        finally:
            self.spans.append((start, time.perf_counter()))


def busy(spans: Sequence[tuple[float, float]]) -> float:
    """Seconds during which at least one of the spans was open."""
    total, end = 0.0, float("-inf")
    for start, stop in sorted(spans):
        total += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return total


async def timed_turn(desk: Desk, thread: str, clock: Timed, text: str, order: Json | None) -> tuple[Turn, Json]:
    """One turn with its times in seconds."""
    clock.spans.clear()
    start, turn = time.perf_counter(), None
    first: dict[str, float] = {}
    async for event in desk.stream(thread, text, order=order):
        first.setdefault(event.kind, time.perf_counter() - start)
        if event.kind == "error":
            raise SightlineError(event.data["message"])
        if event.kind == "turn":
            turn = Turn.from_json(event.data)
    assert turn is not None
    wall, model = time.perf_counter() - start, busy(clock.spans)
    return turn, {
        "kind": turn.kind, "wall": wall, "model": model, "calls": len(clock.spans),
        "candidates": first.get("candidates"), "words": first.get("explanation"),
    }  # fmt: skip


def run_overhead(args: argparse.Namespace) -> Json:
    """Dialogues with the judge; the first one warms the models and is left out."""
    path = args.galleries[0]
    gallery = Gallery.open(path)
    people = witnesses([gallery], args.dialogues + 1, seed=args.seed, wrong=args.wrong, unknown=args.unknown)
    with open_context(path, Settings(backend=args.backend), say=print) as context:
        judge: Any = context.kit.judge
        if judge is None:
            raise SightlineError(f"no judge: {context.kit.why_no_judge}")
        judge.client = clock = Timed(judge.client)
        rows = asyncio.run(_overhead(context, clock, list(people), args.most))
    return {"settings": _settings(args) | {"judge": context.label}, "turns": rows, "summary": _times(rows)}


async def _overhead(context: Context, clock: Timed, people: Sequence[Witness], most: int) -> list[Json]:
    rows: list[Json] = []
    desk = Desk(graph=build(InMemorySaver()), context=context)
    try:
        for number, witness in enumerate(people):
            turn, row = await timed_turn(desk, witness.id, clock, witness.text, None)
            found = [row]
            for _ in range(most):
                if turn.question is None:
                    break
                order = {"do": "answer", "answer": witness.answer(_claim(turn))}
                turn, row = await timed_turn(desk, witness.id, clock, "", order)
                found.append(row)
            turn, row = await timed_turn(desk, witness.id, clock, "why not the second one?", None)
            found.append(row)
            rows += [{"dialogue": number, **each} for each in found] if number else []
            print(number, [round(r["wall"] - r["model"], 2) for r in found], flush=True)
    finally:
        if context.close is not None:
            await context.close()
    return rows


def _times(rows: Sequence[Json]) -> Json:
    asked = [r for r in rows if r["calls"]]
    places = [str(r["dialogue"]) for r in asked]
    over = np.array([r["wall"] - r["model"] for r in asked])
    model = np.array([r["model"] for r in asked])
    return {
        "turns with model calls": len(asked),
        "overhead / model time, sums": round(float(over.sum() / model.sum()), 4),
        "overhead seconds per turn": _interval(bootstrap_mean(over, places)),
        "model seconds per turn": _interval(bootstrap_mean(model, places)),
        "calls per turn": float(np.mean([r["calls"] for r in asked])),
        "seconds to first candidates": _quantiles([r["candidates"] for r in asked if r["candidates"] is not None]),
        "seconds to first words": _quantiles([r["words"] for r in asked if r["words"] is not None]),
        "seconds of a turn without model calls": _quantiles([r["wall"] for r in rows if not r["calls"]]),
    }


def _quantiles(values: Sequence[float]) -> list[float]:
    return [round(float(q), 3) for q in np.quantile(values, [0.1, 0.5, 0.9])] if values else []


def _settings(args: argparse.Namespace) -> Json:
    return {k: [str(p) for p in v] if k == "galleries" else str(v) for k, v in vars(args).items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["questions", "overhead"])
    parser.add_argument("galleries", nargs="+", type=Path)
    parser.add_argument("--dialogues", type=int, default=200)
    parser.add_argument("--most", type=int, default=8, help="answers after which a dialogue is given up")
    parser.add_argument("--wrong", type=float, default=0.1, help="share of answers that are wrong")
    parser.add_argument("--unknown", type=float, default=0.1, help="share of answers that are don't know")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--backend", default="vllm")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
    found = run_questions(args) if args.what == "questions" else run_overhead(args)
    if args.out:
        args.out.write_text(json.dumps(found, ensure_ascii=False, indent=1), encoding="utf-8")
    print(json.dumps(found["summary"], indent=1))


if __name__ == "__main__":
    main()
