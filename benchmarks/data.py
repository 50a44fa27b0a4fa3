"""How varied the generated descriptions are, and how fast they come and are checked: the tables of ``docs/data.md``.

    python -m benchmarks.data SOURCE... [--texts 10000] [--lang en zh] [--picture lengths.png]

Definitions (CVG-Text publishes 0.756, 5.74 and 0.17 for its texts without saying how they were computed; these are
the usual ones and are printed with the numbers):

* texts: as ``sightline data build`` takes them, by the full plan's lengths (``finetune/data/lengths.py``): of one
  standing point several descriptions are made until one has a length that is lacking; both rates are printed;
* tokens: words in lower case (English), characters (Chinese); punctuation is left out;
* type-token ratio: different tokens / tokens of one text, mean over texts;
* entropy: Shannon entropy in bits of one text's own token distribution, mean over texts (bounded by log2 of length);
* similarity: mean Jaccard similarity of the token sets of two texts drawn at random, and mean cosine of TF-IDF vectors;
* skeletons: sentences with names as <n> and numbers as <#>; share of all sentences that have one of the 100 commonest.
"""

from __future__ import annotations

import argparse
import math
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from random import Random

import numpy as np

from finetune.data.composing import count_tokens
from finetune.data.descriptions import Description, describe, fact_index, standpoints
from finetune.data.lengths import Lengths
from finetune.data.plan import find_plan, read_plan
from finetune.encoder.texts import tile_of
from finetune.encoder.tiles import SIZE_M, TileSet
from retriever.gallery import Gallery
from retriever.oracle import check
from retriever.types import Lang, Tile

