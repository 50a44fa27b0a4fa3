"""How often do the judge's own sentences pass the check that reads them back, and what do they cost?

    SIGHTLINE_DATA=... python benchmarks/judge_explains.py [--backend vllm] [--places 60]

For each place the judge explains the true tile and one that misses the place by 300 m or more, by pixels only. A text
passes when both languages put every claim where the evidence puts it (``prompts/readback.py``); else the template
stands in. Passing says that the sentences are true to the judge's own evidence, not that the evidence is true to the
tile.
Map data: (c) OpenStreetMap contributors, ODbL.
"""

from __future__ import annotations

import argparse
import asyncio
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import numpy as np
from judge_controls import FAR_M, HERE, Case, options, outside_m, read_hand_cases
from rich.console import Console

from eval.bootstrap import bootstrap_mean
from eval.report import percent
from retriever.errors import ReplyError, SightlineError

if TYPE_CHECKING:
    from agent.judge import Judge

LENGTHS = ((1, 3), (4, 6), (7, 12))
err = Console(stderr=True)


@dataclass(frozen=True, kw_only=True)
class Told:
    location: str
    claims: int
    author: str | None
    """``model``, ``template``, or None where the judge gave no evidence at all."""
    tokens: int
    seconds: float


async def tell(judge: Judge, case: Case, tile_id: str) -> Told:
    from agent.judge import tile_png

    tile, png = case.gallery.tile(tile_id), tile_png(case.gallery.image(tile_id))
    claims = min(12, len(case.claims))
    try:
        scored = await judge.score(tile, png, case.claims)
        found = await judge.explain(tile, png, case.claims, scored.p_match)
    except ReplyError as error:
        err.print(f"{case.id}: {error}", highlight=False)
        return Told(location=case.id, claims=claims, author=None, tokens=0, seconds=0.0)
    usage = found.usage
    return Told(
        location=case.id,
        claims=claims,
        author=found.explanation.author,
        tokens=usage.completion_tokens,
        seconds=usage.seconds.get("explain", 0.0),
    )


async def tell_all(judge: Judge, cases: Sequence[Case], seed: int) -> list[Told]:
    rng, gate = Random(seed), asyncio.Semaphore(4)

    async def one(case: Case, tile_id: str) -> Told:
        async with gate:
            return await tell(judge, case, tile_id)

    todo = []
    for case in cases:
        far = np.flatnonzero(outside_m(case.gallery, case.lat, case.lon) >= FAR_M)
        todo += [
            (case, case.gallery.nearest(case.lat, case.lon)),
            (case, case.gallery.ids[rng.choice(far)]),
        ]
    try:
        return await asyncio.gather(*(one(*item) for item in todo))
    finally:
        await judge.client.close()


def table(told: Sequence[Told], seed: int) -> str:
    """Markdown, by how many claims were asked about."""
    lines = [
        "| claims | N | the model's own words pass | no evidence at all | tokens | seconds |",
        "| --- | ---: | --- | --- | ---: | ---: |",
    ]
    groups = [(f"{a} to {b}", [t for t in told if a <= t.claims <= b]) for a, b in LENGTHS]
    for name, rows in [*groups, ("all", list(told))]:
        if not rows:
            continue
        places = [t.location for t in rows]
        own, none = (np.array([t.author == who for t in rows], dtype=np.float64) for who in ("model", None))
        shown = " | ".join(percent(bootstrap_mean(v, places, seed=seed)) for v in (own, none))
        tokens, seconds = (float(np.mean([getattr(t, f) for t in rows])) for f in ("tokens", "seconds"))
        lines.append(f"| {name} | {len(rows)} | {shown} | {tokens:.0f} | {seconds:.1f} |")
    return "\n".join(lines)


def main() -> int:
    """Ask, and print Markdown."""
    from agent.judge import Judge
    from agent.serving_open import open_judge

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options(parser)
    parser.add_argument("--galleries", default="runs/hand_numbers/galleries", help="built there, or reused")
    parser.add_argument("--queries", nargs="+", default=[str(HERE / "queries" / "hand_written.jsonl")])
    parser.add_argument("--places", type=int, default=60)
    args = parser.parse_args()
    cases = [c for c in read_hand_cases(args.data, args.galleries, args.queries) if c.claims]
    if not cases:
        return 0
    cases = Random(args.seed).sample(cases, min(args.places, len(cases)))
    opened = open_judge(backend=args.backend, say=lambda line: err.print(line, highlight=False))
    try:
        judge = Judge(opened.client)
        told = asyncio.run(tell_all(judge, cases, args.seed))
    finally:
        opened.stop()
    print(f"Judge: {judge.name}, {opened.label}. Pixels and claims only; percent with the 95 % interval by place.\n")
    print(table(told, args.seed))
    print(f"\nPrinted by `{shlex.join(['python', 'benchmarks/judge_explains.py', *sys.argv[1:]])}`.")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SightlineError as error:
        err.print(f"[bold red]judge_explains:[/] {error}", highlight=False, soft_wrap=True)
        sys.exit(error.exit_code)
