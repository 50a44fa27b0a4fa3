"""How fast aligned views are rendered: views per second of each kind, and sets per hour on two processes.

    python -m benchmarks.views --osm $SIGHTLINE_DATA/osm/helsinki_center.osm.pbf [--sets 24] [--end-to-end 60]

Each view is measured by processor time in one process, after its stage (the meshes about the standpoint) is built;
building stages is a row of its own, spread over the sets. With ``--end-to-end N`` the command ``sightline data
views`` makes N sets with two processes: its wall time counts everything, also reading the extract three times. Wall
time also counts other programs, so the machine's load before the run is printed with it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from finetune.views import VIEWS, Scene, render_set
from finetune.views.places import Place, grid_over, places
from finetune.views.poses import nadir_pose


def cpu(work: Callable[[], object]) -> float:
    """Processor seconds of this process."""
    began = time.process_time()
    work()
    return time.process_time() - began


def per_view(scene: Scene, spots: list[Place]) -> dict[str, list[float]]:
    """Seconds for every set: of its stage, where that was new, and of each view."""
    out: dict[str, list[float]] = {"stage": [], **{view: [] for view in VIEWS}}
    ordered = sorted(spots, key=lambda p: scene.stage_key(*scene.frame.xy(p.lat, p.lon)))
    for number, place in enumerate(ordered):
        pose = nadir_pose("map", place.lat, place.lon)
        out["stage"].append(cpu(partial(scene.stage_of, pose)))
        for view in VIEWS:
            work = partial(render_set, scene, place.lat, place.lon, seed=number, views=(view,))
            out[view].append(cpu(work))
    return out


def dense(scene: Scene, out_of: int, n: int) -> list[Place]:
    """About ``n`` of ``out_of`` places, in whole stages as the command makes them."""
    groups: dict[tuple[int, int], list[Place]] = {}
    for place in places(scene, grid_over(scene.box), n=out_of, seed=1):
        groups.setdefault(scene.stage_key(*scene.frame.xy(place.lat, place.lon)), []).append(place)
    found: list[Place] = []
    # From the middle of the area, where it is built most densely.
    for key in sorted(groups, key=lambda k: k[0] ** 2 + k[1] ** 2):
        found += groups[key][: n - len(found)]
    return found


def table(seconds: dict[str, list[float]]) -> str:
    """A markdown table; a view's time holds the choice of its pose, and of age and season for the first to need one."""
    lines = ["| what | mean ms | median ms | per second and core |", "| --- | ---: | ---: | ---: |"]
    for name, values in seconds.items():
        mean, middle = float(np.mean(values)), float(np.median(values))
        lines.append(f"| {name} | {1000 * mean:.0f} | {1000 * middle:.0f} | {1 / max(mean, 1e-9):.1f} |")
    whole = sum(float(np.mean(v)) for v in seconds.values())
    lines.append(f"| set of five, with its part of the stage | {1000 * whole:.0f} | | {1 / whole:.2f} |")
    lines.append("")
    lines.append(f"N = {len(seconds['stage'])} sets; two cores at this rate: {2 * 3600 / whole:,.0f} sets an hour.")
    return "\n".join(lines)


def end_to_end(osm: Path, n: int) -> str:
    """Wall time of the command itself with two processes."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        command = ["data", "views", "--osm", str(osm), "--out", f"{folder}/sets", "--n", str(n), "--jobs", "2"]
        began, before = time.monotonic(), os.times()
        subprocess.run([sys.executable, "-m", "retriever.main", *command], check=True, stdout=subprocess.DEVNULL)
        wall, after = time.monotonic() - began, os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return (
        f"command, {n} sets, 2 processes: {wall:.0f} s wall = {3600 * n / wall:,.0f} sets an hour (load {load:.1f} "
        f"before the run); {used:.0f} s of processor = {2 * 3600 * n / used:,.0f} sets an hour on two free cores"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--osm", type=Path, required=True)
    parser.add_argument("--sets", type=int, default=24)
    parser.add_argument("--out-of", type=int, default=3000, help="sets that the whole area is to have")
    parser.add_argument("--end-to-end", type=int, default=0)
    asked = parser.parse_args()
    scene = Scene.from_osm(asked.osm)
    spots = dense(scene, asked.out_of, asked.sets)
    print(table(per_view(scene, spots)))
    if asked.end_to_end:
        print(end_to_end(asked.osm, asked.end_to_end))


if __name__ == "__main__":
    main()
