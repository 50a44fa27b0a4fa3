"""How quickly, and in how much memory, five hundred malformed and hostile pictures are turned away.

    python benchmarks/uploads.py

Each is sent to the API one after the other, in this process; pictures are decoded in the API's own worker processes.
Linux and macOS.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from fastapi.testclient import TestClient

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "agent"))
from api_kit import app_of, picture
from hostile_pictures import five_hundred

UNIT = 1 if sys.platform == "darwin" else 1024


def main() -> None:
    files = five_hundred()
    with tempfile.TemporaryDirectory() as folder, TestClient(app_of(Path(folder), keys="")) as client:
        client.post("/v1/uploads?view=ground", content=picture())  # starts a worker
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        took, codes = [], Counter[str]()
        for raw in files:
            start = time.perf_counter()
            answer = client.post("/v1/uploads?view=ground", content=raw)
            took.append(time.perf_counter() - start)
            codes[f"{answer.status_code} {answer.json()['error']['code'] if answer.is_error else 'ACCEPTED'}"] += 1
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    worker = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    took.sort()
    for code, count in sorted(codes.items()):
        print(f"{count:4d}  {code}")
    print(
        f"{len(files)} files in {sum(took):.1f} s; median {1000 * took[250]:.0f} ms, slowest {1000 * took[-1]:.0f} ms"
    )
    print(f"peak memory: this process +{grown * UNIT / 1e6:.0f} MB, largest worker {worker * UNIT / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
