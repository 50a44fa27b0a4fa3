"""What must be true of a set of pairs before anyone is scored or taught on it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from retriever.geo import EARTH_M, distance_m
from retriever.pairs import MATCH_M, OUTSIDE_M, Pair, PairError

BUFFER_M = 250.0
"""A training place nearer to a test place than this could show the same street."""
_SPACE = re.compile(r"\W+")


def problems(pairs: Sequence[Pair]) -> list[str]:
    """Broken promises of pairs: ambiguous labels, evidence of other claims, counterfactuals that contradict nothing."""
    found = [line for pair in pairs for line in _of_pair(pair)]
    times = Counter(p.id for p in pairs)
    return [*found, *(f"{id_}: comes {n} times" for id_, n in times.items() if n > 1)]


def _of_pair(pair: Pair) -> Iterable[str]:
    centre = float(distance_m(pair.lat, pair.lon, pair.tile.lat, pair.tile.lon))
    west, south, east, north = pair.tile.bounds
    off = float(distance_m(pair.lat, pair.lon, np.clip(pair.lat, south, north), np.clip(pair.lon, west, east)))
    if (pair.label == "match") != (pair.negative is None):
        yield f"{pair.id}: {pair.label} with the negative kind {pair.negative}"
    made = pair.negative in ("counterfactual_text", "counterfactual_tile")
    if (pair.label == "match" or made) and centre > MATCH_M + 0.1:
        yield f"{pair.id}: its tile's centre is {centre:.1f} m away"
    if pair.label == "no_match" and not made and off < OUTSIDE_M - 0.1:
        yield f"{pair.id}: an ambiguous tile, {off:.1f} m off"
    if [e.claim_id for e in pair.evidence] != [c.id for c in pair.claims]:
        yield f"{pair.id}: evidence and claims do not go together"
    stances = {e.claim_id: e.stance for e in pair.evidence}
    if made and (pair.changed is None or stances.get(pair.changed.claim_id) != "contradicts"):
        yield f"{pair.id}: what was changed is not contradicted"
    wrong = pair.wrong_reason
    if wrong is not None and (stances.get(wrong.claim_id) != wrong.true or wrong.said == wrong.true):
        yield f"{pair.id}: its wrong reason is not wrong"


def balance(pairs: Sequence[Pair]) -> dict[str, tuple[int, int]]:
    """(matches, no-matches) by view, language and area."""
    found: dict[str, list[int]] = {}
    for pair in pairs:
        key = f"{pair.query.view}/{pair.query.lang or '-'}/{pair.area}/{pair.query.source}"
        found.setdefault(key, [0, 0])[pair.label == "no_match"] += 1
    return {key: (a, b) for key, (a, b) in sorted(found.items())}


def plain(text: str) -> str:
    """A text as far as its words go."""
    return _SPACE.sub(" ", text.casefold()).strip()


def leaks(pairs: Sequence[Pair], others: Iterable[dict[str, Any]], *, buffer_m: float = BUFFER_M) -> list[str]:
    """Rows (``lat``, ``lon``, ``text``, any of them absent) that share a place or a text with the pairs."""
    lat = np.radians([p.lat for p in pairs])
    lon = np.radians([p.lon for p in pairs])
    tree = cKDTree(_sphere(lat, lon))
    texts = {plain(p.query.text): p.id for p in pairs if p.query.text}
    found = []
    for number, row in enumerate(others, start=1):
        if row.get("lat") is not None and row.get("lon") is not None:
            at = _sphere(np.radians([float(row["lat"])]), np.radians([float(row["lon"])]))
            far, nearest = tree.query(at)
            if far[0] * EARTH_M < buffer_m:
                found.append(f"row {number} lies {far[0] * EARTH_M:.0f} m from {pairs[int(nearest[0])].id}")
        text = plain(str(row.get("text") or ""))
        if text in texts:
            found.append(f"row {number} has the text of {texts[text]}")
    return found


def _sphere(lat: Any, lon: Any) -> Any:
    """Unit vectors [N, 3]; chords of a few hundred metres are as long as their arcs."""
    return np.column_stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])


def read_others(path: Path) -> list[dict[str, Any]]:
    """Rows of another set for :func:`leaks`: JSONL with lat, lon and text (or pairs), or a table with such columns.

    Raises ``PairError``.
    """
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq

            columns = [c for c in ("lat", "lon", "text") if c in pq.read_schema(path).names]
            return list(pq.read_table(path, columns=columns).to_pylist())
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
        return [{**row, "text": row.get("text") or (row.get("query") or {}).get("text")} for row in rows]
    except (OSError, ValueError, AttributeError) as error:
        raise PairError(f"cannot read {path} ({error}): name a JSONL or parquet file with lat, lon, text") from error
