"""The shipped judge's explanations on the frozen test set, beside explanations of known worth, as files of judgements.

    SIGHTLINE_DATA=... python benchmarks/explanations.py --per-language 60 --tiles 30 --minutes 12 --backend vllm
    sightline explain-eval runs/explanations/judgements/*.jsonl --testset eval/testset/v1 \
        --testset-galleries runs/explanations/galleries --judge --counterfactuals 25 --out runs/explanations/report

Pairs with a text, drawn by the hash of their place, as many in each language; all pairs of a place that fit. The judge
explains them in turn, one of every place before a second of any, until all are done or the minutes are over. Its
answers are kept, so the same command goes on where it ended. What each system saw is in docs/explanations.md. Nothing
is tuned on these areas. Map data: (c) OpenStreetMap contributors, ODbL.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import zip_longest
from pathlib import Path
from random import Random

from rich.console import Console

from eval.explanations.baselines import all_baselines
from eval.explanations.cases import Case
from eval.explanations.frozen_pairs import case_of
from eval.explanations.schema import Explained, Key
from eval.explanations.shipped import Shipped
from eval.explanations.writing import write_judgements
from retriever.errors import SightlineError
from retriever.gallery import Gallery
from retriever.pair_frozen import load_frozen
from retriever.pair_galleries import area_gallery
from retriever.pairs import Pair

err = Console(stderr=True)
REFERENCE, WRONG_REASON = "test set's own", "test set's wrong reason"


def chosen(pairs: Sequence[Pair], per_language: int) -> list[Pair]:
    """As many English as Chinese texts, place by place in an order that depends on nothing but the places' hash."""
    order = sorted(pairs, key=lambda p: (hashlib.sha256(p.place.encode()).hexdigest(), p.id))
    return [p for lang in ("en", "zh") for p in [q for q in order if q.query.lang == lang][:per_language]]


def in_turn(pairs: Sequence[Pair]) -> list[Pair]:
    """The same pairs, both languages by turns, and of each language one of every place before a second of any."""
    nth: Counter[tuple[str | None, str]] = Counter()
    ranked = []
    for pair in sorted(pairs, key=lambda p: hashlib.sha256(p.id.encode()).hexdigest()):
        row = nth[pair.query.lang, pair.place]
        nth[pair.query.lang, pair.place] += 1
        ranked.append((row, hashlib.sha256(pair.place.encode()).hexdigest(), pair))
    ranked.sort(key=lambda r: r[:2])
    by_lang = [[p for *_, p in ranked if p.query.lang == lang] for lang in ("en", "zh")]
    return [p for two in zip_longest(*by_lang) for p in two if p is not None]


def standings(cases: Sequence[tuple[Pair, Case]], galleries: Mapping[str, Gallery], tiles: int) -> dict[Key, float]:
    """Per case, the share of its area's tiles whose picture is less like the text than the picture it shows.

    ``tiles``: how many of the area's tiles are drawn for that, at most.
    """
    from retriever.encoder import Encoder

    encoder = Encoder.load("sightline-mini")
    found: dict[Key, float] = {}
    for name, gallery in galleries.items():
        mine = [case for pair, case in cases if pair.tile.gallery == name]
        drawn = Random(name).sample(gallery.ids, min(tiles, len(gallery)))
        pictures = encoder.encode_images([gallery.image(i) for i in drawn])
        texts = encoder.encode_text([c.text for c in mine])
        own = (texts * encoder.encode_images([c.image() for c in mine])).sum(axis=1)
        others = texts @ pictures.T
        found |= {c.key: float((others[row] < own[row]).mean()) for row, c in enumerate(mine)}
        err.print(f"retrieval: {name}, {len(drawn)} tiles, {len(mine)} pairs", highlight=False)
    return found


def of_the_set(pair: Pair, case: Case) -> list[Explained]:
    """The explanation that the set gives, and its wrong reason with the verdict that this concludes."""
    own = Explained(
        system=REFERENCE,
        query_id=case.query_id,
        tile_id=case.tile_id,
        verdict=pair.label,
        texts=dict(case.references),
        query=case.text,
        baseline=True,
    )
    if pair.wrong_reason is None:
        return [own]
    wrong = Explained(
        system=WRONG_REASON,
        query_id=case.query_id,
        tile_id=case.tile_id,
        verdict=pair.wrong_reason.verdict,
        texts={"en": pair.wrong_reason.en, "zh": pair.wrong_reason.zh},
        query=case.text,
        baseline=True,
    )
    return [own, wrong]


