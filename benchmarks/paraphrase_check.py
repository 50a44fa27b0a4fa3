"""How often the check of paraphrases refuses damaged texts: ``python -m benchmarks.paraphrase_check GALLERY``."""

from __future__ import annotations

import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from finetune.data.descriptions import Description, describe, standpoints
from finetune.data.same_claims import check, unread
from retriever.gallery import Gallery

TILES, TILE_M = 100, 120.0
_OTHER = {"left": "right", "right": "left", "左": "右", "右": "左"}
_FOUNTAIN = {"en": " There is a fountain behind me.", "zh": "后面有一个喷泉。"}
DAMAGE: Mapping[str, Callable[[Description], str]] = {
    "nothing": lambda d: d.text,
    "last claim out": lambda d: d.text.replace(d.claims[-1].span, "") if d.claims else d.text,
    "fountain added": lambda d: d.text + _FOUNTAIN[d.lang],
    "sides exchanged": lambda d: re.sub(r"\bleft\b|\bright\b|左|右", lambda m: _OTHER[m[0]], d.text),
}


def main() -> None:
    gallery, rng = Gallery.open(Path(sys.argv[1])), random.Random(0)
    tiles = [gallery.tile(i) for i in gallery.ids]
    rng.shuffle(tiles)
    counts: Counter[object] = Counter()
    for tile in tiles[:TILES]:
        for point in standpoints(tile, size_m=TILE_M, rng=rng, n=1):
            for lang in ("en", "zh"):
                for length in ("short", "medium"):
                    _count(describe(tile, point, size_m=TILE_M, seed=1, lang=lang, length=length), counts)  # type: ignore[arg-type]
    for name in DAMAGE:
        print(f"{name}: refused {counts[name, 'refused']} of {counts[name, 'n']}")
    print(f"claims not read in the original: {counts['unread']} of {counts['claims']}")


def _count(described: Description, counts: Counter[object]) -> None:
    counts["claims"] += len(described.claims)
    counts["unread"] += len(unread(described.text, described.claims))
    for name, damage in DAMAGE.items():
        damaged = damage(described)
        if name == "nothing" or damaged != described.text:
            counts[name, "n"] += 1
            counts[name, "refused"] += not check(described.text, described.claims, damaged).holds


if __name__ == "__main__":
    main()
