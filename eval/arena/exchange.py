"""TREC runs and rank_llm's JSON, in and out, so that others' rankings can stand in the same table."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from agent.rerankers import ContractError
from eval.arena.frozen import Asked, Frozen
from eval.protocol import EvaluationError
from retriever.models import write_atomic

Format = Literal["trec", "rank_llm"]
Ranked = dict[str, list[tuple[str, float]]]
"""Query id -> tiles with scores, best first."""


def read_ranked(path: Path, format_: Format) -> Ranked:
    """A TREC run, or rank_llm's JSON or JSON lines. Raises ``EvaluationError`` naming what does not fit."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"cannot read {path}: {error}") from None
    return _trec(path, text) if format_ == "trec" else _rank_llm(path, text)


def _trec(path: Path, text: str) -> Ranked:
    rows: dict[str, list[tuple[str, float, int]]] = {}
    for number, line in enumerate(text.split("\n"), 1):
        parts = line.split()
        if not parts:
            continue
        try:
            query, _, tile, rank, score, _ = parts
            row = (tile, float(score), int(rank))
        except ValueError:
            raise EvaluationError(f"{path}:{number}: a TREC line has 'query Q0 tile rank score tag'") from None
        if not math.isfinite(row[1]):
            raise EvaluationError(f"{path}:{number}: the score {parts[4]} is no number to rank by")
        rows.setdefault(query, []).append(row)
    # By score, as trec_eval reads a run; the rank breaks ties only.
    return {q: [(t, s) for t, s, _ in sorted(r, key=lambda x: (-x[1], x[2], x[0]))] for q, r in rows.items()}


def _rank_llm(path: Path, text: str) -> Ranked:
    try:
        data = (
            json.loads(text)
            if text.lstrip().startswith("[")
            else [json.loads(x) for x in text.split("\n") if x.strip()]
        )
        found: Ranked = {}
        for item in data:
            query = str(item["query"]["qid"])
            if query in found:
                raise ValueError(f"query {query!r} is there twice")
            found[query] = [(str(c["docid"]), float(c["score"])) for c in item["candidates"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EvaluationError(
            f"{path} is no rank_llm file ({error}); it holds query.qid and candidates.docid"
        ) from None
    return found


def bring_in(
    frozen: Frozen, ranked: Ranked, label: str, folder: Path, *, source: str, saw: str, partial: bool
) -> dict[str, int]:
    """Others' rankings as a method of a run; returns counts of ``queries``, ``missing`` queries and ``unlisted`` tiles.

    Raises ``ContractError`` naming a tile that was not a candidate, or that was lost: with ``partial`` lost tiles are
    put behind the listed ones in the retriever's order, as errors.
    """
    from eval.arena.run import file_of

    by_id = {a.query.id: a for a in frozen.asked}
    strange = sorted(set(ranked) - set(by_id))
    if strange:
        raise EvaluationError(f"{source} ranks query {strange[0]!r}, which set {frozen.name} does not ask")
    path = file_of(folder, label, 0)
    if path.exists():
        raise EvaluationError(f"{path} is there already; give --label another name")
    header = {
        "method": label, "label": label, "options": {}, "saw": saw or "not said", "shuffle": 0,
        "seed": None, "candidates_sha256": frozen.sha256, "judge": "not known", "adapter": "not known",
        "encoder": frozen.header["encoder"], "confidence": "none", "made_by": f"imported from {source}",
    }  # fmt: skip
    lines, unlisted = [{"header": header}], 0
    for query, tiles in sorted(ranked.items()):
        line = _imported(by_id[query], tiles, label, partial)
        unlisted += sum(j["error"] is not None for j in line["judgements"])
        lines.append(line)
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    write_atomic(path, text.encode())
    return {"queries": len(ranked), "missing": len(by_id) - len(ranked), "unlisted": unlisted}


def _imported(asked: Asked, tiles: Sequence[tuple[str, float]], name: str, partial: bool) -> dict[str, Any]:
    given = [c.tile_id for c in asked.candidates]
    listed = [t for t, _ in tiles]
    where = f"{name!r} on query {asked.query.id!r}"
    for tile in listed:
        if tile not in given:
            raise ContractError(f"{where} returned {tile!r}, a tile that it was not given")
        if listed.count(tile) > 1:
            raise ContractError(f"{where} returned {tile!r} twice")
    lost = [t for t in given if t not in listed]
    if lost and not partial:
        raise ContractError(f"{where} lost the tile {lost[0]!r}; --partial puts lost tiles last")
    rows = [{"tile_id": t, "score": s, "kind": "imported", "verdict": None, "error": None} for t, s in tiles]
    rows += [{"tile_id": t, "score": None, "kind": "", "verdict": None, "error": "not returned"} for t in lost]
    return {"query_id": asked.query.id, "judgements": rows, "prompt": "", "cost": {}, "wall_s": None, "sure": None}


def send_out(frozen: Frozen, lines: Mapping[str, Mapping[str, Any]] | None, tag: str, format_: Format) -> str:
    """A method's rankings, or with None the frozen candidates themselves, as text of the format.

    Raises ``EvaluationError`` where an id holds a space, which a TREC run cannot.
    """
    ranked: Ranked = {}
    for asked in frozen.asked:
        if lines is None:
            ranked[asked.query.id] = [(c.tile_id, c.score) for c in sorted(asked.candidates, key=lambda c: c.rank)]
        elif "judgements" in lines.get(asked.query.id, {}):
            tiles = [j["tile_id"] for j in lines[asked.query.id]["judgements"]]
            # The place is the score: methods' own scores need not decrease.
            ranked[asked.query.id] = [(t, float(len(tiles) - i)) for i, t in enumerate(tiles)]
    return _as_trec(ranked, tag) if format_ == "trec" else _as_rank_llm(frozen, ranked)


def _as_trec(ranked: Ranked, tag: str) -> str:
    rows = []
    for query, tiles in ranked.items():
        for place, (tile, score) in enumerate(tiles, 1):
            if any(len(word.split()) != 1 for word in (query, tile)):
                raise EvaluationError(f"query {query!r} or tile {tile!r} holds a space, which a TREC run cannot")
            rows.append(f"{query} Q0 {tile} {place} {score:.6f} {tag}\n")
    return "".join(rows)


def _as_rank_llm(frozen: Frozen, ranked: Ranked) -> str:
    texts = {a.query.id: a.query.text for a in frozen.asked}
    row = {tile: n for n, tile in enumerate(frozen.places.ids)}
    data = [
        {
            "query": {"text": texts[query], "qid": query},
            "candidates": [
                {
                    "docid": t,
                    "score": s,
                    "doc": {"lat": float(frozen.places.lat[row[t]]), "lon": float(frozen.places.lon[row[t]])},
                }
                for t, s in tiles
            ],
        }
        for query, tiles in ranked.items()
    ]
    return json.dumps(data, ensure_ascii=False, indent=1) + "\n"
