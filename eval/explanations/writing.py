"""Judgements as the documented JSONL, so that what we score ourselves goes through the same file as everybody's."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from eval.explanations.schema import Explained


def to_row(item: Explained) -> dict[str, Any]:
    """One line; what is not known is left out."""
    row = {
        "system": item.system,
        "query_id": item.query_id,
        "tile_id": item.tile_id,
        "text": item.query,
        "verdict": item.verdict,
        "confidence": item.confidence,
        "explanation": dict(item.texts),
        "evidence": [_evidence(e.to_json()) for e in item.evidence],
        "claims": None if item.claims is None else [c.to_json() for c in item.claims],
        "family": item.family,
        "baseline": item.baseline or None,
        "usage": None if item.usage is None else item.usage.to_json(),
    }
    return {name: value for name, value in row.items() if value is not None}


def _evidence(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("claim_id", "stance", "region", "by") if row[name] is not None}


def write_judgements(path: Path, items: Iterable[Explained]) -> None:
    """All of them, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text("".join(json.dumps(to_row(i), ensure_ascii=False) + "\n" for i in items), encoding="utf-8")
    part.replace(path)
