"""Text in photographs, by rapidocr (PP-OCR through onnxruntime); its models come with the package."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from finetune.annotate.photos import Photo, decoded, photos
from finetune.annotate.rows import append_rows, mend, read_rows
from retriever.types import Record

Quad = tuple[tuple[float, float], ...]
MIN_SCORE = 0.5
"""Below, rapidocr itself leaves a reading out."""


@dataclass(frozen=True, kw_only=True)
class Reading(Record):
    text: str
    score: float
    """The recogniser's own, 0 to 1."""
    quad: Quad
    """Four corners in pixels, clockwise from the text's upper left."""


@dataclass(frozen=True, kw_only=True)
class OcrRow(Record):
    sha256: str
    by: str
    """Reader and version."""
    readings: tuple[Reading, ...]


@cache
def _engine(threads: int) -> Any:
    from rapidocr import RapidOCR  # type: ignore[import-untyped,unused-ignore]

    own = "EngineConfig.onnxruntime"
    return RapidOCR(
        params={"Global.log_level": "error", f"{own}.intra_op_num_threads": threads, f"{own}.inter_op_num_threads": 1}
    )


def reader_name() -> str:
    from importlib.metadata import version

    return f"rapidocr {version('rapidocr')}"


def read_text(image: Image.Image, *, min_score: float = MIN_SCORE, threads: int = 1) -> tuple[Reading, ...]:
    """Every line of text that was found with at least ``min_score``, from the top down."""
    bgr = np.ascontiguousarray(np.asarray(image.convert("RGB"))[:, :, ::-1])
    found = _engine(threads)(bgr)
    if found.txts is None:
        return ()
    readings = [
        Reading(text=text, score=round(float(score), 3), quad=tuple((float(x), float(y)) for x, y in box))
        for text, score, box in zip(found.txts, found.scores, found.boxes, strict=True)
        if score >= min_score and text.strip()
    ]
    return tuple(sorted(readings, key=lambda r: (min(y for _, y in r.quad), r.quad[0][0])))


def run_ocr(run: Path, *, min_score: float = MIN_SCORE, threads: int = 1) -> Iterator[tuple[Photo, OcrRow]]:
    """Read what is not yet in ``run/ocr.jsonl``, a row at a time."""
    path = run / "ocr.jsonl"
    mend(path)
    done = {row.sha256 for row in read_rows(path, OcrRow)} if path.exists() else set()
    for photo in photos(run):
        if photo.sha256 in done:
            continue
        readings = read_text(decoded(run, photo), min_score=min_score, threads=threads)
        row = OcrRow(sha256=photo.sha256, by=reader_name(), readings=readings)
        append_rows(path, [row])
        yield photo, row