async def judged(
    shipped: Shipped, cases: Sequence[Case], *, minutes: float = math.inf, parallel: int = 8, written: bool = True
) -> list[Explained]:
    """The judge's systems on every case, those that write and their blind twin if ``written``, ``parallel`` at a time.

    A case without an answer costs no other.

    After ``minutes`` no further case begins.
    """
    until = time.monotonic() + 60 * minutes
    left = iter(cases)
    found: list[Explained] = []
    ends: Counter[str] = Counter()

    async def some() -> None:
        while time.monotonic() < until and (case := next(left, None)) is not None:
            try:
                told = await shipped.read(case)
                if written:
                    told += [*await shipped.explain(case), await shipped.blind(case)]
                found.extend(told)
                ends["answered"] += 1
            except SightlineError as error:
                ends["without an answer"] += 1
                err.print(f"{case.query_id}: {error}", markup=False, highlight=False)
            if ends.total() % 10 == 0:
                err.print(f"judge: {ends.total()} of {len(cases)}", highlight=False)

    try:
        await asyncio.gather(*(some() for _ in range(parallel)))
    finally:
        await shipped.judge.client.close()
    ends["not begun"] = len(cases) - ends.total()
    err.print("judge: " + ", ".join(f"{n} {what}" for what, n in ends.items()), highlight=False)
    return found


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Options of this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--testset", type=Path, default=Path("eval/testset/v1"))
    parser.add_argument("--galleries", type=Path, default=Path("runs/explanations/galleries"), help="built if missing")
    parser.add_argument("--out", type=Path, default=Path("runs/explanations"))
    parser.add_argument("--per-language", type=int, default=300, help="pairs whose text is in each language")
    parser.add_argument("--judged", type=int, help="of these, how many the judge explains; all by default")
    parser.add_argument("--minutes", type=float, default=math.inf, help="of asking the judge; no case begins later")
    parser.add_argument(
        "--read-only", action="store_true", help="only what is read off the judge, which writes nothing"
    )
    parser.add_argument("--parallel", type=int, default=8, help="cases that the judge is asked about at a time")
    parser.add_argument(
        "--saw", default="pixels", choices=("pixels", "facts"), help="what the judge is shown of a tile"
    )
    parser.add_argument("--tiles", type=int, default=200, help="of each area, to compare a pair's tile with")
    parser.add_argument("--backend", default="auto", choices=("auto", "vllm", "transformers"))
    return parser.parse_args(arguments)


def of_the_judge(args: argparse.Namespace, cases: Sequence[Case]) -> list[Explained]:
    """What the shipped judge says of these cases, its answers kept under ``--out``/answers."""
    from agent.judge import Judge
    from agent.serving_open import open_judge
    from eval.explanations.cache import PATIENT_S, CachedClient

    judge = open_judge(backend=args.backend, say=lambda line: err.print(line, markup=False, highlight=False))
    try:
        client = CachedClient(judge.client, args.out / "answers", deadline_s=PATIENT_S)
        asked = Judge(client, saw=args.saw)
        return asyncio.run(
            judged(Shipped(asked), cases, minutes=args.minutes, parallel=args.parallel, written=not args.read_only)
        )
    finally:
        judge.stop()


def main() -> int:
    """Write one file of judgements per system under ``--out``/judgements."""
    args = parse()
    data = Path(os.environ["SIGHTLINE_DATA"]) if os.environ.get("SIGHTLINE_DATA") else None
    if data is None:
        err.print("skipped: set SIGHTLINE_DATA to the folder with the map extracts of the test areas")
        return 0
    opened = cache(lambda name: area_gallery(name, args.galleries, data))
    pairs = chosen([p for p in load_frozen(args.testset).pairs if p.query.view == "text"], args.per_language)
    cases = [(p, case_of(p, opened(p.tile.gallery))) for p in pairs]
    galleries = {name: opened(name) for name in dict.fromkeys(p.tile.gallery for p in pairs)}
    items = [item for pair, case in cases for item in of_the_set(pair, case)]
    made = {case.query_id: case for _, case in cases}
    items += of_the_judge(
        args, [made[p.id] for p in in_turn(pairs)][: None if args.judged is None else 2 * args.judged]
    )
    items += all_baselines([c for _, c in cases], standings(cases, galleries, args.tiles))
    for system in dict.fromkeys(i.system for i in items):
        name = "".join(c if c.isalnum() else "_" for c in system)
        write_judgements(args.out / "judgements" / f"{name}.jsonl", [i for i in items if i.system == system])
    err.print(f"{len(items)} judgements of {len(cases)} pairs under {args.out / 'judgements'}", highlight=False)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SightlineError as error:
        err.print(f"[bold red]explanations:[/] {error}", highlight=False, soft_wrap=True)
        sys.exit(error.exit_code)
