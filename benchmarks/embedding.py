"""How much of a model's raw speed embedding a gallery keeps: reading and decoding pictures, making them ready, writing.

    python -m benchmarks.embedding GALLERY [--encoder sightline-mini] [--device auto] [--batch 32] [--threads 1 2]
        [--ahead 2 0] [--rounds 3] [--costs]

The ways take turns in one process, with the same batch size and number of threads for the model: ``raw`` is the model's
forward pass on tensors that lie ready on its device; ``gallery, N ahead`` is what ``sightline index`` does to embed
(``retriever.index_embed``; it reads 2 batches ahead), ``one after another`` decodes a batch and then embeds it. The
best of the rounds counts. Vectors of all must agree within 1e-6. Threads that decode come on top of the model's: where
the model already has every core, they take time away from it.

``--costs`` says instead how much time of one core a tile takes, step by step (medians of the thread's own clock, which
other processes disturb less than the wall's).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from retriever.device import home, steady
from retriever.encoder import Encoder
from retriever.gallery import Gallery
from retriever.index_embed import AHEAD, READERS, embed_gallery

Floats = NDArray[np.float32]


def ways(
    gallery: Gallery, encoder: Encoder, batch: int, readers: int, ahead: Sequence[int]
) -> dict[str, Callable[[], Floats]]:
    """Each gives the vectors [N, D] of a gallery."""
    chunks = [gallery.ids[i : i + batch] for i in range(0, len(gallery), batch)]
    ready = [encoder.put(torch.stack([encoder.preprocess(gallery.image(i)) for i in ids])) for ids in chunks]

    def raw() -> Floats:
        model: Any = encoder.model
        with torch.inference_mode(), steady(encoder.device):
            vectors = torch.cat([model.encode_image(pixels) for pixels in ready])
        return home(torch.nn.functional.normalize(vectors.float(), dim=-1))

    def serial() -> Floats:
        return np.concatenate([encoder.encode_images([gallery.image(i) for i in ids]) for ids in chunks])

    def whole(n: int) -> Floats:
        return embed_gallery(gallery, encoder, batch=batch, readers=readers, ahead=n)[0]

    galleries: dict[str, Callable[[], Floats]] = {f"gallery, {n} ahead": partial(whole, n) for n in ahead}
    return {"raw": raw, **galleries, "one after another": serial}


def costs(gallery: Gallery, encoder: Encoder, batch: int) -> dict[str, float]:
    """Milliseconds of one core for a tile, by step; the model's is of its share in a batch."""
    took: dict[str, list[float]] = defaultdict(list)
    pixels = encoder.room(batch)
    for n, tile_id in enumerate(gallery.ids):
        began = time.thread_time()
        picture = gallery.opened_image(tile_id)
        opened = time.thread_time()
        encoder.fill(picture, pixels[n % batch])
        took["read and decode"].append(opened - began)
        took["make ready"].append(time.thread_time() - opened)
        if n % batch == batch - 1:
            began = time.thread_time()
            encoder.encode_pixels(pixels)
            took["model"].append((time.thread_time() - began) / batch)
    return {step: 1000 * float(np.median(seconds)) for step, seconds in took.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gallery", type=Path)
    parser.add_argument("--encoder", default="sightline-mini")
    parser.add_argument("--device")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--readers", type=int, default=READERS)
    parser.add_argument("--ahead", type=int, nargs="+", default=[AHEAD, 0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--costs", action="store_true")
    asked = parser.parse_args()
    gallery, encoder = Gallery.open(asked.gallery), Encoder.load(asked.encoder, device=asked.device)
    if asked.costs:
        torch.set_num_threads(1)
        print(json.dumps({"tiles": len(gallery), "ms of a core": costs(gallery, encoder, asked.batch)}, indent=1))
        return
    made = ways(gallery, encoder, asked.batch, asked.readers, asked.ahead)
    rows = []
    apart = 0.0
    for threads in asked.threads:
        torch.set_num_threads(threads)
        best = dict.fromkeys(made, float("inf"))
        for _ in range(asked.rounds):
            vectors = {}
            for name, way in made.items():
                began = time.perf_counter()
                vectors[name] = way()
                best[name] = min(best[name], time.perf_counter() - began)
            apart = max(apart, *(float(np.abs(v - vectors["raw"]).max()) for v in vectors.values()))
        speed = {name: len(gallery) / seconds for name, seconds in best.items()}
        kept = {name: speed[name] / speed["raw"] for name in made if name != "raw"}
        rows.append({"threads": threads, "tiles_per_s": speed, "kept": kept})
    said = {
        "tiles": len(gallery), "px": gallery.px, "batch": asked.batch, "readers": asked.readers, "rows": rows,
        "device": str(encoder.device), "cores": os.cpu_count(), "load": os.getloadavg()[0],
        "greatest difference": apart, "torch": torch.__version__,
    }  # fmt: skip
    print(json.dumps(said, indent=1))
    if apart > 1e-6:
        sys.exit("the ways do not come to the same vectors")


if __name__ == "__main__":
    main()
