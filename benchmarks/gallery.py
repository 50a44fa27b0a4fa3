"""How fast a gallery is built and how much memory that takes, for a real city and a generated town ten times as large.

    python -m benchmarks.gallery --osm $SIGHTLINE_DATA/osm/munchen.osm.pbf

Every build runs in a process of its own, after which the system tells its processor time and its highest resident
memory. Time per tile and memory of the large town are compared with those of a small town by the same generator, since
a city and a town differ in what there is to draw. Processor time is the measure: wall time also counts other programs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from retriever.town import write_town

SEED = 3001
BLOCKS = 10
"""Blocks along a side of the small town; the large one has sqrt(10) times as many, which is ten times the tiles."""

_CHILD = """
import json, resource, sys, time
from retriever.build import build_gallery
began = time.perf_counter()
gallery = build_gallery(sys.argv[2], osm=sys.argv[1], cover="touched")
used = resource.getrusage(resource.RUSAGE_SELF)
unit = 1 if sys.platform == "darwin" else 1024
print(json.dumps({
    "tiles": len(gallery), "facts": gallery.manifest["counts"]["facts"], "wall_s": time.perf_counter() - began,
    "cpu_s": used.ru_utime + used.ru_stime, "peak_mib": used.ru_maxrss * unit / 2**20,
}))
"""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One build, measured from outside."""

    name: str
    tiles: int
    facts: int
    wall_s: float
    cpu_s: float
    """User and system time of the whole process, imports included."""
    peak_mib: float

    @property
    def ms_per_tile(self) -> float:
        return 1000 * self.cpu_s / self.tiles


def measure(name: str, osm: Path, folder: Path) -> Run:
    """Builds a gallery in a new process."""
    command = [sys.executable, "-c", _CHILD, str(osm), str(folder / name.replace(" ", "-"))]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Run(name=name, **json.loads(done.stdout))


def table(runs: list[Run]) -> str:
    """A markdown table of the runs, and what the last is to the one before it."""
    lines = [
        "| build | tiles | facts | processor s | ms per tile | tiles/s | wall s | peak MiB |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for run in runs:
        lines.append(
            f"| {run.name} | {run.tiles:,} | {run.facts:,} | {run.cpu_s:.1f} | {run.ms_per_tile:.1f} "
            f"| {run.tiles / run.cpu_s:.1f} | {run.wall_s:.1f} | {run.peak_mib:.0f} |"
        )
    small, large = runs[-2], runs[-1]
    lines.append("")
    lines.append(
        f"{large.name} to {small.name}: {large.tiles / small.tiles:.1f} times the tiles, "
        f"{large.ms_per_tile / small.ms_per_tile:.2f} times the time per tile, "
        f"{large.peak_mib / small.peak_mib:.2f} times the memory."
    )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--osm", type=Path, help="extract of a real city; left out where none is given")
    parser.add_argument("--blocks", type=int, default=BLOCKS, help="blocks along a side of the small town")
    parser.add_argument("--times", type=float, default=10.0, help="how many times as large the large town is")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cases = [(asked.osm.name.split(".")[0], asked.osm)] if asked.osm else []
        for title, blocks in (("small town", asked.blocks), ("large town", round(asked.blocks * asked.times**0.5))):
            path = write_town(folder / f"{title.replace(' ', '-')}.osm", seed=SEED, blocks=blocks)
            cases.append((title, path))
        runs = []
        for title, path in cases:
            runs.append(measure(title, path, folder))
            print(runs[-1], file=sys.stderr, flush=True)
    print(table(runs))


if __name__ == "__main__":
    main()
