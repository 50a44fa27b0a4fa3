"""A folder of aligned sets: rendered in several processes, resumable, never a half-written set.

DIR/manifest.json       what it was made from and how
DIR/sets/000000/        satellite.jpg uav.jpg ground.jpg panorama.jpg map.png set.json
DIR/sets.jsonl          every set.json, in order
DIR/contact.jpg, report.md
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune.views.places import Place, grid_over, places
from finetune.views.poses import SIZES, VIEWS
from finetune.views.scene import Scene
from finetune.views.seeds import number
from finetune.views.sets import ViewSet, render_set
from finetune.views.workers import Batch, batches, in_processes, shares
from retriever.build import file_sha256
from retriever.errors import SourceError
from retriever.workfolder import write_whole

FORMAT = "sightline-views-1"
Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a folder of sets is to hold."""

    osm: Path
    out: Path
    n: int
    seed: int

    def manifest(self) -> dict[str, Any]:
        source = {"name": self.osm.name, "sha256": file_sha256(self.osm)}
        sizes = {view: list(SIZES[view]) for view in VIEWS}
        return {"format": FORMAT, "source": source, "seed": self.seed, "sizes": sizes, "synthetic": True}


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a run did."""

    sets: int
    made: int
    """Of these, how many by this run; the others were there."""
    seconds: float


def write_sets(order: Order, *, jobs: int = 1, progress: Progress | None = None) -> Done:
    """Renders the sets that are not there yet; a run that was stopped goes on, and more sets can be asked for.

    Raises:
        SourceError: the extract cannot be read, or the folder holds something else.
    """
    began = time.monotonic()
    _claim(order)
    scene = Scene.from_osm(order.osm)
    todo = [(i, p) for i, p in enumerate(_places(scene, order)) if not (_folder(order.out, i) / "set.json").is_file()]
    work = batches(scene, todo)
    del scene
    made, total = 0, len(todo)
    for count in _run(order, work, jobs):
        made += count
        if progress is not None:
            progress(order.n - total + made, order.n)
    _gather(order)
    return Done(sets=order.n, made=made, seconds=time.monotonic() - began)


def read_sets(folder: Path | str) -> Iterator[dict[str, Any]]:
    """The records of a finished folder: place, seed, and for each view its file, pose and conditions.

    Raises:
        SourceError: the folder holds no finished sets.
    """
    path = Path(folder) / "sets.jsonl"
    if not path.is_file():
        raise SourceError(f"{folder} holds no finished sets of views: make them with sightline data views")
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def _places(scene: Scene, order: Order) -> list[Place]:
    return places(scene, grid_over(scene.box), n=order.n, seed=order.seed)


def _folder(out: Path, index: int) -> Path:
    return out / "sets" / f"{index:06d}"


def _claim(order: Order) -> None:
    path, said = order.out / "manifest.json", order.manifest()
    if path.is_file():
        if json.loads(path.read_text(encoding="utf-8")) != said:
            raise SourceError(f"{order.out} holds sets of another extract, seed or version: give another --out")
        return
    if order.out.is_dir() and any(order.out.iterdir()):
        raise SourceError(f"{order.out} is a folder of something else: give another --out")
    order.out.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(said, indent=1) + "\n")


def _run(order: Order, work: Sequence[Batch], jobs: int) -> Iterator[int]:
    if jobs <= 1 or len(work) <= 1:
        _start(order)
        for batch in work:
            yield from (_one(index, place) for index, place in batch)
        return
    yield from in_processes(shares(work, jobs), _many, _start, (order,))


_HERE: dict[str, tuple[Order, Scene]] = {}


def _start(order: Order) -> None:
    _HERE["now"] = order, Scene.from_osm(order.osm)


def _many(batch: Batch) -> int:
    return sum(_one(index, place) for index, place in batch)


def _one(index: int, place: Place) -> int:
    order, scene = _HERE["now"]
    made = render_set(scene, place.lat, place.lon, seed=number("set", order.seed, index) % 2**31)
    _save(made, order.out, index, place)
    return 1


def _save(made: ViewSet, out: Path, index: int, place: Place) -> None:
    """Writes a set beside its place and moves it there whole."""
    target = _folder(out, index)
    work = target.with_name(f".{target.name}.partial")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    said = made.to_json()
    for view, row in said["views"].items():
        rendered = made.views[view]
        name = f"{view}.png" if view == "map" else f"{view}.jpg"
        # PNG has no quality, and ignores it.
        rendered.image.save(work / name, quality=rendered.conditions.jpeg)
        row["file"] = f"sets/{target.name}/{name}"
    record = {"id": f"{made.scene}-{index:06d}", "cell": [place.row, place.col], **said}
    (work / "set.json").write_text(json.dumps(record), encoding="utf-8")
    os.replace(work, target)


def _gather(order: Order) -> None:
    lines = [(_folder(order.out, i) / "set.json").read_text(encoding="utf-8") + "\n" for i in range(order.n)]
    write_whole(order.out / "sets.jsonl", "".join(lines))
