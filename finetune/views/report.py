"""What a folder of sets holds, for a person: a sheet of pictures and counts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from PIL import Image

from finetune.views.dataset import Done, read_sets
from finetune.views.poses import SIZES, VIEWS
from retriever.workfolder import write_whole

ROWS, HIGH = 6, 168
GAP = 4


def sheet(folder: Path, records: list[dict[str, Any]], *, high: int = HIGH) -> Image.Image:
    """One row of pictures for each set."""
    widths = [round(high * SIZES[v][0] / SIZES[v][1]) for v in VIEWS]
    page = Image.new("RGB", (sum(widths) + GAP * (len(VIEWS) - 1), (high + GAP) * len(records) - GAP), "white")
    for i, record in enumerate(records):
        x = 0
        for view, width in zip(VIEWS, widths, strict=True):
            with Image.open(folder / record["views"][view]["file"]) as picture:
                page.paste(
                    picture.convert("RGB").resize((width, high), Image.Resampling.LANCZOS), (x, i * (high + GAP))
                )
            x += width + GAP
    return page


def write_report(folder: Path, done: Done) -> Path:
    """Writes ``contact.jpg`` and ``report.md``; returns the latter's path."""
    records = list(read_sets(folder))
    step = max(1, len(records) // ROWS)
    sheet(folder, records[::step][:ROWS]).save(folder / "contact.jpg", quality=85)
    rate = f"{3600 * done.made / done.seconds:,.0f} sets an hour" if done.made and done.seconds > 0 else "nothing new"
    lines = [
        f"# {len(records)} aligned sets of views",
        "",
        "Synthetic pictures, rendered from map data © OpenStreetMap contributors (ODbL), or of a generated town.",
        f"This run made {done.made} in {done.seconds:.0f} s ({rate}).",
        "",
        "![a sheet of aligned views](contact.jpg)",
        "",
        "| | " + " | ".join(VIEWS) + " |",
        "| --- |" + " --- |" * len(VIEWS),
    ]
    for name in ("season", "snow", "age_years"):
        row = [_counts(records, view, name) if view != "map" else "" for view in VIEWS]
        lines.append(f"| {name} | " + " | ".join(row) + " |")
    path = folder / "report.md"
    write_whole(path, "\n".join(lines) + "\n")
    return path


def _counts(records: list[dict[str, Any]], view: str, name: str) -> str:
    found = Counter(str(r["views"][view]["conditions"][name]) for r in records)
    return ", ".join(f"{value} {count}" for value, count in sorted(found.items()))
