"""How often the encoder finds the overhead picture of a place from another view of it.

    sightline data views --osm $SIGHTLINE_DATA/osm/london.osm.pbf --out runs/views/london --n 150 --seed 5
    python -m benchmarks.encoder_views runs/views/london runs/views/singapore runs/views/taipei
    python -m benchmarks.encoder_views --drawn GALLERY --imagery GALLERY

First: rendered sets (synthetic, labelled so). The overhead pictures of one area's sets are the gallery; every ground
photo, panorama, drone picture and drawn map of these places is a query. *Contains*: an overhead picture that holds the
place, not just the one rendered for it. Second: drawn tiles against real imagery of the same bounds, tile by tile.
Percent, 95 % intervals by place; ties count against. It saw pixels alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from eval.bootstrap import bootstrap_mean
from eval.report import percent
from finetune.encoder.validate import ranks_of
from finetune.views.dataset import read_sets
from retriever.encoder import Encoder
from retriever.gallery import Gallery
from retriever.geo import Frame
from retriever.models import find_model

HALF_M = 60.0
KS = (1, 5, 10)
MIN_FACTS, SAME_M = 5, 1.0
"""A drawn tile is asked for where so much is drawn on it, and a tile of the imagery has its centre within a metre."""
VIEWS = ("ground", "panorama", "uav", "map")
HEAD = "| area | query | seen by | N | gallery | recall@1 | recall@5 | recall@10 | contains@10 |"
Flags = NDArray[np.bool_]
Vectors = NDArray[np.float32]


def rows(title: str, query: str, scores: Vectors, right: NDArray[np.int64], holds: Flags, seen: str) -> str:
    """A line of the table. ``scores`` and ``holds`` [Q, N], ``right`` [Q]."""
    places = [str(i) for i in range(len(scores))]
    ranks = ranks_of(scores, right)
    contained = ranks_of(scores, np.where(holds, scores, -np.inf).argmax(1))
    found = [percent(bootstrap_mean((ranks <= k).astype(float), places)) for k in KS]
    found.append(percent(bootstrap_mean((contained <= KS[-1]).astype(float), places)))
    return f"| {title} | {query} | {seen} | {len(scores)} | {scores.shape[1]} | {' | '.join(found)} |"


def random_like(scores: Vectors) -> Vectors:
    return np.random.default_rng(0).random(scores.shape).astype(np.float32)


def pictures(folder: Path, said: Sequence[Mapping[str, Any]], view: str) -> list[Image.Image]:
    return [Image.open(folder / s["views"][view]["file"]).convert("RGB") for s in said]


def rendered(encoder: Encoder, folder: Path) -> None:
    said = list(read_sets(folder))
    poses = [s["views"]["satellite"]["pose"] for s in said]
    frame = Frame(lat=poses[0]["lat"], lon=poses[0]["lon"])
    centre = np.array([frame.xy(p["lat"], p["lon"]) for p in poses], float)
    point = np.array([frame.xy(s["lat"], s["lon"]) for s in said], float)
    holds = np.abs(point[:, None] - centre[None]).max(-1) <= HALF_M
    above = encoder.encode_images(pictures(folder, said, "satellite"))
    right = np.arange(len(said))
    scores = above
    for view in VIEWS:
        scores = encoder.encode_images(pictures(folder, said, view)) @ above.T
        print(rows(f"{folder.name}, rendered", view, scores, right, holds, "pixels"), flush=True)
    print(rows(f"{folder.name}, rendered", "any", random_like(scores), right, holds, "nothing (random)"), flush=True)


def real(encoder: Encoder, drawn: Path, imagery: Path) -> None:
    asked, above = Gallery.open(drawn), Gallery.open(imagery)
    centre = np.stack(above.frame.xy(above.lat, above.lon), 1)
    own = np.stack(above.frame.xy(asked.lat, asked.lon), 1)
    away = np.linalg.norm(own[:, None] - centre[None], axis=-1)
    shown = np.array([len(asked.facts(i) or ()) >= MIN_FACTS for i in asked.ids])
    kept = np.flatnonzero((away.min(1) < SAME_M) & shown)
    seen = encoder.encode_images([above.image(i) for i in above.ids])
    maps = encoder.encode_images([asked.image(asked.ids[i]) for i in kept])
    holds, right, scores = away[kept] <= HALF_M, away[kept].argmin(1), maps @ seen.T
    print(rows(f"{imagery.name}, real imagery", "map", scores, right, holds, "pixels"))
    print(rows(f"{imagery.name}, real imagery", "any", random_like(scores), right, holds, "nothing (random)"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", type=Path, nargs="*", help="folders of rendered sets of test areas")
    parser.add_argument("--drawn", type=Path, help="a drawn gallery")
    parser.add_argument("--imagery", type=Path, help="a satellite gallery of the same ground and grid")
    parser.add_argument("--encoder", default="sightline-mini", help="a shipped bundle's name, or a bundle's folder")
    args = parser.parse_args()
    encoder = Encoder.load(find_model(args.encoder))
    print(f"encoder {args.encoder}, weights {encoder.id}\n\n{HEAD}\n|{' --- |' * 9}")
    for sets in args.sets:
        rendered(encoder, sets)
    if args.drawn and args.imagery:
        real(encoder, args.drawn, args.imagery)


if __name__ == "__main__":
    main()
