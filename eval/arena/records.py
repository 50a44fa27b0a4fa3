"""Run folders read back: frozen candidates with every method's lines, held to the contract once more."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from agent.rerankers import ContractError
from eval.arena.counterfactual import FILE as COUNTER
from eval.arena.frozen import Asked, Frozen, frozen_sets
from eval.arena.run import MANIFEST
from eval.protocol import EvaluationError, Floats

Line = Mapping[str, Any]
SUFFIX = ".rankings.jsonl"


@dataclass(frozen=True, kw_only=True)
class MethodRun:
    """One method's answers in one set."""

    key: str
    header: Mapping[str, Any]
    lines: Mapping[str, Line]
    """By query id, those of queries whose place was taken out among them."""
    shuffles: Mapping[int, Mapping[str, Line]]
    """Number of the shuffle -> lines by query id."""

    def answered(self, query_id: str) -> Line | None:
        """The line where it holds an order."""
        line = self.lines.get(query_id)
        return line if line is not None and "judgements" in line else None


@dataclass(frozen=True, kw_only=True)
class SetRun:
    """One set with all its methods."""

    frozen: Frozen
    methods: Mapping[str, MethodRun]
    counterfactuals: Sequence[Line]

    def scores(self, key: str) -> Floats:
        """Scores [Q, N] over all tiles: minus the place for candidates, ``-inf`` for others and unanswered queries."""
        column = {tile: n for n, tile in enumerate(self.frozen.places.ids)}
        located = self.frozen.located
        scores = np.full((len(located), len(column)), -np.inf)
        for row, item in enumerate(located):
            line = self.methods[key].answered(item.query.id)
            for place, judgement in enumerate(line["judgements"] if line is not None else ()):
                scores[row, column[judgement["tile_id"]]] = -float(place)
        return scores


def read_runs(paths: Sequence[Path]) -> tuple[str, list[SetRun]]:
    """Title and sets of one or several run folders, their methods side by side.

    Raises ``EvaluationError`` where two runs ranked different candidates or call two methods alike, and
    ``ContractError`` where a line holds a tile that its method was not given.
    """
    if not paths:
        raise EvaluationError("give at least one run folder")
    merged: dict[str, SetRun] = {}
    titles = []
    for path in paths:
        titles.append(_title(path))
        for frozen in frozen_sets(path):
            found = _set(frozen, path / "sets" / frozen.name)
            before = merged.get(frozen.name)
            merged[frozen.name] = found if before is None else _together(before, found, path)
    if not merged:
        raise EvaluationError(f"{paths[0]} holds no frozen candidates; run `sightline arena run` first")
    return " and ".join(dict.fromkeys(titles)), [merged[name] for name in sorted(merged)]


def _title(path: Path) -> str:
    try:
        return str(json.loads((path / MANIFEST).read_text(encoding="utf-8"))["title"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EvaluationError(f"{path} is no folder of an arena run ({error}); give what `out` named") from None


def _together(a: SetRun, b: SetRun, path: Path) -> SetRun:
    if a.frozen.sha256 != b.frozen.sha256:
        raise EvaluationError(
            f"set {a.frozen.name} of {path} has other candidates ({b.frozen.sha256[:10]}, not {a.frozen.sha256[:10]}); "
            "methods are compared over the same candidates only"
        )
    twice = sorted(set(a.methods) & set(b.methods))
    if twice:
        raise EvaluationError(f"both runs have a method {twice[0]!r} in set {a.frozen.name}; give one another label")
    return replace(a, methods={**a.methods, **b.methods}, counterfactuals=[*a.counterfactuals, *b.counterfactuals])


def _set(frozen: Frozen, folder: Path) -> SetRun:
    by_id = {a.query.id: a for a in frozen.asked}
    found: dict[str, MethodRun] = {}
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        header, lines = read_lines(path)
        if header["candidates_sha256"] != frozen.sha256:
            raise EvaluationError(f"{path} ranks other candidates than those beside it; run it again")
        for query, line in lines.items():
            _hold(line, by_id.get(query), path)
        key, number = header["label"], int(header["shuffle"])
        run = found.get(key) or MethodRun(key=key, header=header, lines={}, shuffles={})
        found[key] = (
            replace(run, shuffles={**run.shuffles, number: lines})
            if number
            else replace(run, header=header, lines=lines)
        )
    counter = folder / COUNTER
    rows = [json.loads(x) for x in whole_lines(counter)][1:] if counter.exists() else []
    return SetRun(frozen=frozen, methods=found, counterfactuals=rows)


def whole_lines(path: Path) -> list[str]:
    """The finished lines of a file; a half-written last one is left to the next run, for reading changes nothing."""
    text = path.read_text(encoding="utf-8")
    return [line for line in text[: text.rfind("\n") + 1].split("\n") if line.strip()]


def read_lines(path: Path) -> tuple[Mapping[str, Any], dict[str, Line]]:
    """Header and lines by query id. Raises ``EvaluationError`` naming the line that is damaged or repeated."""
    rows: list[dict[str, Any]] = []
    for number, text in enumerate(whole_lines(path), 1):
        try:
            rows.append(json.loads(text))
        except ValueError:
            raise EvaluationError(f"{path}:{number}: damaged; delete the line and run the arena again") from None
    if not rows or "header" not in rows[0]:
        raise EvaluationError(f"{path} has no header; delete it and run the arena again")
    lines: dict[str, Line] = {}
    for row in rows[1:]:
        if row["query_id"] in lines:
            raise EvaluationError(f"{path}: query {row['query_id']!r} is there twice; keep one line")
        lines[row["query_id"]] = row
    return rows[0]["header"], lines


def _hold(line: Line, asked: Asked | None, path: Path) -> None:
    if asked is None:
        raise EvaluationError(f"{path}: query {line['query_id']!r} is not among the frozen ones")
    if "judgements" not in line:
        return
    given, back = Counter(c.tile_id for c in asked.candidates), Counter(j["tile_id"] for j in line["judgements"])
    where = f"{path}: query {line['query_id']!r}"
    if back - given:
        raise ContractError(f"{where} has the tile {min(back - given)!r}, which the method was not given")
    if given - back:
        raise ContractError(f"{where} lost the tile {min(given - back)!r}")
