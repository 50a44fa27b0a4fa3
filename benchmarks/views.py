"""How fast aligned views are rendered: sets per hour by the clock and by processor time, and seconds of each view.

    python benchmarks/views.py --osm $SIGHTLINE_DATA/osm/helsinki_center.osm.pbf [--sets 100] [--jobs 2] [--views 12]

Stretches out of the work of ``sightline data views --n 3000`` are rendered and written as the command does it, in as
many processes. What is made once and serves all 3,000 sets (reading the extract, choosing the places) is measured as
it is; everything else, the start of the processes too, is scaled up. A stretch begins with
nothing built, which a long run does once only. The clock also counts other programs: the load is printed.

``--views N`` instead measures each view alone for N sets in this process, by processor time.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from finetune.views import VIEWS, Conditions, Scene
from finetune.views import dataset as folder
from finetune.views.places import grid_over, places
from finetune.views.sets import poses_of
from finetune.views.workers import Batch, batches, in_processes, shares


def cpu(work: Callable[[], object]) -> float:
    """Processor seconds of this process."""
    began = time.process_time()
    work()
    return time.process_time() - began


def used() -> float:
    """Processor seconds of this process and of those that it started and that have ended."""
    now = os.times()
    return now.user + now.system + now.children_user + now.children_system


def stretches(work: Sequence[Batch], jobs: int, sets: int) -> list[deque[Batch]]:
    """From the middle of each process's work, batches of ``sets`` sets in all, in their order."""
    found = []
    for part in shares(work, jobs):
        whole = list(part)
        chosen: deque[Batch] = deque()
        for batch in whole[len(whole) // 2 :]:
            left = sets // jobs - sum(map(len, chosen))
            if left > 0:
                chosen.append(batch[:left])
        found.append(chosen)
    return found


@dataclass(frozen=True, kw_only=True)
class Spent:
    sets: int
    clock: float
    processor: float


def run(order: folder.Order, parts: list[deque[Batch]]) -> Spent:
    """Renders and writes the parts, a process to each."""
    clock, processor = time.monotonic(), used()
    # The processes end, and their seconds are counted, when the iterator is done.
    made = sum(in_processes(parts, folder._many, folder._start, (order,)))
    return Spent(sets=made, clock=time.monotonic() - clock, processor=used() - processor)


def whole(osm: Path, sets: int, out_of: int, jobs: int) -> str:
    """The command's speed, as a few lines."""
    load, clock, processor = os.getloadavg()[0], time.monotonic(), used()
    scene = Scene.from_osm(osm)
    work = batches(scene, list(enumerate(places(scene, grid_over(scene.box), n=out_of, seed=1))))
    once, once_cpu = time.monotonic() - clock, used() - processor
    del scene
    with tempfile.TemporaryDirectory() as out:
        spent = run(folder.Order(osm=osm, out=Path(out), n=out_of, seed=1), stretches(work, jobs, sets))
    scale = out_of / spent.sets
    by_clock, by_cpu = once + scale * spent.clock, once_cpu + scale * spent.processor
    # At most this: places are chosen before the processes share the work.
    alone = once_cpu + scale * spent.processor / jobs
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return (
        f"{spent.sets} of {out_of} sets, {jobs} processes, load {load:.1f} before the run\n"
        f"once: {once:.1f} s by the clock, {once_cpu:.1f} s of processor\n"
        f"sets: {spent.clock:.1f} s by the clock, {spent.processor:.1f} s of processor = "
        f"{spent.processor / spent.sets:.2f} s a set; {peak:.0f} MiB in the largest process\n"
        f"by the clock: {out_of} sets in {by_clock / 60:.1f} min = {3600 * out_of / by_clock:,.0f} an hour\n"
        f"by processor time: {by_cpu / 3600:.2f} core hours, on {jobs} free cores {alone / 60:.1f} min = "
        f"{3600 * out_of / alone:,.0f} an hour"
    )


def per_view(scene: Scene, spots: Batch) -> dict[str, list[float]]:
    """Seconds for every set: choosing poses with whatever stages they need, then each view."""
    out: dict[str, list[float]] = {"poses and stages": [], **{view: [] for view in VIEWS}}
    for seed, place in spots:
        began = time.process_time()
        poses, _ = poses_of(scene, place.lat, place.lon, seed)
        for pose in poses.values():
            scene.stage_of(pose)
        out["poses and stages"].append(time.process_time() - began)
        for view in VIEWS:
            conditions = Conditions.drawn(seed, view=view, lat=place.lat)
            out[view].append(cpu(partial(scene.render, poses[view], conditions)))
    return out


def table(seconds: dict[str, list[float]]) -> str:
    """A markdown table; the first view of a stage pays for its ground and for its triangles at the imagery's age."""
    lines = ["| what | mean ms | median ms | per second and core |", "| --- | ---: | ---: | ---: |"]
    for name, values in seconds.items():
        mean, middle = float(np.mean(values)), float(np.median(values))
        lines.append(f"| {name} | {1000 * mean:.0f} | {1000 * middle:.0f} | {1 / max(mean, 1e-9):.1f} |")
    total = sum(float(np.mean(v)) for v in seconds.values())
    lines.append(f"| set of five | {1000 * total:.0f} | | {1 / total:.2f} |")
    return "\n".join([*lines, "", f"N = {len(seconds['map'])} sets."])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--osm", type=Path, required=True)
    parser.add_argument("--sets", type=int, default=100)
    parser.add_argument("--out-of", type=int, default=3000, help="sets that the whole area is to have")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--views", type=int, default=0, help="measure each view alone, for so many sets")
    asked = parser.parse_args()
    if not asked.views:
        print(whole(asked.osm, asked.sets, asked.out_of, asked.jobs))
        return
    scene = Scene.from_osm(asked.osm)
    work = batches(scene, list(enumerate(places(scene, grid_over(scene.box), n=asked.out_of, seed=1))))
    spots = [row for batch in stretches(work, 1, asked.views)[0] for row in batch]
    print(table(per_view(scene, spots)))


if __name__ == "__main__":
    main()
