"""Whether the boxes hold what they are said to hold: a system's evidence regions against the map's objects."""

from __future__ import annotations

from dataclasses import dataclass

from eval.explanations.cases import Case
from eval.explanations.claim_level import same_thing
from eval.explanations.schema import Explained
from retriever.oracle.index import box_around
from retriever.types import Box, Claim


@dataclass(frozen=True, kw_only=True)
class BoxScore:
    """The boxes of one judgement. Only boxes for claims that the map supports at a known place count."""

    hits: tuple[bool, ...]
    """Per box: it holds the middle of an object that bears the claim out."""
    ious: tuple[float, ...]
    areas: tuple[float, ...]
    """Share of the tile that each box covers: what a box thrown at random would hit a small object by."""

    def mean(self, name: str) -> float | None:
        values = [float(v) for v in getattr(self, name)]
        return sum(values) / len(values) if values else None


def score_boxes(case: Case, item: Explained) -> BoxScore:
    """Boxes by the map itself (``by="map"``) are left out: they are the answer, not an attempt at it."""
    ledger = {c.id: c for c in item.claims or case.claims}
    hits, ious, areas = [], [], []
    for evidence in item.evidence:
        claim = ledger.get(evidence.claim_id)
        if evidence.region is None or evidence.by == "map" or evidence.stance != "supports" or claim is None:
            continue
        objects = _objects(case, claim)
        if objects:
            hits.append(any(_holds_middle(evidence.region, box) for box in objects))
            ious.append(max(iou(evidence.region, box) for box in objects))
            areas.append(_area(evidence.region))
    return BoxScore(hits=tuple(hits), ious=tuple(ious), areas=tuple(areas))


def _objects(case: Case, claim: Claim) -> list[Box]:
    """Boxes of the mapped objects that bear the description's claim out, in tile coordinates."""
    own = next((c for c in case.claims if c.id == claim.id and same_thing(claim, c)), None)
    own = own or next((c for c in case.claims if same_thing(claim, c)), None)
    if own is None or case.checked[own.id].stance != "supports":
        return []
    wanted = set(case.checked[own.id].osm_ids)
    return [box_around([p for part in f.parts for p in part]) for f in case.facts or () if f.osm_id in wanted]


def _holds_middle(box: Box, of: Box) -> bool:
    x, y = (of[0] + of[2]) / 2, (of[1] + of[3]) / 2
    return box[0] <= x <= box[2] and box[1] <= y <= box[3]


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes.

    >>> iou((0, 0, 1, 1), (0.5, 0, 1.5, 1))
    0.3333333333333333
    """
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / (_area(a) + _area(b) - shared)
