"""How much of a model's raw speed embedding a gallery keeps: reading and decoding pictures, making them ready, writing.

    python -m benchmarks.embedding GALLERY [--encoder sightline-mini] [--batch 32] [--threads 1 2] [--rounds 3]

Three ways in turn, in one process, with the same batch size and number of threads for the model: ``raw`` is the model's
forward pass on tensors that lie ready in memory; ``gallery`` is what ``sightline index`` does to embed
(``retriever.index_embed``); ``one after another`` decodes a batch and then embeds it. The best of the rounds counts.
Vectors of all three must agree within 1e-6. Threads that decode come on top of the model's: where the model already has
every core, they take time away from it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from retriever.encoder import Encoder
from retriever.gallery import Gallery
from retriever.index_embed import READERS, embed_gallery

Floats = NDArray[np.float32]


def ways(gallery: Gallery, encoder: Encoder, batch: int, readers: int) -> dict[str, Callable[[], Floats]]:
    """Each gives the vectors [N, D] of a gallery."""
    chunks = [gallery.ids[i : i + batch] for i in range(0, len(gallery), batch)]
    ready = [torch.stack([encoder.preprocess(gallery.image(i)) for i in ids]) for ids in chunks]

    def raw() -> Floats:
        model: Any = encoder.model
        with torch.inference_mode():
            vectors = torch.cat([model.encode_image(pixels) for pixels in ready])
        made: Floats = torch.nn.functional.normalize(vectors.float(), dim=-1).numpy()
        return made

    def serial() -> Floats:
        return np.concatenate([encoder.encode_images([gallery.image(i) for i in ids]) for ids in chunks])

    def whole() -> Floats:
        return embed_gallery(gallery, encoder, batch=batch, readers=readers)[0]

    return {"raw": raw, "gallery": whole, "one after another": serial}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gallery", type=Path)
    parser.add_argument("--encoder", default="sightline-mini")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--readers", type=int, default=READERS)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    gallery, encoder = Gallery.open(asked.gallery), Encoder.load(asked.encoder)
    made = ways(gallery, encoder, asked.batch, asked.readers)
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
        rows.append({"threads": threads, "tiles_per_s": speed, "kept": speed["gallery"] / speed["raw"]})
    said = {
        "tiles": len(gallery), "px": gallery.px, "batch": asked.batch, "readers": asked.readers, "rows": rows,
        "cores": os.cpu_count(), "load": os.getloadavg()[0], "greatest difference": apart, "torch": torch.__version__,
    }  # fmt: skip
    print(json.dumps(said, indent=1))
    if apart > 1e-6:
        sys.exit("the ways do not come to the same vectors")


if __name__ == "__main__":
    main()
