"""Rankings files: what ``sightline locate --batch`` writes, read back as scores over the gallery."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eval.protocol import EvaluationError, Floats, LocatedQuery
from eval.scorers import Scored


@dataclass(frozen=True, kw_only=True)
class _File:
    """What a rankings file says, by query id, and who made it."""

    candidates: dict[str, list[Mapping[str, Any]]]
    methods: str
    judges: str


def read_rankings(
    path: Path,
    ids: Sequence[str],
    queries: Sequence[LocatedQuery],
    *,
    sha256: str | None = None,
    name: str = "",
    saw: str = "",
) -> Scored:
    """Rankings JSONL -> scores [Q, N]: minus the rank for listed tiles, ``-inf`` for the others.

    Joined by ``query_id`` and ``tile_id``, never by position. Neighbours in the order with exactly the same score are
    tied. Queries without a line or without candidates are failed. Raises ``EvaluationError`` for lines that are not
    rankings, unknown or repeated queries and tiles, ranks that are not 1..K, and rankings of another gallery than that
    of content hash ``sha256``.
    """
    file = _read(path, {q.query.id for q in queries}, sha256)
    columns = {tile_id: column for column, tile_id in enumerate(ids)}
    scores = np.full((len(queries), len(ids)), -np.inf)
    failed = np.zeros(len(queries), dtype=bool)
    unjudged = 0
    for row, item in enumerate(queries):
        candidates = file.candidates.get(item.query.id, [])
        failed[row] = not candidates
        unjudged += bool(candidates) and all(c.get("error") for c in candidates)
        _fill(scores[row], candidates, columns, f"{path}, query {item.query.id!r}")
    notes = [file.judges, f"{unjudged} of {len(queries)} queries not judged" if unjudged else ""]
    return Scored(
        method=name or file.methods or "ranked",
        saw=saw or "as its method",
        draws=(scores,),
        failed=failed,
        note=", ".join(n for n in notes if n),
    )


def _read(path: Path, wanted: set[str], sha256: str | None) -> _File:
    found: dict[str, list[Mapping[str, Any]]] = {}
    methods: set[str] = set()
    judges: set[str] = set()
    for number, line in _lines(path):
        query_id, candidates = str(line["query_id"]), line["candidates"]
        if query_id not in wanted:
            raise EvaluationError(f"{path}:{number}: query {query_id!r} is not in the query set; give its own file")
        if query_id in found:
            raise EvaluationError(f"{path}:{number}: query {query_id!r} is ranked twice; keep one line")
        if sha256 is not None and _part(line, "gallery", "sha256") not in ("", sha256):
            raise EvaluationError(f"{path}:{number}: ranked in a gallery of other content; rank the queries again")
        found[query_id] = candidates
        methods.add(str(line.get("method", "ranked")))
        judges.add(_part(line, "judge", "model"))
    return _File(candidates=found, methods="+".join(sorted(methods)), judges=", ".join(sorted(judges - {"", "none"})))


def _part(line: Mapping[str, Any], outer: str, inner: str) -> str:
    value = line.get(outer)
    return str(value.get(inner) or "") if isinstance(value, Mapping) else ""


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Numbered lines with ``query_id`` and checked ``candidates``."""
    try:
        # Not splitlines: a text may hold U+2028, which is no end of a line in JSONL.
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"cannot read rankings from {path}: {error}") from error
    for number, text in enumerate(lines, start=1):
        if text.strip():
            try:
                line = json.loads(text)
                yield (
                    number,
                    {**line, "query_id": line["query_id"], "candidates": _ordered(line.get("candidates") or [])},
                )
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise EvaluationError(
                    f"{path}:{number}: not a ranking; run the batch again to repair the line"
                ) from error


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