_STOPS = re.compile(r"(?<=[.!?。！？])\s*")
_NUMBER = re.compile(
    r"\d+|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)\b|[一两二三四五六七八九十]+(?=[米步层家个座条棵张点栋所片])"
)
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_]+(?:['’][a-z]+)?")
NAMED = 0.7
"""Share of texts that may hold proper names."""


@dataclass(frozen=True)
class Source:
    """Tiles with facts: a gallery, or the folder of training tiles (its training part only)."""

    name: str
    size_m: float
    count: int
    tile: Callable[[int], tuple[Tile, list[bool] | None]]

    @classmethod
    def open(cls, path: Path) -> Source:
        if (path / "manifest.json").exists():
            gallery = Gallery.open(path)
            return cls(gallery.id, gallery.size_m, len(gallery), lambda row: (gallery.tile(gallery.ids[row]), None))
        tiles = TileSet.open(path)
        rows = np.flatnonzero(tiles.table["split"].to_numpy() == "train")
        return cls(path.name, SIZE_M, len(rows), lambda i: (tile_of(tiles, int(rows[i])), tiles.shown(int(rows[i]))))


def texts(sources: Sequence[Source], count: int, lang: Lang, seed: int, lengths: Lengths) -> Iterator[Description]:
    """``count`` descriptions, four standing points to a tile, tiles drawn evenly from the sources."""
    rng = Random(seed)
    made = 0
    while made < count:
        source = sources[rng.randrange(len(sources))]
        tile, visible = source.tile(rng.randrange(source.count))
        index = fact_index(tile, source.size_m)
        for point in standpoints(tile, size_m=source.size_m, rng=rng, n=4, index=index):
            if made < count:
                told = partial(
                    describe, tile, point, size_m=source.size_m, lang=lang, named=rng.random() < NAMED, visible=visible
                )
                yield lengths.take(lambda length, attempt: told(length=length, seed=100 * made + attempt))[0]  # noqa: B023
                made += 1


def words(text: str) -> list[str]:
    return [w.casefold() for w in _WORD.findall(text)]


def entropy(tokens: Sequence[str]) -> float:
    total = len(tokens)
    return -sum(n / total * math.log2(n / total) for n in Counter(tokens).values())


def skeletons(description: Description) -> list[str]:
    """The text's sentences with names and numbers masked, in lower case."""
    text = description.text
    names = sorted({c.value for c in description.claims if c.kind == "name"}, key=len, reverse=True)
    for name in names:
        text = re.sub(re.escape(name), "<n>", text, flags=re.IGNORECASE)
    text = _NUMBER.sub("<#>", text.casefold())
    return [s.strip() for s in _STOPS.split(text) if s.strip()]


def jaccard(bags: Sequence[frozenset[str]], rng: Random, pairs: int = 100_000) -> float:
    """Mean over random pairs of different texts."""
    total = 0.0
    for _ in range(pairs):
        a, b = rng.sample(range(len(bags)), 2)
        total += len(bags[a] & bags[b]) / max(1, len(bags[a] | bags[b]))
    return total / pairs


def tfidf_cosine(bags: Sequence[Sequence[str]]) -> float:
    """Mean cosine over *all* pairs of different texts, from the sum of the unit vectors."""
    seen = Counter(token for bag in bags for token in set(bag))
    total: defaultdict[str, float] = defaultdict(float)
    for bag in bags:
        vector = {t: n * math.log(len(bags) / seen[t]) for t, n in Counter(bag).items()}
        norm = math.sqrt(sum(v * v for v in vector.values())) or 1.0
        for token, value in vector.items():
            total[token] += value / norm
    n = len(bags)
    return (sum(v * v for v in total.values()) - n) / (n * (n - 1))


def measure(found: Sequence[Description], lengths: Lengths, seconds: float, seed: int) -> list[tuple[str, str, str]]:
    """Rows of (what, measured, CVG-Text's published figure)."""
    bags = [words(d.text) for d in found]
    bags = [b for b in bags if b]
    counts = sorted(count_tokens(d.text) for d in found)
    counted = Counter(s for d in found for s in skeletons(d))
    common = sum(n for _, n in counted.most_common(100)) / counted.total()
    claims = [len(d.claims) for d in found]
    wrong = sum(not t for d in found for t in d.truth) / max(1, sum(claims))
    return [
        ("type-token ratio (mean per text)", f"{sum(len(set(b)) / len(b) for b in bags) / len(bags):.3f}", "0.756"),
        ("entropy (bits, mean per text)", f"{sum(entropy(b) for b in bags) / len(bags):.2f}", "5.74"),
        ("similarity of two texts, Jaccard", f"{jaccard([frozenset(b) for b in bags], Random(seed)):.3f}", "0.17"),
        ("similarity of two texts, TF-IDF cosine", f"{tfidf_cosine(bags):.3f}", "0.17"),
        ("100 commonest skeletons' share of sentences", f"{100 * common:.1f} %", ""),
        ("different skeletons / sentences", f"{len(counted)} / {counted.total()}", ""),
        ("tokens: mean; of those over 42", means(counts), "126"),
        ("tokens: 10, 50, 90, 100 % quantile", _quantiles(counts), "mean 126, humps 97 and 143, tail 300"),
        ("tokens: % under 42, to 77, to 119 (first hump), to 167 (second), more", shares(counts), ""),
        ("tokens: fullest bin of each hump, emptiest between, as share of texts", humps(counts), ""),
        ("claims per text", f"{sum(claims) / len(claims):.1f}", ""),
        ("wrong details among claims", f"{100 * wrong:.1f} %", ""),
        ("texts whose length was not wanted", f"{100 * lengths.missed / len(found):.1f} %", ""),
        ("descriptions made per text taken", f"{lengths.made / len(found):.2f}", ""),
        ("descriptions made per CPU second (one core, index included)", f"{lengths.made / seconds:.0f}", ""),
        ("texts taken per CPU second (one core, index included)", f"{len(found) / seconds:.0f}", ""),
    ]


def means(lengths: Sequence[int]) -> str:
    return f"{np.mean(lengths):.0f}; {np.mean([n for n in lengths if n >= 42]):.0f}"


def humps(lengths: Sequence[int]) -> str:
    """Percent of texts in bins of six tokens: at the first hump, in the valley, at the second."""
    full, _ = np.histogram(lengths, bins=np.arange(0, 600, 6))
    first, valley, second = full[13:19], full[18:22], full[20:27]
    return ", ".join(f"{100 * n / len(lengths):.1f} %" for n in (first.max(), valley.min(), second.max()))


def picture(path: Path, lengths: dict[str, list[int]]) -> None:
    """Histograms of the texts' lengths, a line for each language, with CVG-Text's two humps marked."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3), dpi=110, layout="constrained")
    axes = figure.subplots()
    for lang, counts in lengths.items():
        weights = np.full(len(counts), 100 / len(counts))
        axes.hist(counts, bins=np.arange(0, 306, 6).tolist(), weights=weights, histtype="step", label=lang)
    for at in (97, 143):
        axes.axvline(at, color="grey", linestyle=":", linewidth=1)
    axes.set_xlabel("tokens (words and marks; characters in Chinese); dotted: CVG-Text's humps")
    axes.set_ylabel("% of texts in 6 tokens")
    axes.legend()
    figure.savefig(path)


def shares(lengths: Sequence[int]) -> str:
    """Percent of texts in each part of the length distribution."""
    edges = (0, 42, 78, 120, 168, 10_000)
    parts = [sum(a <= n < b for n in lengths) / len(lengths) for a, b in pairwise(edges)]
    return ", ".join(f"{100 * part:.0f}" for part in parts)


def oracle_ms(
    sources: Sequence[Source], found: Sequence[Description], seed: int, tiles: int = 200
) -> tuple[float, float]:
    """Milliseconds of CPU to check one claim on one tile, mean and 99 % quantile; indexes are built beforehand."""
    rng = Random(seed)
    spent = []
    for _ in range(tiles):
        source = sources[rng.randrange(len(sources))]
        index = fact_index(source.tile(rng.randrange(source.count))[0], source.size_m)
        for claim in rng.choice(found).claims:
            start = time.process_time_ns()
            check(claim, index)
            spent.append((time.process_time_ns() - start) / 1e6)
    return float(np.mean(spent)), float(np.quantile(spent, 0.99))


def _quantiles(lengths: Sequence[int]) -> str:
    return ", ".join(str(lengths[min(len(lengths) - 1, int(q * len(lengths)))]) for q in (0.1, 0.5, 0.9, 1.0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+", type=Path, help="galleries or training tiles, of training areas only")
    parser.add_argument("--texts", type=int, default=10_000)
    parser.add_argument("--lang", choices=["en", "zh", "mixed"], nargs="+", default=["en", "zh"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--skeletons", type=int, default=0, help="also print this many of the commonest skeletons")
    parser.add_argument("--picture", type=Path, help="write the histogram of lengths here")
    options = parser.parse_args()
    sources = [Source.open(path) for path in options.sources]
    counts = {lang: _report(sources, lang, options) for lang in options.lang}
    if options.picture:
        picture(options.picture, counts)


def _report(sources: Sequence[Source], lang: Lang, options: argparse.Namespace) -> list[int]:
    lengths = Lengths(read_plan(find_plan("full")).texts.lengths, options.seed)
    start = time.process_time()
    found = list(texts(sources, options.texts, lang, options.seed, lengths))
    seconds = time.process_time() - start
    print(f"\n{len(found)} texts ({lang}, seed {options.seed}) from {', '.join(s.name for s in sources)}\n")
    print("| measure | ours | CVG-Text |\n| --- | --- | --- |")
    for row in measure(found, lengths, seconds, options.seed):
        print("| " + " | ".join(row) + " |")
    mean, worst = oracle_ms(sources, found, options.seed)
    print(f"| one claim checked on one tile, ms of CPU: mean, 99 % quantile | {mean:.3f}, {worst:.3f} |  |", flush=True)
    counted = Counter(s for d in found for s in skeletons(d))
    for skeleton, n in counted.most_common(options.skeletons):
        print(n, skeleton)
    return [count_tokens(d.text) for d in found]


if __name__ == "__main__":
    main()
