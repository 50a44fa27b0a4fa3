"""What is where in a photograph: Grounding DINO finds boxes for words, SAM gives each box its outline.

Both come from a hub by name through transformers. Where their weights are not on this machine the stage is skipped and
says so; the rest of the pipeline goes on without segments.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from finetune.annotate.photos import Photo, decoded, photos
from finetune.annotate.rows import append_rows, mend, read_rows
from retriever.errors import ModelError
from retriever.types import Box, Record, Ring

DETECTOR = "IDEA-Research/grounding-dino-base"
SEGMENTER = "facebook/sam-vit-base"
LABELS = (
    "car", "bus", "truck", "van", "tram", "motorcycle", "bicycle", "sign", "shop front", "building", "door", "tree",
    "crosswalk", "traffic light", "street lamp", "bench", "church", "bus stop",
)  # fmt: skip
MIN_BOX, MIN_TEXT = 0.35, 0.25
_CORNER_PX = 1.5
"""How far an outline may lie from the mask's own edge."""


@dataclass(frozen=True, kw_only=True)
class Segment(Record):
    label: str
    score: float
    box: Box
    """``(x0, y0, x1, y1)`` in pixels."""
    mask: tuple[Ring, ...] = ()
    """Outer outlines in pixels; empty where only the box is known."""


@dataclass(frozen=True, kw_only=True)
class SegmentRow(Record):
    sha256: str
    by: str
    """Detector and segmenter, or ``person``."""
    segments: tuple[Segment, ...]


class Segmenter:
    """Raises ``ModelError`` if one of the two models is not on this machine and ``download`` is not given."""

    def __init__(self, detector: str = DETECTOR, segmenter: str = SEGMENTER, *, download: bool = False) -> None:
        import transformers as t

        self.name = f"{detector} + {segmenter}"
        self._find = _load(t.AutoProcessor, t.AutoModelForZeroShotObjectDetection, detector, download)
        self._outline = _load(t.AutoProcessor, t.AutoModelForMaskGeneration, segmenter, download)

    def __call__(self, image: Image.Image, labels: Sequence[str] = LABELS) -> tuple[Segment, ...]:
        """Segments of the labels, best first."""
        found = self._boxes(image, labels)
        outlines = self._outlines(image, [b for _, _, b in found]) if found else []
        segments = [
            Segment(label=label, score=round(score, 3), box=b, mask=mask)
            for (label, score, b), mask in zip(found, outlines, strict=True)
        ]
        return tuple(sorted(segments, key=lambda s: -s.score))

    def _boxes(self, image: Image.Image, labels: Sequence[str]) -> list[tuple[str, float, Box]]:
        import torch

        processor, model = self._find
        inputs = processor(images=image, text=". ".join(labels) + ".", return_tensors="pt")
        with torch.inference_mode():
            output = model(**inputs)
        result = processor.post_process_grounded_object_detection(
            output, inputs["input_ids"], threshold=MIN_BOX, text_threshold=MIN_TEXT, target_sizes=[image.size[::-1]]
        )[0]
        rows = zip(result["text_labels"], result["scores"].tolist(), result["boxes"].tolist(), strict=True)
        return [(label, score, _inside(b, image.size)) for label, score, b in rows if label]

    def _outlines(self, image: Image.Image, boxes: Sequence[Box]) -> list[tuple[Ring, ...]]:
        import torch

        processor, model = self._outline
        inputs = processor(images=image, input_boxes=[[list(b) for b in boxes]], return_tensors="pt")
        with torch.inference_mode():
            output = model(**inputs, multimask_output=False)
        masks = processor.post_process_masks(
            output.pred_masks.cpu(), inputs["original_sizes"].cpu(), inputs["reshaped_input_sizes"].cpu()
        )[0]
        return [outlines(mask[0].numpy()) for mask in masks]


def _load(processor: Any, model: Any, name: str, download: bool) -> tuple[Any, Any]:
    try:
        return (
            processor.from_pretrained(name, local_files_only=not download),
            model.from_pretrained(name, local_files_only=not download).eval(),
        )
    except (OSError, ValueError) as error:
        said = " ".join(str(error).split())[:120]
        raise ModelError(f"the weights of {name} are not on this machine; --download fetches them ({said})") from None


def _inside(found: Sequence[float], size: tuple[int, int]) -> Box:
    x0, y0, x1, y1 = (min(max(v, 0.0), float(size[i % 2])) for i, v in enumerate(found))
    return (round(x0, 1), round(y0, 1), round(x1, 1), round(y1, 1))


def outlines(mask: np.ndarray[Any, Any]) -> tuple[Ring, ...]:
    """The outer edges of a boolean mask [H, W], in pixels, holes ignored."""
    import cv2

    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    rings = [cv2.approxPolyDP(ring, _CORNER_PX, True).reshape(-1, 2) for ring in found]
    return tuple(tuple((float(x), float(y)) for x, y in ring) for ring in rings if len(ring) >= 3)


def run_segment(run: Path, segmenter: Segmenter, labels: Sequence[str] = LABELS) -> Iterator[tuple[Photo, SegmentRow]]:
    """Segment what is not yet in ``run/segments.jsonl``, a row at a time."""
    path = run / "segments.jsonl"
    mend(path)
    done = {row.sha256 for row in read_rows(path, SegmentRow)} if path.exists() else set()
    for photo in photos(run):
        if photo.sha256 in done:
            continue
        row = SegmentRow(sha256=photo.sha256, by=segmenter.name, segments=segmenter(decoded(run, photo), labels))
        append_rows(path, [row])
        yield photo, row
