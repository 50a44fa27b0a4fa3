"""A study to JSONL (one rating a line), CSV (one mark a line) and Label Studio (tasks with annotations)."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

from eval.rate.items import MARKS, SCALES, RateItem
from eval.rate.study import Marked, Study

COLUMNS = (
    "system", "query_id", "tile_id", "lang", "rater", "role", "field", "span", "value", "seconds", "at", "item",
)  # fmt: skip
LABEL_CONFIG = """<View>
  <Text name="description" value="$description"/>
  <Image name="tile" value="$tile"/>
  <Labels name="mark" toName="explanation">
    <Label value="right"/><Label value="wrong"/><Label value="cant_tell"/>
  </Labels>
  <Text name="explanation" value="$explanation"/>
  <Rating name="correct" toName="explanation" maxRating="5"/>
  <Rating name="complete" toName="explanation" maxRating="5"/>
  <Rating name="clear" toName="explanation" maxRating="5"/>
  <Rating name="useful" toName="explanation" maxRating="5"/>
</View>
"""
"""The labelling interface that the Label Studio export fits."""


def begun(study: Study, *, checks: bool = False) -> list[Marked]:
    """Everything with at least one mark; attention checks only when asked for."""
    return [m for m in study.all_marked() if (m.claims or m.scales) and (checks or not study.items[m.item].check)]


def rows(study: Study) -> Iterator[dict[str, Any]]:
    """One rating per line, in the schema that ``sightline explain-eval --ratings`` reads, with a few fields more."""
    for m in begun(study):
        item = study.items[m.item]
        yield {
            "system": item.system,
            "query_id": item.query_id,
            "tile_id": item.tile_id,
            "lang": item.lang,
            "rater": m.rater,
            "claims": [{"id": c.id, "span": c.span, "mark": m.claims[c.id]} for c in item.claims if c.id in m.claims],
            "scales": {s: m.scales[s] for s in SCALES if s in m.scales},
            "role": m.role,
            "finished": m.finished,
            "seconds": round(m.seconds, 3),
            "at": m.at,
            "item": item.id,
        }


def to_jsonl(study: Study) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows(study))


def to_csv(study: Study) -> str:
    """One mark per line; a text that a spreadsheet would run as a formula gets a leading apostrophe."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows(study):
        about = {k: row[k] for k in COLUMNS if k in row}
        marks = [(f"claim:{c['id']}", c["span"], c["mark"]) for c in row["claims"]]
        marks += [(f"scale:{name}", "", str(grade)) for name, grade in row["scales"].items()]
        for field, span, value in marks:
            line = {**about, "field": field, "span": span, "value": value}
            writer.writerow({k: _harmless(v) for k, v in line.items()})
    return out.getvalue()


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def to_label_studio(study: Study, tile: str = "tiles/{tile_id}.png") -> list[dict[str, Any]]:
    """Tasks for Label Studio's import; ``tile`` says where the project finds the pictures."""
    people = {name: n for n, name in enumerate(study.codes, 1)}
    by_item: dict[str, list[Marked]] = {}
    for m in begun(study):
        by_item.setdefault(m.item, []).append(m)
    return [_task(study.items[i], found, people, tile) for i, found in sorted(by_item.items())]


def _task(item: RateItem, marked: Sequence[Marked], people: dict[str, int], tile: str) -> dict[str, Any]:
    data = {
        "item": item.id,
        "system": item.system,
        "query_id": item.query_id,
        "tile_id": item.tile_id,
        "lang": item.lang,
        "description": item.description,
        "verdict": item.verdict,
        "explanation": item.explanation,
        "tile": tile.format(tile_id=item.tile_id),
    }
    annotations = [
        {
            "completed_by": people[m.rater],
            "lead_time": round(m.seconds, 3),
            "was_cancelled": False,
            "result": list(_results(item, m)),
        }
        for m in marked
    ]
    return {"data": data, "annotations": annotations}


def _results(item: RateItem, marked: Marked) -> Iterator[dict[str, Any]]:
    at = 0
    for claim in item.claims:
        found = item.explanation.find(claim.span, at)
        start, end = (found, found + len(claim.span)) if found >= 0 else (0, len(item.explanation))
        at = start if found >= 0 else at
        mark = marked.claims.get(claim.id)
        if mark in MARKS:
            value = {"start": start, "end": end, "text": item.explanation[start:end], "labels": [mark]}
            yield _result(f"{marked.rater}-{claim.id}", "mark", "labels", value)
    for scale, grade in marked.scales.items():
        yield _result(f"{marked.rater}-{scale}", scale, "rating", {"rating": grade})


def _result(id_: str, name: str, type_: str, value: dict[str, Any]) -> dict[str, Any]:
    return {"id": id_, "from_name": name, "to_name": "explanation", "type": type_, "value": value}
