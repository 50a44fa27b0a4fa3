"""Does the encoder's heat lie on the thing that a text names? Tiles with planted objects, drawn by chance.

    python -m benchmarks.heat [--tiles 150] [--encoder sightline-mini]

One icon on a plain tile: the hottest patch on it, against the part of patches that touch it. Six icons of different
kinds, one of them named, in English or Chinese: the hottest patch on the named one, against one in six. The same with
random weights. Percent with Wilson's 95 % interval over tiles, and the binomial p against chance. Saw: pixels.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy.stats import binomtest

from retriever.draw import draw_tile
from retriever.draw.layout import plan
from retriever.draw.style import icons
from retriever.encoder import Encoder, build_model
from retriever.heat import peak, text_heat
from retriever.kinds import kinds
from retriever.models import find_model, read_json
from retriever.types import Fact

PX = 448
SAID = {"en": "There is a {}.", "zh": "这里有{}。"}
Spot = tuple[float, float, float]
"""Middle and half the side of a drawn icon, in parts of the tile."""


def planted(count: int, tiles: int) -> Iterator[tuple[list[str], Image.Image, list[Spot]]]:
    """Kinds, a tile with one icon of each, and where each was drawn; tiles where one found no room are passed over."""
    rng, made = random.Random(3), 0
    while made < tiles:
        chosen = rng.sample(sorted(set(icons()) & set(kinds())), count)
        at = [(rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.9)) for _ in chosen]
        facts = [
            Fact(osm_id=f"node/{n}", kind=kind, shape="point", parts=((spot,),))
            for n, (kind, spot) in enumerate(zip(chosen, at, strict=True), 1)
        ]
        drawn = {icon.kind: (icon.x / PX, icon.y / PX, icon.size / PX / 2) for icon in plan(facts).icons}
        if all(kind in drawn for kind in chosen):
            made += 1
            yield chosen, draw_tile(facts), [drawn[kind] for kind in chosen]


def row(encoder: Encoder, title: str, *, count: int, tiles: int, lang: str = "en") -> str:
    """A line of the table."""
    on, share = 0, []
    for chosen, image, spots in planted(count, tiles):
        kind = kinds()[chosen[0]]
        said = SAID[lang].format((kind.en if lang == "en" else kind.zh)[0])
        heat = text_heat(encoder, said, [image])[0].tile
        (x, y), side = peak(heat), 0.5 / heat.shape[0]
        cx, cy, half = spots[0]
        on += abs(x - cx) <= half + side and abs(y - cy) <= half + side
        share.append(min(1.0, (2 * half + 2 * side) ** 2))
    chance = float(np.mean(share)) if count == 1 else 1 / count
    test = binomtest(on, tiles, chance, alternative="greater")
    low, high = binomtest(on, tiles).proportion_ci(method="wilson")
    said = f"{100 * on / tiles:.0f} [{100 * low:.0f}, {100 * high:.0f}]"
    return f"| {title} | {tiles} | {said} | {100 * chance:.1f} | {test.pvalue:.1g} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiles", type=int, default=150)
    parser.add_argument("--encoder", type=Path, default=Path("sightline-mini"), help="a bundle's name or folder")
    args = parser.parse_args()
    folder = find_model(args.encoder)
    encoder = Encoder.load(folder)
    print("| tiles | N | hottest patch on the named object, % | chance, % | p |\n| --- | ---: | --- | ---: | ---: |")
    print(row(encoder, "one icon", count=1, tiles=args.tiles), flush=True)
    print(row(encoder, "six icons, one named", count=6, tiles=args.tiles), flush=True)
    print(row(encoder, "six icons, one named in Chinese", count=6, tiles=args.tiles, lang="zh"), flush=True)
    for seed in range(2):
        torch.manual_seed(seed)
        blank = build_model(read_json(folder, "config.json"))
        chance = Encoder(blank, encoder.tokenizer, encoder.preprocess, name="random", identity=str(seed))
        print(row(chance, f"one icon, random weights {seed + 1}", count=1, tiles=args.tiles), flush=True)
        print(row(chance, f"six icons, random weights {seed + 1}", count=6, tiles=args.tiles), flush=True)


if __name__ == "__main__":
    main()
