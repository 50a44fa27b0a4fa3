"""Text that lies on vehicles is dropped: tomorrow it stands in another street.

A single picture does not show what moves, so text on any vehicle counts as moving, parked ones included. The share of a
text's area inside a vehicle's mask decides; where a segment has no mask, inside its box.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shapely import union_all
from shapely.geometry import Polygon, box

from finetune.annotate.ocr import OcrRow, Reading
from finetune.annotate.rows import read_rows, write_rows
from finetune.annotate.segment import Segment, SegmentRow
from retriever.errors import SourceError
from retriever.types import Record

VEHICLES = frozenset(
    {"bicycle", "bike", "boat", "bus", "car", "lorry", "motorbike", "motorcycle", "scooter", "taxi", "trailer", "train"}
    | {"tram", "truck", "van", "vehicle"}
)
MIN_SHARE = 0.5


@dataclass(frozen=True, kw_only=True)
class SignRow(Record):
    """What is left for the producer to read from, and what is not."""

    sha256: str
    kept: tuple[Reading, ...]
    dropped: tuple[Reading, ...]
    on: tuple[str, ...]
    """By dropped reading: the label that it lies on."""
    vehicles_known: bool
    """False: nobody looked for vehicles here, so nothing could be dropped."""


def is_vehicle(label: str) -> bool:
    """Whether a word of the label names a vehicle.

    >>> is_vehicle("a red delivery van"), is_vehicle("car park sign")
    (True, False)
    """
    words = label.lower().replace("-", " ").split()
    return bool(words) and bool({words[-1], words[-1].removesuffix("s"), words[-1].removesuffix("es")} & VEHICLES)


def share_inside(reading: Reading, segment: Segment) -> float:
    """Share of the text's area that lies on the segment, 0 to 1."""
    text = Polygon(reading.quad).convex_hull
    if text.area == 0.0:
        return 0.0
    rings = [Polygon(ring).buffer(0) for ring in segment.mask if len(ring) >= 3]
    on = union_all(rings) if rings else box(*segment.box)
    return float(text.intersection(on).area / text.area)


def sort_out(row: OcrRow, segments: Sequence[Segment] | None, *, min_share: float = MIN_SHARE) -> SignRow:
    """Kept and dropped readings; ``segments=None`` says that nobody looked for vehicles."""
    kept: list[Reading] = []
    dropped: list[Reading] = []
    on: list[str] = []
    vehicles = [s for s in segments or () if is_vehicle(s.label)]
    for reading in row.readings:
        under = next((s.label for s in vehicles if share_inside(reading, s) >= min_share), None)
        if under is None:
            kept.append(reading)
        else:
            dropped.append(reading)
            on.append(under)
    return SignRow(
        sha256=row.sha256,
        kept=tuple(kept),
        dropped=tuple(dropped),
        on=tuple(on),
        vehicles_known=segments is not None,
    )


def run_drop(run: Path, *, min_share: float = MIN_SHARE) -> list[SignRow]:
    """From ``ocr.jsonl`` and, where it is there, ``segments.jsonl`` to ``signs.jsonl``."""
    segments_path = run / "segments.jsonl"
    segments = {s.sha256: s.segments for s in read_rows(segments_path, SegmentRow)} if segments_path.exists() else {}
    rows = [
        sort_out(row, segments.get(row.sha256), min_share=min_share) for row in read_rows(run / "ocr.jsonl", OcrRow)
    ]
    unknown = set(segments) - {row.sha256 for row in rows}
    if unknown:
        raise SourceError(f"{segments_path} speaks of the picture {min(unknown)}, which was not read; run 'ocr' first")
    write_rows(run / "signs.jsonl", rows)
    return rows
