"""Rankings files: what ``sightline locate --batch`` writes, read back as scores over the gallery."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eval.protocol import EvaluationError, Floats, LocatedQuery
from eval.scorers import Scored


def read_rankings(
    path: Path, ids: Sequence[str], queries: Sequence[LocatedQuery], *, name: str = "", saw: str = ""
) -> Scored:
    """Rankings JSONL -> scores [Q, N]: minus the rank for listed tiles, ``-inf`` for the others.

    Joined by ``query_id`` and ``tile_id``, never by position. Neighbours in the order with exactly the same score are
    tied. Queries without a line or without candidates are failed. Raises ``EvaluationError`` for lines that are not
    rankings, unknown or repeated queries and tiles, and ranks that are not 1..K.
    """
    method, lines = _by_query(path, {q.query.id for q in queries})
    columns = {tile_id: column for column, tile_id in enumerate(ids)}
    scores = np.full((len(queries), len(ids)), -np.inf)
    failed = np.zeros(len(queries), dtype=bool)
    unjudged = 0
    for row, item in enumerate(queries):
        candidates = lines.get(item.query.id, [])
        failed[row] = not candidates
        unjudged += bool(candidates) and all(c.get("error") for c in candidates)
        _fill(scores[row], candidates, columns, f"{path}, query {item.query.id!r}")
    note = f"{unjudged} queries not judged" if unjudged else ""
    return Scored(
        method=name or method or "ranked", saw=saw or "as its method", draws=(scores,), failed=failed, note=note
    )


def _by_query(path: Path, wanted: set[str]) -> tuple[str, dict[str, list[Mapping[str, Any]]]]:
    """The methods' names, and each query's candidates by rank."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    methods: set[str] = set()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"cannot read rankings from {path}: {error}") from error
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        try:
            line = json.loads(text)
            query_id, candidates = str(line["query_id"]), _ordered(line.get("candidates") or [])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise EvaluationError(f"{path}:{number}: not a ranking; run the batch again to repair the line") from error
        if query_id not in wanted:
            raise EvaluationError(f"{path}:{number}: query {query_id!r} is not in the query set; give its own file")
        if query_id in found:
            raise EvaluationError(f"{path}:{number}: query {query_id!r} is ranked twice; keep one line")
        found[query_id] = candidates
        methods.add(str(line.get("method", "ranked")))
    return "+".join(sorted(methods)), found


def _ordered(candidates: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    ordered = sorted(candidates, key=lambda c: int(c["rank"]))
    if [int(c["rank"]) for c in ordered] != list(range(1, len(ordered) + 1)):
        raise ValueError(f"ranks are not 1 to {len(ordered)}")
    if not all(isinstance(c["tile_id"], str) for c in ordered):
        raise TypeError("tile_id is not a string")
    return ordered


def _fill(row: Floats, candidates: Sequence[Mapping[str, Any]], columns: Mapping[str, int], where: str) -> None:
    worth, before = 0.0, None
    for place, candidate in enumerate(candidates):
        tile_id, score = candidate["tile_id"], candidate.get("score")
        column = columns.get(tile_id)
        if column is None:
            raise EvaluationError(f"{where}: tile {tile_id!r} is not in the gallery; give the gallery that was ranked")
        if row[column] > -np.inf:
            raise EvaluationError(f"{where}: tile {tile_id!r} is listed twice")
        if place == 0 or score is None or score != before:
            worth = -float(place)
        row[column], before = worth, score
