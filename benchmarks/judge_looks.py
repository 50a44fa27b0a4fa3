"""What the judge sees: its listings of a gallery's tiles against the map's facts.

    python -m benchmarks.judge_looks --gallery GALLERY [--tiles 100] [--backend auto|vllm|transformers]

One decision per tile, part and kind: precision, recall and F1 over (part, kind) pairs that the tile's picture really
shows, with a 95 % interval by bootstrap over tiles, against two controls: the listing of another tile of the same
gallery (what is usual there) and the ten commonest pairs (what is usual anywhere).
"""

from __future__ import annotations

import argparse
import asyncio
import random
from collections import Counter
from pathlib import Path

import numpy as np

from agent.judge import Judge, tile_png
from agent.serving_open import open_judge
from prompts.listing import Listing, list_facts, parse_listing
from retriever.draw import visible
from retriever.gallery import Gallery

Pairs = set[tuple[str, str]]
GROUPS = ("road", "rail", "water", "area", "place", "transport", "street")


def pairs(listing: Listing, group: str | None = None) -> Pairs:
    """``(part, kind)`` of a listing, of one group of kinds or all."""
    from retriever.kinds import kinds

    return {
        (part, e.kind)
        for e in listing.entries
        if e.name is None and (group is None or kinds()[e.kind].group == group)
        for part in e.parts
    }


def score(found: list[Pairs], true: list[Pairs]) -> tuple[float, float, float]:
    """Micro precision, recall and F1."""
    hit = sum(len(f & t) for f, t in zip(found, true, strict=True))
    n_found, n_true = sum(map(len, found)), sum(map(len, true))
    precision, recall = hit / max(1, n_found), hit / max(1, n_true)
    return precision, recall, 2 * precision * recall / max(1e-9, precision + recall)


def interval(found: list[Pairs], true: list[Pairs], seed: int = 0) -> tuple[float, float]:
    """95 % bootstrap interval of F1 over tiles."""
    rng = np.random.default_rng(seed)
    draws = []
    for _ in range(500):
        rows = rng.integers(0, len(true), len(true))
        draws.append(score([found[i] for i in rows], [true[i] for i in rows])[2])
    return float(np.quantile(draws, 0.025)), float(np.quantile(draws, 0.975))


async def looks(gallery: Gallery, ids: list[str], judge: Judge) -> list[Listing]:
    async def one(tile_id: str) -> Listing:
        return parse_listing(await judge.look(gallery.tile(tile_id), tile_png(gallery.image(tile_id))))

    return list(await asyncio.gather(*(one(i) for i in ids)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gallery", type=Path, required=True)
    parser.add_argument("--tiles", type=int, default=100)
    parser.add_argument("--backend", default="auto")
    args = parser.parse_args()
    gallery = Gallery.open(args.gallery)
    ids = random.Random(0).sample(gallery.ids, min(args.tiles, len(gallery)))
    opened = open_judge(backend=args.backend)
    try:
        own = asyncio.run(looks(gallery, ids, Judge(opened.client)))
    finally:
        opened.stop()
    true = []
    for tile_id in ids:
        facts = gallery.facts(tile_id) or ()
        true.append(list_facts(facts, size_m=gallery.size_m, visible=visible(facts, size_m=gallery.size_m)))
    report(gallery.id, opened.label, own, true)


def report(name: str, label: str, own: list[Listing], true: list[Listing]) -> None:
    print(f"{name}: {len(own)} tiles, judge {label}, sees pixels only\n")
    print("| listing | kinds | precision | recall | F1 | 95 % of F1 |")
    print("| --- | --- | ---: | ---: | ---: | --- |")
    other = own[1:] + own[:1]
    common = Counter(p for t in true for p in pairs(t)).most_common(10)
    usual = [{p for p, _ in common}] * len(own)
    for title, rows in (("judge", own), ("judge, of another tile", other)):
        for group in (None, *GROUPS):
            row(title, group or "all", [pairs(x, group) for x in rows], [pairs(x, group) for x in true])
    row("ten commonest pairs", "all", usual, [pairs(x) for x in true])


def row(title: str, group: str, found: list[Pairs], true: list[Pairs]) -> None:
    p, r, f1 = score(found, true)
    low, high = interval(found, true)
    print(f"| {title} | {group} | {p:.2f} | {r:.2f} | {f1:.2f} | {low:.2f} to {high:.2f} |")


if __name__ == "__main__":
    main()
